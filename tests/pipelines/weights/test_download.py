"""Downloads from a server that cuts, changes, refuses and answers with web pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gdown
import gdown.exceptions
import pytest

from pipelines.weights.download import CHUNK, DownloadFailedError, fetch_drive, fetch_http, is_drive, looks_like_html
from tests.pipelines.weights.conftest import PAGE, Site

GDOWNS_CHUNK = gdown.download.__globals__["CHUNK_SIZE"]


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "file.pt.part"


def get(site: Site, part: Path, expected_bytes: int | None = None, failures_allowed: int = 2) -> None:
    fetch_http(site.address, part, expected_bytes, failures_allowed=failures_allowed, wait=0.01)


def test_a_file_comes_whole(site: Site, part: Path) -> None:
    get(site, part, len(site.content))
    assert part.read_bytes() == site.content
    assert site.asked == [None]
    assert [path.name for path in part.parent.iterdir()] == [part.name]


def test_a_cut_connection_is_resumed_by_asking_for_the_rest(site: Site, part: Path) -> None:
    site.cuts = [3 * CHUNK + 1000, CHUNK]
    get(site, part)
    assert part.read_bytes() == site.content
    assert site.asked == [None, f"bytes={3 * CHUNK}-", f"bytes={4 * CHUNK}-"]


def test_another_run_goes_on_where_the_first_gave_up(site: Site, part: Path) -> None:
    site.cuts = [CHUNK, 0, 0]
    with pytest.raises(DownloadFailedError, match="the connection broke") as caught:
        get(site, part)
    assert caught.value.resumable
    assert part.read_bytes() == site.content[:CHUNK]
    get(site, part)
    assert part.read_bytes() == site.content
    assert site.asked == [None, *[f"bytes={CHUNK}-"] * 3]


def test_a_server_without_ranges_is_started_over(site: Site, part: Path) -> None:
    site.cuts, site.ranges = [CHUNK], False
    get(site, part)
    assert part.read_bytes() == site.content
    assert site.asked == [None, f"bytes={CHUNK}-"]


def test_a_file_that_changed_meanwhile_is_started_over(site: Site, part: Path) -> None:
    site.cuts = [CHUNK, 0, 0]
    with pytest.raises(DownloadFailedError):
        get(site, part)
    site.content, site.etag = site.content[::-1], '"two"'
    get(site, part)
    assert part.read_bytes() == site.content


def test_a_server_that_names_no_version_is_not_patched_together(site: Site, part: Path) -> None:
    site.cuts, site.etag = [CHUNK], None
    get(site, part)
    assert part.read_bytes() == site.content
    assert site.asked == [None, None]


def test_a_part_of_another_address_is_not_continued(site: Site, part: Path) -> None:
    part.write_bytes(b"something else")
    Path(f"{part}.json").write_text(json.dumps({"address": "http://other/", "validator": '"one"', "bytes": 20}))
    get(site, part)
    assert part.read_bytes() == site.content
    assert site.asked == [None]


def test_a_part_that_is_whole_already_asks_nothing(site: Site, part: Path) -> None:
    part.write_bytes(site.content)
    note = {"address": site.address, "validator": site.etag, "bytes": len(site.content)}
    Path(f"{part}.json").write_text(json.dumps(note))
    get(site, part)
    assert site.asked == []
    assert not Path(f"{part}.json").exists()


def test_a_part_longer_than_the_file_is_started_over(site: Site, part: Path) -> None:
    part.write_bytes(site.content + b"more")
    note = {"address": site.address, "validator": site.etag, "bytes": len(site.content) + 10}
    Path(f"{part}.json").write_text(json.dumps(note))
    get(site, part)
    assert part.read_bytes() == site.content
    assert len(site.asked) == 2


def test_the_wrong_rest_is_not_appended(site: Site, part: Path) -> None:
    site.cuts, site.content_range = [CHUNK], "bytes 5-9/10"
    with pytest.raises(DownloadFailedError, match="'bytes 5-9/10'"):
        get(site, part)
    assert part.read_bytes() == site.content[:CHUNK]


def test_a_busy_server_is_asked_again(site: Site, part: Path) -> None:
    site.failures = [503, 429]
    get(site, part)
    assert part.read_bytes() == site.content
    site.failures = [503] * 3
    part.unlink()
    with pytest.raises(DownloadFailedError, match="503 Service Unavailable") as caught:
        get(site, part)
    assert not caught.value.resumable


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_dead_address_is_not_asked_twice(site: Site, part: Path, status: int) -> None:
    site.status = status
    with pytest.raises(DownloadFailedError, match=str(status)):
        get(site, part)
    assert len(site.asked) == 1
    assert not part.exists()


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_is_refused_and_costs_no_part(site: Site, part: Path, content_type: str) -> None:
    whole, site.cuts = site.content, [CHUNK, 0, 0]
    with pytest.raises(DownloadFailedError):
        get(site, part)
    site.content, site.content_type, site.etag = b"\n " + PAGE, content_type, '"page"'
    with pytest.raises(DownloadFailedError, match="a web page came"):
        get(site, part)
    assert part.read_bytes() == whole[:CHUNK]


def test_another_size_than_on_record_is_refused_before_it_comes(site: Site, part: Path) -> None:
    with pytest.raises(DownloadFailedError, match=r"1,280,000 bytes there, but 300,000 are on record"):
        get(site, part, 300_000)
    assert not part.exists()


@pytest.mark.parametrize(
    ("address", "reason"),
    [("http://127.0.0.1:9/file.pt", "no connection"), ("http:///file.pt", "no host")],
)
def test_an_address_that_is_nowhere(part: Path, address: str, reason: str) -> None:
    with pytest.raises(DownloadFailedError, match=f"(?i){reason}") as caught:
        fetch_http(address, part, failures_allowed=1, wait=0.01)
    assert not caught.value.resumable


# gdown takes an address outside of Google Drive for a plain file, so that its resuming can be tested here; what Drive
# itself answers is told by gdown's exceptions.
def test_gdown_gets_and_resumes(site: Site, part: Path) -> None:
    site.cuts = [GDOWNS_CHUNK]
    fetch_drive(site.address, part, len(site.content))
    assert part.read_bytes() == site.content
    assert [path.name for path in part.parent.iterdir()] == [part.name]
    assert site.asked[-1] == f"bytes={GDOWNS_CHUNK}-"


def test_gdown_goes_on_in_another_run(site: Site, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gdown.download
    monkeypatch.setattr(gdown, "download", lambda **arguments: whole(**{**arguments, "retries": 0}))
    site.cuts = [GDOWNS_CHUNK]
    with pytest.raises(DownloadFailedError) as caught:
        fetch_drive(site.address, part)
    assert caught.value.resumable
    assert not part.exists()
    fetch_drive(site.address, part)
    assert part.read_bytes() == site.content
    assert site.asked[-1] == f"bytes={GDOWNS_CHUNK}-"


def test_gdown_does_not_take_a_part_of_another_address_for_the_whole(site: Site, part: Path) -> None:
    part.write_bytes(b"the beginning of something")
    Path(f"{part}.json").write_text("{}")
    fetch_drive(site.address, part)
    assert part.read_bytes() == site.content


def test_a_web_page_from_drive_is_refused(site: Site, part: Path) -> None:
    site.content = PAGE
    with pytest.raises(DownloadFailedError, match="a web page came"):
        fetch_drive(site.address, part)
    assert list(part.parent.iterdir()) == []


def test_a_size_from_drive_that_is_not_on_record_is_refused(site: Site, part: Path) -> None:
    with pytest.raises(DownloadFailedError, match="are on record"):
        fetch_drive(site.address, part, 5)
    assert not part.exists()


def test_a_file_that_drive_does_not_give(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise gdown.exceptions.FileURLRetrievalError("Cannot retrieve\nthe public link")

    monkeypatch.setattr(gdown, "download", refuse)
    with pytest.raises(DownloadFailedError, match="over its daily quota"):
        fetch_drive("https://drive.google.com/uc?id=x", part)


def test_a_dead_address_behind_gdown(site: Site, part: Path) -> None:
    site.status = 404
    with pytest.raises(DownloadFailedError, match="404"):
        fetch_drive(site.address, part)


@pytest.mark.parametrize(
    ("address", "drive"),
    [
        ("https://drive.google.com/uc?id=abc", True),
        ("https://docs.google.com/uc?id=abc", True),
        ("https://example.org/drive.google.com/x", False),
    ],
)
def test_which_addresses_are_drive(address: str, drive: bool) -> None:
    assert is_drive(address) is drive


@pytest.mark.parametrize(
    ("head", "html"),
    [
        (b"<html>", True),
        (b"\xef\xbb\xbf \n<!doctype html>", True),
        (b"PK\x03\x04<", False),
        (b"\x80\x02}", False),
        (b"", False),
    ],
)
def test_what_looks_like_a_page(head: bytes, html: bool) -> None:
    assert looks_like_html(head) is html

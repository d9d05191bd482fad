"""`reinvert weights` against a server on this machine: what it leaves on the disk, what it says, how it ends."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import filelock
import pytest
import torch
from typer.testing import CliRunner

from core.errors import ReinvertError
from core.weights import WEIGHTS_FILE
from methods.networks.stylegan2 import Generator
from methods.official import converted
from pipelines.cli import app
from pipelines.weights import cli, download
from pipelines.weights.cards import CheckpointCard
from pipelines.weights.store import BUSY_FILE, LOCK_FILE
from tests.pipelines.weights.conftest import PAGE, Site

CHANNELS = {4: 4, 8: 4, 16: 4}


def checkpoint(seed: int = 0) -> bytes:
    """A tiny generator in rosinality's layout."""
    torch.manual_seed(seed)
    state = Generator(16, style_dim=8, mapping_layers=2, channels=CHANNELS).state_dict()
    written = io.BytesIO()
    torch.save({"g_ema": state, "latent_avg": torch.arange(8.0)}, written)
    return written.getvalue()


CONTENT, OTHER = checkpoint(), checkpoint(1)


@pytest.fixture
def card(site: Site, monkeypatch: pytest.MonkeyPatch) -> CheckpointCard:
    """The only card there is."""
    site.content = CONTENT
    made = CheckpointCard(
        name="tiny", method="stylegan2", domain="toys", layout="stylegan2-rosinality", file="tiny.pt",
        address=site.address,
    )  # fmt: skip
    _these(monkeypatch, made)
    whole = download.fetch_http
    monkeypatch.setattr(download, "fetch_http", lambda *arguments: whole(*arguments, failures_allowed=1, wait=0.01))
    return made


def _these(monkeypatch: pytest.MonkeyPatch, *cards: CheckpointCard) -> None:
    monkeypatch.setattr(cli, "load_cards", lambda: {each.name: each for each in cards})


@pytest.fixture
def folder(project: Path) -> Path:
    return project / "checkpoints" / "tiny"


def run(*arguments: str, fails: bool = False) -> str:
    """What was said: on stdout, or the one line on stderr where the command must fail."""
    result = CliRunner().invoke(app, ["weights", *arguments])
    assert result.exit_code == int(fails), result.output
    if not fails:
        return result.stdout
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    return result.stderr


def said_state() -> str:
    return run("list").splitlines()[1].split()[-1]


def lock(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / LOCK_FILE).read_text()))


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {BUSY_FILE}


def test_fetch_verify_convert(site: Site, card: CheckpointCard, folder: Path) -> None:
    assert said_state() == "absent"
    said = run("fetch", "tiny")
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    assert sha256 in said and f"{len(CONTENT):,} bytes" in said
    assert (folder / "tiny.pt").read_bytes() == CONTENT
    assert left(folder) == {"tiny.pt", LOCK_FILE}
    recorded = {"file": "tiny.pt", "bytes": len(CONTENT), "sha256": sha256, "address": site.address}
    assert lock(folder) == {**recorded, "verified": False}
    assert said_state() == "fetched"

    assert "holds generator" in run("verify", "tiny")
    assert lock(folder) == {**recorded, "verified": True}
    assert said_state() == "verified"

    run("convert")
    assert said_state() == "converted"
    assert "converted already" in run("convert", "tiny")
    source = json.loads((folder / "card.json").read_text())["source"]
    assert source == {**recorded, "licence": "not stated"}

    # Nothing downstream needs the pickle.
    (folder / "tiny.pt").unlink()
    assert said_state() == "converted"
    loaded = converted.load(folder)
    torch.manual_seed(0)
    expected = Generator(16, style_dim=8, mapping_layers=2, channels=CHANNELS)
    for key, value in expected.state_dict().items():
        assert torch.equal(loaded.modules["generator"].state_dict()[key], value)
    assert loaded.latent_avg is not None and loaded.latent_avg.tolist() == list(range(8))


def test_fetching_again_downloads_nothing(site: Site, card: CheckpointCard, folder: Path) -> None:
    run("fetch", "tiny")
    before = lock(folder)
    run("fetch", "tiny")
    assert len(site.asked) == 1
    assert lock(folder) == before


def test_a_cut_download_is_kept_and_gone_on_with(site: Site, card: CheckpointCard, folder: Path) -> None:
    site.content = CONTENT + bytes(4 * download.CHUNK)
    site.cuts = [download.CHUNK, 0]
    assert "run again to go on, or put tiny.pt here: " in run("fetch", "tiny", fails=True)
    assert said_state() == "partial"
    assert left(folder) == {"tiny.pt.part", "tiny.pt.part.json"}
    run("fetch", "tiny")
    assert (folder / "tiny.pt").read_bytes() == site.content
    assert site.asked == [None, *[f"bytes={download.CHUNK}-"] * 2]
    assert left(folder) == {"tiny.pt", LOCK_FILE}


@pytest.mark.parametrize("status", [404, 503])
def test_a_dead_address_leads_to_the_manual_route(site: Site, card: CheckpointCard, folder: Path, status: int) -> None:
    site.status = status
    said = run("fetch", "tiny", fails=True)
    assert f"({status} " in said
    assert "put tiny.pt here: checkpoints/tiny/tiny.pt, then run 'reinvert weights verify tiny'" in said
    assert left(folder) == set()


def test_a_web_page_is_not_kept(site: Site, card: CheckpointCard, folder: Path) -> None:
    site.content = PAGE
    assert "a web page came instead of the file" in run("fetch", "tiny", fails=True)
    assert left(folder) == set()
    assert said_state() == "absent"


def test_a_card_without_an_address_leads_to_the_manual_route(
    card: CheckpointCard, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _these(monkeypatch, card.model_copy(update={"address": None, "note": "in their repository"}))
    said = run("fetch", "tiny", fails=True)
    assert "no address of tiny is known (in their repository); put tiny.pt here" in said


def test_a_pinned_hash_refuses_another_file(
    site: Site, card: CheckpointCard, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _these(monkeypatch, card.model_copy(update={"sha256": hashlib.sha256(OTHER).hexdigest()}))
    assert "has another sha256 than its card says and was removed" in run("fetch", "tiny", fails=True)
    assert left(folder) == set()
    site.content, site.etag = OTHER, '"two"'
    run("fetch", "tiny")
    assert (folder / "tiny.pt").read_bytes() == OTHER


def test_what_the_first_fetch_recorded_is_checked_from_then_on(site: Site, card: CheckpointCard, folder: Path) -> None:
    run("fetch", "tiny")
    (folder / "tiny.pt").rename(folder / "kept.pt")
    site.content = CONTENT + b"more"
    said = run("fetch", "tiny", fails=True)
    assert f"it has {len(CONTENT) + 4:,} bytes there, but {len(CONTENT):,} are on record" in said
    changed = bytearray(CONTENT)
    changed[-1] ^= 1
    site.content = bytes(changed)
    said = run("fetch", "tiny", fails=True)
    assert "has another sha256 than checkpoints/tiny/lock.json says and was removed" in said
    assert left(folder) == {"kept.pt", LOCK_FILE}
    site.content = CONTENT
    run("fetch", "tiny")
    assert (folder / "tiny.pt").read_bytes() == CONTENT


@pytest.mark.parametrize("command", ["fetch", "verify", "convert"])
def test_a_file_that_changed_on_the_disk_is_noticed_and_kept(card: CheckpointCard, folder: Path, command: str) -> None:
    run("fetch", "tiny")
    for content, what in ((CONTENT + b"more", f"{len(CONTENT) + 4:,} bytes"), (CONTENT[:-1] + b"x", "sha256")):
        (folder / "tiny.pt").write_bytes(content)
        said = run(command, "tiny", fails=True)
        assert f"'checkpoints/tiny/tiny.pt' has {what}" in said
        assert "move it away and fetch it again (or remove checkpoints/tiny/lock.json" in said
        assert (folder / "tiny.pt").read_bytes() == content


def test_a_file_put_there_by_hand_is_verified_and_recorded(card: CheckpointCard, folder: Path) -> None:
    said = run("verify", "tiny", fails=True)
    assert "tiny is not there; run 'reinvert weights fetch tiny', or put tiny.pt here" in said
    (folder / "tiny.pt").write_bytes(CONTENT)
    assert said_state() == "fetched"
    run("fetch", "tiny")
    assert lock(folder)["address"] is None
    run("verify")
    assert lock(folder)["verified"] and lock(folder)["address"] is None
    assert said_state() == "verified"


def test_what_the_reader_refuses_is_not_on_record_and_can_be_replaced(
    site: Site, card: CheckpointCard, folder: Path
) -> None:
    site.content = b"PK\x03\x04 no archive"
    run("fetch", "tiny")
    assert "tiny.pt" in run("verify", "tiny", fails=True)
    assert left(folder) == {"tiny.pt"}
    assert said_state() == "fetched"
    (folder / "tiny.pt").write_bytes(CONTENT)
    run("convert", "tiny")
    assert said_state() == "converted"


def test_a_conversion_of_another_file_does_not_count(card: CheckpointCard, folder: Path) -> None:
    run("fetch", "tiny")
    run("convert", "tiny")
    (folder / LOCK_FILE).unlink()
    (folder / "tiny.pt").write_bytes(OTHER)
    run("verify", "tiny")
    assert said_state() == "verified"
    run("convert", "tiny")
    torch.manual_seed(1)
    expected = Generator(16, style_dim=8, mapping_layers=2, channels=CHANNELS).state_dict()["input.input"]
    assert torch.equal(converted.load(folder).modules["generator"].state_dict()["input.input"], expected)


def test_an_altered_conversion_is_said_and_made_again(card: CheckpointCard, folder: Path) -> None:
    with pytest.raises(ReinvertError, match="no weights in .*run 'reinvert weights convert tiny'"):
        converted.load(folder)
    run("fetch", "tiny")
    run("convert", "tiny")
    path = folder / WEIGHTS_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ReinvertError, match="was altered.*run 'reinvert weights convert tiny'"):
        converted.load(folder)
    run("convert", "tiny")
    assert path.read_bytes() == whole


def test_of_several_the_good_ones_are_done(
    site: Site, card: CheckpointCard, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = card.model_copy(update={"name": "dead", "address": None})
    _these(monkeypatch, dead, card)
    result = CliRunner().invoke(app, ["weights", "fetch", "*"])
    assert result.exit_code == 1
    first, last = result.stderr.splitlines()
    assert first.startswith("error: no address of dead is known")
    assert last == "error: 1 of 2 failed: dead; the lines above say why"
    assert (project / "checkpoints" / "tiny" / "tiny.pt").is_file()
    assert "tiny: as on record" in run("verify")


def test_an_unknown_name_is_answered_with_a_near_one(card: CheckpointCard, project: Path) -> None:
    for command in ("list", "fetch", "verify", "convert"):
        assert "unknown checkpoint 'tinny'; did you mean 'tiny'?" in run(command, "tinny", fails=True)


def test_nothing_here_is_no_mistake(card: CheckpointCard, project: Path) -> None:
    assert "no checkpoint is here" in run("verify")
    assert not (project / "checkpoints").exists()


def test_fetch_wants_names(card: CheckpointCard, project: Path) -> None:
    result = CliRunner().invoke(app, ["weights", "fetch"])
    assert result.exit_code == 2


def test_two_downloads_of_one_file_do_not_mix(card: CheckpointCard, folder: Path) -> None:
    folder.mkdir(parents=True)
    with filelock.FileLock(folder / BUSY_FILE):
        assert "another process works on tiny; wait" in run("fetch", "tiny", fails=True)


def test_a_damaged_lock_is_said(card: CheckpointCard, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / LOCK_FILE).write_text("{")
    assert "lock.json' is damaged; remove it" in run("list", fails=True)


def test_a_folder_that_cannot_be_written_is_said(card: CheckpointCard, folder: Path) -> None:
    folder.parent.write_text("a file")
    assert "cannot write to 'checkpoints/tiny'" in run("fetch", "tiny", fails=True)


def test_the_full_disk_is_said_and_what_came_is_kept(
    site: Site, card: CheckpointCard, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(download, "fetch_http", full)
        assert "the disk is full" in run("fetch", "tiny", fails=True)
    run("fetch", "tiny")

"""One file over HTTP or from Google Drive, resumable.

pooch has no resume and gdown has one only for itself, so HTTP is done here with range requests (RFC 9110, section 14):
the partial file FILE.part and a note beside it, FILE.part.json, outlive a cut connection, Ctrl-C and a full disk, and
the next try asks for the rest, under the condition (If-Range) that the server still holds the same file. A server that
gives no strong ETag and no date cannot promise that, and its file is started over rather than patched together.

`store` decides what becomes of a file that came.
"""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from core.files import atomic_write_json

if TYPE_CHECKING:
    import requests

CHUNK = 1 << 16
"""Bytes written at a time; what came of an unfinished chunk is lost when the connection breaks."""
TIMEOUT = (20.0, 60.0)
"""Seconds to connect, and between two pieces of an answer."""
RETRY = frozenset({408, 425, 429})
"""Answers below 500 that may be another one a moment later."""


class DownloadFailedError(Exception):
    """No file came. `resumable`: part of it is kept, and trying again may help."""

    def __init__(self, reason: str, *, resumable: bool = False) -> None:
        super().__init__(" ".join(reason.split()))
        self.resumable = resumable


class _TryAgainError(Exception):
    """The transfer broke in a way that the next try may mend."""


def is_drive(address: str) -> bool:
    """Whether `address` is a file on Google Drive, which answers with forms and cookies that gdown knows."""
    return urllib.parse.urlsplit(address).hostname in {"drive.google.com", "docs.google.com"}


def partial_files(path: Path) -> list[Path]:
    """What unfinished downloads of `path` left behind."""
    return sorted(path.parent.glob(f"{path.name}*.part")) if path.parent.is_dir() else []


def looks_like_html(head: bytes) -> bool:
    """Whether a file begins like a web page. Checkpoints are zip archives or pickles and never begin with "<"."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<"


def fetch_http(
    address: str,
    part: Path,
    expected_bytes: int | None = None,
    *,
    failures_allowed: int = 4,
    wait: float = 1.0,
    timeout: tuple[float, float] = TIMEOUT,
) -> None:
    """Download `address`, going on where an earlier download of the same file stopped.

    Args:
        address: http or https; redirections are followed.
        part: FILE.part; it grows, and is the whole file when this returns.
        expected_bytes: the size it must have, when known; another one is refused before anything is transferred.
        failures_allowed: how often in a row a try may bring nothing new before the next one.
        wait: seconds before the first new try; doubled each time.
        timeout: seconds to connect, and between two pieces of an answer.

    Raises:
        DownloadFailedError: the address is dead, gives something else, or broke too often.
    """
    import requests

    failures = 0
    with requests.Session() as session:
        # Offsets count the bytes of the file, so it must not be compressed on the way.
        session.headers["Accept-Encoding"] = "identity"
        while True:
            before = _size(part)
            try:
                _transfer(session, address, part, expected_bytes, timeout)
                break
            except (_TryAgainError, requests.RequestException) as error:
                failures = 1 if _size(part) > before else failures + 1
                # A wrong address (no host) is a ValueError, too, and will not get better.
                if isinstance(error, ValueError) or failures > failures_allowed:
                    raise DownloadFailedError(
                        _reason(error), resumable=_read_note(part, address) is not None
                    ) from error
                time.sleep(wait * 2 ** (failures - 1))
    _note_of(part).unlink(missing_ok=True)


def fetch_drive(address: str, part: Path, expected_bytes: int | None = None, *, silence: float = 60.0) -> None:
    """Download a file of Google Drive with gdown, which resumes a partial file of its own, beside `part`.

    Args:
        address: https://drive.google.com/uc?id=...
        part: FILE.part; the whole file when this returns, absent before.
        expected_bytes: the size it must have, when known.
        silence: seconds without an answer after which the connection counts as broken.

    Raises:
        DownloadFailedError: the file is gone, not public, over its daily quota, or the connection broke too often.
    """
    import gdown
    import gdown.exceptions
    import requests

    if _note_of(part).is_file():
        # The beginning of a file from another address, which gdown would take for the whole one.
        part.unlink(missing_ok=True)
        _note_of(part).unlink()
    with _bar(part) as bar:

        def progress(done: int, total: int | None) -> None:
            _refuse_other_size(total, expected_bytes)
            bar.total = total
            bar.update(done - bar.n)

        try:
            gdown.download(
                url=address, output=str(part), quiet=True, resume=True, use_cookies=False, retries=4, timeout=silence,
                progress=progress,
            )  # fmt: skip
        except gdown.exceptions.FileURLRetrievalError as error:
            raise DownloadFailedError(
                "Google Drive gives no file: gone, not public, or over its daily quota"
            ) from error
        except (gdown.exceptions.DownloadError, requests.RequestException) as error:
            raise DownloadFailedError(_reason(error), resumable=bool(partial_files(part))) from error
    with open(part, "rb") as handle:
        head = handle.read(64)
    if looks_like_html(head):
        part.unlink()
        raise DownloadFailedError("a web page came instead of the file")


def _transfer(
    session: requests.Session,
    address: str,
    part: Path,
    expected_bytes: int | None,
    timeout: tuple[float, float],
) -> None:
    """One request: appends to `part` what the server gives, or starts it over."""
    note = _read_note(part, address)
    have = _size(part) if note else 0
    if note and have == note["bytes"]:
        return
    headers = {"Range": f"bytes={have}-", "If-Range": note["validator"]} if note and have else {}
    with session.get(address, headers=headers, stream=True, timeout=timeout) as answer:
        status = f"{answer.status_code} {answer.reason}"
        if answer.status_code >= 500 or answer.status_code in RETRY:
            raise _TryAgainError(status)
        if have and answer.status_code == 416:
            part.unlink()
            raise _TryAgainError("the server's file is another one now")
        resumed = have > 0 and answer.status_code == 206
        if not resumed and answer.status_code != 200:
            raise DownloadFailedError(status)
        if resumed:
            total = _total_of_range(answer.headers.get("Content-Range", ""), have)
        else:
            length = answer.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else None
        pieces: Iterator[bytes] = answer.iter_content(CHUNK)
        first = next(pieces, b"")
        if answer.headers.get("Content-Type", "").startswith("text/html") or (not resumed and looks_like_html(first)):
            raise DownloadFailedError("a web page came instead of the file")
        _refuse_other_size(total, expected_bytes)
        if not resumed:
            have = 0
            part.unlink(missing_ok=True)
            atomic_write_json(
                _note_of(part), {"address": address, "validator": _validator(answer.headers), "bytes": total}
            )
        with open(part, "ab") as handle, _bar(part, total, have) as bar:
            handle.write(first)
            bar.update(len(first))
            for piece in pieces:
                handle.write(piece)
                bar.update(len(piece))
    if total is not None and _size(part) != total:
        raise _TryAgainError(f"the connection ended after {_size(part):,} of {total:,} bytes")


def _total_of_range(content_range: str, have: int) -> int | None:
    """The file's size from "bytes 100-199/200", which must begin where our part ends."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range.strip())
    if match is None or int(match[1]) != have:
        raise DownloadFailedError(f"the server answered a request for the rest with '{content_range}'", resumable=True)
    return None if match[2] == "*" else int(match[2])


def _validator(headers: Any) -> str | None:
    """What If-Range may be asked with: a strong ETag or a date."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified")


def _refuse_other_size(total: int | None, expected_bytes: int | None) -> None:
    if total is not None and expected_bytes is not None and total != expected_bytes:
        raise DownloadFailedError(f"it has {total:,} bytes there, but {expected_bytes:,} are on record")


def _note_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_note(part: Path, address: str) -> dict[str, Any] | None:
    """What was noted when `part` was begun, or None when it cannot be gone on with."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        note = json.loads(_note_of(part).read_text(encoding="utf-8"))
        if part.is_file() and note["address"] == address and note["validator"] and "bytes" in note:
            return dict(note)
    return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _reason(error: Exception) -> str:
    """The innermost cause in words: requests wraps urllib3's errors, which wrap the system's."""
    import requests

    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not accepted"
    if isinstance(error, requests.ConnectionError):
        return "no connection, or it broke"
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _bar(part: Path, total: int | None = None, have: int = 0) -> Any:
    return tqdm(
        total=total, initial=have, desc=part.stem, unit="B", unit_scale=True, unit_divisor=1024, leave=False,
        disable=None,
    )  # fmt: skip

"""The folder of official checkpoints: CHECKPOINTS/<name>/ holds the authors' file and what became of it.

    FILE                 as the authors published it, never changed
    lock.json            its size and SHA-256, recorded when it first came and checked from then on
    FILE.part, ...       an unfinished download
    weights.safetensors  the same networks, converted (`convert`), with
    card.json            their card

What a card pins wins over the lock. Nothing here deletes or overwrites a file that stood under its final name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pydantic

from core.errors import ReinvertError
from core.files import atomic_write_json, is_disk_full, sha256_of
from pipelines.weights import download
from pipelines.weights.cards import CheckpointCard

if TYPE_CHECKING:
    from core.weights import WeightsCard
    from methods.official import Official

LOCK_FILE = "lock.json"
BUSY_FILE = ".busy"

State = Literal["absent", "partial", "fetched", "verified", "converted"]


class Record(pydantic.BaseModel):
    """What is remembered of a file that came."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    file: str
    bytes: int
    sha256: str
    address: str | None
    """Where it came from; None when it was put there by hand."""
    verified: bool = False
    """Whether the reader accepted it."""


def place(card: CheckpointCard, root: Path) -> Path:
    """Where the authors' file belongs."""
    return root / card.name / card.file


def by_hand(card: CheckpointCard, root: Path) -> str:
    """The way that is always open."""
    return f"put {card.file} here: {place(card, root)}, then run 'reinvert weights verify {card.name}'"


def load_record(card: CheckpointCard, root: Path) -> Record | None:
    """What lock.json says, or None when there is none.

    Raises:
        ReinvertError: it cannot be read.
    """
    path = root / card.name / LOCK_FILE
    try:
        return Record.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (pydantic.ValidationError, UnicodeDecodeError) as error:
        raise ReinvertError(
            f"'{path}' is damaged; remove it, then run 'reinvert weights verify {card.name}'"
        ) from error


def state(card: CheckpointCard, root: Path) -> State:
    """How far the checkpoint has come, by a look at the folder; no hash is computed."""
    if is_converted(card, root):
        return "converted"
    record = load_record(card, root)
    if place(card, root).is_file():
        return "verified" if record is not None and record.verified else "fetched"
    return "partial" if download.partial_files(place(card, root)) else "absent"


def size(card: CheckpointCard, root: Path) -> int | None:
    """The file's bytes, as the card or the lock knows them."""
    record = load_record(card, root)
    return card.bytes or (record.bytes if record else None)


def fetch(card: CheckpointCard, root: Path) -> Record:
    """Download the checkpoint, or go on downloading it; a file that is there is compared with its record instead.

    Raises:
        ReinvertError: it could not be had (with the manual route); what came or is there is not what is on record.
    """
    with _alone(card, root):
        came = not place(card, root).is_file()
        if came:
            _download(card, root)
        record = _compare(card, root, card.address if came else None)
        _save(record, card, root)
    return record


def verify(card: CheckpointCard, root: Path) -> Official:
    """Check size and hash, and that the reader of its layout accepts the file; record it when it is new.

    Raises:
        ReinvertError: it is absent, another file than the one on record, or not a checkpoint of its layout.
    """
    from methods import official

    with _alone(card, root):
        path = place(card, root)
        if not path.is_file():
            fetching = f"run 'reinvert weights fetch {card.name}', or " if card.address else ""
            raise ReinvertError(f"{card.name} is not there; {fetching}{by_hand(card, root)}")
        record = _compare(card, root, None)
        try:
            domain = card.domain if card.domain in official.DOMAIN_SIZES else None
            networks = official.read(path, card.layout, domain)
        except ReinvertError:
            # A first download that turns out to be something else must not stand against the right file.
            if not record.verified:
                (root / card.name / LOCK_FILE).unlink(missing_ok=True)
            raise
        _save(record.model_copy(update={"verified": True}), card, root)
    return networks


def convert(card: CheckpointCard, root: Path) -> WeightsCard:
    """Verify the file and write its networks as safetensors with a card; see `methods.official.converted`.

    Raises:
        ReinvertError: as `verify`; the disk is full.
    """
    from core.weights import Source
    from methods.official import converted

    networks = verify(card, root)
    record = load_record(card, root)
    assert record is not None  # what was verified is on record
    source = Source(
        file=record.file, address=record.address, licence=card.licence, sha256=record.sha256, bytes=record.bytes
    )
    return converted.save(networks, root / card.name, card.name, card.domain, source)


def is_converted(card: CheckpointCard, root: Path, *, intact: bool = False) -> bool:
    """Whether there is a conversion, and of the file on record where one is; `intact`: its own hash is checked, too."""
    from core.weights import CARD_FILE, WEIGHTS_FILE, load_card

    folder = root / card.name
    if not (folder / CARD_FILE).is_file() or not (folder / WEIGHTS_FILE).is_file():
        return False
    converted, record = load_card(folder), load_record(card, root)
    if converted.source is None or (record is not None and converted.source.sha256 != record.sha256):
        return False
    return not intact or sha256_of(folder / WEIGHTS_FILE) == converted.sha256


def _download(card: CheckpointCard, root: Path) -> None:
    if card.address is None:
        where = f" ({card.note})" if card.note else ""
        raise ReinvertError(f"no address of {card.name} is known{where}; {by_hand(card, root)}")
    import pooch

    known_bytes, known_sha256, said = _expected(card, root)
    path = place(card, root)
    pooch.get_logger().setLevel(logging.ERROR)
    try:
        pooch.retrieve(
            card.address, known_hash=f"sha256:{known_sha256}" if known_sha256 else None, fname=path.name,
            path=path.parent, downloader=_transfer_to(path.with_name(f"{path.name}.part"), known_bytes),
        )  # fmt: skip
    except download.DownloadFailedError as error:
        again = "run again to go on, or " if error.resumable else ""
        raise ReinvertError(
            f"{card.name} did not come from {card.address} ({error}); {again}{by_hand(card, root)}"
        ) from error
    except ValueError as error:
        if "hash" not in str(error).lower():
            raise
        raise ReinvertError(
            f"what came from {card.address} has another sha256 than {said} says and was removed; {by_hand(card, root)}"
        ) from error


def _transfer_to(part: Path, known_bytes: int | None) -> Callable[[str, str, object], None]:
    """A downloader for pooch, which gives it a temporary file's name, checks the hash and moves it into place."""

    def transfer(address: str, temporary: str, _: object) -> None:
        if download.is_drive(address):
            download.fetch_drive(address, part, known_bytes)
        else:
            download.fetch_http(address, part, known_bytes)
        part.replace(temporary)

    return transfer


def _expected(card: CheckpointCard, root: Path) -> tuple[int | None, str | None, str]:
    """Size and SHA-256 that the file must have, as far as known, and who says so."""
    record = load_record(card, root)
    if record is None or card.sha256 is not None:
        return card.bytes, card.sha256, "its card"
    return card.bytes or record.bytes, record.sha256, str(root / card.name / LOCK_FILE)


def _compare(card: CheckpointCard, root: Path, address: str | None) -> Record:
    """The record of the file that is there, which must agree with an earlier one and with the card."""
    path = place(card, root)
    known_bytes, known_sha256, said = _expected(card, root)
    found = Record(file=card.file, bytes=path.stat().st_size, sha256=sha256_of(path), address=address)
    for known, is_so, what in (
        (known_bytes, found.bytes, f"{found.bytes:,} bytes"),
        (known_sha256, found.sha256, f"sha256 {found.sha256[:12]}..."),
    ):
        if known not in (None, is_so):
            should = f"{known:,}" if isinstance(known, int) else f"{known[:12]}..."
            replaced = "" if said == "its card" else f" (or remove {said} if the authors replaced it)"
            raise ReinvertError(f"'{path}' has {what}, {said} says {should}; move it away and fetch it again{replaced}")
    earlier = load_record(card, root)
    return earlier if earlier is not None and earlier.sha256 == found.sha256 else found


def _save(record: Record, card: CheckpointCard, root: Path) -> None:
    if record != load_record(card, root):
        atomic_write_json(root / card.name / LOCK_FILE, record.model_dump())


@contextmanager
def _alone(card: CheckpointCard, root: Path) -> Iterator[None]:
    """Keep a second process away from the checkpoint's folder: two downloads into one file would mix."""
    import filelock

    folder = root / card.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / BUSY_FILE)
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise ReinvertError(f"another process works on {card.name}; wait until it is done") from error
    except OSError as error:
        if is_disk_full(error):
            raise
        raise ReinvertError(f"cannot write to '{folder}' ({error.strerror}); choose another folder") from error
    try:
        yield
    finally:
        lock.release()

"""Files that are either whole or absent.

Everything the project writes goes to a temporary name in the target folder first and is renamed when complete, so a
kill, Ctrl-C or a full disk leaves what was there before. Content is deterministic: sorted keys, fixed separators.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from core.errors import ReinvertError

Model = TypeVar("Model", bound=pydantic.BaseModel)

# EFBIG is what a file-size limit (ulimit -f) gives, EDQUOT an exhausted quota: for the user both are a full disk.
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def is_disk_full(error: BaseException) -> bool:
    """Whether `error` says that there is no room left.

    torch and safetensors hide the errno inside their own exception types, so their wording is looked at as well.
    """
    if isinstance(error, OSError) and error.errno in _FULL_DISK:
        return True
    text = str(error)
    return any(part in text for part in ("No space left on device", "File too large", "file write failed"))


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed otherwise.

    The temporary name keeps the suffix, because numpy and pillow choose by it. Missing folders are made.

    Raises:
        ReinvertError: the disk is full, or the place cannot be written.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}-{secrets.token_hex(4)}.tmp{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if is_disk_full(error):
            raise ReinvertError(
                f"the disk is full, '{target}' was not written; free some space and run again"
            ) from error
        if isinstance(error, PermissionError | NotADirectoryError | FileExistsError | IsADirectoryError):
            raise ReinvertError(f"cannot write '{target}' ({error.strerror}); choose another folder") from error
        raise


def atomic_write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8 with Unix line ends, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def atomic_write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write `content` as indented JSON with sorted keys.

    Raises:
        ValueError: a NaN or infinity is inside; JSON has neither, and a score that is not a number has to be counted
            as failed, not printed.
    """
    atomic_write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def atomic_write_npz(path: str | os.PathLike[str], arrays: Mapping[str, Any], compressed: bool = True) -> None:
    """Write arrays by name as one npz file."""
    import numpy as np

    with atomic_path(path) as temporary:
        (np.savez_compressed if compressed else np.savez)(temporary, **arrays)


def atomic_write_csv(
    path: str | os.PathLike[str], rows: Sequence[Mapping[str, str | float]], columns: Sequence[str] | None = None
) -> None:
    """Write the log of a training: numbers with six digits, words as they are, nothing where a row has no such column.

    Args:
        path: the file.
        rows: values by column.
        columns: all of them, in order; None for those that rows have, in the order in which they come up.
    """
    text = io.StringIO()
    names = columns or list(dict.fromkeys(column for row in rows for column in row))
    writer = csv.DictWriter(text, fieldnames=names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: value if isinstance(value, str) else f"{value:.6g}" for name, value in row.items()} for row in rows
    )
    atomic_write_text(path, text.getvalue())


def read_json_as(model: type[Model], path: Path, what: str, remedy: str) -> Model:
    """A JSON file as an instance of `model`.

    Args:
        model: what it should hold.
        path: the file.
        what: it is called in the error, "baseline".
        remedy: what a user can do about a damaged one.

    Raises:
        FileNotFoundError: there is none.
        ReinvertError: it is no JSON, or another.
    """
    try:
        return model.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except pydantic.ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ReinvertError(f"'{path}' is no {what} (at {where}); {remedy}") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise ReinvertError(f"'{path}' is not valid JSON; {remedy}") from error


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()

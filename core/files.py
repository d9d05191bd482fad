"""Files that are either whole or absent.

Everything the project writes goes to a temporary name in the target folder first and is renamed when complete, so a
kill, Ctrl-C or a full disk leaves what was there before. Content is deterministic: sorted keys, fixed separators.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from core.errors import ReinvertError

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


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()

"""PyTorch's files by ``torch.load(weights_only=True)``, with what that leaves open closed.

The only type that ``weights_only`` is told to accept is ``argparse.Namespace``, since rosinality's training stores its
arguments so; types that other code of the process may have added are set aside meanwhile. PyTorch's reader builds from
a fixed list, but does not bound what that costs: archives with compressed entries (a zip bomb) are refused here, and
tensors that claim more values than are stored in `methods.official.layout.tensors`.
"""

from __future__ import annotations

import argparse
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import torch

from methods.official.layout import RefusedError

LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""How PyTorch's files of before version 1.6 begin: a pickle of a magic number."""
ZIP_MAGIC = b"PK\x03\x04"


@contextmanager
def _only_namespaces() -> Iterator[None]:
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def load_weights_only(source: Path | IO[bytes]) -> object:
    """What a file of ``torch.save`` holds, on the CPU; `RefusedError` when it is damaged or asks for more than data."""
    try:
        # Warnings about old protocols and storages would stand in front of the one line that a user gets.
        with _only_namespaces(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(source, map_location="cpu", weights_only=True)
    # A hostile or damaged file can make PyTorch's reader fail in any way; all of them mean the same to the user.
    except Exception as error:
        raise RefusedError(_reason(str(error))) from error


def load_archive(path: Path) -> object:
    """The same for a zip archive, once its directory has been looked at."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise RefusedError("is cut short or damaged (a zip archive without its end); download it again") from error
    if not any(entry.filename.endswith("data.pkl") for entry in entries):
        raise RefusedError("is a zip archive, but not of PyTorch; give the file inside")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise RefusedError("has compressed entries, which PyTorch never writes; get the original file")
    names = {entry.filename for entry in entries}
    if sum(entry.file_size for entry in entries) > path.stat().st_size or len(names) < len(entries):
        raise RefusedError("has entries that overlap, which PyTorch never writes; get the original file")
    return load_weights_only(path)


def _reason(message: str) -> str:
    wanted = re.search(r"(?:GLOBAL|global|class|function) ([A-Za-z_]\w*(?:\.\w+)+)", message)
    if wanted:
        return f"asks for '{wanted.group(1)}', which holds no weights, and was not read; get the original file"
    if "nsupported" in message or "not allowed" in message:
        return "asks for more than data and was not read; get the original file"
    return "is cut short or damaged; download it again"

"""From a file to plain content, executing nothing: what kind of file it is, and the one safe way to read that kind.

=====================================  ==========================================================================
the file begins like                   read by
=====================================  ==========================================================================
a zip archive                          `methods.official.torch_files`, after a look at the archive's directory
PyTorch's old magic number             `methods.official.torch_files`
a pickle                               `methods.official.pickles`: NVIDIA's networks
numpy's magic text                     `methods.official.pickles`: a dictionary of arrays (MTCNN)
=====================================  ==========================================================================

Everything else is refused by name: web pages that took a checkpoint's place, pointers of git-lfs, texts, archives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import ReinvertError
from methods.official.layout import RefusedError
from methods.official.pickles import load_array_file, load_pickle
from methods.official.torch_files import LEGACY_MAGIC, ZIP_MAGIC, load_archive, load_weights_only

_HEAD = 512
_KINDS = {
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
    b"\x89HDF": "an HDF5 file",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}


def load(path: str | Path) -> Mapping[str, Any]:
    """What a file holds, as plain data and tensors on the CPU.

    Raises:
        ReinvertError: there is no such file, it is damaged, it is no checkpoint, or it asks for code.
    """
    path = Path(path)
    if not path.is_file():
        raise ReinvertError(f"there is no file '{path}'; give the path of a downloaded checkpoint")
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    content: object
    try:
        if head.startswith(ZIP_MAGIC):
            content = load_archive(path)
        elif head.startswith(LEGACY_MAGIC):
            content = load_weights_only(path)
        elif head.startswith(b"\x93NUMPY"):
            content = load_array_file(path)
        elif re.match(rb"\x80[\x02-\x05]", head):
            content = load_pickle(path)
        else:
            raise RefusedError(_not_a_checkpoint(head))
    except RefusedError as refusal:
        raise ReinvertError(f"'{path}' {refusal}") from refusal
    if not isinstance(content, Mapping):
        raise ReinvertError(f"'{path}' holds one {type(content).__name__}, not networks; give a file of state dicts")
    return content


def _not_a_checkpoint(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "is empty; download it again"
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "is a web page, not a checkpoint; download it again in a browser (a page of that server came instead)"
    if head.startswith(b"version https://git-lfs"):
        return "is a pointer of git-lfs, not the file it points to; run 'git lfs pull' where it comes from"
    for magic, kind in _KINDS.items():
        if head.startswith(magic):
            return f"is {kind}, not a checkpoint; give the file the authors released, unpacked"
    if head.isascii() and all(byte >= 32 or byte in b"\t\r\n" for byte in head):
        return "is a text file, not a checkpoint; download it again"
    return "is no checkpoint in a known format; give the file the authors released"

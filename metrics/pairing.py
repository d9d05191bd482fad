"""Which file of one folder is compared with which of another, by a protocol's pairing rule.

By name is ours. By position in sorted listings is what two of the papers' scripts do (`zip(sorted(real),
sorted(fake))`): a single missing file shifts every pair after it, silently.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from core.errors import ReinvertError
from metrics.protocols import Pairing


@dataclass(frozen=True)
class Pairs:
    """Files that belong together, and those left over.

    Attributes:
        pairs: (real, reconstruction), sorted by the real file's name.
        missing: real files without a reconstruction.
        extra: reconstructions without a real file.
    """

    pairs: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]


def _by_stem(files: Iterable[str], side: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted(files):
        # One name may be spelt with composed characters on one machine and with combining marks on another (macOS).
        stem = unicodedata.normalize("NFC", PurePath(file).with_suffix("").as_posix())
        if stem in found:
            raise ReinvertError(f"{side} {found[stem]} and {file} have one name; keep one of them")
        found[stem] = file
    return found


def pair(real: Iterable[str], fake: Iterable[str], rule: Pairing = "by name") -> Pairs:
    """Form pairs of two listings.

    Args:
        real: paths relative to the folder of real images.
        fake: paths relative to the folder of reconstructions.
        rule: by name: the path without its suffix, since some write .png for .jpg. By position: as published code
            does, for reproducing its numbers; the longer listing's end is left over.

    Raises:
        ReinvertError: two files of one folder have one name but for the suffix.
    """
    if rule == "by position in sorted listings":
        first, second = sorted(real), sorted(fake)
        count = min(len(first), len(second))
        pairs = tuple(zip(first[:count], second[:count], strict=True))
        return Pairs(pairs, tuple(first[count:]), tuple(second[count:]))
    one, other = _by_stem(real, "the real images"), _by_stem(fake, "the reconstructions")
    return Pairs(
        tuple((file, other[stem]) for stem, file in one.items() if stem in other),
        tuple(file for stem, file in one.items() if stem not in other),
        tuple(file for stem, file in other.items() if stem not in one),
    )

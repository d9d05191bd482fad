"""Two folders of pictures as pairs: what does not fit is listed, and nothing is guessed.

A file's name is its path in the folder without the suffix, since some code writes .png for .jpg. Pictures are read as
`reinvert invert` reads them; a reconstruction may also be a .npy file of floats, (H, W, 3) in [-1, 1], as the method
gave it, where NaN says that it failed. Other files are ignored and counted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from core.errors import ReinvertError
from metrics import pairing
from metrics.protocols import Protocol
from pipelines.evaluate_pairs import Picture, as_picture
from pipelines.reading import open_picture, require_head, to_rgb

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
FLOATS = ".npy"
_EXIF = {"exif", "Raw profile type exif"}
"""Where Pillow keeps what a PNG's head says of it."""


@dataclass(frozen=True)
class Problems:
    """What keeps two folders from being compared whole: lines for a person, by kind."""

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    differently_sized: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, list[str]]:
        """By kind, in words."""
        return {
            "missing": list(self.missing),
            "extra": list(self.extra),
            "differently sized": list(self.differently_sized),
            "unreadable": list(self.unreadable),
        }

    def __bool__(self) -> bool:
        return any(self.as_dict().values())

    def counts(self) -> str:
        """E.g. "2 missing, 0 extra, 1 differently sized, 0 unreadable"."""
        return ", ".join(f"{len(lines):,} {kind}" for kind, lines in self.as_dict().items())


@dataclass(frozen=True)
class FolderPairs:
    """Pairs of files that can be read one at a time (`evaluate_pairs.Pairs`).

    Attributes:
        real_dir, fake_dir: the folders.
        files: names of real image and reconstruction in them.
        problems: what was found before any pixel was decoded.
        ignored: files that are no pictures.
        sizes: (width, height) of the real images, all that there are.
        headless: indices of pairs whose reconstruction is among the unreadable problems already.
        reasons: filled while reading: why a reconstruction could not be decoded, by index.
    """

    real_dir: Path
    fake_dir: Path
    files: tuple[tuple[str, str], ...]
    problems: Problems
    ignored: int
    sizes: frozenset[tuple[int, int]]
    headless: frozenset[int] = frozenset()
    reasons: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> tuple[Picture, Picture | None]:
        """See `evaluate_pairs.Pairs`.

        Raises:
            ReinvertError: the real image cannot be read.
        """
        real, fake = self.files[index]
        picture = read(self.real_dir / real)
        try:
            return picture, read(self.fake_dir / fake)
        except ReinvertError as error:
            self.reasons[index] = str(error)
            return picture, None

    def with_unreadable(self, unreadable: Sequence[int]) -> FolderPairs:
        """These pairs with the problems that only decoding found: indices of reconstructions that did not decode."""
        late = [index for index in unreadable if index not in self.headless]
        found = (*self.problems.unreadable, *(_fault(self.reasons.get(i) or self._reason(i)) for i in late))
        return replace(self, problems=replace(self.problems, unreadable=found))

    def _reason(self, index: int) -> str:
        """Why a reconstruction does not decode: chunks of an earlier run do not tell, so it is tried again."""
        path = self.fake_dir / self.files[index][1]
        try:
            read(path)
        except ReinvertError as error:
            return str(error)
        return f"'{path}' could not be decoded before"

    def fingerprint(self) -> Any:
        """Names, sizes and times of change of all files: reading the pictures for a hash would decode them twice."""
        return [
            [name, *((status := os.stat(folder / name)).st_size, status.st_mtime_ns)]
            for pair in self.files
            for folder, name in zip((self.real_dir, self.fake_dir), pair, strict=True)
        ]


def _fault(message: str) -> str:
    """What is wrong, without what to do about it."""
    return message.partition("; ")[0]


def read(path: Path) -> Picture:
    """One picture.

    Raises:
        ReinvertError: it cannot be read, or is not what the module's docstring says.
    """
    if path.suffix.lower() != FLOATS:
        return np.asarray(to_rgb(open_picture(path), path))
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ReinvertError(f"'{path}' is truncated or damaged ({error}); write it again") from error
    if array.ndim != 3 or array.shape[2] != 3 or not (array.dtype == np.uint8 or array.dtype.kind == "f"):
        raise ReinvertError(
            f"'{path}' holds {array.dtype} {array.shape}; give (H, W, 3) as uint8 or as floats in [-1, 1]"
        )
    if array.dtype.kind == "f" and np.nanmax(np.abs(array), initial=0.0, where=np.isfinite(array)) > 1.5:
        raise ReinvertError(f"'{path}' holds floats beyond [-1, 1]; scale them to [-1, 1], or save them as uint8")
    return as_picture(array)


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of a picture by its head alone.

    Raises:
        ReinvertError: it has none, or is of a kind that `read` refuses.
    """
    try:
        if path.suffix.lower() == FLOATS:
            shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
            return int(shape[1]), int(shape[0])
        with Image.open(path) as picture:
            require_head(picture, path)
            # Orientations 5 to 8 lie on their side; `read` turns them. A PNG without one would be decoded to look for
            # it behind its pixels, where hardly any program puts it.
            searched = picture.format != "PNG" or not _EXIF.isdisjoint(picture.info)
            orientation = picture.getexif().get(ExifTags.Base.Orientation, 1) if searched else 1
            return picture.size[::-1] if orientation >= 5 else picture.size
    except (OSError, ValueError, EOFError, IndexError, SyntaxError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split()).replace(f" '{path}'", "")
        raise ReinvertError(f"'{path}' cannot be read ({reason}); write it again") from error


def listing(folder: Path) -> tuple[list[str], int]:
    """Pictures below a folder, as sorted paths relative to it, and the number of other files.

    Raises:
        ReinvertError: there is no such folder, no picture in it, or a name that no JSON or CSV file can hold.
    """
    if not folder.is_dir():
        raise ReinvertError(f"'{folder}' is not a folder; name the folder that holds the pictures")
    files = [path for path in folder.rglob("*") if path.is_file()]
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES | {FLOATS}]
    if not pictures:
        raise ReinvertError(f"'{folder}' holds no pictures; name another folder")
    for path in pictures:
        try:
            path.as_posix().encode("utf-8")
        except UnicodeEncodeError as error:
            raise ReinvertError(f"'{path}' has a name that is not UTF-8; rename it") from error
    return sorted(path.relative_to(folder).as_posix() for path in pictures), len(files) - len(pictures)


def takes_any_size(protocol: Protocol) -> bool:
    """Whether a protocol brings the images of a pair to one size itself, as some papers' code does."""
    filters = protocol.resize != "none" or protocol.face_thresholds is not None or not protocol.per_image
    return filters and not protocol.ranked


def pair_folders(real_dir: Path, fake_dir: Path, protocols: Sequence[Protocol]) -> FolderPairs:
    """Pair two folders by name.

    Args:
        real_dir: the real images.
        fake_dir: their reconstructions.
        protocols: under which they will be measured; they say whether the sizes of a pair must agree.

    Raises:
        ReinvertError: one folder twice, or one without pictures, two files of one name, no pair at all, or a protocol
            that pairs by position where that gives other pairs than their names.
    """
    (reals, other), (fakes, more) = listing(real_dir), listing(fake_dir)
    if real_dir.samefile(fake_dir):
        raise ReinvertError(f"'{real_dir}' and '{fake_dir}' are one folder; name the reconstructions' own")
    named = pairing.pair(reals, fakes)
    by_position = [one for one in protocols if one.pairing != "by name"]
    if by_position and pairing.pair(reals, fakes, by_position[0].pairing) != named:
        raise ReinvertError(
            f"{by_position[0].id} pairs files by their position in the two listings, which here pairs other files than "
            "their names do; make the folders match, or choose another protocol"
        )
    same_size = not all(takes_any_size(one) for one in protocols)
    kept: list[tuple[str, str]] = []
    sizes: set[tuple[int, int]] = set()
    differing: list[str] = []
    unreadable: list[str] = []
    headless: set[int] = set()
    for real, fake in named.pairs:
        try:
            size = size_of(real_dir / real)
        except ReinvertError as error:
            unreadable.append(_fault(str(error)))
            continue  # without its real image there is no pair
        try:
            found = size_of(fake_dir / fake)
        except ReinvertError as error:
            unreadable.append(_fault(str(error)))
            headless.add(len(kept))
            found = size  # a failed reconstruction: `read` finds the same
        if same_size and size != found:
            differing.append(f"{fake}: {found[0]}x{found[1]}, its real image is {size[0]}x{size[1]}")
            continue
        kept.append((real, fake))
        sizes.add(size)
    problems = Problems(named.missing, named.extra, tuple(differing), tuple(unreadable))
    return FolderPairs(real_dir, fake_dir, tuple(kept), problems, other + more, frozenset(sizes), frozenset(headless))

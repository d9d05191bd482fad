"""Align a person's own photos as FFHQ is aligned: `reinvert align PHOTO... --out DIR`.

Methods for faces were trained on aligned pictures; a photo that is not looks as if the model were broken. Photos are
read as `reinvert invert` reads them. All are read, and their landmarks found, before the first is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from core.errors import ReinvertError
from core.files import atomic_path
from core.registry import unknown_name
from metrics.alignment import DATASET, PSP, Setting, align
from metrics.landmarks import LandmarkFinder
from pipelines.reading import open_picture, to_rgb

SETTINGS: dict[str, Setting] = {"dataset": DATASET, "psp": PSP}
"""By what the command calls them: FFHQ's own, 1024 px; that of the pSp family, 256 px."""


def align_files(photos: Sequence[Path], out: Path, setting: str, device: str | torch.device = "cpu") -> list[Path]:
    """Write the aligned face of every photo as <out>/<name>.png.

    Args:
        photos: one face each.
        out: folder, made if need be.
        setting: a name of `SETTINGS`.
        device: where landmarks are found.

    Returns:
        What was written, in the order of the photos.

    Raises:
        ReinvertError: an unknown setting, a photo that cannot be read, two of one name, no face or several, or
            face-alignment is not there.
    """
    if setting not in SETTINGS:
        raise unknown_name("setting", setting, list(SETTINGS))
    targets: dict[str, Path] = {}
    for path in photos:
        if path.stem in targets:
            raise ReinvertError(f"'{targets[path.stem]}' and '{path}' would both be {path.stem}.png; rename one")
        targets[path.stem] = path
    pictures = [to_rgb(open_picture(path), path) for path in photos]
    finder = LandmarkFinder(device)
    found = [finder.find(picture, f"'{path}'") for picture, path in zip(pictures, photos, strict=True)]
    aligned: list[Image.Image] = []
    for picture, points, path in zip(pictures, found, photos, strict=True):
        try:
            aligned.append(align(picture, points, SETTINGS[setting]))
        except ReinvertError as error:
            raise ReinvertError(f"'{path}': {error}") from error
    written = []
    for picture, path in zip(aligned, photos, strict=True):
        target = out / f"{path.stem}.png"
        with atomic_path(target) as temporary:
            picture.save(temporary, "PNG")
        written.append(target)
    return written

"""Many small pictures in one image file that loses nothing: a sheet, filled row by row.

Half the size of the same numbers in a compressed array, and anybody can open it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import ReinvertError
from core.files import atomic_path

COLUMNS = 16
EMPTY = 128
"""The 8-bit value of places without a picture."""


def write_pictures(path: Path, pictures: NDArray[np.uint8]) -> None:
    """Write (n, H, W, 3) as a sheet of `COLUMNS` pictures a row, as lossless WebP; whole or not at all."""
    count, height, width, channels = pictures.shape
    rows = -(-count // COLUMNS)
    places = np.full((rows * COLUMNS, height, width, channels), EMPTY, np.uint8)
    places[:count] = pictures
    sheet = places.reshape(rows, COLUMNS, height, width, channels).swapaxes(1, 2)
    with atomic_path(path) as temporary:
        Image.fromarray(sheet.reshape(rows * height, COLUMNS * width, channels)).save(temporary, "WEBP", lossless=True)


def read_pictures(path: Path, count: int) -> NDArray[np.uint8]:
    """The first `count` pictures of a sheet, which are square: (count, H, W, 3).

    Raises:
        ReinvertError: the file is missing or damaged, or has fewer places.
    """
    try:
        with Image.open(path) as opened:
            sheet = np.asarray(opened.convert("RGB"))
    except (OSError, ValueError) as error:
        raise ReinvertError(f"'{path}' is missing or damaged ({error}); make it again") from error
    side = sheet.shape[1] // COLUMNS
    rows = sheet.shape[0] // max(side, 1)
    if rows * COLUMNS < count or sheet.shape[:2] != (rows * side, COLUMNS * side):
        raise ReinvertError(f"'{path}' is no sheet of {count} pictures; make it again")
    places = sheet.reshape(rows, side, COLUMNS, side, 3).swapaxes(1, 2)
    return np.ascontiguousarray(places.reshape(-1, side, side, 3)[:count])

"""Seeded pictures in 0 ... 255: what goldens of code that works on files of pictures were made from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipelines.conformance.data import Goldens


def scene(data: Goldens, name: str, height: int, width: int, block: int, tile: int = 64) -> NDArray[np.uint8]:
    """A picture (height, width, 3) of coarse blocks and a repeated tile of fine noise, computed in float64."""
    coarse = data.input(f"{name}.lo", (3, -(-height // block), -(-width // block))).double().numpy()
    fine = data.input(f"{name}.hi", (3, tile, tile)).double().numpy()
    picture = np.empty((height, width, 3), np.uint8)
    for channel in range(3):  # one at a time: the largest pictures have twenty million pixels
        blocks = coarse[channel].repeat(block, axis=0).repeat(block, axis=1)[:height, :width]
        tiles = np.tile(fine[channel], (-(-height // tile), -(-width // tile)))[:height, :width]
        picture[..., channel] = np.clip(np.rint(127.5 + 60 * blocks + 20 * tiles), 0, 255)
    return picture


def as_bytes(images: Tensor) -> NDArray[np.uint8]:
    """Images (B, 3, H, W) in [-1, 1] -> pictures (B, H, W, 3), rounded half to even in float64."""
    values = np.rint((images.double().numpy() + 1) * 127.5)
    return values.astype(np.uint8).transpose(0, 2, 3, 1)

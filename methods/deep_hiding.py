"""E2Style's secure deep hiding: the code of one picture in the lowest bits of another.

Paper: Wei et al., "E2Style: Improve the Efficiency and Effectiveness of StyleGAN Inversion" (arXiv 2104.07661), section
on secure deep hiding and algorithm 1. What the published code does, not what the paper says, where they differ:

- Codes are rounded to the nearest whole number (halves to even); algorithm 1 says floor, the text "integer part".
- Each number takes nine bits: the sign, 1 for negative, then eight bits of magnitude, highest first. Magnitudes above
  255 would be corrupted silently there; here they are refused.
- The lowest bits of all three channels are replaced (2i <-> 2i + 1) at the same cost everywhere: no adaptive costs.

The message is not encrypted, and its length must be known. A stego picture must be stored without loss.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.errors import ReinvertError

from .stc import HEIGHT, Bits, Embedded, embed, extract

MAGNITUDE_BITS = 8
BITS_PER_NUMBER = 1 + MAGNITUDE_BITS


def message_of(code: NDArray[np.floating]) -> Bits:
    """The bits (9 n,) of a code of n numbers, in row-major order.

    Raises:
        ReinvertError: a number is 256 or more in magnitude.
    """
    whole = np.rint(np.asarray(code, np.float64)).ravel()
    magnitude = np.abs(whole)
    if not (magnitude < 2**MAGNITUDE_BITS).all():
        raise ReinvertError("the code has numbers of 256 or more, which nine bits do not hold; scale it down")
    bits = np.unpackbits(magnitude.astype(np.uint8)[:, None], axis=1)
    return np.concatenate([(whole < 0).astype(np.uint8)[:, None], bits], axis=1).ravel()


def code_of(message: Bits, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The whole numbers that `message_of` wrote, in the code's shape."""
    bits = np.asarray(message, np.uint8).reshape(-1, BITS_PER_NUMBER)
    magnitude = np.packbits(bits[:, 1:], axis=1).ravel().astype(np.float64)
    return np.where(bits[:, 0] == 1, -magnitude, magnitude).reshape(shape)


def hide(picture: NDArray[np.uint8], code: NDArray[np.floating], height: int = HEIGHT) -> NDArray[np.uint8]:
    """The picture (H, W, 3) uint8 with the code in its lowest bits.

    Raises:
        ReinvertError: the code does not fit; see `message_of` and `methods.stc.embed`.
    """
    cover = (picture & 1).ravel()
    embedded: Embedded = embed(cover, message_of(code), np.ones(len(cover), np.float32), height)
    return (picture & np.uint8(0xFE)) | embedded.stego.reshape(picture.shape)


def reveal(picture: NDArray[np.uint8], shape: tuple[int, ...], height: int = HEIGHT) -> NDArray[np.float64]:
    """The code, as whole numbers, that `hide` put into a picture.

    Args:
        picture: (H, W, 3) uint8, stored without loss.
        shape: of the code, such as (18, 512).
        height: as when hiding.
    """
    numbers = int(np.prod(shape))
    return code_of(extract((picture & 1).ravel(), numbers * BITS_PER_NUMBER, height), shape)

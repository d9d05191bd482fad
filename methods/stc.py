"""Syndrome-trellis codes: hide a message in the bits of a cover so that the changes cost least.

Paper: Filler, Judas, Fridrich, "Minimizing Additive Distortion in Steganography using Syndrome-Trellis Codes" (IEEE
TIFS 6(3), 2011), sections III and IV. E2Style (Wei et al., arXiv 2104.07661) hides inversion codes with them
(`methods.deep_hiding`). Bit-compatible with the authors' STC Toolbox where its random columns are those of glibc:

- The ratio of cover to message bits need not be whole: blocks have either of the two neighbouring widths.
- Widths outside 2 ... 20 (and heights outside 7 ... 12) use columns drawn with the C library's ``rand()``, seed 1: the
  code then depends on the platform. glibc's generator is restated here.
- Where changing a bit and not changing it cost the same, the stego bit is 1. Costs are added in single precision.

Time is O(n 2^h), memory n 2^h / 8 bytes while embedding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from core.errors import ReinvertError

from .stc_tables import FIRST_WIDTH, GOOD_COLUMNS, LAST_WIDTH

Bits = NDArray[np.uint8]
HEIGHT = 10
"""Rows of the small matrix: more are better and slower. E2Style and most of the literature use 10."""
_GLIBC_SEED = 1


def glibc_random(count: int, seed: int = _GLIBC_SEED) -> list[int]:
    """The first ``count`` values of glibc's ``rand()`` after ``srand(seed)``: an additive feedback generator."""
    state = [seed]
    for _ in range(30):
        state.append(16807 * state[-1] % 2147483647)
    state += state[:3]
    for _ in range(310 + count):
        state.append((state[-3] + state[-31]) & 0xFFFFFFFF)
    return [value >> 1 for value in state[344 : 344 + count]]


@lru_cache(maxsize=64)
def columns_of(width: int, height: int = HEIGHT) -> tuple[int, ...]:
    """Columns of the small matrix (height x width): bit i of a column is row i, the lowest is the block's message bit.

    Raises:
        ReinvertError: no such matrix: fewer than 3 or more than 30 rows, or more columns than there are different ones.
    """
    if height in GOOD_COLUMNS and FIRST_WIDTH <= width <= LAST_WIDTH:
        start = sum(range(FIRST_WIDTH, width))
        return tuple(int(column) for column in GOOD_COLUMNS[height].split()[start : start + width])
    different = 2 ** (height - 2) if 3 <= height <= 30 else 0
    if not 1 <= width <= different:
        raise ReinvertError(
            f"there is no code of height {height} and width {width}; use a longer message or more height"
        )
    chosen: list[int] = []
    draws = 64 * width
    while len(chosen) < width:
        chosen = []
        for value in glibc_random(draws):
            column = ((value & (different - 1)) << 1) + 2 ** (height - 1) + 1
            if column not in chosen:
                chosen.append(column)
            if len(chosen) == width:
                break
        draws *= 8
    return tuple(chosen)


def block_widths(cover_bits: int, message_bits: int) -> NDArray[np.int64]:
    """Cover bits spent on each message bit: the two whole numbers around the ratio, adding up to all cover bits.

    Raises:
        ReinvertError: an empty message, or one longer than the cover.
    """
    if not 1 <= message_bits <= cover_bits:
        raise ReinvertError(f"a message of {message_bits} bits does not go into {cover_bits}; use from one to all bits")
    ratio = cover_bits / message_bits
    narrow, wide = math.floor(ratio), math.ceil(ratio)
    widths = np.empty(message_bits, np.int64)
    total = 0
    for block in range(message_bits):
        widths[block] = wide if total + wide <= (block + 1) * ratio + 0.5 else narrow
        total += int(widths[block])
    return widths


@dataclass(frozen=True)
class Embedded:
    """Stego bits (n,) and what the changes cost together."""

    stego: Bits
    cost: float


def _checked_bits(name: str, bits: NDArray[np.generic]) -> Bits:
    values = np.asarray(bits)
    if values.ndim != 1 or not np.isin(values, (0, 1)).all():
        raise ReinvertError(f"the {name} must be a row of bits; give a one-dimensional array of 0 and 1")
    return values.astype(np.uint8)


def embed(
    cover: NDArray[np.generic], message: NDArray[np.generic], costs: NDArray[np.floating], height: int = HEIGHT
) -> Embedded:
    """Change the cover where it costs least so that `extract` finds the message.

    Args:
        cover: (n,) bits.
        message: (k,) bits, k <= n.
        costs: (n,) of changing each bit, not negative; infinite where a bit must stay.
        height: rows of the small matrix.

    Raises:
        ReinvertError: bits, costs or sizes that do not fit; or bits that must stay make the message impossible.
    """
    cover, message = _checked_bits("cover", cover), _checked_bits("message", message)
    prices_of_change = np.asarray(costs, np.float32)
    if prices_of_change.shape != cover.shape or not (prices_of_change >= 0).all():
        raise ReinvertError("there must be one cost, not negative, for each bit of the cover; give an array as long")
    widths = block_widths(len(cover), len(message))
    states = 2**height
    numbers = np.arange(states)
    partners = {  # by width: for each column, the state that the column leads to each state from
        int(width): [numbers ^ column for column in columns_of(int(width), height)] for width in np.unique(widths)
    }
    price = np.full(states, np.inf, np.float32)
    price[0] = 0
    flipped = np.empty(states, np.float32)
    ones = np.empty((int(widths.max()), states), bool)
    history: list[bytes] = []
    bits, changes = cover.tolist(), prices_of_change.tolist()
    at = 0
    for block, width in enumerate(widths.tolist()):
        left = len(message) - block
        mask = states - 1 if left >= height else 2**left - 1
        for index, partner in enumerate(partners[width]):
            if mask != states - 1:
                partner = numbers ^ (int(partner[0]) & mask)
            np.take(price, partner, out=flipped, mode="clip")
            changed = price if bits[at] else flipped
            np.add(changed, np.float32(changes[at]), out=changed)
            np.less_equal(flipped, price, out=ones[index])
            np.minimum(price, flipped, out=price)
            at += 1
        history.append(np.packbits(ones[:width], axis=1).tobytes())
        price[: states // 2] = price[int(message[block]) :: 2]
        price[states // 2 :] = np.inf
    if not np.isfinite(price[0]):
        raise ReinvertError("the bits that must stay leave no room for the message; use a larger cover")
    return Embedded(_traced_back(history, widths, message, height), float(price[0]))


def _traced_back(history: list[bytes], widths: NDArray[np.int64], message: Bits, height: int) -> Bits:
    """The cheapest path, from its end: which of the two ways led to each state is a bit of the history."""
    stego = np.zeros(int(widths.sum()), np.uint8)
    row = 2**height // 8
    at = len(stego)
    state = 0
    for block in range(len(message) - 1, -1, -1):
        state = 2 * state + int(message[block])
        columns = columns_of(int(widths[block]), height)
        left = len(message) - block
        mask = 2 ** min(height, left) - 1
        won = history[block]
        for index in range(len(columns) - 1, -1, -1):
            at -= 1
            if won[index * row + (state >> 3)] >> (7 - (state & 7)) & 1:
                stego[at] = 1
                state ^= columns[index] & mask
    return stego


def extract(stego: NDArray[np.generic], message_bits: int, height: int = HEIGHT) -> Bits:
    """The message (k,) of stego bits (n,): the syndrome H y.

    Raises:
        ReinvertError: bits or sizes that do not fit.
    """
    bits = _checked_bits("stego", stego)
    widths = block_widths(len(bits), message_bits)
    blocks = np.repeat(np.arange(message_bits), widths)
    columns = np.concatenate([columns_of(int(width), height) for width in widths])
    set_bits = bits.astype(bool)
    blocks, columns = blocks[set_bits], columns[set_bits]
    sums = np.zeros(message_bits + height, np.int64)
    for row in range(height):
        sums += np.bincount(blocks[(columns >> row) & 1 == 1] + row, minlength=len(sums))
    return (sums[:message_bits] & 1).astype(np.uint8)

"""Random numbers that are a function of (stream, index, channel) alone.

A counter-based generator (SplitMix64 finaliser, Steele et al. 2014, on a mixed counter) in integer tensor
arithmetic: whatever the batch, the order or the device, image `index` of a split gets the same numbers, which a
sequential generator cannot promise.
"""

import hashlib

import torch
from torch import Tensor

_GOLDEN_RATIO = -7046029254386353131  # 0x9E3779B97F4A7C15 as int64
_MULTIPLIER_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MULTIPLIER_2 = -7723592293110705685  # 0x94D049BB133111EB


def _shift_right(value: Tensor, bits: int) -> Tensor:
    """Logical shift of int64 (torch's own keeps the sign)."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _mix(value: Tensor) -> Tensor:
    """SplitMix64 finaliser; products wrap modulo 2**64 as int64 does."""
    value = (value ^ _shift_right(value, 30)) * _MULTIPLIER_1
    value = (value ^ _shift_right(value, 27)) * _MULTIPLIER_2
    return value ^ _shift_right(value, 31)


def stream_key(name: str) -> int:
    """A 64-bit key for a named stream, e.g. "faces/test/image"."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little", signed=True)


def uniforms(stream: str, indices: Tensor, channels: int) -> Tensor:
    """Uniform numbers in (0, 1).

    Args:
        stream: name of the stream; different names give independent numbers.
        indices: (B,) int64 counters.
        channels: numbers per counter.

    Returns:
        (B, channels) float32, multiples of 2**-24 plus half a step, so never 0 or 1.
    """
    channel = torch.arange(1, channels + 1, device=indices.device, dtype=torch.int64)
    key = torch.tensor(stream_key(stream), device=indices.device, dtype=torch.int64)
    counter = _mix(indices.to(torch.int64) * _GOLDEN_RATIO + key)
    bits = _mix(counter[:, None] + channel[None, :] * _GOLDEN_RATIO)
    return (_shift_right(bits, 40).to(torch.float32) + 0.5) / float(1 << 24)

"""What the cases share: loading a network strictly, structured inputs, and the summaries goldens hold of large maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.conformance.data import Goldens

Network = TypeVar("Network", bound=nn.Module)
CROP = 32
STRUCTURE = 8


def loaded(build: Callable[[], Network], state: Mapping[str, Tensor]) -> Network:
    """The network `build` makes, holding `state` (every key, no other), frozen and in eval mode.

    It is built without memory or initialisation: every parameter and buffer must stand in the state dict.
    """
    with torch.device("meta"):
        network = build()
    network.load_state_dict(dict(state), strict=True, assign=True)
    return network.eval().requires_grad_(False)


def structured_image(data: Goldens, name: str, count: int, size: int) -> Tensor:
    """Images (count, 3, size, size) in [-1, 1] of coarse blocks and fine noise: the rule "simg" of the goldens."""
    coarse = data.input(f"{name}.lo", (count, 3, STRUCTURE, STRUCTURE))
    coarse = coarse.repeat_interleave(size // STRUCTURE, dim=2).repeat_interleave(size // STRUCTURE, dim=3)
    fine = data.input(f"{name}.hi", (count, 3, size, size))
    return (0.6 * coarse + 0.4 * fine).clamp(-1, 1)


def area(images: Tensor, size: int) -> Tensor:
    """(B, C, H, W) averaged over blocks down to (B, C, size, size)."""
    return F.interpolate(images, size=(size, size), mode="area")


def crop(images: Tensor) -> Tensor:
    """The central 32 x 32 pixels of (B, C, H, W)."""
    top, left = (side // 2 - CROP // 2 for side in images.shape[-2:])
    return images[..., top : top + CROP, left : left + CROP]


def summary(values: Tensor) -> Tensor:
    """Mean, deviation (N - 1), mean magnitude, least and largest value of the whole tensor: (5,) float64."""
    flat = values.double().flatten()
    return torch.stack([flat.mean(), flat.std(), flat.abs().mean(), flat.min(), flat.max()])


def mean_magnitude(values: Tensor) -> float:
    """Mean absolute value of the whole tensor, in float64."""
    return values.double().abs().mean().item()

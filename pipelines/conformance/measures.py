"""What the cases share: loading a network strictly, structured inputs, and the summaries goldens hold of large maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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


def crop(images: Tensor, size: int = CROP) -> Tensor:
    """The central `size` x `size` pixels of (B, C, H, W)."""
    top, left = (side // 2 - size // 2 for side in images.shape[-2:])
    return images[..., top : top + size, left : left + size]


def channel_statistics(images: Tensor) -> Tensor:
    """Mean and population deviation of each channel's pixels: (B, C, H, W) -> (B, C, 2), in float64."""
    pixels = images.double().flatten(2)
    return torch.stack([pixels.mean(dim=2), pixels.std(dim=2, correction=0)], dim=2)


@contextmanager
def corners(network: nn.Module, places: Mapping[str, str], images: int = 1) -> Iterator[dict[str, Tensor]]:
    """Collects corners of inner maps while the network runs: the first 4 channels of 8 x 8 pixels (or fewer).

    Args:
        network: runs inside the context.
        places: array name -> submodule whose output is cut.
        images: how many of the batch are kept.
    """
    found: dict[str, Tensor] = {}

    def keeper(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def keep(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            found[name] = output[:images, :4, :8, :8].clone()

        return keep

    hooks = [network.get_submodule(place).register_forward_hook(keeper(name)) for name, place in places.items()]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def summary(values: Tensor) -> Tensor:
    """Mean, deviation (N - 1), mean magnitude, least and largest value of the whole tensor: (5,) float64."""
    flat = values.double().flatten()
    return torch.stack([flat.mean(), flat.std(), flat.abs().mean(), flat.min(), flat.max()])


def mean_magnitude(values: Tensor) -> float:
    """Mean absolute value of the whole tensor, in float64."""
    return values.double().abs().mean().item()

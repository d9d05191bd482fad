"""Pieces that more than one judge is made of."""

from __future__ import annotations

from torch import Tensor, nn

from core.errors import ReinvertError


def convolution(
    inputs: int, outputs: int, stride: int, activation: type[nn.Module] = nn.ReLU, kernel: int = 3
) -> nn.Sequential:
    """Padded convolution, batch norm, activation: (B, inputs, H, W) -> (B, outputs, H/stride, W/stride)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs), activation()
    )


def unit_length(embedding: Tensor) -> Tensor:
    """(B, d) rows scaled to length one, in float32 even under autocast: half precision would cost the cosine digits."""
    return nn.functional.normalize(embedding.float(), dim=1)


def grid_after(size: int, halvings: int) -> int:
    """Side of the last feature map.

    Raises:
        ReinvertError: `size` pixels cannot be halved that often.
    """
    if size % 2**halvings:
        raise ReinvertError(f"an image of {size} px cannot be halved {halvings} times; use a multiple of {2**halvings}")
    return size // 2**halvings


def space_to_depth(images: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 4C, H/2, W/2): every 2x2 block becomes channels, losing nothing."""
    return nn.functional.pixel_unshuffle(images, 2)

"""The face parser: a small U-Net (Ronneberger et al., MICCAI 2015) from image to one class per pixel.

Deviations: padded convolutions with batch norm, one convolution per step on the way down and up instead of two, and
nearest-neighbour enlargement instead of transposed convolutions (no checkerboard, and cheaper on a CPU).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from metrics.judges.layers import convolution, grid_after
from metrics.judges.registry import ARCHITECTURES


@ARCHITECTURES.register("u-net")
class UNet(nn.Module):
    """Images (B, 3, size, size) in [-1, 1] -> logits (B, classes, size, size).

    Args:
        size: side of the images, a multiple of 2 ** (len(channels) - 1).
        classes: number of classes.
        channels: channels at full size, half, quarter, ...
    """

    def __init__(self, size: int, classes: int, channels: Sequence[int]) -> None:
        super().__init__()
        grid_after(size, len(channels) - 1)
        self.stem = convolution(3, channels[0], stride=1)
        self.down = nn.ModuleList(
            nn.Sequential(convolution(before, after, stride=2), convolution(after, after, stride=1))
            for before, after in pairwise(channels)
        )
        upward = list(channels)[::-1]
        self.up = nn.ModuleList(convolution(below + beside, beside, stride=1) for below, beside in pairwise(upward))
        self.classify = nn.Conv2d(channels[0], classes, 1)

    def features(self, images: Tensor) -> list[Tensor]:
        """The maps on the way down, (B, C, H / 2^k, W / 2^k): what a parsing loss compares."""
        maps = [self.stem(images)]
        for step in self.down:
            maps.append(step(maps[-1]))
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        maps = self.features(images)
        features = maps.pop()
        for step in self.up:
            enlarged = nn.functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = step(torch.cat([enlarged, maps.pop()], dim=1))
        return self.classify(features).float()

"""E2Style's face parser: the U-Net that comes with CelebAMask-HQ.

Papers: Ronneberger et al., "U-Net" (arXiv 1505.04597), figure 1; Lee et al., "MaskGAN" (arXiv 1907.11922), whose
baseline this network is; used by Wei et al., "E2Style" (arXiv 2104.07661), section 3.3, for its parsing loss. Parameter
names equal those of ``parsing.pth``.

Kept oddities: the convolutions have biases before their batch norms, images enter in [-1, 1], and the loss compares the
encoder's pooled maps, so that the decoder has no part in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _convolution(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())


class DoubleConvolution(nn.Module):
    """Twice a 3x3 convolution, batch norm and ReLU: (B, in, H, W) -> (B, C, H, W)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = _convolution(in_channels, channels)
        self.conv2 = _convolution(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return self.conv2(self.conv1(features))


class UpStep(nn.Module):
    """Double the size by a transposed convolution, put the encoder's map in front, convolve twice."""

    def __init__(self, below: int, beside: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(below, beside, 2, stride=2)
        self.conv = DoubleConvolution(2 * beside, beside)

    def forward(self, beside: Tensor, below: Tensor) -> Tensor:
        """(B, C, H, W) and (B, below, H/2, W/2) -> (B, C, H, W)."""
        return self.conv(torch.cat([beside, self.up(below)], dim=1))


class ParsingUNet(nn.Module):
    """Images (B, 3, H, W) in [-1, 1] -> logits (B, classes, H, W).

    Args:
        classes: number of classes.
        widths: channels at full size, half, quarter, ...; H and W are multiples of 2 ** (len(widths) - 1).
    """

    def __init__(self, classes: int = 19, widths: Sequence[int] = (16, 32, 64, 128, 256)) -> None:
        super().__init__()
        self.levels = len(widths) - 1
        before = 3
        for level, width in enumerate(widths[:-1], start=1):
            self.add_module(f"conv{level}", DoubleConvolution(before, width))
            before = width
        self.center = DoubleConvolution(before, widths[-1])
        for level in range(self.levels, 0, -1):
            self.add_module(f"up_concat{level}", UpStep(widths[level], widths[level - 1]))
        self.final = nn.Conv2d(widths[0], classes, 1)

    def _encode(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        hidden = images.contiguous(memory_format=torch.channels_last)
        maps: list[Tensor] = []
        pooled: list[Tensor] = []
        for level in range(1, self.levels + 1):
            maps.append(self.get_submodule(f"conv{level}")(hidden))
            hidden = F.max_pool2d(maps[-1], 2)
            pooled.append(hidden)
        return maps, [*pooled, self.center(hidden)]

    def features(self, images: Tensor) -> list[Tensor]:
        """What the parsing loss compares: the encoder's maps after max-pooling, then the lowest one."""
        return self._encode(images)[1]

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        maps, features = self._encode(images)
        hidden = features[-1]
        for level in range(self.levels, 0, -1):
            hidden = self.get_submodule(f"up_concat{level}")(maps[level - 1], hidden)
        return self.final(hidden)

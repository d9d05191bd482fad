"""The domain-guided encoder of in-domain inversion.

Paper: Zhu, Shen, Zhao, Zhou, "In-Domain GAN Inversion for Real Image Editing" (ECCV 2020, arXiv 2004.00049), section
3.1. Parameter names are those of the published checkpoints.

Kept because checkpoints depend on it:

- Each block first averages 2x2 pixels, then convolves; nothing follows the sum of a block.
- The bias of a convolution is a module of its own (``wscale1.bias``), before the batch normalisation that makes it
  redundant.
- The last layer's weights are scaled by 1/sqrt(in), those of the convolutions are not; its output is batch-normalised,
  so codes are standardised in training and no mean latent is added to them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ReinvertError

from .layers import LEAKY_SLOPE, ActivationBias

WIDTHS = (64, 128, 256, 512, 1024, 1024, 1024)
"""Channels of the published encoder after the stem and after each block, for 256 px."""


class _Normalization(nn.Module):
    """Batch normalisation under the checkpoints' name ``bn.bn``."""

    def __init__(self, channels: int, flat: bool = False) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(channels) if flat else nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        return self.bn(features)


class Stem(nn.Module):
    """3x3 convolution, batch normalisation, leaky ReLU."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.bn = _Normalization(channels)

    def forward(self, images: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, C, H, W)."""
        return F.leaky_relu(self.bn(self.conv(images)), LEAKY_SLOPE)


class PooledBlock(nn.Module):
    """Average pooling, then two 3x3 convolutions beside a shortcut, which is the identity where widths are equal."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        hidden = min(in_channels, channels)
        self.changes_width = in_channels != channels
        if self.changes_width:
            self.conv = nn.Conv2d(in_channels, channels, 1, bias=False)
            self.bn = _Normalization(channels)
        self.conv1 = nn.Conv2d(in_channels, hidden, 3, padding=1, bias=False)
        self.wscale1 = ActivationBias(hidden)
        self.bn1 = _Normalization(hidden)
        self.conv2 = nn.Conv2d(hidden, channels, 3, padding=1, bias=False)
        self.wscale2 = ActivationBias(channels)
        self.bn2 = _Normalization(channels)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, C, H/2, W/2)."""
        pooled = F.avg_pool2d(features, 2)
        shortcut = F.leaky_relu(self.bn(self.conv(pooled)), LEAKY_SLOPE) if self.changes_width else pooled
        hidden = F.conv2d(pooled, self.conv1.weight, self.wscale1.bias, padding=1)
        hidden = F.leaky_relu(self.bn1(hidden), LEAKY_SLOPE)
        hidden = F.conv2d(hidden, self.conv2.weight, self.wscale2.bias, padding=1)
        return shortcut + F.leaky_relu(self.bn2(hidden), LEAKY_SLOPE)


class LastBlock(nn.Module):
    """Fully connected layer without bias, batch-normalised."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.fc = nn.Linear(in_features, out_features, bias=False)
        self.bn = _Normalization(out_features, flat=True)
        self.gain = 1 / math.sqrt(in_features)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in) -> (B, out). The input is scaled: it is small, the weight is not."""
        return self.bn(self.fc(features * self.gain))


class InDomainEncoder(nn.Module):
    """Images (B, in_channels, size, size) in [-1, 1] -> codes (B, L, D), used as W+ styles as they are.

    Args:
        size: pixels per side.
        style_count: L.
        style_dim: D.
        widths: channels after the stem and after each block; each block halves the size, which must end at 4 px.
        in_channels: of the image.

    Raises:
        ReinvertError: `size` and the number of `widths` do not fit.
    """

    def __init__(
        self,
        size: int = 256,
        style_count: int = 14,
        style_dim: int = 512,
        widths: tuple[int, ...] = WIDTHS,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        blocks = len(widths) - 1
        if size != 4 * 2**blocks:
            raise ReinvertError(f"{blocks} blocks take images of {4 * 2**blocks} px to 4 px, not {size}; change widths")
        self.blocks = blocks
        self.shape = (style_count, style_dim)
        self.block0 = Stem(in_channels, widths[0])
        for index in range(blocks):
            self.add_module(f"block{index + 1}", PooledBlock(widths[index], widths[index + 1]))
        self.add_module(f"block{blocks + 1}", LastBlock(16 * widths[-1], style_count * style_dim))

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        hidden = self.block0(images)
        for index in range(self.blocks):
            hidden = self.get_submodule(f"block{index + 1}")(hidden)
        codes: Tensor = self.get_submodule(f"block{self.blocks + 1}")(torch.flatten(hidden, 1))
        return codes.view(-1, *self.shape)

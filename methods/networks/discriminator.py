"""StyleGAN2 discriminator: residual blocks, minibatch standard deviation, one logit.

Paper: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (arXiv 1912.04958), residual
configuration F; minibatch standard deviation from arXiv 1710.10196, section 3. Parameter names equal those of the
widespread PyTorch layout. Any power of two from 8 px, any width. Everything is twice differentiable, as the R1 penalty
(Mescheder et al., arXiv 1801.04406) needs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .layers import EPSILON, ConvLayer, EqualLinear
from .stylegan2 import channels_by_resolution

MINIBATCH_GROUP = 4


def append_minibatch_deviation(features: Tensor, group: int = MINIBATCH_GROUP) -> Tensor:
    """Append the mean standard deviation within groups of images as one channel: (B, C, H, W) -> (B, C+1, H, W).

    Images i, i + B/group, i + 2B/group, ... form a group. The largest divisor of B up to ``group`` is used, so that
    any batch size works (for B below ``group`` the group is the batch).
    """
    batch, _, height, width = features.shape
    group = max(divisor for divisor in range(1, min(group, batch) + 1) if batch % divisor == 0)
    precise = features.to(torch.promote_types(features.dtype, torch.float32))
    grouped = precise.reshape(group, batch // group, *features.shape[1:])
    deviation = (grouped.var(dim=0, unbiased=False) + EPSILON).sqrt()
    mean = deviation.mean(dim=(1, 2, 3)).repeat(group)
    channel = mean.to(features.dtype)[:, None, None, None].expand(batch, 1, height, width)
    return torch.cat([features, channel], dim=1)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions that halve the size, beside a 1x1 shortcut; the sum is scaled by 1/sqrt(2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(in_channels, in_channels, 3)
        self.conv2 = ConvLayer(in_channels, out_channels, 3, downsample=True)
        self.skip = ConvLayer(in_channels, out_channels, 1, downsample=True, activate=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H/2, W/2)."""
        return (self.conv2(self.conv1(images)) + self.skip(images)) * (1.0 / math.sqrt(2.0))


class Discriminator(nn.Module):
    """Image (B, 3, size, size) in [-1, 1] -> logit (B, 1), higher for real.

    Args:
        size: pixels per side, a power of two from 8.
        channels: width by resolution; None for the published table.
    """

    def __init__(self, size: int, channels: Mapping[int, int] | None = None) -> None:
        super().__init__()
        widths = channels_by_resolution(size, channels)
        self.size = size
        blocks = [ResidualBlock(widths[r], widths[r // 2]) for r in sorted(widths, reverse=True)[:-1]]
        self.convs = nn.Sequential(ConvLayer(3, widths[size], 1), *blocks)
        self.final_conv = ConvLayer(widths[4] + 1, widths[4], 3)
        self.final_linear = nn.Sequential(
            EqualLinear(widths[4] * 4 * 4, widths[4], activate=True), EqualLinear(widths[4], 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, size, size) -> (B, 1)."""
        # Channels-last is faster under autocast; in float32 it costs rounding (9e-6 instead of 3e-6 of the logit).
        reduced = torch.is_autocast_enabled(images.device.type)
        layout = torch.channels_last if reduced else torch.contiguous_format
        features = append_minibatch_deviation(self.convs(images.contiguous(memory_format=layout)))
        return self.final_linear(self.final_conv(features).flatten(1))

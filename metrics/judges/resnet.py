"""Residual networks for images in general: the backbones of feature networks whose weights come from ImageNet training.

Paper: He et al., "Deep Residual Learning for Image Recognition" (arXiv 1512.03385), section 4.1 and table 1. Parameter
names are torchvision's, so ResNet-18, -34 and -50 checkpoints load. The bottleneck strides in its 3x3 convolution, not
in the first 1x1 as the paper has it ("version 1.5"), as every checkpoint in these names does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RESNET_18: dict[str, Any] = {"units": (2, 2, 2, 2), "bottleneck": False}
RESNET_50: dict[str, Any] = {"units": (3, 4, 6, 3), "bottleneck": True}
BOTTLENECK_EXPANSION = 4


def _projection(in_channels: int, channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == channels:
        return None
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, the first with the stride, plus shortcut, then ReLU: the unit of ResNet-18 and -34."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _projection(in_channels, channels, stride)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, C, H/stride, W/stride)."""
        shortcut = features if self.downsample is None else self.downsample(features)
        hidden = F.relu(self.bn1(self.conv1(features)))
        return F.relu(self.bn2(self.conv2(hidden)) + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1 to four times the width; plus shortcut, then ReLU: the unit of ResNet-50.

    Args:
        in_channels: channels of the input.
        width: channels of the 3x3 convolution; the output has four times as many.
        stride: 1 or 2.
    """

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        channels = width * BOTTLENECK_EXPANSION
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample = _projection(in_channels, channels, stride)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, 4 width, H/stride, W/stride)."""
        shortcut = features if self.downsample is None else self.downsample(features)
        hidden = F.relu(self.bn1(self.conv1(features)))
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        return F.relu(self.bn3(self.conv3(hidden)) + shortcut)


class ResNet(nn.Module):
    """Images (B, in_channels, H, W), normalised as the weights expect -> the maps after each of the four stages.

    The stem (7x7 convolution of stride 2, batch norm, ReLU, 3x3 max-pooling of stride 2) quarters the size, every stage
    but the first halves it: H/4, H/8, H/16, H/32.

    Args:
        units: units of the four stages.
        bottleneck: bottleneck units, whose maps are four times as wide as ``widths`` says, instead of basic ones.
        widths: channels of the four stages; the stem is as wide as the first.
        in_channels: channels of the images.
    """

    def __init__(
        self,
        units: Sequence[int],
        bottleneck: bool,
        widths: Sequence[int] = (64, 128, 256, 512),
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        block = Bottleneck if bottleneck else BasicBlock
        expansion = BOTTLENECK_EXPANSION if bottleneck else 1
        self.conv1 = nn.Conv2d(in_channels, widths[0], 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        before = widths[0]
        stages: list[nn.Sequential] = []
        for stage, (width, count) in enumerate(zip(widths, units, strict=True)):
            blocks: list[nn.Module] = []
            for index in range(count):
                blocks.append(block(before, width, 2 if index == 0 and stage > 0 else 1))
                before = width * expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def stages(self, images: Tensor) -> list[Tensor]:
        """The map after each stage, (B, C, h, w)."""
        hidden = F.relu(self.bn1(self.conv1(images.contiguous(memory_format=torch.channels_last))))
        hidden = F.max_pool2d(hidden, 3, 2, padding=1)
        maps: list[Tensor] = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            hidden = stage(hidden)
            maps.append(hidden)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """The mean of the last map over its pixels, (B, C)."""
        return self.stages(images)[-1].mean(dim=(2, 3))

"""The identity network that training losses use: a small IR-SE ResNet.

The "improved residual" unit of ArcFace (Deng et al., CVPR 2019, section 3.1: BN-Conv-BN-PReLU-Conv-BN) with the
squeeze-and-excitation gate of Hu et al., CVPR 2018, as in the IR-SE50 that pSp and its successors use for their
identity loss. Deviations, all for 64 px images on a CPU: the stem and the first convolution of a stage carry the
strides (there: the second convolution), three stages instead of four, few and narrow units.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metrics.judges.layers import convolution, grid_after, unit_length
from metrics.judges.registry import ARCHITECTURES


class SqueezeExcitation(nn.Module):
    """Channel gate (Hu et al. 2018, equations 2-4): (B, C, H, W) -> the same shape."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(features.mean((2, 3))))))
        return features * gate[:, :, None, None]


class ImprovedResidualUnit(nn.Module):
    """BN-Conv-BN-PReLU-Conv-BN-SE plus shortcut: (B, inputs, H, W) -> (B, outputs, H/stride, W/stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int, reduction: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
            SqueezeExcitation(outputs, reduction),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return self.shortcut(features) + self.body(features)


@ARCHITECTURES.register("ir-se-resnet")
class IrSeResNet(nn.Module):
    """Images (B, 3, size, size) in [-1, 1] -> unit embeddings (B, embedding).

    Args:
        size: side of the images, a multiple of 2 ** (stages + 1).
        stem: channels after the first convolution (stride 2).
        channels: channels of each stage (stride 2 each).
        units: residual units of each stage.
        reduction: squeeze factor of the channel gates.
        embedding: length of the embedding.
    """

    def __init__(
        self, size: int, stem: int, channels: Sequence[int], units: Sequence[int], reduction: int, embedding: int
    ) -> None:
        super().__init__()
        grid = grid_after(size, 1 + len(channels))
        self.stem = convolution(3, stem, stride=2, activation=nn.PReLU)
        stages: list[nn.Module] = []
        inputs = stem
        for outputs, count in zip(channels, units, strict=True):
            for index in range(count):
                stages.append(ImprovedResidualUnit(inputs, outputs, 2 if index == 0 else 1, reduction))
                inputs = outputs
        self.stages = nn.Sequential(*stages)
        # BN-FC-BN, the embedding head ArcFace found best (section 3.1, "option E"); no dropout: nothing overfits here.
        self.head = nn.Sequential(
            nn.BatchNorm2d(inputs), nn.Flatten(), nn.Linear(inputs * grid * grid, embedding), nn.BatchNorm1d(embedding)
        )

    def features(self, images: Tensor) -> list[Tensor]:
        """The last map of every size (B, C, H, W), then the embedding before it gets length one."""
        maps = [self.stem(images)]
        for unit in self.stages:
            made = unit(maps[-1])
            maps = [*maps, made] if made.shape != maps[-1].shape else [*maps[:-1], made]
        return [*maps, self.head(maps[-1])]

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return unit_length(self.features(images)[-1])

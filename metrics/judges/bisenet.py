"""BiSeNet, the face parser of the Feature-Style encoder's loss.

Papers: Yu et al., "BiSeNet" (arXiv 1808.00897), section 3; used by Yao et al., "A Style-Based GAN Encoder for High
Fidelity Reconstruction" (arXiv 2202.02183), section 3.4. Parameter names equal those of ``79999_iter.pth``.

Deviation of the published network from the paper, kept: there is no spatial path, the context path's map of 1/8 size
stands in for it. Oddities kept: images of any size are enlarged to 512 px, and the loss compares all three enlarged
logit maps, each as one vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metrics.judges.resnet import ResNet

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


class ConvolutionUnit(nn.Module):
    """Convolution, batch norm, ReLU: (B, in, H, W) -> (B, C, H, W)."""

    def __init__(self, in_channels: int, channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return F.relu(self.bn(self.conv(features)))


class AttentionRefinement(nn.Module):
    """A convolution whose channels are scaled by factors computed from their means (arXiv 1808.00897, figure 2b)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = ConvolutionUnit(in_channels, channels)
        self.conv_atten = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, C, H, W)."""
        refined = self.conv(features)
        means = refined.mean(dim=(2, 3), keepdim=True)
        return refined * torch.sigmoid(self.bn_atten(self.conv_atten(means)))


class FeatureFusion(nn.Module):
    """Joins two maps; a gate computed from channel means adds to them (arXiv 1808.00897, figure 2c)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.convblk = ConvolutionUnit(in_channels, channels, kernel=1)
        self.conv1 = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(channels // 4, channels, 1, bias=False)

    def forward(self, fine: Tensor, context: Tensor) -> Tensor:
        """(B, a, H, W), (B, b, H, W), a + b = in -> (B, C, H, W)."""
        joined = self.convblk(torch.cat([fine, context], dim=1))
        means = joined.mean(dim=(2, 3), keepdim=True)
        return joined * torch.sigmoid(self.conv2(F.relu(self.conv1(means)))) + joined


class ContextPath(nn.Module):
    """ResNet maps refined from coarse to fine, beginning with the mean of the coarsest."""

    def __init__(self, units: Sequence[int], widths: Sequence[int], channels: int) -> None:
        super().__init__()
        self.resnet = ResNet(units, bottleneck=False, widths=widths)
        self.arm16 = AttentionRefinement(widths[2], channels)
        self.arm32 = AttentionRefinement(widths[3], channels)
        self.conv_head32 = ConvolutionUnit(channels, channels)
        self.conv_head16 = ConvolutionUnit(channels, channels)
        self.conv_avg = ConvolutionUnit(widths[3], channels, kernel=1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> the ResNet's map of H/8, the refined ones of H/8 and of H/16."""
        _, eighth, sixteenth, last = self.resnet.stages(images)
        mean = self.conv_avg(last.mean(dim=(2, 3), keepdim=True))
        coarse = F.interpolate(self.arm32(last) + mean, size=sixteenth.shape[2:], mode="nearest")
        coarse = self.conv_head32(coarse)
        fine = F.interpolate(self.arm16(sixteenth) + coarse, size=eighth.shape[2:], mode="nearest")
        return eighth, self.conv_head16(fine), coarse


class Head(nn.Module):
    """A convolution unit, then one logit map per class."""

    def __init__(self, in_channels: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.conv = ConvolutionUnit(in_channels, hidden)
        self.conv_out = nn.Conv2d(hidden, classes, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, classes, H, W)."""
        return self.conv_out(self.conv(features))


class BiSeNet(nn.Module):
    """Images (B, 3, H, W) in [-1, 1] -> main logits and those of the 1/8 and 1/16 maps, (B, classes, size, size) each.

    Args:
        classes: number of classes.
        size: pixels per side the images are resized to; a multiple of 32.
        units: units of the four stages; the default is ResNet-18.
        widths: channels of the four stages.
        channels: of the refined maps; ``widths[1] + channels`` enter the fusion and leave it.
        hidden: channels inside the two auxiliary heads.
    """

    def __init__(
        self,
        classes: int = 19,
        size: int = 512,
        units: Sequence[int] = (2, 2, 2, 2),
        widths: Sequence[int] = (64, 128, 256, 512),
        channels: int = 128,
        hidden: int = 64,
    ) -> None:
        super().__init__()
        self.size = size
        fused = widths[1] + channels
        self.cp = ContextPath(units, widths, channels)
        self.ffm = FeatureFusion(fused, fused)
        self.conv_out = Head(fused, fused, classes)
        self.conv_out16 = Head(channels, hidden, classes)
        self.conv_out32 = Head(channels, hidden, classes)

    def prepared(self, images: Tensor) -> Tensor:
        """Images in [-1, 1] as the ResNet wants them: [0, 1], resized, ImageNet's mean and deviation taken out."""
        resized = F.interpolate((0.5 * images + 0.5).clamp(0, 1), size=(self.size, self.size), mode="bilinear")
        mean, deviation = (images.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))
        return (resized - mean) / deviation

    def forward(self, images: Tensor) -> list[Tensor]:
        """See the class."""
        eighth, fine, coarse = self.cp(self.prepared(images))
        maps = [self.conv_out(self.ffm(eighth, fine)), self.conv_out16(fine), self.conv_out32(coarse)]
        side = (self.size, self.size)
        return [F.interpolate(logits, size=side, mode="bilinear", align_corners=True) for logits in maps]

"""The feature network behind the embedded FID and KID.

Where published FID uses an ImageNet Inception, the embedded scale needs features that know the domain: a small
convolutional net trained to read every scene attribute off an image, cut at its pooled features. Independent of the
perceptual network (another family and seed), which methods use in their losses. Origin: ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from metrics.judges.layers import convolution, grid_after, space_to_depth
from metrics.judges.registry import ARCHITECTURES


@ARCHITECTURES.register("pooled-features")
class PooledFeatures(nn.Module):
    """Images (B, 3, size, size) in [-1, 1] -> features (B, features), non-negative averages over positions.

    Args:
        size: side of the images, a multiple of 2 ** (len(channels) + 1).
        stem: channels of the convolution after space-to-depth.
        channels: channels of each stage, two convolutions each, the first with stride 2.
        features: number of pooled features; FID estimates a covariance of this size, so it should be far below the
            number of images compared.
    """

    def __init__(self, size: int, stem: int, channels: Sequence[int], features: int) -> None:
        super().__init__()
        grid_after(size, 1 + len(channels))
        layers: list[nn.Module] = [convolution(12, stem, stride=1, activation=nn.SiLU)]
        inputs = stem
        for outputs in channels:
            layers += [
                convolution(inputs, outputs, stride=2, activation=nn.SiLU),
                convolution(outputs, outputs, stride=1, activation=nn.SiLU),
            ]
            inputs = outputs
        self.layers = nn.Sequential(*layers, convolution(inputs, features, stride=1, kernel=1))

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return self.layers(space_to_depth(images)).mean((2, 3)).float()

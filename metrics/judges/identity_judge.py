"""The identity network that measures: a plain convolutional net, unrelated to the one methods train with.

Methods minimise the distance seen by `identity-train`, an `ir_se.FaceNetwork`; measuring with a relative of it would
reward fooling it. So this one shares neither the family (no residuals, no gates), the loss (CurricularFace), the seed
nor the pooling: space-to-depth stem, 3x3 convolutions, and the global depthwise convolution of MobileFaceNets (Chen et
al. 2018, section 3.1), which lets every position of the last map have its own weight.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from metrics.judges.layers import convolution, grid_after, space_to_depth, unit_length
from metrics.judges.registry import ARCHITECTURES


@ARCHITECTURES.register("plain-global-depthwise")
class PlainGlobalDepthwise(nn.Module):
    """Images (B, 3, size, size) in [-1, 1] -> unit embeddings (B, embedding).

    Args:
        size: side of the images, a multiple of 2 ** (stages + 1).
        stem: channels of the convolution after space-to-depth.
        channels: channels of each stage, two convolutions each, the first with stride 2.
        embedding: length of the embedding.
    """

    def __init__(self, size: int, stem: int, channels: Sequence[int], embedding: int) -> None:
        super().__init__()
        grid = grid_after(size, 1 + len(channels))
        layers: list[nn.Module] = [convolution(12, stem, stride=1)]
        inputs = stem
        for outputs in channels:
            layers += [convolution(inputs, outputs, stride=2), convolution(outputs, outputs, stride=1)]
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.pool = nn.Sequential(nn.Conv2d(inputs, inputs, grid, groups=inputs, bias=False), nn.BatchNorm2d(inputs))
        self.embed = nn.Linear(inputs, embedding)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return unit_length(self.embed(self.pool(self.features(space_to_depth(images))).flatten(1)))

"""Encoders that read the styles off the body's last map: one style (W), or all of them from one vector (naive W+).

Paper: Richardson et al., "Encoding in Style" (pSp, arXiv 2008.00951), where both are baselines of the feature pyramid.
The W encoder serves elsewhere: e4e's (arXiv 2102.02766) single-code encoder repeats its style for every layer.
Parameter names equal those of the published checkpoints; with ``PUBLISHED_BODY`` those load strictly.

Oddity kept: the W+ encoder normalises and pools to 7x7 (unequal, overlapping windows: 16 is no multiple of 7), as large
as the map that the body's face network has for 112 px, then goes through 512 numbers before the styles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from .encoders import PUBLISHED, BodyEncoder
from .layers import EqualLinear

PUBLISHED_BODY: dict[str, Any] = {name: PUBLISHED[name] for name in ("widths", "units")}
"""Arguments of the published encoders (IR-SE-50 body), for 256 px images."""


class LastLayerEncoder(BodyEncoder):
    """Images (B, in_channels, H, W) in [-1, 1] -> one style each (B, D).

    Args:
        size: pixels per side of the input, a power of two from 16.
        style_dim: D.
        widths: channels of the four stages.
        units: residual units of the four stages.
        in_channels: channels of the images.
        body: "ir_se" or "resnet".

    Raises:
        ReinvertError: see `BodyEncoder`.
    """

    def __init__(
        self,
        size: int,
        style_dim: int,
        widths: Sequence[int],
        units: Sequence[int],
        in_channels: int = 3,
        body: str = "ir_se",
    ) -> None:
        super().__init__(size, widths, units, in_channels, body)
        self.linear = EqualLinear(widths[-1], style_dim)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        (last,) = self.outputs_of(images, self.ends[-1:])
        return self.linear(last.mean(dim=(2, 3)))


class LastLayerWPlusEncoder(BodyEncoder):
    """Images (B, in_channels, H, W) in [-1, 1] -> W+ styles (B, L, D), all from one vector.

    Args:
        size: pixels per side of the input, a power of two from 16.
        style_count: L.
        style_dim: D.
        widths: channels of the four stages; the vector is as long as the last is wide.
        units: residual units of the four stages.
        grid: pixels per side that the last map is pooled to.
        in_channels: channels of the images.
        body: "ir_se" or "resnet".

    Raises:
        ReinvertError: see `BodyEncoder`.
    """

    def __init__(
        self,
        size: int,
        style_count: int,
        style_dim: int,
        widths: Sequence[int],
        units: Sequence[int],
        grid: int = 7,
        in_channels: int = 3,
        body: str = "ir_se",
    ) -> None:
        super().__init__(size, widths, units, in_channels, body)
        width = widths[-1]
        self.style_shape = (style_count, style_dim)
        self.output_layer_2 = nn.Sequential(
            nn.BatchNorm2d(width), nn.AdaptiveAvgPool2d(grid), nn.Flatten(), nn.Linear(width * grid * grid, width)
        )
        self.linear = EqualLinear(width, style_count * style_dim)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        (last,) = self.outputs_of(images, self.ends[-1:])
        # The linear layer's columns count channels first, whatever the memory format of the map is.
        return self.linear(self.output_layer_2(last.contiguous())).unflatten(1, self.style_shape)

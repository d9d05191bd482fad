"""pSp's feature-pyramid encoder: image -> W+ styles.

Paper: Richardson et al., "Encoding in Style: a StyleGAN Encoder for Image-to-Image Translation" (arXiv 2008.00951),
section 3 and figure 2. The body is the IR-SE network of ArcFace (Deng et al., arXiv 1801.07698) with squeeze and
excitation (Hu et al., arXiv 1709.01507). Parameter names equal those of the published checkpoints; with ``PUBLISHED``
at 256 px those load strictly.

Pyramid. The four stages of the body each halve the size, and the last three feed the pyramid: for an image of S px the
coarse level has S/16, the middle S/8 and the fine S/4 px (16, 32, 64 at 256 px; 4, 8, 16 at 64 px). Which styles a
level serves follows the resolution of the generator's layers, not the image's: styles 0-2 (layers of 4 and 8 px) are
coarse, 3-6 (16 and 32 px) middle, the rest fine. At 64 px with 10 styles the fine level therefore serves 7-9.

Deviations: widths, depth and the width inside the map2style blocks are arguments; at 64 px with 10 styles of 128 the
defaults give 2.7 million parameters where the published encoder of a 256 px generator has 209 million.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ReinvertError
from metrics.judges.ir_se import input_layer, outputs_of, residual_body, stage_ends

from .layers import EqualLinear

PUBLISHED: dict[str, Any] = {"widths": (64, 128, 256, 512), "units": (3, 4, 14, 3), "style_width": 512}
"""Arguments of the published encoder (IR-SE-50 body), for 256 px images and any number of styles."""

MAP2STYLE_SLOPE = 0.01


class GradualStyleBlock(nn.Module):
    """map2style: 3x3 convolutions of stride 2 down to one pixel, then an equalised linear layer to one style.

    Args:
        in_channels: channels of the map.
        width: channels of the convolutions.
        style_dim: D of the style; None for no linear layer, so that the code is a map (HyperInverter).
        spatial: pixels per side of the map, a power of two.
        code_size: pixels per side the convolutions stop at, 1 for a style.
    """

    def __init__(self, in_channels: int, width: int, style_dim: int | None, spatial: int, code_size: int = 1) -> None:
        super().__init__()
        convs: list[nn.Module] = []
        for index in range(max(int(math.log2(spatial // code_size)), 1)):
            convs.append(nn.Conv2d(in_channels if index == 0 else width, width, 3, stride=2, padding=1))
            convs.append(nn.LeakyReLU(MAP2STYLE_SLOPE))
        self.convs = nn.Sequential(*convs)
        self.linear = None if style_dim is None else EqualLinear(width, style_dim)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in, spatial, spatial) -> (B, D), or (B, width, code_size, code_size) without a linear layer."""
        code = self.convs(features)
        return code if self.linear is None else self.linear(code.flatten(1))


def _add_upsampled(coarse: Tensor, lateral: Tensor) -> Tensor:
    return F.interpolate(coarse, size=lateral.shape[2:], mode="bilinear", align_corners=True) + lateral


class GradualStyleEncoder(nn.Module):
    """Images (B, in_channels, size, size) in [-1, 1] -> W+ styles (B, L, D).

    What is returned is the network's output: callers that predict offsets add the mean latent themselves.

    Args:
        size: pixels per side of the input, a power of two from 16.
        style_count: L.
        style_dim: D; None for codes that are maps (B, L, style_width, code_size, code_size), as in HyperInverter.
        widths: channels of the four stages; the last is also the width of the pyramid.
        units: residual units of the four stages.
        style_width: channels inside the map2style blocks.
        coarse_styles: how many of the first styles the coarsest level serves.
        middle_styles: how many of the next ones the middle level serves; the finest serves the rest.
        in_channels: 3, or 6 for an image beside its current reconstruction.
        code_size: pixels per side at which the map2style blocks stop.

    Raises:
        ReinvertError: ``size`` does not halve four times, or there are not four widths and depths.
    """

    def __init__(
        self,
        size: int,
        style_count: int,
        style_dim: int | None,
        widths: Sequence[int] = (16, 48, 96, 128),
        units: Sequence[int] = (1, 2, 3, 2),
        style_width: int = 64,
        coarse_styles: int = 3,
        middle_styles: int = 4,
        in_channels: int = 3,
        code_size: int = 1,
    ) -> None:
        super().__init__()
        if size < 16 or size & (size - 1):
            raise ReinvertError(f"the pSp encoder cannot read {size} px; use a power of two from 16")
        if len(widths) != 4 or len(units) != 4 or min(*widths, *units) < 1:
            raise ReinvertError("the pSp encoder has four stages; give four widths and four numbers of units from 1")
        self.input_layer = input_layer(in_channels, widths[0])
        self.body = residual_body(widths, units)
        self.level_ends = stage_ends(units)[1:]
        self.latlayer1 = nn.Conv2d(widths[2], widths[3], 1)
        self.latlayer2 = nn.Conv2d(widths[1], widths[3], 1)
        self.level_of_style = [
            0 if style < coarse_styles else 1 if style < coarse_styles + middle_styles else 2
            for style in range(style_count)
        ]
        self.styles = nn.ModuleList(
            GradualStyleBlock(widths[3], style_width, style_dim, size // (16, 8, 4)[level], code_size)
            for level in self.level_of_style
        )

    def pyramid(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The coarse (S/16), middle (S/8) and fine (S/4) maps, each as wide as the last stage."""
        features = self.input_layer(images.contiguous(memory_format=torch.channels_last))
        fine, middle, coarse = outputs_of(self.body, features, self.level_ends)
        middle = _add_upsampled(coarse, self.latlayer1(middle))
        fine = _add_upsampled(middle, self.latlayer2(fine))
        return coarse, middle, fine

    def forward(self, images: Tensor) -> Tensor:
        """(B, in_channels, size, size) -> (B, L, D), or (B, L, style_width, code_size, code_size)."""
        levels = self.pyramid(images)
        codes = [head(levels[level]) for head, level in zip(self.styles, self.level_of_style, strict=True)]
        return torch.stack(codes, dim=1)

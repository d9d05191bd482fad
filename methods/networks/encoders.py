"""Encoders with one map2style block per style: image -> W+ styles. pSp, e4e and ReStyle by arguments of one class.

Papers: Richardson et al., "Encoding in Style: a StyleGAN Encoder for Image-to-Image Translation" (pSp, arXiv
2008.00951), section 3 and figure 2; Tov et al., "Designing an Encoder for StyleGAN Image Manipulation" (e4e, arXiv
2102.02766), section 4; Alaluf et al., "ReStyle" (arXiv 2104.02699), section 3. Parameter names equal those of the
published checkpoints; with the arguments below those load strictly (256 px images, any number of styles n):

=================  =============================================================  ===================================
encoder            arguments                                                      body
=================  =============================================================  ===================================
pSp                ``PUBLISHED``                                                  IR-SE-50 (arXiv 1801.07698)
e4e                ``PUBLISHED``, ``offsets_from_first``                          IR-SE-50
ReStyle, faces     ``PUBLISHED``, ``coarse_styles=n``, ``in_channels=6``          IR-SE-50
ReStyle, others    ``PUBLISHED_RESNET``, ``coarse_styles=n``, ``in_channels=6``   ResNet-34 (arXiv 1512.03385)
=================  =============================================================  ===================================

ReStyle's e4e variants add ``offsets_from_first``. Its repository also has both bodies with pSp's pyramid and six
channels.

Pyramid. The last three of the body's four stages feed it: for an image of S px the coarse level has S/16, the middle
S/8 and the fine S/4 px (16, 32, 64 at 256 px; 4, 8, 16 at 64 px). Which styles a level serves follows the resolution of
the generator's layers, not the image's: styles 0-2 (layers of 4 and 8 px) are coarse, 3-6 (16 and 32 px) middle, the
rest fine. At 64 px with 10 styles the fine level therefore serves 7-9. Where the coarse level serves all, there is no
pyramid.

Oddities kept: map2style's leaky ReLU has slope 0.01, not StyleGAN2's 0.2; the pyramid upsamples with aligned corners
and smooths nothing; ReStyle's ResNet has a PReLU in its stem and no max-pooling behind it.

Deviations: widths, depth and the width inside the map2style blocks are arguments; at 64 px with 10 styles of 128 the
defaults give 2.7 million parameters where the published encoder of a 256 px generator has 209 million.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ReinvertError
from core.registry import unknown_name
from metrics.judges.ir_se import input_layer, outputs_of, residual_body, stage_ends
from metrics.judges.resnet import BasicBlock

from .layers import EqualLinear

PUBLISHED: dict[str, Any] = {"widths": (64, 128, 256, 512), "units": (3, 4, 14, 3), "style_width": 512}
"""Arguments of the published encoders with an IR-SE-50 body, for 256 px images and any number of styles."""

PUBLISHED_RESNET: dict[str, Any] = PUBLISHED | {"units": (3, 4, 6, 3), "body": "resnet"}
"""The same with a ResNet-34 body: ReStyle's for cars, churches, horses and wild animals."""

MAP2STYLE_SLOPE = 0.01


def _resnet_stem(in_channels: int, width: int) -> dict[str, nn.Module]:
    return {
        "conv1": nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False),
        "bn1": nn.BatchNorm2d(width),
        "relu": nn.PReLU(width),
    }


def _resnet_units(widths: Sequence[int], units: Sequence[int]) -> nn.Sequential:
    blocks: list[nn.Module] = []
    before = widths[0]
    for stage, (width, count) in enumerate(zip(widths, units, strict=True)):
        for index in range(count):
            blocks.append(BasicBlock(before, width, stride=2 if stage > 0 and index == 0 else 1))
            before = width
    return nn.Sequential(*blocks)


@dataclass(frozen=True)
class Body:
    """What an encoder is built on.

    Attributes:
        stem: (channels of the image, width) -> the layers before the units, by name, in order.
        units: (widths, units of each stage) -> the residual units in order; the last of stage k leaves S / 2^(k+1) px.
    """

    stem: Callable[[int, int], dict[str, nn.Module]]
    units: Callable[[Sequence[int], Sequence[int]], nn.Sequential]


BODIES = {
    "ir_se": Body(lambda channels, width: {"input_layer": input_layer(channels, width)}, residual_body),
    "resnet": Body(_resnet_stem, _resnet_units),
}


def offset_styles(codes: Tensor, style_count: int) -> Tensor:
    """A style and offsets from it -> styles, as in e4e (arXiv 2102.02766, section 4).

    Args:
        codes: (B, K, D): the first style, then K - 1 offsets.
        style_count: L; styles without an offset equal the first.

    Returns:
        (B, L, D).
    """
    first = codes[:, :1]
    rest = first.expand(-1, style_count - codes.shape[1], -1)
    return torch.cat([first, first + codes[:, 1:], rest], dim=1)


class BodyEncoder(nn.Module):
    """The stem and the four residual stages that the encoders share.

    Args:
        size: pixels per side of the input (the longer one of images that are not square), a power of two from 16.
        widths: channels of the four stages.
        units: residual units of the four stages.
        in_channels: 3, or 6 for an image beside its current reconstruction.
        body: a name of `BODIES`.

    Raises:
        ReinvertError: ``size`` does not halve four times, there are not four widths and depths, or no such body.
    """

    def __init__(
        self, size: int, widths: Sequence[int], units: Sequence[int], in_channels: int = 3, body: str = "ir_se"
    ) -> None:
        super().__init__()
        if size < 16 or size & (size - 1):
            raise ReinvertError(f"the encoder cannot read {size} px; use a power of two from 16")
        if len(widths) != 4 or len(units) != 4 or min(*widths, *units) < 1:
            raise ReinvertError("the encoder has four stages; give four widths and four numbers of units from 1")
        if body not in BODIES:
            raise unknown_name("body", body, BODIES)
        stem = BODIES[body].stem(in_channels, widths[0])
        for name, layer in stem.items():
            self.add_module(name, layer)
        self.stem_names = tuple(stem)
        self.body = BODIES[body].units(widths, units)
        self.ends = stage_ends(units)

    def outputs_of(self, images: Tensor, units: Iterable[int]) -> list[Tensor]:
        """What these units of the body make of (B, in_channels, H, W), in rising order."""
        features = images.contiguous(memory_format=torch.channels_last)
        for name in self.stem_names:
            features = self.get_submodule(name)(features)
        return outputs_of(self.body, features, units)


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


class GradualStyleEncoder(BodyEncoder):
    """Images (B, in_channels, size, size) in [-1, 1] -> W+ styles (B, L, D).

    What is returned is the network's output: callers that predict offsets add the mean latent, or the latent before it,
    themselves. Images that are not square work as long as every map ends in one pixel (192 x 256 do, at 256).

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
        body: "ir_se" or "resnet".
        offsets_from_first: the blocks after the first predict offsets from the first style (e4e) instead of styles.
        code_size: pixels per side at which the map2style blocks stop.

    Raises:
        ReinvertError: ``size`` does not halve four times, there are not four widths and depths, or no such body.
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
        body: str = "ir_se",
        offsets_from_first: bool = False,
        code_size: int = 1,
    ) -> None:
        super().__init__(size, widths, units, in_channels, body)
        self.level_of_style = [
            0 if style < coarse_styles else 1 if style < coarse_styles + middle_styles else 2
            for style in range(style_count)
        ]
        if max(self.level_of_style) > 0:
            self.latlayer1 = nn.Conv2d(widths[2], widths[3], 1)
            self.latlayer2 = nn.Conv2d(widths[1], widths[3], 1)
        self.styles = nn.ModuleList(
            GradualStyleBlock(widths[3], style_width, style_dim, size // (16, 8, 4)[level], code_size)
            for level in self.level_of_style
        )
        self.offsets_from_first = offsets_from_first

    def pyramid(self, images: Tensor, finest: int = 2) -> list[Tensor]:
        """The coarse (S/16), middle (S/8) and fine (S/4) maps, each as wide as the last stage.

        Args:
            images: (B, in_channels, H, W).
            finest: 0, 1 or 2: leave out the levels after this one.
        """
        fine, middle, coarse = self.outputs_of(images, self.ends[1:])
        levels = [coarse]
        if finest >= 1:
            levels.append(_add_upsampled(coarse, self.latlayer1(middle)))
        if finest >= 2:
            levels.append(_add_upsampled(levels[1], self.latlayer2(fine)))
        return levels

    def forward(self, images: Tensor, offsets: int | None = None) -> Tensor:
        """(B, in_channels, H, W) -> (B, L, D).

        Args:
            images: in [-1, 1].
            offsets: how many of the styles after the first have an offset of their own, the others equalling the first:
                e4e's progressive training stage (arXiv 2102.02766, section 4). None or a number from L-1 on for all.

        Raises:
            ReinvertError: ``offsets`` is given to an encoder without them, or negative.
        """
        if offsets is not None and (offsets < 0 or not self.offsets_from_first):
            raise ReinvertError(f"offsets is {offsets}; only an encoder with offsets_from_first takes a number from 0")
        count = len(self.styles) if offsets is None else min(offsets + 1, len(self.styles))
        codes = self.head_outputs(images, count)
        return offset_styles(codes, len(self.styles)) if self.offsets_from_first else codes

    def head_outputs(self, images: Tensor, count: int) -> Tensor:
        """What the first ``count`` map2style blocks make of (B, in_channels, H, W): (B, count, D)."""
        levels = self.pyramid(images, max(self.level_of_style[:count]))
        heads = zip(self.styles[:count], self.level_of_style, strict=False)
        return torch.stack([head(levels[level]) for head, level in heads], dim=1)

"""HFGI: what a W+ inversion lost is aligned to the drawn image and consulted by one layer of the generator.

Paper: Wang, Zhang, Fan, Wang and Chen, "High-Fidelity GAN Inversion for Image Attribute Editing" (arXiv 2109.06590),
sections 3.2 to 3.4 and figure 3. An encoder (e4e) and the generator stay as they are; two small networks are added:

- the adaptive distortion alignment (`DistortionAlignment`) warps the distortion map, image minus reconstruction, to
  the drawn or edited image;
- the consultation encoder (`ConsultationEncoder`) turns the aligned map into a scale and a shift for the generator's
  map of a quarter of the image's size, right after the convolution that doubles to that size: x (1 + scale) + shift.

Parameter names equal those of the published checkpoints (``grid_align.*`` and ``residue.*``). Kept oddities: images
are resized without antialiasing and clamped before the difference is taken. The published bilinear resize of scale and
shift to 64x64 changes nothing at 256 px and is left out.

Sizes and widths are arguments or follow from the images; the published ones are the defaults.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ReinvertError
from metrics.judges.ir_se import ResidualUnit, input_layer

from .layers import ACTIVATION_GAIN, LEAKY_SLOPE, EqualConv2d
from .stylegan2 import Generator

UNITS = 3


def _units(widths: Sequence[int], stride: int) -> nn.Sequential:
    """Residual units from ``widths[0]`` through the others; the first one strides."""
    return nn.Sequential(
        *(
            ResidualUnit(before, width, stride if index == 0 else 1, excite=False)
            for index, (before, width) in enumerate(pairwise(widths))
        )
    )


def _upsample(features: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(features, size=like.shape[2:], mode="bilinear", align_corners=False)


class DistortionAlignment(nn.Module):
    """[distortion map; drawn image] (B, 6, S, S) -> distortion map aligned to the drawn image (B, 3, S, S).

    A U-Net of residual units with three halvings; nothing bounds its output.

    Args:
        widths: channels at S, S/2, S/4 and S/8.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 48, 64)) -> None:
        super().__init__()
        if len(widths) != 4:
            raise ReinvertError(f"the alignment network has four widths; {len(widths)} are given")
        full, half, quarter, eighth = widths
        self.conv_layer1 = input_layer(6, full)
        self.conv_layer2 = _units((full, *[half] * UNITS), 2)
        self.conv_layer3 = _units((half, *[quarter] * UNITS), 2)
        self.conv_layer4 = _units((quarter, *[eighth] * UNITS), 2)
        self.dconv_layer1 = _units((eighth + quarter, eighth, half, half), 1)
        self.dconv_layer2 = _units((half + half, half, full, full), 1)
        self.dconv_layer3 = _units((full + full, full, 3, 3), 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """See the class."""
        full = self.conv_layer1(inputs)
        half = self.conv_layer2(full)
        quarter = self.conv_layer3(half)
        eighth = self.conv_layer4(quarter)
        up = self.dconv_layer1(torch.cat([_upsample(eighth, quarter), quarter], dim=1))
        up = self.dconv_layer2(torch.cat([_upsample(up, half), half], dim=1))
        return self.dconv_layer3(torch.cat([_upsample(up, full), full], dim=1))


class _ScaledLeakyReLU(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return F.leaky_relu(features, LEAKY_SLOPE) * ACTIVATION_GAIN


class ConsultationEncoder(nn.Module):
    """Aligned distortion map (B, 3, S, S) -> scale and shift (B, C, S/4, S/4) of the generator's map.

    Args:
        widths: channels at S, S/2 and S/4.
        out_channels: C, that of the generator's map.
    """

    def __init__(self, widths: Sequence[int] = (32, 48, 64), out_channels: int = 512) -> None:
        super().__init__()
        if len(widths) != 3:
            raise ReinvertError(f"the consultation encoder has three widths; {len(widths)} are given")
        full, half, quarter = widths
        self.conv_layer1 = input_layer(3, full)
        self.conv_layer2 = _units((full, *[half] * UNITS), 2)
        self.conv_layer3 = _units((half, *[quarter] * UNITS), 2)
        self.condition_scale3 = self._head(quarter, out_channels)
        self.condition_shift3 = self._head(quarter, out_channels)

    @staticmethod
    def _head(in_channels: int, out_channels: int) -> nn.Sequential:
        return nn.Sequential(
            EqualConv2d(in_channels, out_channels, 3, padding=1, bias=True),
            _ScaledLeakyReLU(),
            EqualConv2d(out_channels, out_channels, 3, padding=1, bias=True),
        )

    def forward(self, distortion: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        features = self.conv_layer3(self.conv_layer2(self.conv_layer1(distortion)))
        return self.condition_scale3(features), self.condition_shift3(features)


def consulted(scale: Tensor, shift: Tensor) -> Callable[[Tensor], Tensor]:
    """The replacement ``x (1 + scale) + shift`` of the generator's own map x, for ``Generator.synthesis``."""
    return lambda drawn: drawn * (1 + scale) + shift


def consulted_layer(size: int) -> int:
    """The feature (as `methods.networks.stylegan2` counts) right after the convolution that doubles to ``size`` px.

    8 for the published 64 px.

    Raises:
        ReinvertError: no convolution of a StyleGAN2 generator doubles to that size.
    """
    if size < 8 or size & (size - 1):
        raise ReinvertError(f"no convolution of the generator doubles to {size} px; use a power of two from 8")
    return 2 * int(math.log2(size)) - 4


def resized(drawn: Tensor, like: Tensor) -> Tensor:
    """Drawn images (B, 3, S', S') clamped to [-1, 1] and resized to ``like``'s size, bilinear without antialiasing."""
    return _upsample(drawn.clamp(-1, 1), like)


def conditions(
    alignment: nn.Module, consultation: nn.Module, drawn: Tensor, distortion: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The aligned distortion map (B, 3, S, S), and the scale and shift (B, C, S/4, S/4) that it gives.

    Args:
        alignment: the distortion alignment.
        consultation: the consultation encoder.
        drawn: the image drawn from the styles alone, edited or not, (B, 3, G, G).
        distortion: image minus the resized drawing of the unedited styles, (B, 3, S, S).
    """
    aligned = alignment(torch.cat([distortion, resized(drawn, distortion)], dim=1))
    scale, shift = consultation(aligned)
    return aligned, scale, shift


@dataclass(frozen=True)
class Consultation:
    """What HFGI adds to an inversion or to an edit.

    Attributes:
        image: (B, 3, G, G), as the generator draws it.
        aligned: the distortion map aligned to the image drawn from the styles, (B, 3, S, S).
        scale: (B, C, S/4, S/4).
        shift: (B, C, S/4, S/4).
    """

    image: Tensor
    aligned: Tensor
    scale: Tensor
    shift: Tensor


class HFGI(nn.Module):
    """The two networks and what is done with them.

    Args:
        alignment: the distortion alignment.
        consultation: the consultation encoder.
    """

    def __init__(self, alignment: DistortionAlignment, consultation: ConsultationEncoder) -> None:
        super().__init__()
        self.grid_align = alignment
        self.residue = consultation

    def forward(self, generator: Generator, styles: Tensor, drawn: Tensor, distortion: Tensor) -> Consultation:
        """Draw the styles again, with what was lost.

        Args:
            generator: the generator.
            styles: W+ of the inversion or of an edit of it, (B, L, D).
            drawn: the image ``generator`` draws from ``styles`` alone, (B, 3, G, G).
            distortion: image minus the resized drawing of the *unedited* styles, (B, 3, S, S).
        """
        aligned, scale, shift = conditions(self.grid_align, self.residue, drawn, distortion)
        image = generator.synthesis(
            styles, feature=consulted(scale, shift), feature_layer=consulted_layer(scale.shape[-1])
        )
        return Consultation(image, aligned, scale, shift)

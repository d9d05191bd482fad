"""StyleGAN2 generator: mapping network and skip-architecture synthesis network, with what inversion needs.

Paper: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (arXiv 1912.04958), configuration F.
Parameter and buffer names equal those of the widespread PyTorch layout (``style.1.weight``, ``convs.0.conv.weight``,
``noises.noise_0``, ...), so published checkpoints in it load strictly. Any power of two from 8 px, any width.

The styled 3x3 convolutions are counted 0 ... L-2 in order of execution (0 is the one at 4x4), L = 2 log2(size) - 2:

=====================  ==========================  ===============================================
convolution            reads style (row of W+)     noise map
=====================  ==========================  ===============================================
0   ``conv1``          0                           ``noises.noise_0`` (4x4)
j   ``convs.{j-1}``    j                           ``noises.noise_{j}`` (size 2^((j+1)//2 + 2))
=====================  ==========================  ===============================================

``to_rgb1`` reads style 1 and ``to_rgbs.{k}`` style 3 + 2k: an RGB layer shares its style with the convolution after it.

Features. Feature K is the *input of convolution K*: 0 is the learned constant, K >= 1 the output of convolution K-1,
L-1 the last map. This is the count of the Feature-Style encoder (Yao et al., arXiv 2202.02183), whose K = 5 is the
second 16x16 map. A feature put in replaces that input only: the RGB layer of the same size still reads the map drawn
from the styles, so the image up to that size comes from W+ alone. A function computes the feature
from the one drawn from the styles: the blend ``(1 - s) x + s F`` of that encoder's training, or HFGI's
``x (1 + scale) + shift`` (Wang et al., arXiv 2109.06590).

Weight residuals (Dinh et al., HyperInverter, arXiv 2112.00719, section 3.2) are added to the stored weight before the
equalised scaling and modulation. Every parameter of the synthesis network may have one per image, so that pivotal
tuning (Roich et al., arXiv 2106.05744) works on a batch of generators at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, overload

import torch
from torch import Tensor, nn

from core.errors import ReinvertError

from .layers import EqualLinear, PixelNorm, StyledConv, ToRGB, changed, residuals_of

CHANNELS = {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128, 512: 64, 1024: 32}
"""Channels by resolution of the published configuration F (channel multiplier 2)."""

MAPPING_LEARNING_RATE_MULTIPLIER = 0.01
_STATISTICS_BATCH = 4096

Noise = Sequence[Tensor] | Literal["random"] | None
Feature = Tensor | Callable[[Tensor], Tensor]


def resolutions_up_to(size: int) -> list[int]:
    """4, 8, ..., ``size``.

    Raises:
        ReinvertError: ``size`` is not a power of two or below 8.
    """
    if size < 8 or size & (size - 1):
        raise ReinvertError(f"a StyleGAN2 network of {size} px does not exist; use a power of two from 8")
    return [2**k for k in range(2, int(math.log2(size)) + 1)]


def channels_by_resolution(size: int, channels: Mapping[int, int] | None) -> dict[int, int]:
    """The table of widths for the resolutions 4 ... ``size``; None means the published one.

    Raises:
        ReinvertError: a resolution has no width.
    """
    table = CHANNELS if channels is None else channels
    missing = [resolution for resolution in resolutions_up_to(size) if resolution not in table]
    if missing:
        raise ReinvertError(f"no channels given for resolution {missing[0]}; give one number for each of 4 ... {size}")
    return {resolution: table[resolution] for resolution in resolutions_up_to(size)}


class ConstantInput(nn.Module):
    """The learned constant (1, C, 4, 4) every image starts from."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))


class Generator(nn.Module):
    """z (B, D) -> w (B, D) -> image (B, 3, size, size), linear RGB with nominal range [-1, 1], not clamped.

    Args:
        size: pixels per side, a power of two from 8.
        style_dim: D of z and w.
        mapping_layers: fully connected layers from z to w.
        channels: width by resolution; None for the published table.
    """

    def __init__(
        self,
        size: int,
        style_dim: int = 512,
        mapping_layers: int = 8,
        channels: Mapping[int, int] | None = None,
    ) -> None:
        super().__init__()
        widths = channels_by_resolution(size, channels)
        self.size = size
        self.style_dim = style_dim
        self.style_count = 2 * int(math.log2(size)) - 2
        layers = [
            EqualLinear(style_dim, style_dim, 0.0, MAPPING_LEARNING_RATE_MULTIPLIER, activate=True)
            for _ in range(mapping_layers)
        ]
        self.style = nn.Sequential(PixelNorm(), *layers)
        self.input = ConstantInput(widths[4])
        self.conv1 = StyledConv(widths[4], widths[4], style_dim)
        self.to_rgb1 = ToRGB(widths[4], style_dim, upsample=False)
        self.convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        self.noises = nn.Module()
        self.noises.register_buffer("noise_0", torch.randn(1, 1, 4, 4))
        for resolution in list(widths)[1:]:
            width = widths[resolution]
            self.convs.append(StyledConv(widths[resolution // 2], width, style_dim, upsample=True))
            self.convs.append(StyledConv(width, width, style_dim))
            self.to_rgbs.append(ToRGB(width, style_dim))
            for index in (len(self.convs) - 1, len(self.convs)):
                self.noises.register_buffer(f"noise_{index}", torch.randn(1, 1, resolution, resolution))

    def mapping(self, z: Tensor) -> Tensor:
        """z (B, D) ~ N(0, 1) -> w (B, D)."""
        return self.style(z)

    def forward(self, z: Tensor, noise: Noise = None) -> Tensor:
        """z (B, D) -> image (B, 3, size, size), the same w for every layer."""
        return self.synthesis(self.repeat(self.mapping(z)), noise)

    def repeat(self, w: Tensor) -> Tensor:
        """w (B, D) -> W+ styles (B, L, D) with equal rows."""
        return w[:, None].expand(-1, self.style_count, -1)

    def stored_noise(self) -> list[Tensor]:
        """The noise maps of the state dict, (1, 1, R, R) each, in order of the convolutions."""
        return [self.noises.get_buffer(f"noise_{index}") for index in range(self.style_count - 1)]

    def modulated_weights(self) -> dict[str, nn.Parameter]:
        """Name -> weight (1, out, in, k, k) of every modulated convolution."""
        return {name: weight for name, weight in self.named_parameters() if name.endswith("conv.weight")}

    def synthesis_parameters(self) -> dict[str, nn.Parameter]:
        """Name -> parameter of the synthesis network: the names residuals are keyed by."""
        return {name: parameter for name, parameter in self.named_parameters() if not name.startswith("style.")}

    def zero_residuals(self, count: int) -> dict[str, Tensor]:
        """Residuals of ``count`` images that change nothing, one for each of `synthesis_parameters`."""
        shapes = {name: tuple(parameter.shape) for name, parameter in self.synthesis_parameters().items()}
        device = self.input.input.device
        return {
            # Biases of RGB layers, the constant and kernels have a first dimension for the batch.
            name: torch.zeros(count, *(shape[1:] if len(shape) > 3 else shape), device=device)
            for name, shape in shapes.items()
        }

    @overload
    def synthesis(
        self,
        styles: Tensor,
        noise: Noise = ...,
        feature: Feature | None = ...,
        feature_layer: int | None = ...,
        weight_residuals: Mapping[str, Tensor] | None = ...,
        return_feature_of: None = ...,
    ) -> Tensor: ...

    @overload
    def synthesis(
        self,
        styles: Tensor,
        noise: Noise = ...,
        feature: Feature | None = ...,
        feature_layer: int | None = ...,
        weight_residuals: Mapping[str, Tensor] | None = ...,
        *,
        return_feature_of: int,
    ) -> tuple[Tensor, Tensor]: ...

    def synthesis(
        self,
        styles: Tensor,
        noise: Noise = None,
        feature: Feature | None = None,
        feature_layer: int | None = None,
        weight_residuals: Mapping[str, Tensor] | None = None,
        return_feature_of: int | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Draw images from W+ styles.

        Args:
            styles: (B, L, D).
            noise: None for the stored maps, "random" for fresh N(0, 1) ones from torch's global generator, or L-1
                maps (B or 1, 1, R, R).
            feature: replaces the input of convolution ``feature_layer``, (B or 1, C, R, R), or a function that computes
                the replacement from that input (B, C, R, R); see the module docstring.
            feature_layer: 1 ... L-2; given together with ``feature``.
            weight_residuals: by name as in ``synthesis_parameters``, one per image as in ``zero_residuals`` or, without
                its first dimension, shared by the batch.
            return_feature_of: 0 ... L-1; also return that feature, as it was before any replacement.

        Returns:
            The image (B, 3, size, size), or (image, feature (B, C, R, R)).

        Raises:
            ReinvertError: a shape, name or layer does not fit this generator.
        """
        residuals = dict(weight_residuals or {})
        self._check(styles, noise, feature, feature_layer, residuals, return_feature_of)
        latents = styles.unbind(1)
        maps = self._noise_maps(styles, noise)
        constant = changed(self.input.input, residuals, "input.input")
        hidden = constant.expand(len(styles), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        returned = hidden if return_feature_of == 0 else None
        rgb: Tensor | None = None
        for index in range(self.style_count - 1):
            if feature is not None and index == feature_layer:
                replacement = feature if isinstance(feature, Tensor) else feature(hidden)
                hidden = replacement.to(hidden.dtype).expand_as(hidden)
            conv_name = "conv1" if index == 0 else f"convs.{index - 1}"
            conv = self.conv1 if index == 0 else self.convs[index - 1]
            hidden = conv(hidden, latents[index], maps[index], residuals_of(residuals, conv_name))
            if return_feature_of == index + 1:
                returned = hidden
            if index % 2 == 0:
                rgb_name = "to_rgb1" if index == 0 else f"to_rgbs.{index // 2 - 1}"
                to_rgb = self.to_rgb1 if index == 0 else self.to_rgbs[index // 2 - 1]
                rgb = to_rgb(hidden, latents[index + 1], rgb, residuals_of(residuals, rgb_name))
        assert rgb is not None
        return rgb if returned is None else (rgb, returned)

    def _noise_maps(self, styles: Tensor, noise: Noise) -> Sequence[Tensor]:
        if noise is None:
            return self.stored_noise()
        if isinstance(noise, str):
            shapes = [(len(styles), *stored.shape[1:]) for stored in self.stored_noise()]
            return [torch.randn(shape, device=styles.device) for shape in shapes]
        return noise

    def _check(
        self,
        styles: Tensor,
        noise: Noise,
        feature: Feature | None,
        feature_layer: int | None,
        residuals: Mapping[str, Tensor],
        return_feature_of: int | None,
    ) -> None:
        count = self.style_count
        if styles.dim() != 3 or styles.shape[1:] != (count, self.style_dim):
            raise ReinvertError(
                f"styles have shape {tuple(styles.shape)}; this generator takes (batch, {count}, {self.style_dim})"
            )
        if isinstance(noise, str) and noise != "random":
            raise ReinvertError(f"noise is {noise!r}; use None, 'random' or a list of {count - 1} maps")
        if noise is not None and not isinstance(noise, str) and len(noise) != count - 1:
            raise ReinvertError(f"{len(noise)} noise maps given; this generator takes {count - 1}")
        if (feature is None) != (feature_layer is None):
            raise ReinvertError("feature and feature_layer belong together; give both or neither")
        if feature_layer is not None and not 1 <= feature_layer <= count - 2:
            raise ReinvertError(f"feature_layer is {feature_layer}; use 1 ... {count - 2}")
        if return_feature_of is not None and not 0 <= return_feature_of <= count - 1:
            raise ReinvertError(f"return_feature_of is {return_feature_of}; use 0 ... {count - 1}")
        if residuals:
            unknown = sorted(set(residuals) - set(self.synthesis_parameters()))
            if unknown:
                raise ReinvertError(
                    f"no parameter of the synthesis network is called {unknown[0]!r}; see "
                    "Generator.synthesis_parameters()"
                )

    @torch.no_grad()
    def latent_statistics(self, samples: int, seed: int) -> tuple[Tensor, float]:
        """Mean (D,) of w over ``samples`` draws of z, and w's spread sqrt(sum of squared deviations / samples).

        The spread is the single number of the StyleGAN2 projector (arXiv 1912.04958, appendix D): about sqrt(D) times
        the deviation of one coordinate. z is drawn on the CPU so that every device sees the same; sums are float64.
        """
        source = torch.Generator().manual_seed(seed)
        device = self.input.input.device
        total = torch.zeros(self.style_dim, dtype=torch.float64)
        squares = 0.0
        for start in range(0, samples, _STATISTICS_BATCH):
            z = torch.randn(min(_STATISTICS_BATCH, samples - start), self.style_dim, generator=source)
            w = self.mapping(z.to(device)).double().cpu()
            total += w.sum(dim=0)
            squares += w.square().sum().item()
        mean = total / samples
        spread = math.sqrt(max(squares / samples - mean.square().sum().item(), 0.0))
        return mean.float().to(device), spread

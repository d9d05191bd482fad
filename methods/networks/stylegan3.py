"""StyleGAN3's generator: the translation-equivariant (T) and the rotation-equivariant (R) networks.

Paper: Karras et al., "Alias-Free Generative Adversarial Networks" (arXiv 2106.12423), section 3 and appendix F. Fourier
features, moved by an affine map that the first style learns, pass through modulated convolutions; each is followed by a
leaky ReLU between two sampling rates (`methods.networks.alias_free`). The names of parameters and buffers are those of
NVIDIA's pickles (`mapping.fc0.weight`, `synthesis.L0_36_512.weight`), so that their state dicts load unchanged.

    Generator(1024)                          stylegan3-t at 1024 px
    Generator(256, channel_base=16384)       stylegan3-t at 256 px, as NVIDIA released FFHQ-U (``--cbase 16384``)
    Generator(1024, **ROTATION)              stylegan3-r at 1024 px

Oddities kept because released weights rely on them:
- The mapping has two layers, and layer names hold the map's side and width.
- Styles are normalised over the whole batch, not per image. It cancels in the demodulation but for its epsilon.
- Every layer divides by a running mean of its input's squares (`magnitude_ema`), which must come with the weights.
- Maps carry a margin of ten values on each side, so a layer of 16 values per picture has maps of 36 x 36.
- The image is a quarter of the last layer's output. There are no noise inputs and no skip connections.

Deviation: weights are not modulated, inputs are (`methods.networks.layers.modulated_convolution`), so that the images
of a batch share one convolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from core.errors import ReinvertError

from .alias_free import filtered_leaky_relu, low_pass_filter
from .layers import ACTIVATION_GAIN, LEAKY_SLOPE, EqualLinear, PixelNorm, modulated_convolution

ROTATION: dict[str, Any] = {"kernel": 1, "radial": True, "channel_base": 65536, "channel_max": 1024}
"""Arguments of the rotation-equivariant network: 1x1 convolutions, radial filters, twice the channels."""

MAPPING_LEARNING_RATE_MULTIPLIER = 0.01
MARGIN = 10
"""Values around the picture on each side of every map but the last two."""
TAPS_PER_FACTOR = 6
FIRST_CUTOFF = 2.0
FIRST_STOPBAND = 2**2.1
LAST_STOPBAND_OVER_CUTOFF = 2**0.3
CLAMP = 256.0
OUTPUT_SCALE = 0.25


@dataclass(frozen=True)
class LayerPlan:
    """Frequencies, in periods per picture, and sizes of one layer's output (table in appendix F of the paper)."""

    cutoff: float
    half_width: float
    rate: int
    size: int
    channels: int


def layer_plans(size: int, layers: int, critical: int, channel_base: int, channel_max: int) -> list[LayerPlan]:
    """The layers' outputs, ToRGB's last: cutoffs grow geometrically, then stay for the critically sampled ones."""
    last_cutoff = size / 2
    last_stopband = last_cutoff * LAST_STOPBAND_OVER_CUTOFF
    plans = []
    for index in range(layers + 1):
        exponent = min(index / (layers - critical), 1.0)
        cutoff = FIRST_CUTOFF * (last_cutoff / FIRST_CUTOFF) ** exponent
        stopband = FIRST_STOPBAND * (last_stopband / FIRST_STOPBAND) ** exponent
        rate = round(2 ** math.ceil(math.log2(min(2 * stopband, size))))
        half_width = max(stopband, rate / 2) - cutoff
        side = size if index >= layers - 1 else rate + 2 * MARGIN
        channels = 3 if index == layers else round(min(channel_base / 2 / cutoff, channel_max))
        plans.append(LayerPlan(cutoff, half_width, rate, side, channels))
    return plans


def user_transform(degrees: float = 0.0, right: float = 0.0, down: float = 0.0) -> Tensor:
    """The matrix (3, 3) in float64 for `synthesis.input.transform` that turns and then moves the picture.

    Args:
        degrees: counter-clockwise.
        right: in picture widths.
        down: in picture heights.
    """
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[cosine, sine, right], [-sine, cosine, down], [0, 0, 1]], dtype=torch.float64).inverse()


class MappingNetwork(nn.Module):
    """z (B, D) ~ N(0, 1) -> w (B, D): layers ``fc0``, ``fc1``, ... and the running mean ``w_avg`` of w."""

    w_avg: Tensor

    def __init__(self, style_dim: int, layers: int) -> None:
        super().__init__()
        self.layer_count = layers
        self.normalise = PixelNorm()
        for index in range(layers):
            layer = EqualLinear(style_dim, style_dim, 0.0, MAPPING_LEARNING_RATE_MULTIPLIER, activate=True)
            self.add_module(f"fc{index}", layer)
        self.register_buffer("w_avg", torch.zeros(style_dim))

    def forward(self, z: Tensor, average_decay: float | None = None) -> Tensor:
        """See the class; with ``average_decay`` (0.998 in training) the running mean moves towards the batch's."""
        w = self.normalise(z)
        for index in range(self.layer_count):
            w = self.get_submodule(f"fc{index}")(w)
        if average_decay is not None:
            self.w_avg.copy_(w.detach().mean(dim=0).lerp(self.w_avg, average_decay))
        return w


class FourierInput(nn.Module):
    """Sinusoids over the picture's plane, moved as the first style says, mixed by a learned matrix.

    Args:
        style_dim: D.
        channels: C, of sinusoids and of the output.
        size: side of the map with its margin.
        rate: values per picture.
        bandwidth: largest frequency kept undamped, in periods per picture.
    """

    transform: Tensor
    freqs: Tensor
    phases: Tensor

    def __init__(self, style_dim: int, channels: int, size: int, rate: int, bandwidth: float) -> None:
        super().__init__()
        self.size = size
        self.rate = rate
        self.bandwidth = bandwidth
        frequencies = torch.randn(channels, 2)
        radius = frequencies.square().sum(dim=1, keepdim=True).sqrt()
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.affine = EqualLinear(style_dim, 4)
        nn.init.zeros_(self.affine.weight)
        self.affine.bias = nn.Parameter(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        self.register_buffer("transform", torch.eye(3))
        self.register_buffer("freqs", frequencies / (radius * radius.square().exp().pow(0.25)) * bandwidth)
        self.register_buffer("phases", torch.rand(channels) - 0.5)

    def forward(self, style: Tensor) -> Tensor:
        """(B, D) -> (B, C, size, size)."""
        moved = self.affine(style)
        moved = moved / moved[:, :2].norm(dim=1, keepdim=True)
        cosine, sine, right, down = moved.unbind(dim=1)
        zero, one = torch.zeros_like(cosine), torch.ones_like(cosine)
        rotation = torch.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, one], dim=1).view(-1, 3, 3)
        translation = torch.stack([one, zero, -right, zero, one, -down, zero, zero, one], dim=1).view(-1, 3, 3)
        matrix = rotation @ translation @ self.transform
        phases = self.phases + (self.freqs @ matrix[:, :2, 2:]).squeeze(2)
        frequencies = self.freqs @ matrix[:, :2, :2]
        # Frequencies that the transformation moves beyond what the grid can hold fade out.
        excess = (frequencies.norm(dim=2) - self.bandwidth) / (self.rate / 2 - self.bandwidth)
        amplitudes = (1 - excess).clamp(0, 1)
        steps = (torch.arange(self.size, device=style.device, dtype=style.dtype) + 0.5 - self.size / 2) / self.rate
        grid = torch.stack([steps.expand(self.size, -1), steps[:, None].expand(-1, self.size)], dim=2)
        waves = grid.view(1, -1, 2) @ frequencies.transpose(1, 2) + phases[:, None]
        waves = torch.sin(2 * math.pi * waves) * amplitudes[:, None]
        mixed = waves @ (self.weight.t() / math.sqrt(len(self.weight)))
        return mixed.transpose(1, 2).unflatten(2, (self.size, self.size))


class SynthesisLayer(nn.Module):
    """Modulated convolution, bias, filtered leaky ReLU from one sampling rate and size to another.

    Args:
        before: plan of the layer whose output comes in.
        plan: plan of this layer's output.
        style_dim: D.
        kernel: side of the convolution's kernel.
        to_rgb: no demodulation, no nonlinearity, no filters.
        radial: downsample with a radially symmetric filter.
    """

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(
        self, before: LayerPlan, plan: LayerPlan, style_dim: int, kernel: int, to_rgb: bool, radial: bool
    ) -> None:
        super().__init__()
        self.kernel = 1 if to_rgb else kernel
        self.to_rgb = to_rgb
        self.size = plan.size
        rate = max(before.rate, plan.rate) * (1 if to_rgb else 2)
        self.up, self.down = rate // before.rate, rate // plan.rate
        up_taps, down_taps = (
            TAPS_PER_FACTOR * factor if factor > 1 and not to_rgb else 1 for factor in (self.up, self.down)
        )
        entering = before.size + self.kernel - 1
        padding = (plan.size - 1) * self.down + 1 - entering * self.up + up_taps + down_taps - 2
        self.padding = (padding + self.up) // 2
        self.affine = EqualLinear(style_dim, before.channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(plan.channels, before.channels, self.kernel, self.kernel))
        self.bias = nn.Parameter(torch.zeros(plan.channels))
        self.register_buffer("magnitude_ema", torch.ones([]))
        self.register_buffer("up_filter", low_pass_filter(up_taps, before.cutoff, before.half_width, rate))
        self.register_buffer("down_filter", low_pass_filter(down_taps, plan.cutoff, plan.half_width, rate, radial))

    def forward(self, maps: Tensor, style: Tensor, magnitude_decay: float | None = None) -> Tensor:
        """(B, in, H, H), (B, D) -> (B, out, size, size).

        With ``magnitude_decay`` the running mean of the input's squares moves towards the batch's before it is used.
        """
        if magnitude_decay is not None:
            current = maps.detach().float().square().mean()
            self.magnitude_ema.copy_(current.lerp(self.magnitude_ema, magnitude_decay))
        scales = self.affine(style)
        weight: Tensor = self.weight
        if self.to_rgb:
            scales = scales / math.sqrt(weight[0].numel())
        else:
            weight = weight * weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
            scales = scales * scales.square().mean().rsqrt()
        out, factor = modulated_convolution(maps, scales, weight[None], self.kernel - 1, not self.to_rgb)
        out = torch.addcmul(
            self.bias.to(out.dtype)[:, None, None], out, (factor * self.magnitude_ema.rsqrt()).to(out.dtype)
        )
        if self.up_filter is None or self.down_filter is None:
            return out.clamp(-CLAMP, CLAMP)
        return filtered_leaky_relu(
            out,
            self.up_filter,
            self.down_filter,
            self.up,
            self.down,
            self.padding,
            self.size,
            LEAKY_SLOPE,
            ACTIVATION_GAIN,
            CLAMP,
        )


class SynthesisNetwork(nn.Module):
    """``input``, then the layers in order under their official names (``layer_names``)."""

    def __init__(self, plans: list[LayerPlan], critical: int, style_dim: int, kernel: int, radial: bool) -> None:
        super().__init__()
        first = plans[0]
        self.input = FourierInput(style_dim, first.channels, first.size, first.rate, first.cutoff)
        self.layer_names: list[str] = []
        last = len(plans) - 1
        for index, plan in enumerate(plans):
            before = plans[max(index - 1, 0)]
            name = f"L{index}_{plan.size}_{plan.channels}"
            layer = SynthesisLayer(before, plan, style_dim, kernel, index == last, radial and index < last - critical)
            self.layer_names.append(name)
            self.add_module(name, layer)

    def layers(self) -> list[SynthesisLayer]:
        """The layers in order, ToRGB last."""
        return [cast(SynthesisLayer, self.get_submodule(name)) for name in self.layer_names]

    def forward(
        self,
        styles: Tensor,
        feature: Tensor | None = None,
        feature_layer: int | None = None,
        feature_strength: float = 1.0,
        magnitude_decay: float | None = None,
    ) -> Tensor:
        """Draw images from styles.

        Args:
            styles: (B, L, D), row 0 for the input, one row for each layer.
            feature: takes the place of the output of layer ``feature_layer``, (B or 1, C, R, R) with its margin. The
                sampling rate of StyleGAN2's fifth convolution's input, 16 values per picture, is that of layer 1 at
                1024 px and of layer 2 at 256 px.
            feature_layer: 0 ... L-3; given together with ``feature``.
            feature_strength: share of ``feature`` in the mixture with the layer's own output.
            magnitude_decay: also move the running magnitudes (0.999, or 0.5 ** (batch / 20000) in training).

        Returns:
            (B, 3, size, size), nominal range [-1, 1], not clamped.

        Raises:
            ReinvertError: styles, feature or layer do not fit this generator.
        """
        layers = self.layers()
        if styles.ndim != 3 or styles.shape[1] != len(layers) + 1:
            raise ReinvertError(
                f"styles of shape {tuple(styles.shape)} do not fit; give (images, {len(layers) + 1}, style width)"
            )
        if (feature is None) != (feature_layer is None) or not 0 <= (feature_layer or 0) < len(layers) - 1:
            raise ReinvertError(
                f"a feature goes with a feature_layer from 0 to {len(layers) - 2}; give both or neither"
            )
        first, *rest = styles.unbind(dim=1)
        maps = self.input(first)
        for index, (layer, style) in enumerate(zip(layers, rest, strict=True)):
            maps = layer(maps, style, magnitude_decay)
            if index == feature_layer and feature is not None:
                if feature.shape[1:] != maps.shape[1:]:
                    shapes = f"{tuple(maps.shape[1:])}, not {tuple(feature.shape[1:])}"
                    raise ReinvertError(f"layer {index} gives maps {shapes}; resize the feature")
                maps = torch.lerp(maps, feature.to(maps.dtype).expand_as(maps), feature_strength)
        return maps * OUTPUT_SCALE


class Generator(nn.Module):
    """z (B, D) -> w (B, D) -> image (B, 3, size, size).

    Args:
        size: pixels per side, a power of two from 16.
        style_dim: D of z and w.
        mapping_layers: fully connected layers from z to w.
        channel_base: channels times the layer's cutoff frequency, times two.
        channel_max: widest layer.
        kernel: side of the convolutions' kernels, 3 (T) or 1 (R).
        radial: radially symmetric downsampling filters (R).
        layers: modulated convolutions before ToRGB.
        critical: how many of the last are critically sampled.

    Raises:
        ReinvertError: ``size`` is no power of two from 16, or there are not more layers than critical ones.
    """

    def __init__(
        self,
        size: int,
        style_dim: int = 512,
        mapping_layers: int = 2,
        channel_base: int = 32768,
        channel_max: int = 512,
        kernel: int = 3,
        radial: bool = False,
        layers: int = 14,
        critical: int = 2,
    ) -> None:
        super().__init__()
        if size < 16 or size & (size - 1):
            raise ReinvertError(f"StyleGAN3 cannot draw {size} px; use a power of two from 16")
        if not 2 <= critical < layers:
            raise ReinvertError(f"{critical} critically sampled layers of {layers}; use 2 or more, and fewer than all")
        plans = layer_plans(size, layers, critical, channel_base, channel_max)
        self.size = size
        self.style_dim = style_dim
        self.style_count = layers + 2
        self.mapping = MappingNetwork(style_dim, mapping_layers)
        self.synthesis = SynthesisNetwork(plans, critical, style_dim, kernel, radial)

    def repeat(self, w: Tensor) -> Tensor:
        """w (B, D) -> styles (B, L, D) with equal rows."""
        return w[:, None].expand(-1, self.style_count, -1)

    def truncate(self, styles: Tensor, strength: float, rows: int | None = None) -> Tensor:
        """Move the first ``rows`` of styles (B, L, D), or all, to the mean w: 1 leaves them, 0 gives the mean."""
        cut = self.style_count if rows is None else rows
        return torch.cat([self.mapping.w_avg.lerp(styles[:, :cut], strength), styles[:, cut:]], dim=1)

    def forward(self, z: Tensor) -> Tensor:
        """z (B, D) -> image (B, 3, size, size), the same w for every layer."""
        return self.synthesis(self.repeat(self.mapping(z)))

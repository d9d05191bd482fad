"""Layers of StyleGAN2: equalised learning rate, FIR resampling, modulated convolution, noise.

Papers: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (arXiv 1912.04958), section 2 for weight
demodulation (equations 1-3); Karras et al., "Progressive Growing of GANs" (arXiv 1710.10196), section 4.1 for the
equalised learning rate. Parameter names follow the widespread PyTorch layout of StyleGAN2 checkpoints, so that those
load without renaming.

Deviations, none of which changes the result beyond rounding:
- The modulated convolution scales activations instead of weights: the input by the style, the output by the
  demodulation factor. All images of a batch then share one convolution. Weights that differ per image (residuals of
  inversion methods) use a grouped convolution.
- The gain sqrt(2) of the activation is moved in front of it (leaky ReLU is positively homogeneous) and merged with
  weights, biases and demodulation factors, which saves passes over memory.
- Networks choose channels-last where it is faster (10 to 20 % on CPUs, and what tensor cores want).
- On a CPU, frozen networks in float32 compute small maps and styles image by image (`separately`), because there the
  usual kernels round differently in batches of different size, and hundreds of optimisation steps turn a last bit into
  a visible difference. So an image's inversion does not depend on the batch it is in, to the bit.
- A blur followed by a convolution of size 1 and stride 2 is a blur of stride 2 followed by a plain 1x1 convolution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATION_GAIN = math.sqrt(2.0)  # keeps the variance of a leaky ReLU's output near that of its input
LEAKY_SLOPE = 0.2
EPSILON = 1e-8


def fir_kernel(gain: float = 1.0, taps: Sequence[float] = (1.0, 3.0, 3.0, 1.0)) -> Tensor:
    """Separable low-pass filter (k, k) that sums to ``gain``."""
    row = torch.tensor(taps, dtype=torch.float32)
    kernel = torch.outer(row, row)
    return kernel * (gain / kernel.sum())


def fir_filter(images: Tensor, kernel: Tensor, padding: int, stride: int = 1) -> Tensor:
    """Convolve every channel of (B, C, H, W) with ``kernel`` (k, k), zeros outside; keep each ``stride``-th value.

    Striding is a slice: on CPUs the backward pass of a strided depthwise convolution costs many times that of a plain
    one (40 % of the discriminator's whole step).
    """
    channels = images.shape[1]
    weight = kernel.flip(0, 1).to(images.dtype).expand(channels, 1, *kernel.shape)
    out = F.conv2d(images, weight, padding=padding, groups=channels)
    return out if stride == 1 else out[:, :, ::stride, ::stride]


def fir_upsample(images: Tensor, kernel: Tensor) -> Tensor:
    """Double the size of (B, C, H, W): zeros between the values, then the 4x4 ``kernel``, which should sum to 4."""
    channels = images.shape[1]
    weight = kernel.to(images.dtype).expand(channels, 1, *kernel.shape)
    return F.conv_transpose2d(images, weight, padding=1, stride=2, groups=channels)


def without_autocast(tensor: Tensor) -> Any:
    """Context in which operations on ``tensor``'s device keep float32: styles and norms are cheap and delicate."""
    return torch.autocast(tensor.device.type, enabled=False)


def separately(images: Tensor, weight: Tensor) -> bool:
    """Whether to compute image by image for the sake of equal bits; see the module docstring.

    Never while training the weights: there nothing hangs on the last bit.
    """
    return (
        images.device.type == "cpu"
        and images.dtype == torch.float32
        and not weight.requires_grad
        and not torch.is_autocast_enabled("cpu")
    )


SMALL_MAP = 8
"""Pixels per side up to which convolutions round differently in different batches; larger maps were found not to."""


Residuals = Mapping[str, Tensor]
"""What to add to a layer's parameters, by their names in it: a tensor of the parameter's shape shared by the batch, or
one per image, (B, *shape). Kernels (1, out, in, k, k) and RGB biases (1, 3, 1, 1) have a dimension for B already."""


def residuals_of(residuals: Residuals, module: str) -> dict[str, Tensor]:
    """Those of ``module``, by their names inside it."""
    prefix = f"{module}."
    return {name.removeprefix(prefix): value for name, value in residuals.items() if name.startswith(prefix)}


def changed(parameter: Tensor, residuals: Residuals | None, name: str) -> Tensor:
    """``parameter`` plus its residual; itself where it has none."""
    return parameter + residuals[name].to(parameter.dtype) if residuals and name in residuals else parameter


def linear(features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``features`` (B, in) times ``weight`` (out, in) transposed, plus ``bias`` (out,); a weight and a bias per image,
    (B, out, in) and (B, out), will do as well.
    """
    if weight.dim() == 3:
        product = torch.bmm(features[:, None], weight.transpose(1, 2))[:, 0]
        return product if bias is None else product + bias
    if features.dim() != 2 or not separately(features, weight):
        return F.linear(features, weight, bias)
    product = torch.bmm(features[:, None], weight.t().expand(len(features), -1, -1))[:, 0]
    return product if bias is None else product + bias


class Blur(nn.Module):
    """Depthwise FIR filter with a stored kernel."""

    kernel: Tensor

    def __init__(self, padding: int, gain: float = 1.0, stride: int = 1) -> None:
        super().__init__()
        self.padding = padding
        self.stride = stride
        self.register_buffer("kernel", fir_kernel(gain))

    def forward(self, images: Tensor) -> Tensor:
        """Filter (B, C, H, W)."""
        return fir_filter(images, self.kernel, self.padding, self.stride)


class Upsample(nn.Module):
    """FIR upsampling by two with a stored kernel."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", fir_kernel(gain=4.0))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2H, 2W)."""
        return fir_upsample(images, self.kernel)


class PixelNorm(nn.Module):
    """Scale each vector (B, D) to a root mean square of one."""

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, D) -> (B, D)."""
        return vectors * torch.rsqrt(vectors.square().mean(dim=1, keepdim=True) + EPSILON)


class EqualLinear(nn.Module):
    """Linear layer with equalised learning rate: ``x (W m / sqrt(in))^T + b m``, optionally leaky ReLU and gain.

    Args:
        in_features: size of the last axis of the input.
        out_features: size of the last axis of the output.
        bias_init: initial value of the bias, before the multiplier.
        learning_rate_multiplier: ``m``; the weight is drawn from N(0, 1/m^2) to compensate.
        activate: apply leaky ReLU 0.2 and the gain sqrt(2).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias_init: float = 0.0,
        learning_rate_multiplier: float = 1.0,
        activate: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / learning_rate_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias_init))
        self.weight_gain = learning_rate_multiplier / math.sqrt(in_features)
        self.bias_gain = learning_rate_multiplier
        self.activate = activate

    def forward(self, features: Tensor, residuals: Residuals | None = None) -> Tensor:
        """(..., in) -> (..., out). ``residuals`` of weight and bias are for layers without activation."""
        if not self.activate:
            weight, bias = changed(self.weight, residuals, "weight"), changed(self.bias, residuals, "bias")
            return linear(features, weight * self.weight_gain, bias * self.bias_gain)
        # In the published order and by the published kernel: eight of these make w, and analyses of w (principal
        # components of nearly equal strength) magnify rounding a hundredfold. No inversion runs through them.
        out = F.linear(features, self.weight * self.weight_gain)
        out = out + (self.bias * self.bias_gain).to(out.dtype)
        return F.leaky_relu(out, LEAKY_SLOPE) * ACTIVATION_GAIN


class EqualConv2d(nn.Module):
    """Convolution with equalised learning rate: the weight is scaled by 1/sqrt(in k^2), its own bias is not."""

    def __init__(
        self, in_channels: int, out_channels: int, size: int, stride: int = 1, padding: int = 0, bias: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, size, size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.gain = 1.0 / math.sqrt(in_channels * size * size)
        self.stride = stride
        self.padding = padding

    def forward(self, images: Tensor, bias: Tensor | None = None, gain: float = 1.0) -> Tensor:
        """``gain`` times the convolution of (B, in, H, W) with its own bias, plus ``bias`` (out,)."""
        if self.bias is not None:
            bias = self.bias * gain if bias is None else self.bias * gain + bias
        return F.conv2d(images, self.weight * (self.gain * gain), bias, stride=self.stride, padding=self.padding)


class ActivationBias(nn.Module):
    """The bias (C,) added before a leaky ReLU; the layer that owns it applies the activation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))


class ConvLayer(nn.Sequential):
    """Discriminator layer: [blur], equalised convolution, [bias and leaky ReLU].

    With ``downsample`` the size halves: a blur, then a stride of two. A 1x1 convolution lets the blur do the striding.
    """

    def __init__(
        self, in_channels: int, out_channels: int, size: int, downsample: bool = False, activate: bool = True
    ) -> None:
        layers: list[nn.Module] = []
        if not downsample:
            layers.append(EqualConv2d(in_channels, out_channels, size, padding=size // 2))
        elif size == 1:
            layers += [Blur(padding=1, stride=2), EqualConv2d(in_channels, out_channels, size)]
        else:
            # A 4x4 blur and a k x k convolution of stride 2 halve an even size when (4 - 2) + (k - 1) zeros pad it.
            layers += [Blur(padding=(size + 1) // 2), EqualConv2d(in_channels, out_channels, size, stride=2)]
        if activate:
            layers.append(ActivationBias(out_channels))
        super().__init__(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W), or half the size."""
        for layer in self:
            if isinstance(layer, ActivationBias):
                return F.leaky_relu(images, LEAKY_SLOPE)
            if isinstance(layer, EqualConv2d) and isinstance(self[-1], ActivationBias):
                images = layer(images, bias=self[-1].bias * ACTIVATION_GAIN, gain=ACTIVATION_GAIN)
            else:
                images = layer(images)
        return images


def modulated_convolution(
    images: Tensor, style: Tensor, weight: Tensor, padding: int, demodulate: bool = True, upsample: bool = False
) -> tuple[Tensor, Tensor]:
    """Convolve with weights whose input channels are scaled by ``style`` (arXiv 1912.04958, equations 1 and 3).

    Args:
        images: (B, in, H, W).
        style: (B, in) scales.
        weight: (1, out, in, k, k) shared by the batch, or (B, out, in, k, k).
        padding: zeros on each side; not used when upsampling.
        demodulate: whether the factor normalises each output channel's weights to unit norm; else it is 1.
        upsample: transposed convolution of stride 2, (H, W) -> (2H + k - 2, 2W + k - 2), to be blurred by the caller.

    Returns:
        The convolution, not yet demodulated, and the factor (B or 1, out or 1, 1, 1) it is to be multiplied by.
    """
    with without_autocast(images):
        if not demodulate:
            factor = style.new_ones(1, 1)
        elif len(weight) == 1:
            energy = weight.squeeze(0).square().sum(dim=(2, 3))
            factor = torch.rsqrt(linear(style.square(), energy) + EPSILON)
        else:
            energy = weight.square().sum(dim=(3, 4))
            factor = torch.rsqrt(torch.einsum("bi,boi->bo", style.square(), energy) + EPSILON)
    scaled = images * style.to(images.dtype)[:, :, None, None]
    batch, _, height, width = images.shape
    groups, out_channels, in_channels, size, _ = weight.shape
    if groups > 1:  # a weight per image: images become groups of one wide image
        scaled = scaled.reshape(1, batch * in_channels, height, width)
    if upsample:
        kernel = weight.transpose(1, 2).reshape(groups * in_channels, out_channels, size, size)
        convolve = partial(F.conv_transpose2d, stride=2, groups=groups)
    else:
        kernel = weight.reshape(groups * out_channels, in_channels, size, size)
        convolve = partial(F.conv2d, padding=padding, groups=groups)
    if max(height, width) <= SMALL_MAP and separately(scaled, weight):
        layout = torch.channels_last  # once, or every call would rearrange the kernel
        kernel = kernel.contiguous(memory_format=layout)
        out = torch.cat([convolve(image, kernel) for image in scaled.contiguous(memory_format=layout).split(1)])
    else:
        out = convolve(scaled, kernel)
    out = out.reshape(batch, out_channels, *out.shape[2:]) if groups > 1 else out
    return out, factor[:, :, None, None]


class ModulatedConv2d(nn.Module):
    """Convolution whose input channels are scaled by a style of each image (arXiv 1912.04958, equations 1 and 3).

    Args:
        in_channels: C of the input.
        out_channels: C of the output.
        size: odd kernel size.
        style_dim: D of the latent that ``modulation`` turns into one scale per input channel.
        demodulate: normalise each output channel's weights to unit norm (equation 3); off for RGB outputs.
        upsample: double the size by a transposed convolution, followed by a blur.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        style_dim: int,
        demodulate: bool = True,
        upsample: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, out_channels, in_channels, size, size))
        self.modulation = EqualLinear(style_dim, in_channels, bias_init=1.0)
        self.gain = 1.0 / math.sqrt(in_channels * size * size)
        self.padding = size // 2
        self.demodulate = demodulate
        self.blur = Blur(padding=1, gain=4.0) if upsample else None

    def forward(self, images: Tensor, latent: Tensor, residuals: Residuals | None = None) -> tuple[Tensor, Tensor]:
        """Convolve (B, in, H, W) under ``latent`` (B, D).

        Args:
            images: feature maps.
            latent: one row of W+ per image.
            residuals: added to the stored parameters before their scaling and modulation; see `Residuals`.

        Returns:
            The convolution (B, out, H, W) or (B, out, 2H, 2W), not yet demodulated, and the demodulation factor
            (B, out, 1, 1) or 1 (1, 1, 1, 1) it is to be multiplied by: the caller merges it with what follows.
        """
        with without_autocast(images):
            own = residuals_of(residuals or {}, "modulation")
            style = self.modulation(latent.to(self.weight.dtype), own)
            weight = self.weight * self.gain
            if residuals and "weight" in residuals:
                weight = weight + residuals["weight"].to(weight.dtype) * self.gain
        upsample = self.blur is not None
        out, factor = modulated_convolution(images, style, weight, self.padding, self.demodulate, upsample)
        return (out if self.blur is None else self.blur(out)), factor


class NoiseWeight(nn.Module):
    """Strength (1,) of the noise of one layer, shared by its channels; starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class StyledConv(nn.Module):
    """Modulated convolution, noise, bias, leaky ReLU with gain: one layer of the synthesis network."""

    def __init__(self, in_channels: int, out_channels: int, style_dim: int, upsample: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_channels, out_channels, 3, style_dim, upsample=upsample)
        self.noise = NoiseWeight()
        self.activate = ActivationBias(out_channels)

    def forward(self, images: Tensor, latent: Tensor, noise: Tensor, residuals: Residuals | None = None) -> Tensor:
        """(B, in, H, W), latent (B, D), noise (B or 1, 1, H', W') -> (B, out, H', W')."""
        out, factor = self.conv(images, latent, residuals_of(residuals or {}, "conv"))
        strength = changed(self.noise.weight, residuals, "noise.weight") * ACTIVATION_GAIN
        scaled_noise = (noise * strength.view(-1, 1, 1, 1)).to(out.dtype)
        bias = (changed(self.activate.bias, residuals, "activate.bias") * ACTIVATION_GAIN).to(out.dtype)
        out = torch.addcmul(scaled_noise, out, (factor * ACTIVATION_GAIN).to(out.dtype))
        return F.leaky_relu(out + bias.view(-1, out.shape[1], 1, 1), LEAKY_SLOPE)


class ToRGB(nn.Module):
    """1x1 modulated convolution to RGB without demodulation, added to the upsampled image of the previous size."""

    def __init__(self, in_channels: int, style_dim: int, upsample: bool = True) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.conv = ModulatedConv2d(in_channels, 3, 1, style_dim, demodulate=False)
        self.upsample = Upsample() if upsample else None

    def forward(
        self, images: Tensor, latent: Tensor, previous: Tensor | None, residuals: Residuals | None = None
    ) -> Tensor:
        """(B, in, H, W), latent (B, D), previous RGB (B, 3, H/2, W/2) or None -> RGB (B, 3, H, W)."""
        out, _ = self.conv(images, latent, residuals_of(residuals or {}, "conv"))
        out = out + changed(self.bias, residuals, "bias").to(out.dtype)
        if previous is not None and self.upsample is not None:
            out = out + self.upsample(previous)
        return out

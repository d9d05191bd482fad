"""StyleGAN1 generator with a style of its own for each layer, as in-domain inversion uses it.

Papers: Karras et al., "A Style-Based Generator Architecture for Generative Adversarial Networks" (arXiv 1812.04948),
sections 2 and 3; Zhu et al., "In-Domain GAN Inversion for Real Image Editing" (arXiv 2004.00049), whose generators
differ in two ways: the last mapping layer gives L styles instead of one, and the image passes through tanh.
Parameter and buffer names are those of the published checkpoints, which therefore load strictly.

Kept because checkpoints depend on it:

- The gain sqrt(2) sits on the weights of the mapping and of the convolutions; biases and activations have none.
- The mapping's activation also follows its last layer.
- Noise maps are buffers and always the same; their strength is per channel.
- Truncation uses one mean for all rows and spares the fine ones; it acts on codes drawn from z only.
- Of the RGB layers only that of the last resolution runs (``lod`` is 0: no progressive growing); the others are in the
  checkpoints and are loaded.
- Upsampling weights are stored in two ways: below ``fused_from`` as a plain convolution after nearest-neighbour
  doubling, from there on as (k, k, in, out) of a transposed one, which is the first with its kernel turned by 180
  degrees.

Deviation, none beyond rounding: both kinds run as one transposed convolution with the 4x4 kernel that a 3x3 one and the
doubling make together (16 instead of 36 products per value).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ReinvertError

from .layers import ACTIVATION_GAIN, EPSILON, LEAKY_SLOPE, ActivationBias, PixelNorm, fir_kernel
from .stylegan2 import MAPPING_LEARNING_RATE_MULTIPLIER, resolutions_up_to

BLUR_TAPS = (1.0, 2.0, 1.0)


def published_channels(size: int) -> dict[int, int]:
    """Channels by resolution of the published networks: 512, halved with each doubling from 64 px on."""
    return {resolution: min(16384 // resolution, 512) for resolution in resolutions_up_to(size)}


class ScaledDense(nn.Module):
    """Linear layer with equalised learning rate: ``gain m / sqrt(in) x W^T + m b``.

    Args:
        in_features: size of the last axis of the input.
        out_features: size of the last axis of the output.
        gain: on the weight only.
        multiplier: ``m``, on weight and bias.
    """

    def __init__(self, in_features: int, out_features: int, gain: float, multiplier: float) -> None:
        super().__init__()
        self.fc = nn.Linear(in_features, out_features, bias=False)
        self.wscale = ActivationBias(out_features)
        self.weight_gain = gain * multiplier / math.sqrt(in_features)
        self.bias_gain = multiplier
        nn.init.normal_(self.fc.weight, std=1 / multiplier)

    def forward(self, features: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return F.linear(features, self.fc.weight * self.weight_gain, self.wscale.bias * self.bias_gain)


class MappingNetwork(nn.Module):
    """z (B, Z) -> styles (B, L, D), one per layer."""

    def __init__(self, z_dim: int, style_dim: int, style_count: int, layers: int, width: int) -> None:
        super().__init__()
        self.shape = (style_count, style_dim)
        self.normalize = PixelNorm()
        self.count = layers
        for index in range(layers):
            last = index == layers - 1
            dense = ScaledDense(
                z_dim if index == 0 else width,
                style_count * style_dim if last else width,
                ACTIVATION_GAIN,
                MAPPING_LEARNING_RATE_MULTIPLIER,
            )
            self.add_module(f"dense{index}", dense)

    def forward(self, z: Tensor) -> Tensor:
        """See the class."""
        hidden = self.normalize(z)
        for index in range(self.count):
            hidden = F.leaky_relu(self.get_submodule(f"dense{index}")(hidden), LEAKY_SLOPE)
        return hidden.view(-1, *self.shape)


class Truncation(nn.Module):
    """Draws the first rows of codes towards the mean latent."""

    w_avg: Tensor
    truncation: Tensor

    def __init__(self, style_dim: int, style_count: int, rows: int, strength: float) -> None:
        super().__init__()
        self.register_buffer("w_avg", torch.zeros(style_dim))
        by_row = torch.ones(1, style_count, 1)
        by_row[:, :rows] = strength
        self.register_buffer("truncation", by_row)

    def forward(self, styles: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        return self.w_avg + self.truncation * (styles - self.w_avg)


class _Noise(nn.Module):
    """A fixed noise map (1, 1, R, R) with one strength per channel."""

    noise: Tensor

    def __init__(self, resolution: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))
        self.register_buffer("noise", torch.randn(1, 1, resolution, resolution))

    def forward(self, images: Tensor) -> Tensor:
        return images + self.noise * self.weight[:, None, None]


class _Style(nn.Module):
    """The affine map from a latent to scale and shift of each channel."""

    def __init__(self, style_dim: int, channels: int) -> None:
        super().__init__()
        self.dense = ScaledDense(style_dim, 2 * channels, gain=1.0, multiplier=1.0)

    def forward(self, images: Tensor, latent: Tensor) -> Tensor:
        scale, shift = self.dense(latent)[:, :, None, None].chunk(2, dim=1)
        return images * (scale + 1) + shift


class Epilogue(nn.Module):
    """What follows every convolution: noise, bias, leaky ReLU, instance normalisation, style (AdaIN, equation 1)."""

    def __init__(self, resolution: int, channels: int, style_dim: int) -> None:
        super().__init__()
        self.apply_noise = _Noise(resolution, channels)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.style_mod = _Style(style_dim, channels)

    def forward(self, images: Tensor, latent: Tensor) -> Tensor:
        """(B, C, R, R), latent (B, D) -> (B, C, R, R)."""
        hidden = F.leaky_relu(self.apply_noise(images) + self.bias[:, None, None], LEAKY_SLOPE)
        hidden = hidden - hidden.mean(dim=(2, 3), keepdim=True)
        hidden = hidden * torch.rsqrt(hidden.square().mean(dim=(2, 3), keepdim=True) + EPSILON)
        return self.style_mod(hidden, latent)


class _Blur(nn.Module):
    """Depthwise binomial filter with a stored kernel (C, 1, 3, 3)."""

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("kernel", fir_kernel(taps=BLUR_TAPS).expand(channels, 1, 3, 3).contiguous())

    def forward(self, images: Tensor) -> Tensor:
        return F.conv2d(images, self.kernel, padding=1, groups=len(self.kernel))


class FirstLayer(nn.Module):
    """The learned constant, with its epilogue."""

    def __init__(self, channels: int, style_dim: int) -> None:
        super().__init__()
        self.const = nn.Parameter(torch.ones(1, channels, 4, 4))
        self.epilogue = Epilogue(4, channels, style_dim)

    def forward(self, latent: Tensor) -> Tensor:
        """Latent (B, D) -> (B, C, 4, 4)."""
        return self.epilogue(self.const.expand(len(latent), -1, -1, -1), latent)


class ConvLayer(nn.Module):
    """3x3 convolution with its epilogue."""

    def __init__(self, resolution: int, in_channels: int, channels: int, style_dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        nn.init.normal_(self.conv.weight)
        self.gain = ACTIVATION_GAIN / math.sqrt(9 * in_channels)
        self.epilogue = Epilogue(resolution, channels, style_dim)

    def forward(self, images: Tensor, latent: Tensor) -> Tensor:
        """(B, in, R, R), latent (B, D) -> (B, C, R, R)."""
        return self.epilogue(F.conv2d(images, self.conv.weight * self.gain, padding=1), latent)


def doubling_kernel(weight: Tensor) -> Tensor:
    """The transposed convolution (stride 2, padding 1) that doubles by repetition and convolves by `weight`.

    Args:
        weight: (out, in, 3, 3) of a convolution with padding 1.

    Returns:
        (in, out, 4, 4): the kernel turned by 180 degrees, zero-padded and summed over the four unit shifts.
    """
    padded = F.pad(weight.flip(2, 3).transpose(0, 1), (1, 1, 1, 1))
    return padded[..., 1:, 1:] + padded[..., :-1, 1:] + padded[..., 1:, :-1] + padded[..., :-1, :-1]


class UpsamplingLayer(nn.Module):
    """Doubling, 3x3 convolution and blur, with the epilogue; `fused` says how the weight is stored."""

    def __init__(self, resolution: int, in_channels: int, channels: int, style_dim: int, fused: bool) -> None:
        super().__init__()
        if fused:
            self.weight = nn.Parameter(torch.randn(3, 3, in_channels, channels))
        else:
            self.conv = nn.Conv2d(in_channels, channels, 3, bias=False)
            nn.init.normal_(self.conv.weight)
        self.fused = fused
        self.gain = ACTIVATION_GAIN / math.sqrt(9 * in_channels)
        self.blur = _Blur(channels)
        self.epilogue = Epilogue(resolution, channels, style_dim)

    def forward(self, images: Tensor, latent: Tensor) -> Tensor:
        """(B, in, R/2, R/2), latent (B, D) -> (B, C, R, R)."""
        weight = self.weight.permute(3, 2, 0, 1).flip(2, 3) if self.fused else self.conv.weight
        doubled = F.conv_transpose2d(images, doubling_kernel(weight * self.gain), stride=2, padding=1)
        return self.epilogue(self.blur(doubled), latent)


class OutputLayer(nn.Module):
    """1x1 convolution to RGB."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 3, 1, bias=False)
        nn.init.normal_(self.conv.weight)
        self.bias = nn.Parameter(torch.zeros(3))
        self.gain = 1 / math.sqrt(in_channels)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, R, R) -> (B, 3, R, R)."""
        return F.conv2d(images, self.conv.weight * self.gain, self.bias)


class Synthesis(nn.Module):
    """Styles (B, L, D) -> image (B, 3, size, size) in (-1, 1); layer i reads row i."""

    lod: Tensor

    def __init__(self, style_dim: int, channels: Mapping[int, int], fused_from: int) -> None:
        super().__init__()
        self.register_buffer("lod", torch.zeros(()))
        self.style_count = 2 * len(channels)
        for block, (resolution, width) in enumerate(channels.items()):
            if block == 0:
                first: nn.Module = FirstLayer(width, style_dim)
            else:
                above = channels[resolution // 2]
                first = UpsamplingLayer(resolution, above, width, style_dim, fused=resolution >= fused_from)
            self.add_module(f"layer{2 * block}", first)
            self.add_module(f"layer{2 * block + 1}", ConvLayer(resolution, width, width, style_dim))
            self.add_module(f"output{block}", OutputLayer(width))

    def forward(self, styles: Tensor) -> Tensor:
        """See the class."""
        latents = styles.unbind(1)
        hidden = self.get_submodule("layer0")(latents[0])
        for index in range(1, self.style_count):
            hidden = self.get_submodule(f"layer{index}")(hidden, latents[index])
        return torch.tanh(self.get_submodule(f"output{self.style_count // 2 - 1}")(hidden))


class Generator(nn.Module):
    """z (B, Z) -> styles (B, L, D) -> image (B, 3, size, size) in (-1, 1).

    Args:
        size: pixels per side, a power of two from 8.
        z_dim: Z.
        style_dim: D.
        mapping_layers: fully connected layers from z to the styles.
        channels: width by resolution, 4 ... ``size``; None for the published table.
        fused_from: first resolution whose upsampling weights are stored transposed.
        truncated_rows: rows that truncation draws to the mean.
        truncation: 1 for none, 0 for the mean.
    """

    def __init__(
        self,
        size: int = 256,
        z_dim: int = 512,
        style_dim: int = 512,
        mapping_layers: int = 8,
        channels: Mapping[int, int] | None = None,
        fused_from: int = 128,
        truncated_rows: int = 8,
        truncation: float = 0.7,
    ) -> None:
        super().__init__()
        resolutions = resolutions_up_to(size)
        table = published_channels(size) if channels is None else channels
        if list(table) != resolutions:
            raise ReinvertError(f"channels are given for {list(table)}; give one number for each of {resolutions}")
        self.size = size
        self.style_dim = style_dim
        self.style_count = 2 * len(resolutions)
        self.mapping = MappingNetwork(z_dim, style_dim, self.style_count, mapping_layers, width=style_dim)
        self.truncation = Truncation(style_dim, self.style_count, truncated_rows, truncation)
        self.synthesis = Synthesis(style_dim, table, fused_from)

    def styles(self, z: Tensor) -> Tensor:
        """z (B, Z) -> truncated styles (B, L, D)."""
        return self.truncation(self.mapping(z))

    def forward(self, z: Tensor) -> Tensor:
        """z (B, Z) -> image."""
        return self.synthesis(self.styles(z))

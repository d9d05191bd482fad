"""Layers against forms written independently: explicit zero insertion, per-image weights, closed forms."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from methods.networks.layers import (
    Blur,
    ConvLayer,
    EqualLinear,
    ModulatedConv2d,
    PixelNorm,
    StyledConv,
    fir_filter,
    fir_kernel,
    fir_upsample,
)


def reference_upfirdn(images: Tensor, kernel: Tensor, up: int, down: int, before: int, after: int) -> Tensor:
    """Zero insertion, padding, true convolution, striding: the definition, value by value."""
    batch, channels, height, width = images.shape
    spread = torch.zeros(batch, channels, height * up, width * up, dtype=images.dtype)
    spread[:, :, ::up, ::up] = images
    padded = F.pad(spread, (before, after, before, after))
    size = len(kernel)
    out_size = padded.shape[2] - size + 1
    out = torch.zeros(batch, channels, out_size, out_size, dtype=images.dtype)
    for row in range(size):
        for column in range(size):
            tap = kernel[size - 1 - row, size - 1 - column]
            out += tap * padded[:, :, row : row + out_size, column : column + out_size]
    return out[:, :, ::down, ::down]


def reference_modulated(
    layer: ModulatedConv2d, images: Tensor, latent: Tensor, residual: Tensor | None = None
) -> Tensor:
    """One image at a time with its own modulated and demodulated weight, as the paper writes it (equations 1-3)."""
    out_channels, in_channels, size, _ = layer.weight.shape[1:]
    outputs = []
    for index in range(len(images)):
        weight = layer.weight[0]
        if residual is not None:
            weight = weight + residual.expand(len(images), *weight.shape)[index]
        affine = layer.modulation
        style = latent[index] @ affine.weight.t() / math.sqrt(affine.weight.shape[1]) + affine.bias
        weight = weight / math.sqrt(in_channels * size * size) * style[None, :, None, None]
        if layer.demodulate:
            weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if layer.blur is None:
            out = F.conv2d(images[index : index + 1], weight, padding=size // 2)
        else:
            out = F.conv_transpose2d(images[index : index + 1], weight.transpose(0, 1), stride=2)
            out = reference_upfirdn(out, layer.blur.kernel, 1, 1, 1, 1)
        assert out.shape[1] == out_channels
        outputs.append(out)
    return torch.cat(outputs)


@pytest.fixture
def asymmetric() -> Tensor:
    """A kernel that tells convolution from correlation and rows from columns."""
    return torch.arange(16.0, dtype=torch.float64).reshape(4, 4) / 50.0


def test_fir_kernel_is_the_binomial_filter_with_its_gain() -> None:
    expected = torch.outer(torch.tensor([1.0, 3.0, 3.0, 1.0]), torch.tensor([1.0, 3.0, 3.0, 1.0])) / 64.0 * 4.0
    assert torch.equal(fir_kernel(4.0), expected)


@pytest.mark.parametrize(("padding", "stride"), [(1, 1), (2, 1), (1, 2)])
def test_fir_filter_equals_its_definition(asymmetric: Tensor, padding: int, stride: int) -> None:
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    expected = reference_upfirdn(images, asymmetric, 1, stride, padding, padding)
    torch.testing.assert_close(fir_filter(images, asymmetric, padding, stride), expected, rtol=0, atol=1e-12)


def test_fir_upsample_equals_zero_insertion_and_filter(asymmetric: Tensor) -> None:
    images = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    expected = reference_upfirdn(images, asymmetric, 2, 1, 2, 1)
    torch.testing.assert_close(fir_upsample(images, asymmetric), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("upsample", [True, False])
@pytest.mark.parametrize("residual_shape", [None, (6, 4, 3, 3), (3, 6, 4, 3, 3), (3, 6, 1, 1, 1)])
def test_activation_scaling_equals_per_image_weights(
    demodulate: bool, upsample: bool, residual_shape: tuple[int, ...] | None
) -> None:
    torch.manual_seed(0)
    layer = ModulatedConv2d(4, 6, 3, 5, demodulate, upsample)
    images, latent = torch.randn(3, 4, 8, 8), torch.randn(3, 5)
    residual = None if residual_shape is None else torch.randn(residual_shape)
    out, factor = layer(images, latent, None if residual is None else {"weight": residual})
    expected = reference_modulated(layer, images, latent, residual)
    # float32, sums of 36 products of order one: a few units in the last place of values up to about 5.
    torch.testing.assert_close(out * factor, expected, rtol=1e-5, atol=1e-5)


def test_styled_layer_adds_noise_and_bias_before_the_activation() -> None:
    torch.manual_seed(0)
    layer = StyledConv(4, 6, 5, upsample=True)
    with torch.no_grad():
        layer.noise.weight.fill_(0.3)
        layer.activate.bias.normal_()
    images, latent, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 5), torch.randn(2, 1, 16, 16)
    plain = reference_modulated(layer.conv, images, latent) + 0.3 * noise + layer.activate.bias[None, :, None, None]
    expected = F.leaky_relu(plain, 0.2) * math.sqrt(2.0)
    torch.testing.assert_close(layer(images, latent, noise), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("size", "downsample", "activate"), [(3, False, True), (3, True, True), (1, True, False)])
def test_discriminator_layer_equals_blur_stride_and_activation(size: int, downsample: bool, activate: bool) -> None:
    torch.manual_seed(0)
    layer = ConvLayer(4, 6, size, downsample, activate)
    state = layer.state_dict()
    weight = next(value for value in state.values() if value.shape == (6, 4, size, size)) / math.sqrt(4 * size * size)
    images = torch.randn(2, 4, 8, 8)
    if downsample:
        kernel = torch.outer(*[torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8.0] * 2)
        padding = {3: 2, 1: 1}[size]
        expected = F.conv2d(reference_upfirdn(images, kernel, 1, 1, padding, padding), weight, stride=2)
    else:
        expected = F.conv2d(images, weight, padding=size // 2)
    if activate:
        layer[-1].bias.data.normal_()
        expected = F.leaky_relu(expected + layer[-1].bias[None, :, None, None], 0.2) * math.sqrt(2.0)
    assert expected.shape[2] == (4 if downsample else 8)
    torch.testing.assert_close(layer(images), expected, rtol=1e-5, atol=1e-5)


def test_equal_linear_scales_weight_and_bias() -> None:
    layer = EqualLinear(9, 2, bias_init=0.5, learning_rate_multiplier=0.01, activate=True)
    inputs = torch.randn(4, 9)
    expected = F.leaky_relu(inputs @ layer.weight.t() * 0.01 / 3.0 + 0.5 * 0.01, 0.2) * math.sqrt(2.0)
    torch.testing.assert_close(layer(inputs), expected, rtol=1e-5, atol=1e-6)
    assert abs(EqualLinear(300, 300, learning_rate_multiplier=0.01).weight.std().item() - 100.0) < 2.0


def test_pixel_norm_gives_unit_mean_square() -> None:
    normalised = PixelNorm()(torch.randn(3, 16) * 7.0)
    torch.testing.assert_close(normalised.square().mean(dim=1), torch.ones(3))


def test_blur_keeps_constants_away_from_the_border() -> None:
    blurred = Blur(padding=2)(torch.full((1, 1, 8, 8), 3.0))
    assert blurred.shape == (1, 1, 9, 9)
    torch.testing.assert_close(blurred[:, :, 2:-2, 2:-2], torch.full((1, 1, 5, 5), 3.0))

"""StyleGAN3 against definitions: filters by SciPy, resampling by its formula, moved inputs, published plans."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.signal import firwin

from core.errors import ReinvertError
from methods.networks.alias_free import filtered_leaky_relu, low_pass_filter, resample
from methods.networks.stylegan3 import ROTATION, FourierInput, Generator, layer_plans, user_transform

TINY = {"style_dim": 8, "channel_base": 64, "channel_max": 6, "layers": 4}


@pytest.mark.parametrize(("taps", "cutoff", "half_width", "rate"), [(12, 2.0, 6.0, 32), (24, 90.5, 80.0, 1024)])
def test_filters_are_kaiser_windowed_sincs(taps: int, cutoff: float, half_width: float, rate: float) -> None:
    wanted = firwin(taps, cutoff, width=2 * half_width, fs=rate)
    found = low_pass_filter(taps, cutoff, half_width, rate)
    assert found is not None
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-7)  # float32
    radial = low_pass_filter(taps, cutoff, half_width, rate, radial=True)
    assert radial is not None
    torch.testing.assert_close(radial, radial.rot90())
    assert abs(radial.sum().item() - 1) < 1e-6
    assert low_pass_filter(1, cutoff, half_width, rate) is None


def by_definition(values: torch.Tensor, taps: torch.Tensor, up: int, down: int, before: int, size: int) -> torch.Tensor:
    filled = torch.zeros(*values.shape[:-1], values.shape[-1] * up, dtype=values.dtype)
    filled[..., ::up] = values
    after = (size - 1) * down + len(taps) - before - filled.shape[-1]
    padded = F.pad(filled, (before, after))
    windows = padded.unfold(-1, len(taps), down)
    return (windows * taps).sum(dim=-1)


@pytest.mark.parametrize(
    ("width", "taps", "up", "down", "before", "size"),
    [
        (38, 12, 2, 1, 9, 82),
        (38, 24, 4, 1, -7, 130),
        (300, 12, 1, 2, 0, 145),
        (300, 12, 2, 1, -11, 560),
        (5, 3, 1, 1, 1, 5),
    ],
)
def test_resampling_is_zeros_then_the_filter_then_every_nth(
    width: int, taps: int, up: int, down: int, before: int, size: int
) -> None:
    values, weights = torch.randn(2, 3, width, dtype=torch.float64), torch.randn(taps, dtype=torch.float64)
    found = resample(values, weights, up, down, before, size)
    wanted = by_definition(values, weights, up, down, before, size)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(resample(values.mT, weights, up, down, before, size, columns=True), wanted.mT)


@pytest.mark.parametrize("radial", [False, True])
def test_the_filtered_nonlinearity_is_its_steps(radial: bool) -> None:
    up, down, before, size = 4, 2, -5, 40
    values = torch.randn(2, 3, 30, 30, dtype=torch.float64)
    first = torch.randn(24, dtype=torch.float64)
    second = torch.randn((12, 12) if radial else 12, dtype=torch.float64)
    between = (size - 1) * down + 12
    wide = by_definition(values, first * up, up, 1, before, between)
    wide = by_definition(wide.mT, first * up, up, 1, before, between).mT
    active = (F.leaky_relu(wide, 0.2) * 1.5).clamp(-3, 3)
    kernel = second if radial else torch.outer(second, second)
    wanted = F.conv2d(active, kernel.expand(3, 1, 12, 12), stride=down, groups=3)
    found = filtered_leaky_relu(values, first, second, up, down, before, size, 0.2, 1.5, 3.0)
    torch.testing.assert_close(found, wanted)


def names(size: int, **arguments: int) -> list[str]:
    plans = layer_plans(size, 14, 2, **{"channel_base": 32768, "channel_max": 512} | arguments)
    return [f"{plan.size}_{plan.channels}" for plan in plans]


def test_plans_are_those_of_the_published_networks() -> None:
    large = "36_512 36_512 52_512 52_512 84_512 148_512 148_512 276_323 276_203 532_128 1044_81 1044_51 1044_32 1024_32"
    assert names(1024) == [*large.split(), "1024_3"]
    small = (
        "36_512 36_512 36_512 52_512 52_512 84_512 84_512 148_362 148_256 148_181 276_128 276_91 276_64 256_64 256_3"
    )
    assert names(256, channel_base=16384) == small.split()


def test_a_moved_input_is_the_same_picture_elsewhere() -> None:
    torch.manual_seed(0)
    layer = FourierInput(style_dim=8, channels=6, size=36, rate=16, bandwidth=2.0)
    style = torch.randn(2, 8)
    still = layer(style)
    layer.transform.copy_(user_transform(right=3 / 16, down=-2 / 16))
    torch.testing.assert_close(layer(style)[:, :, :-2, 3:], still[:, :, 2:, :-3], atol=1e-5, rtol=0)
    layer.transform.copy_(user_transform(degrees=90))
    torch.testing.assert_close(layer(style), still.rot90(1, dims=(2, 3)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("rotation", [False, True])
def test_a_small_generator_draws_learns_and_keeps_means(rotation: bool) -> None:
    torch.manual_seed(0)
    generator = Generator(16, **(ROTATION if rotation else {}) | TINY)
    z = torch.randn(2, 8)
    images = generator(z)
    assert images.shape == (2, 3, 16, 16)
    images.square().mean().backward()
    assert all(parameter.grad is not None for parameter in generator.parameters())
    w = generator.mapping(z, average_decay=0.75)
    torch.testing.assert_close(generator.mapping.w_avg, 0.25 * w.mean(dim=0).detach())
    generator.synthesis(generator.repeat(w), magnitude_decay=0.5)
    assert all(layer.magnitude_ema != 1 for layer in generator.synthesis.layers())


@torch.no_grad()
def test_features_and_truncation_take_their_places() -> None:
    torch.manual_seed(0)
    generator = Generator(16, **TINY)
    styles = generator.repeat(generator.mapping(torch.randn(1, 8)))
    own: list[torch.Tensor] = []
    generator.synthesis.layers()[1].register_forward_hook(lambda _, __, maps: own.append(maps))
    image = generator.synthesis(styles)
    torch.testing.assert_close(generator.synthesis(styles, own[0], 1), image)
    other = torch.randn_like(own[0])
    mixed = generator.synthesis(styles, other, 1, feature_strength=0.3)
    torch.testing.assert_close(mixed, generator.synthesis(styles, 0.7 * own[0] + 0.3 * other, 1))
    assert torch.equal(generator.truncate(styles, 0.0, rows=2)[:, :2], torch.zeros(1, 2, 8))
    assert torch.equal(generator.truncate(styles, 0.0, rows=2)[:, 2:], styles[:, 2:])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ReinvertError, match="power of two"):
        Generator(100)
    with pytest.raises(ReinvertError, match="critically"):
        Generator(16, layers=3, critical=3)
    generator = Generator(16, **TINY)
    with pytest.raises(ReinvertError, match="styles of shape"):
        generator.synthesis(torch.zeros(1, 3, 8))
    styles = torch.zeros(1, generator.style_count, 8)
    with pytest.raises(ReinvertError, match="feature_layer"):
        generator.synthesis(styles, feature_layer=1)
    with pytest.raises(ReinvertError, match="resize the feature"):
        generator.synthesis(styles, torch.zeros(1, 6, 4, 4), 1)

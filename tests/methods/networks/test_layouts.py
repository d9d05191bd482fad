"""The two layouts of StyleGAN2, on tiny networks and against a plain evaluation of NVIDIA's tensors."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import ReinvertError
from methods.networks import layouts
from methods.networks.discriminator import Discriminator
from methods.networks.stylegan2 import Generator

CHANNELS = {4: 6, 8: 5, 16: 4}


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    network = Generator(16, style_dim=7, mapping_layers=3, channels=CHANNELS).eval().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name.endswith(("noise.weight", "bias")):
            parameter += 0.3 * torch.randn_like(parameter)
    return network


def test_generator_survives_the_way_there_and_back(generator: Generator) -> None:
    state, mean = generator.state_dict(), torch.randn(7)
    nvidia = layouts.generator_to_nvidia(state, mean)
    back, mean_back = layouts.generator_from_nvidia(nvidia)
    assert list(back) != [] and set(back) == set(state)
    assert all(torch.equal(back[name], state[name]) for name in state)
    assert torch.equal(mean_back, mean)
    assert nvidia["synthesis.b8.conv0.weight"].shape == (5, 6, 3, 3)
    assert nvidia["synthesis.b8.torgb.bias"].shape == (3,)
    assert nvidia["synthesis.b16.conv1.noise_strength"].shape == ()
    assert layouts.generator_arguments(state) == {
        "size": 16,
        "style_dim": 7,
        "mapping_layers": 3,
        "channels": CHANNELS,
    }


def test_discriminator_survives_the_way_there_and_back() -> None:
    state = Discriminator(16, CHANNELS).state_dict()
    nvidia = layouts.discriminator_to_nvidia(state)
    back = layouts.discriminator_from_nvidia(nvidia)
    assert set(back) == set(state)
    assert all(torch.equal(back[name], state[name]) for name in state)
    assert nvidia["b16.conv1.weight"].shape == (5, 4, 3, 3)
    assert nvidia["b4.fc.weight"].shape == (6, 6 * 16)
    assert layouts.discriminator_arguments(state) == {"size": 16, "channels": CHANNELS}


def modulated(state: dict[str, Tensor], name: str, x: Tensor, w: Tensor, up: bool, demodulate: bool) -> Tensor:
    """NVIDIA's modulated convolution as arXiv 1912.04958 writes it: weights first scaled by the style, then applied."""
    weight = state[f"{name}.weight"].double()
    affine = state[f"{name}.affine.weight"].double()
    style = w @ affine.t() / math.sqrt(affine.shape[1]) + state[f"{name}.affine.bias"].double()
    if not demodulate:
        style = style / math.sqrt(weight.shape[1])
    weight = weight * style[0, None, :, None, None]
    if demodulate:
        weight = weight / weight.square().sum(dim=(1, 2, 3), keepdim=True).add(1e-8).sqrt()
    if not up:
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2)
    wide = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    return filtered(wide, 4.0 * state[f"{name}.resample_filter"].double(), (1, 1))


def filtered(x: Tensor, kernel: Tensor, padding: tuple[int, int]) -> Tensor:
    first, last = padding
    x = F.pad(x, (first, last, first, last))
    return F.conv2d(x, kernel.expand(x.shape[1], 1, 4, 4), padding=0, groups=x.shape[1])


def nvidia_image(state: dict[str, Tensor], ws: Tensor, size: int) -> Tensor:
    """Synthesis from NVIDIA's tensors in float64, one image: blocks of 4 ... size px (their networks.py in words)."""
    x, rgb, row = state["synthesis.b4.const"].double()[None], None, 0
    resolution = 4
    while resolution <= size:
        block = f"synthesis.b{resolution}"
        for conv in ["conv1"] if resolution == 4 else ["conv0", "conv1"]:
            name = f"{block}.{conv}"
            x = modulated(state, name, x, ws[:, row], up=conv == "conv0", demodulate=True)
            x = x + state[f"{name}.noise_const"].double() * state[f"{name}.noise_strength"].double()
            x = F.leaky_relu(x + state[f"{name}.bias"].double()[None, :, None, None], 0.2) * math.sqrt(2)
            row += 1
        y = modulated(state, f"{block}.torgb", x, ws[:, row], up=False, demodulate=False)
        y = y + state[f"{block}.torgb.bias"].double()[None, :, None, None]
        if rgb is not None:
            spread = rgb.new_zeros(1, 3, resolution, resolution)
            spread[:, :, ::2, ::2] = rgb
            y = y + filtered(spread, 4.0 * state[f"{block}.resample_filter"].double(), (2, 1))
        rgb = y
        resolution *= 2
    assert rgb is not None
    return rgb


def test_nvidia_tensors_evaluated_as_nvidia_does_give_our_image(generator: Generator) -> None:
    nvidia = layouts.generator_to_nvidia(generator.state_dict(), torch.zeros(7))
    ws = torch.randn(1, generator.style_count, 7)
    expected = nvidia_image(nvidia, ws.double(), 16)
    # The 1e-8 under the root stands beside squared sums of order one; the rest is float32 rounding.
    torch.testing.assert_close(generator.synthesis(ws).double(), expected, rtol=1e-5, atol=1e-5)


def test_what_does_not_belong_is_named(generator: Generator) -> None:
    nvidia = layouts.generator_to_nvidia(generator.state_dict(), torch.zeros(7))
    with pytest.raises(ReinvertError, match=r"unknown 'mapping.embed.weight'"):
        layouts.generator_from_nvidia(nvidia | {"mapping.embed.weight": torch.zeros(1)})
    del nvidia["synthesis.b8.conv1.bias"]
    with pytest.raises(ReinvertError, match=r"lacks 'synthesis.b8.conv1.bias'"):
        layouts.generator_from_nvidia(nvidia)
    with pytest.raises(ReinvertError, match="not in NVIDIA's"):
        layouts.generator_from_nvidia(generator.state_dict())
    with pytest.raises(ReinvertError, match="not in rosinality's"):
        layouts.discriminator_to_nvidia(generator.state_dict())

"""HFGI: shapes at small size, which map is consulted, and that a zero condition changes nothing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from core.errors import ReinvertError
from methods.networks.hfgi import HFGI, ConsultationEncoder, DistortionAlignment, consulted_layer, resized
from methods.networks.stylegan2 import Generator

CHANNELS = {4: 6, 8: 5, 16: 4, 32: 3}


@pytest.fixture
def networks() -> HFGI:
    torch.manual_seed(0)
    return HFGI(DistortionAlignment((2, 3, 4, 5)), ConsultationEncoder((2, 3, 4), out_channels=4)).eval()


@torch.no_grad()
def test_alignment_keeps_the_size_and_conditions_have_a_quarter(networks: HFGI) -> None:
    assert networks.grid_align(torch.randn(2, 6, 32, 32)).shape == (2, 3, 32, 32)
    scale, shift = networks.residue(torch.randn(2, 3, 32, 32))
    assert scale.shape == shift.shape == (2, 4, 8, 8)


@pytest.mark.parametrize(("size", "layer"), [(64, 8), (8, 2), (16, 4)])
def test_consulted_map_follows_the_convolution_that_doubles(size: int, layer: int) -> None:
    assert consulted_layer(size) == layer
    generator = Generator(64, style_dim=4, mapping_layers=1, channels=dict.fromkeys((4, 8, 16, 32, 64), 2))
    _, feature = generator.synthesis(torch.zeros(1, generator.style_count, 4), return_feature_of=layer)
    assert feature.shape[-1] == size
    _, before = generator.synthesis(torch.zeros(1, generator.style_count, 4), return_feature_of=layer - 1)
    assert before.shape[-1] == size // 2


def test_no_map_of_other_sizes() -> None:
    with pytest.raises(ReinvertError, match="power of two"):
        consulted_layer(12)


@torch.no_grad()
def test_condition_scales_and_shifts_the_drawn_map(networks: HFGI) -> None:
    torch.manual_seed(1)
    generator = Generator(32, style_dim=4, mapping_layers=1, channels=CHANNELS).eval()
    styles = torch.randn(2, generator.style_count, 4)
    drawn, own = generator.synthesis(styles, return_feature_of=4)
    distortion = torch.rand(2, 3, 64, 64) - resized(drawn, torch.zeros(2, 3, 64, 64))
    found = networks(generator, styles, drawn, distortion)
    by_hand = generator.synthesis(styles, feature=own * (1 + found.scale) + found.shift, feature_layer=4)
    assert torch.allclose(found.image, by_hand, atol=1e-5)
    for head in (networks.residue.condition_scale3, networks.residue.condition_shift3):
        head.get_parameter("2.weight").zero_()
        head.get_parameter("2.bias").zero_()
    assert torch.allclose(networks(generator, styles, drawn, distortion).image, drawn, atol=1e-6)


def test_resizing_clamps_first_and_does_not_average() -> None:
    drawn = torch.zeros(1, 3, 16, 16)
    drawn[..., ::4, ::4] = 9.0  # corners of 4x4 blocks: outside the central 2x2 that bilinear resizing reads
    assert resized(drawn, torch.zeros(1, 3, 4, 4)).abs().max() == 0
    drawn[..., 1::4, 1::4] = 9.0
    assert torch.allclose(resized(drawn, torch.zeros(1, 3, 4, 4)), torch.full((1, 3, 4, 4), 0.25))
    assert torch.allclose(resized(drawn, drawn), F.hardtanh(drawn))

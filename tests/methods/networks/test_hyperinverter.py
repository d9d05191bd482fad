"""HyperInverter: which code predicts which weight, the regressor by its formula, and the two phases in miniature."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ReinvertError
from methods.networks.encoders import GradualStyleEncoder
from methods.networks.hyperinverter import HyperInverter
from methods.networks.hypernetwork import HyperNetwork, WeightRegressor, predicted_weights
from methods.networks.stylegan2 import Generator

CHANNELS = {4: 6, 8: 5, 16: 4, 32: 3}
SMALL = {"hidden": 4, "fused_channels": 5, "extractor_channels": 3}


def test_predicted_weights_are_the_generators_own() -> None:
    generator = Generator(32, style_dim=8, mapping_layers=1, channels=CHANNELS)
    shapes = {
        layer.weight: (1, layer.out_channels, layer.in_channels, layer.kernel, layer.kernel)
        for layer in predicted_weights(32, CHANNELS)
    }
    assert shapes == {name: tuple(weight.shape) for name, weight in generator.modulated_weights().items()}


def test_published_rows_of_codes() -> None:
    rows = {layer.regressor.removesuffix("_weight"): layer.code for layer in predicted_weights(1024)}
    wanted = {"b4_conv1": 0, "b4_torgb": 1, "b8_conv0": 2, "b8_conv1": 3, "b8_torgb": 3, "b16_conv0": 4}
    wanted |= {"b1024_conv0": 16, "b1024_conv1": 17, "b1024_torgb": 17}
    assert len(rows) == 26
    assert {name: rows[name] for name in wanted} == wanted


@torch.no_grad()
def test_regressor_reads_memory_without_transposing() -> None:
    torch.manual_seed(0)
    network = WeightRegressor(2, 4, out_channels=3, in_channels=5, kernel=3, **SMALL).double()
    first, image = torch.randn(2, 2, 2, 4, 4, dtype=torch.float64).unbind(0)
    answer = network(first, image)
    strided = [layer for layer in network.feature_extractor if isinstance(layer, nn.Conv2d)]
    weight, bias = (network.fusion.get_parameter(f"0.{kind}") for kind in ("weight", "bias"))
    hidden = F.conv2d(torch.cat([first, image], 1), weight, bias)
    mean, variance = hidden.mean((2, 3), keepdim=True), hidden.var((2, 3), unbiased=False, keepdim=True)
    hidden = ((hidden - mean) / (variance + 1e-5).sqrt()).clamp_min(0)
    for layer in strided:
        hidden = layer(hidden).clamp_min(0)
    for index, vector in enumerate(hidden.flatten(1)):
        by_channel = (vector @ network.w1 + network.b1).reshape(5, 4)
        memory = torch.stack([row @ network.w2 + network.b2 for row in by_channel]).flatten()
        for out, channel, row, column in ((0, 0, 0, 1), (1, 4, 2, 0), (2, 3, 1, 1)):
            place = ((out * 5 + channel) * 3 + row) * 3 + column
            assert torch.allclose(answer[index, out, channel, row, column], memory[place], rtol=1e-12, atol=1e-15)


def test_codes_must_halve_to_a_pixel() -> None:
    with pytest.raises(ReinvertError, match="power of two"):
        WeightRegressor(2, 6, 3, 3, 3)


class _Mean(nn.Module):
    """Stands in for the W encoder: channel means, repeated."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3)).repeat(1, 3)[:, :8]


@torch.no_grad()
def test_two_phases_change_the_image_only_through_the_residuals() -> None:
    torch.manual_seed(0)
    generator = Generator(32, style_dim=8, mapping_layers=1, channels=CHANNELS).eval()
    encoder = GradualStyleEncoder(
        64, generator.style_count, None, widths=(4, 4, 6, 8), units=(1, 1, 1, 1), style_width=5, code_size=2
    ).eval()
    hypernet = HyperNetwork(32, CHANNELS, code_channels=5, code_size=2, **SMALL)
    for layer in hypernet.predicted:  # they start so small that the generator is nearly unchanged
        hypernet.get_parameter(f"weight_regressors.{layer.regressor}.w2").mul_(1e3)
    method = HyperInverter(_Mean(), encoder, hypernet, size=64)
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    found = method(images, generator, torch.full((8,), 0.5))
    small = F.interpolate(images, size=64, mode="bilinear")
    assert torch.allclose(found.styles[:, 3], small.mean(dim=(2, 3)).repeat(1, 3)[:, :8] + 0.5, atol=1e-6)
    assert torch.equal(found.first_image, generator.synthesis(found.styles))
    drawn = generator.synthesis(found.styles, weight_residuals=found.weight_residuals)
    alone = generator.synthesis(
        found.styles[1:], weight_residuals={name: value[1:] for name, value in found.weight_residuals.items()}
    )
    assert torch.allclose(drawn[1:], alone, atol=1e-5)  # each image has weights of its own
    assert not torch.allclose(drawn, found.first_image, atol=1e-4)

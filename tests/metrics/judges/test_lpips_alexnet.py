"""LPIPS with calibration: its formula on known features, its names, and the sum over scales."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from core.errors import ReinvertError
from metrics.judges.lpips_alexnet import CHANNELS, CalibratedPerceptual, per_scale, published_names

POSITIONS = (0, 3, 6, 8, 10)


def published_state(network: CalibratedPerceptual) -> dict[str, torch.Tensor]:
    state = {
        "scaling_layer.shift": torch.tensor([-0.030, -0.088, -0.188])[None, :, None, None],
        "scaling_layer.scale": torch.tensor([0.458, 0.448, 0.450])[None, :, None, None],
    }
    for index, position in enumerate(POSITIONS):
        for kind in ("weight", "bias"):
            value = network.trunk.get_parameter(f"features.{position}.{kind}")
            state[f"net.slice{index + 1}.{position}.{kind}"] = value
        state[f"lin{index}.model.1.weight"] = torch.rand(1, CHANNELS[index], 1, 1)
    return state


@torch.no_grad()
def test_agrees_with_the_formula_written_out() -> None:
    torch.manual_seed(0)
    network = CalibratedPerceptual(channel_epsilon=1e-2).eval()
    state = published_state(network)
    network.load_state_dict(published_names(state))
    first, second = torch.rand(2, 2, 3, 40, 40) * 2 - 1
    wanted = torch.zeros(2)
    for layer, (a, b) in enumerate(zip(network.trunk(first), network.trunk(second), strict=True)):
        a, b = (x / ((x**2 + 1e-2).sum(1, keepdim=True).sqrt() + 1e-10) for x in (a, b))
        wanted += F.conv2d((a - b) ** 2, state[f"lin{layer}.model.1.weight"]).mean((1, 2, 3))
    assert torch.allclose(network(first, second), wanted, rtol=1e-5)
    assert network(first, first).abs().max() == 0


@torch.no_grad()
def test_scales_halve_by_means_of_four() -> None:
    torch.manual_seed(0)
    network = CalibratedPerceptual().eval()
    first, second = torch.rand(2, 1, 3, 64, 64) * 2 - 1
    scales = per_scale(network, first, second, scales=2)
    assert torch.allclose(scales[0], network(first, second))
    assert torch.allclose(scales[1], network(F.avg_pool2d(first, 2), F.avg_pool2d(second, 2)), rtol=1e-4)


def test_another_scaling_is_refused() -> None:
    state = published_state(CalibratedPerceptual())
    state["scaling_layer.scale"] = state["scaling_layer.scale"] * 2
    with pytest.raises(ReinvertError, match="ImageNet"):
        published_names(state)

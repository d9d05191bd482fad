"""E2Style's stages at tiny sizes, and its loop against the recurrence written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from core.errors import ReinvertError
from methods.networks.e2style import E2Style, StageEncoder
from methods.networks.stylegan2 import Generator

SMALL: dict[str, Any] = {"style_dim": 6, "styles": (3, 2, 1), "widths": (4, 4, 6, 8), "units": (1, 1, 1, 1), "grid": 2}


@pytest.fixture
def network() -> E2Style:
    torch.manual_seed(0)
    generator = Generator(16, 6, 2, {4: 4, 8: 4, 16: 4})
    stages = [StageEncoder(in_channels=6, **SMALL) for _ in range(2)]
    return E2Style(StageEncoder(**SMALL), stages, generator).eval()


def test_depth_and_order_of_the_heads() -> None:
    torch.manual_seed(0)
    encoder = StageEncoder(**SMALL).eval()
    images = torch.randn(2, 3, 32, 32)
    before = encoder(images)
    assert before.shape == (2, 6, 6)
    for stage, untouched in ((0, 0), (1, 1), (2, 3), (3, 6)):  # a deeper stage reaches fewer, coarser styles
        with torch.no_grad():
            encoder.get_parameter(f"body.{stage}.res_layer.4.bias").add_(1.0)
        after = encoder(images)
        changed = [not torch.equal(before[:, row], after[:, row]) for row in range(6)]
        assert changed == [row < 6 - untouched for row in range(6)]
        before = after


def test_the_loop_adds_the_mean_once_and_shows_each_stage_the_last_image(network: E2Style) -> None:
    images, mean = torch.randn(1, 3, 8, 8), torch.randn(6, 6)
    network = network.requires_grad_(False)

    def drawn(styles: Tensor) -> Tensor:
        return network.decoder.synthesis(styles).unflatten(3, (8, 2)).unflatten(2, (8, 2)).mean(dim=(3, 5))

    styles = network.encoder_firststage(images) + mean
    stages = list(network.invert(images, mean))
    assert len(stages) == 3
    for index, (found, image) in enumerate(stages):
        if index:
            encoder = network.encoder_refinestage_list[index - 1]
            styles = styles + encoder(torch.cat([images, drawn(styles)], dim=1))
        # Means of four numbers in another order differ by some 1e-7, which three networks hardly amplify.
        assert torch.allclose(found, styles, atol=1e-4)
        assert torch.allclose(image, drawn(styles), atol=1e-4)


def test_names_are_those_of_the_published_checkpoints(network: E2Style) -> None:
    tops = {name.split(".")[0] for name in network.state_dict()}
    assert tops == {"encoder_firststage", "encoder_refinestage_list", "decoder"}


def test_wrong_numbers_of_stages_are_refused() -> None:
    with pytest.raises(ReinvertError, match="four stages and 3 heads"):
        StageEncoder(**(SMALL | {"styles": (3, 2)}))

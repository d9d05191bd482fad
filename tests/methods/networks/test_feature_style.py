"""The Feature-Style encoder at small size, its names, and the replacement of a generator's map."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from core.errors import ReinvertError
from methods.networks.feature_style import (
    FeatureStyleEncoder,
    blended,
    edited_feature,
    feature_weight,
    published_names,
)
from methods.networks.stylegan2 import Generator

SMALL: dict[str, Any] = {
    "style_count": 6,
    "style_dim": 5,
    "widths": (2, 3, 4, 5),
    "units": (1, 2, 1, 1),
    "feature_channels": 3,
}


@torch.no_grad()
@pytest.mark.parametrize(("stage", "side"), [(3, 4), (1, 16)])
def test_codes_and_feature(stage: int, side: int) -> None:
    network = FeatureStyleEncoder(**SMALL, feature_stage=stage).eval()
    styles, feature = network(torch.rand(2, 3, 64, 64))
    assert styles.shape == (2, 6, 5)
    assert feature.shape == (2, 3, side, side)


def test_published_names_cover_the_network() -> None:
    ours = FeatureStyleEncoder(**SMALL).state_dict()
    units = {"res_layer.0": "bn1", "res_layer.1": "conv1", "res_layer.2": "bn2", "res_layer.3": "prelu"}
    units |= {"res_layer.4": "conv2", "res_layer.5": "bn3", "shortcut_layer": "downsample"}
    places = ["block_1.0", "block_2.0", "block_2.1", "block_3.0", "block_4.0"]
    published = {}
    for name, value in ours.items():
        renamed = name.replace("input_layer.", "conv.")
        if name.startswith("body."):
            _, unit, rest = name.split(".", 2)
            for mine, theirs in units.items():
                if rest.startswith(mine):
                    renamed = f"{places[int(unit)]}.{theirs}{rest.removeprefix(mine)}"
        published[renamed] = value
    assert "block_2.1.prelu.weight" in published
    back = published_names(published, SMALL["units"])
    assert set(back) == set(ours)
    assert all(torch.equal(back[name], ours[name]) for name in ours)


def test_stage_must_exist() -> None:
    with pytest.raises(ReinvertError, match="feature_stage"):
        FeatureStyleEncoder(**SMALL, feature_stage=5)


@torch.no_grad()
def test_blending_and_editing_move_the_generators_own_map() -> None:
    torch.manual_seed(0)
    generator = Generator(32, style_dim=5, mapping_layers=1, channels=dict.fromkeys((4, 8, 16, 32), 3)).eval()
    styles, edited = torch.randn(2, 1, generator.style_count, 5).unbind(0)
    plain, own = generator.synthesis(styles, return_feature_of=5)
    image, own_edited = generator.synthesis(edited, return_feature_of=5)
    feature = torch.randn_like(own)
    partly = generator.synthesis(styles, feature=blended(feature, 0.3), feature_layer=5)
    by_hand = generator.synthesis(styles, feature=0.7 * own + 0.3 * feature, feature_layer=5)
    assert torch.allclose(partly, by_hand, atol=1e-5)
    assert torch.allclose(generator.synthesis(styles, feature=blended(feature, 0.0), feature_layer=5), plain)
    # The generator's own map, edited, is the map of the edited codes.
    moved = edited_feature(own, own, own_edited)
    assert torch.allclose(generator.synthesis(edited, feature=moved, feature_layer=5), image, atol=1e-5)


def test_weight_ramps_to_one() -> None:
    assert [feature_weight(step) for step in (0, 5000, 10_000, 30_000)] == [0.0, 0.5, 1.0, 1.0]

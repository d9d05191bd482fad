"""How much changes from one step to the next, against closed forms and loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metrics import change

GROUPS = {"coarse": (0, 2), "fine": (2, 3)}


def test_colours_move_between_nothing_and_black_to_white() -> None:
    black, white = torch.full((1, 3, 2, 2), -1.0), torch.full((1, 3, 2, 2), 1.0)
    assert torch.equal(change.colour_distance(black, white), torch.ones(1, 2, 2))
    assert torch.equal(change.colour_distance(white, white * 7), torch.zeros(1, 2, 2))  # clipped, as a picture is
    one_channel = black.clone()
    one_channel[:, 1, 0, 0] = 1.0
    moved = change.colour_distance(black, one_channel)
    assert moved[0, 0, 0] == pytest.approx(3**-0.5) and moved.count_nonzero() == 1
    one_channel[:, 1, 0, 0] = torch.nan
    assert change.colour_distance(black, one_channel).isnan().sum() == 1


def test_latent_change_is_restyle_s_equations() -> None:
    generator = np.random.default_rng(0)
    before, after = generator.normal(size=(2, 5, 3, 4))
    found = change.latent_change((after - before) ** 2, GROUPS)
    norms = []
    for style in range(3):
        means = [sum((after[i, style, d] - before[i, style, d]) ** 2 for i in range(5)) / 5 for d in range(4)]
        norms.append(sum(mean**2 for mean in means) ** 0.5)
    assert found["coarse"] == pytest.approx((norms[0] + norms[1]) / 2, rel=1e-12)
    assert found["fine"] == pytest.approx(norms[2], rel=1e-12)


def test_latent_intervals_are_those_of_resampled_images() -> None:
    squared = np.random.default_rng(1).exponential(size=(6, 3, 4))
    found = change.latent_intervals(squared, GROUPS, 4000, 0)
    generator = np.random.default_rng(2)  # another draw: equal to the noise of the resampling
    drawn = [change.latent_change(squared[generator.integers(6, size=6)], GROUPS)["coarse"] for _ in range(4000)]
    assert found["coarse"] == pytest.approx(np.quantile(drawn, (0.025, 0.975)), rel=0.04)
    same = change.latent_intervals(np.ones((6, 3, 4)), GROUPS, 100, 0)
    assert same["fine"] == pytest.approx((2.0, 2.0))  # equal images leave no doubt; the norm of four ones


def test_weight_change_is_the_mean_size() -> None:
    residual = torch.tensor([[[-1.0, 3.0]], [[0.0, 0.5]]])
    assert change.weight_change(residual).tolist() == [2.0, 0.25]

"""What edits did: formulas against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from metrics import editing


def test_only_a_sequence_that_rises_at_every_step_is_monotone() -> None:
    assert editing.is_monotone([-2.0, 0.0, 0.1])
    assert not editing.is_monotone([-2.0, 0.0, 0.0])
    assert not editing.is_monotone([2.0, 0.0, -1.0])
    assert not editing.is_monotone([1.0])


def test_share_of_rising_steps_counts_ties_as_half() -> None:
    values = np.array([[0.0, 0.0, 0.0], [1.0, -1.0, 0.0], [2.0, -2.0, 1.0]])
    assert editing.rising_share(values) == (1 + 0 + 0.5 + 1 + 0 + 1) / 6


def test_slopes_are_those_of_numpys_least_squares() -> None:
    source = np.random.default_rng(0)
    gammas, values = [-3.0, -1.0, 0.0, 2.0], source.normal(size=(4, 5))
    np.testing.assert_allclose(editing.slopes(gammas, values), np.polyfit(gammas, values, 1)[0], rtol=1e-12)


def test_effects_are_compared_in_their_own_spreads() -> None:
    effects = editing.standardised(
        {"age": 30.0, "yaw": -5.0, "flat": 1.0, "rare": 9.0}, {"age": 15.0, "yaw": 20.0, "flat": 0.0}
    )
    assert effects == {"age": 2.0, "yaw": -0.25, "flat": 0.0}
    assert editing.selectivity(effects, "age") == 8.0
    assert editing.selectivity(effects, "yaw") == 0.125
    assert editing.selectivity({"age": 1.0, "yaw": 0.0}, "age") == math.inf
    assert editing.selectivity({"age": 0.0, "yaw": 0.0}, "age") == 1.0


def test_code_distance_is_in_deviations_of_one_coordinate() -> None:
    first = torch.zeros(2, 3, 16)
    second = torch.stack([torch.full((3, 16), 0.5), torch.zeros(3, 16)])
    # A spread of 4 over 16 dimensions is 1 per dimension.
    torch.testing.assert_close(editing.code_distance(first, second, 4.0), torch.tensor([0.5, 0.0]).double())


def test_followed_share_is_the_planted_one_and_its_interval_holds_it() -> None:
    source = np.random.default_rng(1)
    first, second = source.normal(size=40), source.normal(size=40)
    assert editing.followed_share(0.3 * first + 0.7 * second, first, second) == pytest.approx(0.3)
    noisy = 0.3 * first + 0.7 * second + source.normal(scale=0.2, size=40)
    share, low, high = editing.followed_share_with_interval(noisy, first, second, 500, 0)
    assert share is not None and low is not None and high is not None
    assert low < 0.3 < high and low < share < high and high - low < 0.2
    assert math.isnan(editing.followed_share(first, first, first))
    assert editing.followed_share_with_interval(first, first, first, 100, 0) == (None, None, None)
    assert editing.followed_share_with_interval(first[:0], first[:0], first[:0], 100, 0) == (None, None, None)


def test_changed_pixels_are_a_share_of_each_image() -> None:
    before, after = np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2, 4), np.uint8)
    after[1, 0] = 3
    assert editing.changed_pixels(before, after).tolist() == [0.0, 0.5]

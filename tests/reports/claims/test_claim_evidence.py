"""Differences and their intervals, against closed forms."""

import math

import numpy as np
import pandas as pd
import pytest

from reports.claims.evidence import Cell, Evidence, Missing, Value, rounded, sign, size, weighted_sum


def of_scores(scores: np.ndarray, index=None) -> Value:
    """Mean and normal interval of independent scores, with the scores."""
    mean, half = scores.mean(), 1.96 * scores.std() / math.sqrt(len(scores))
    series = pd.Series(scores, index=range(len(scores)) if index is None else index)
    return Value(mean, mean - half, mean + half, "sampled", "", len(scores), series)


def without_scores(value: Value) -> Value:
    return Value(**{**value.__dict__, "scores": None})


def test_intervals_of_independent_samples_add_in_squares():
    a, b = Value(5, 4, 7, "sampled", ""), Value(3, 2.5, 3.2, "sampled", "")
    total, low, high = weighted_sum([(1, a), (-2, b)])
    assert total == -1
    # Zou and Donner 2008, equation for a difference: towards zero the near end of one, the far end of the other.
    assert low == pytest.approx(-1 - math.hypot(5 - 4, 2 * (3.2 - 3)))
    assert high == pytest.approx(-1 + math.hypot(7 - 5, 2 * (3 - 2.5)))


def test_of_normal_means_the_interval_is_that_of_the_difference():
    # For symmetric intervals the square-and-add method is the textbook z interval.
    a, b = Value(1.0, 0.7, 1.3, "sampled", ""), Value(0.2, -0.2, 0.6, "sampled", "")
    assert weighted_sum([(1, a), (-1, b)])[1:] == pytest.approx((0.8 - 0.5, 0.8 + 0.5))


def test_rounded_numbers_are_bounded_and_not_sampled():
    a, b = rounded(0.66, "ssim", 2), rounded(0.67, "ssim", 2)
    assert weighted_sum([(1, b), (-1, a)]) == pytest.approx((0.01, 0.0, 0.02))
    assert sign([(1, b), (-1, a)]) == 1  # what reads greater is greater
    assert sign([(1, a), (-1, b)]) == -1
    assert sign([(1, a), (-1, a)]) == 0
    assert sign([(1.001, a), (-1, a)]) == 0
    mixed = Value(0.675, 0.671, 0.68, "sampled", "")
    assert weighted_sum([(1, mixed), (-1, a)])[1:] == pytest.approx((0.671 - 0.665, 0.68 - 0.655))


def test_touching_zero_decides_nothing_between_samples():
    assert sign([(1, Value(1, 0.5, 1.5, "sampled", "")), (-1, Value(0.5, 0.5, 0.5, "sampled", ""))]) == 0


def test_paired_scores_decide_what_independent_intervals_cannot():
    generator = np.random.default_rng(0)
    images = generator.normal(1.0, 0.5, 64)
    a, b = of_scores(images), of_scores(images + 0.05 + generator.normal(0, 0.02, 64))
    assert sign([(1, b), (-1, a)]) == 1
    assert sign([(1, without_scores(b)), (-1, without_scores(a))]) == 0
    total, low, high = weighted_sum([(1, b), (-1, a)])
    difference = (b.scores - a.scores).to_numpy()
    half = 1.96 * difference.std() / 8
    # The bootstrap of a mean approaches the normal interval; 2000 resamples leave about 3 % of its width.
    assert (low, high) == pytest.approx((total - half, total + half), abs=0.15 * half)


def test_pairs_are_of_the_same_images_in_any_order():
    scores = np.random.default_rng(1).normal(1.0, 0.5, 32)
    a = of_scores(scores)
    order = np.random.default_rng(2).permutation(32)
    b = of_scores((scores + 0.1)[order], index=order)
    assert weighted_sum([(1, b), (-1, a)]) == pytest.approx((0.1, 0.1, 0.1))
    other = of_scores(scores + 0.1, index=range(1, 33))
    _, low, high = weighted_sum([(1, other), (-1, a)])
    assert high - low > 0.1  # other images: as independent


def test_the_size_of_a_change_keeps_its_interval():
    sized = size(Value(-4, -5, -3, "sampled", ""), "abs_age_delta")
    assert (sized.value, sized.low, sized.high) == (4, 3, 5)
    across = size(Value(-1, -3, 1, "sampled", ""), "abs_age_delta")
    assert (across.value, across.low, across.high) == (1, 0, 3)


def test_change_per_gamma_is_the_least_squares_slope():
    evidence = Evidence(domains=["faces"])
    changes = {-2: -5.0, -1: -2.0, 0: 0.3, 1: 2.5, 2: 4.0}
    for gamma, change in changes.items():
        evidence.cells[Cell("faces", "a", "age_delta", f"gamma={gamma}")] = Value(
            change, change - 0.5, change + 0.5, "sampled", ""
        )
    found = evidence.find("faces", "a", "age_delta_per_gamma")
    gammas, deltas = np.array([-2, -1, 1, 2]), np.array([-5.0, -2.0, 2.5, 4.0])
    expected = np.linalg.lstsq(gammas[:, None], deltas, rcond=None)[0][0]
    assert isinstance(found, Value)
    assert found.value == pytest.approx(expected)
    # All points off by half a year together: 0.5 (2 + 1 + 1 + 2) / 10.
    assert (found.low, found.high) == pytest.approx((expected - 0.3, expected + 0.3))
    assert isinstance(evidence.find("faces", "b", "age_delta_per_gamma"), Missing)


def test_sweeps_are_in_numerical_order():
    evidence = Evidence(domains=["faces"])
    for step in (10, 9, 1):
        evidence.cells[Cell("faces", "a", "l2", f"step={step}")] = rounded(step, "l2")
    evidence.cells[Cell("faces", "a", "l2", "step=1,group=coarse")] = rounded(7, "l2")
    assert [point for point, _ in evidence.swept("faces", "a", "l2", "step")] == [1, 9, 10]

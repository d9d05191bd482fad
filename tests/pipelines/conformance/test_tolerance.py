"""What a tolerance measures, on arrays whose deviations are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipelines.conformance.cases import Tolerance

GOLDEN = np.array([4.0, -2.0, 0.0, 1.0])


def test_largest_and_mean_deviation_are_relative_to_the_largest_value() -> None:
    ours = GOLDEN + np.array([0.0, 0.4, 0.0, -0.2])
    assert Tolerance(1e-3).deviation(ours, GOLDEN) == pytest.approx((0.1, 1e-3))
    assert Tolerance(1e-3, measure="mean").deviation(ours, GOLDEN) == pytest.approx((0.0375, 1e-3))
    assert Tolerance(1e-3, absolute=0.02).deviation(ours, GOLDEN) == pytest.approx((0.1, 6e-3))


def test_directions_are_compared_by_angle() -> None:
    turned = np.array([[math.cos(0.1), math.sin(0.1)]])
    tolerance = Tolerance(1e-3, measure="cosine")
    assert tolerance.deviation(7 * turned, np.array([[1.0, 0.0]])) == pytest.approx((1 - math.cos(0.1), 1e-3))
    # Of several directions the one that is farthest off counts, however long the others are.
    several, golden = np.concatenate([np.array([[0.0, 99.0]]), turned]), np.array([[0.0, 99.0], [1.0, 0.0]])
    assert tolerance.deviation(several, golden) == pytest.approx((1 - math.cos(0.1), 1e-3))


def test_first_entry_has_a_tighter_limit() -> None:
    tolerance = Tolerance(1e-2, first=1e-4)
    assert tolerance.deviation(GOLDEN + np.array([4e-3, 0, 0, 0]), GOLDEN) == pytest.approx((1e-3, 1e-4))
    assert tolerance.deviation(GOLDEN + np.array([0, 4e-2, 0, 0]), GOLDEN) == pytest.approx((2e-2, 1e-2))


@pytest.mark.parametrize("tolerance", [Tolerance(), Tolerance(measure="mean"), Tolerance(first=1e-6)])
@pytest.mark.parametrize("entry", [0, 3])
def test_what_is_not_a_number_is_not_within(tolerance: Tolerance, entry: int) -> None:
    ours = GOLDEN.copy()
    ours[entry] = np.nan
    deviation, allowed = tolerance.deviation(ours, GOLDEN)
    assert not deviation <= allowed

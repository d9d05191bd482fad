"""The support vector machine against its optimality conditions and a plane known in advance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from core.errors import ReinvertError
from methods.editing import linear_svm


def test_two_points_have_the_plane_between_them() -> None:
    # |w| = 2 / distance, halfway: the closed form of the widest margin.
    weights, intercept = linear_svm.fit(np.array([[3.0, 1.0], [1.0, 1.0]]), np.array([True, False]), cost=10.0)
    np.testing.assert_allclose(weights, [1.0, 0.0], atol=1e-6)
    assert intercept == pytest.approx(-2.0, abs=1e-6)


@pytest.mark.parametrize("cost", [0.05, 1.0])
def test_overlapping_classes_reach_the_least_objective(cost: float) -> None:
    source = np.random.default_rng(0)
    samples = np.concatenate([source.normal(0.5, 1, (25, 3)), source.normal(-0.5, 1, (35, 3))])
    positive = np.arange(60) < 25
    signs = np.where(positive, 1.0, -1.0)

    def objective(plane: np.ndarray) -> float:
        hinge = np.maximum(0, 1 - signs * (samples @ plane[:3] + plane[3]))
        return float(plane[:3] @ plane[:3] / 2 + cost * hinge.sum())

    weights, intercept = linear_svm.fit(samples, positive, cost)
    found = objective(np.array([*weights, intercept]))
    # A general minimiser, from several starts, must find nothing better; the hinge limits how near it comes.
    starts = [np.zeros(4), np.array([*weights, intercept]), source.normal(size=4)]
    best = min(minimize(objective, start, method="Nelder-Mead", options={"maxiter": 4000}).fun for start in starts)
    assert found <= best + 1e-6 * best


def test_order_of_samples_does_not_matter() -> None:
    source = np.random.default_rng(1)
    samples, positive = source.normal(size=(80, 5)), np.arange(80) % 2 == 0
    order = source.permutation(80)
    one, other = (linear_svm.fit(samples[o], positive[o])[0] for o in (np.arange(80), order))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_one_class_is_one_clear_line() -> None:
    with pytest.raises(ReinvertError, match="one class"):
        linear_svm.fit(np.ones((3, 2)), np.ones(3, dtype=bool))

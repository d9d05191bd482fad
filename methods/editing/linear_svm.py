"""A linear support vector machine with intercept, solved by sequential minimal optimisation.

The problem is that of `SVC(kernel="linear")`: minimise |w|^2 / 2 + C sum max(0, 1 - y (w x + b)). Its dual is solved
two variables at a time: Platt, "Fast Training of Support Vector Machines using Sequential Minimal Optimization" (1998),
with the pairs chosen by second-order information (Fan, Chen & Lin, JMLR 6, 2005, "WSS 2") as in LIBSVM. Written here
because it is all of scikit-learn that this project would need.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.errors import ReinvertError

_SMALLEST_CURVATURE = 1e-12
_STEPS_PER_SAMPLE = 10_000

Floats = NDArray[np.float64]


def fit(
    samples: Floats, positive: NDArray[np.bool_], cost: float = 1.0, tolerance: float = 1e-6
) -> tuple[Floats, float]:
    """Weights (d,) and intercept of the hyperplane that separates samples.

    Args:
        samples: (n, d).
        positive: (n,) the class of each; both must occur.
        cost: C of the objective.
        tolerance: largest violation of the optimality conditions left. LIBSVM stops at 1e-3, where the direction still
            depends on the order of the samples (cosine 1 - 1e-6).

    Raises:
        ReinvertError: only one class, or the search does not end, as happens when values are not finite.
    """
    if positive.all() or not positive.any():
        raise ReinvertError("all samples are of one class; a boundary needs both")
    signs = np.where(positive, 1.0, -1.0)
    squares = np.einsum("nd,nd->n", samples, samples)
    alpha = np.zeros(len(samples))
    weights = np.zeros(samples.shape[1])
    gradient = -np.ones(len(samples))
    for _ in range(_STEPS_PER_SAMPLE * len(samples)):
        # alpha_t may still move along +y_t (may_rise) or -y_t (may_fall) inside the box [0, C].
        may_rise = np.where(positive, alpha < cost, alpha > 0)
        may_fall = np.where(positive, alpha > 0, alpha < cost)
        violation = -signs * gradient
        first = int(np.argmax(np.where(may_rise, violation, -np.inf)))
        highest, lowest = violation[first], violation[may_fall].min()
        if highest - lowest < tolerance:
            return weights, float(_intercept(alpha, violation, may_rise, may_fall, cost))
        kernel = samples @ samples[first]
        gap = highest - violation
        curvature = np.maximum(squares[first] + squares - 2 * kernel, _SMALLEST_CURVATURE)
        second = int(np.argmax(np.where(may_fall & (gap > 0), gap * gap / curvature, -np.inf)))
        step = min(
            gap[second] / curvature[second],
            cost - alpha[first] if positive[first] else alpha[first],
            alpha[second] if positive[second] else cost - alpha[second],
        )
        alpha[first] = np.clip(alpha[first] + signs[first] * step, 0, cost)
        alpha[second] = np.clip(alpha[second] - signs[second] * step, 0, cost)
        weights += step * (samples[first] - samples[second])
        gradient += signs * step * (kernel - samples @ samples[second])
    raise ReinvertError("the boundary search does not settle; look for values that are not finite or far too large")


def _intercept(
    alpha: Floats, violation: Floats, may_rise: NDArray[np.bool_], may_fall: NDArray[np.bool_], cost: float
) -> float:
    free = (alpha > 0) & (alpha < cost)
    if free.any():
        return float(violation[free].mean())
    return float((violation[may_rise].max() + violation[may_fall].min()) / 2)

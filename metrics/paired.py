"""Two methods on the same images: the mean difference of their scores, its bootstrap interval, and the sign test.

Methods differ less than images do, so intervals of two means may overlap widely where one method is better on every
image. The difference is therefore taken image by image. Its interval is the percentile bootstrap over images (Efron
1979); the sign test (Dixon and Mood 1946) asks only on how many images each is better, and needs no assumption on how
differences are distributed. Nothing is dropped: a failed reconstruction enters by its score under the failure rule.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from metrics.registry import Direction
from metrics.statistics import Scores, bootstrap_means


@dataclass(frozen=True)
class PairedDifference:
    """First method against second on the same images.

    Attributes:
        mean: of first - second, over all images.
        low, high: 95 % bootstrap interval of that mean.
        better, worse, equal: on how many images the first is better than, worse than, equal to the second.
        p: two-sided p of the sign test: how likely so uneven a split is, were each image a fair coin; 1 where all are
            equal.
        n: number of images, the failed ones included.
        n_failed: on how many of them either method failed.
    """

    mean: float
    low: float
    high: float
    better: int
    worse: int
    equal: int
    p: float
    n: int
    n_failed: int

    def as_dict(self) -> dict[str, float | int]:
        """For a JSON file."""
        return asdict(self)


def paired_difference(
    first: Scores, second: Scores, failed: NDArray[np.bool_], direction: Direction, resamples: int, seed: int
) -> PairedDifference:
    """Compare two methods by their scores on the same images.

    Args:
        first: (n,) float64; a failed image holds what its failure counts as.
        second: (n,) float64, of the same images in the same order.
        failed: (n,) whether either method failed on the image.
        direction: whether "lower" or "higher" scores are better.
        resamples: bootstrap resamples.
        seed: their seed.

    Raises:
        ValueError: no images, lengths that differ, or a score that is not finite (it would be a hidden failure).
    """
    if first.ndim != 1 or not len(first) or not first.shape == second.shape == failed.shape:
        raise ValueError(f"one score of each method per image, got {first.shape}, {second.shape} and {failed.shape}")
    # Sorted, so that the interval does not depend on the order of the images.
    differences = np.sort(first.astype(np.float64) - second.astype(np.float64))
    if not np.isfinite(differences).all():
        raise ValueError("a score is not finite: failed images must hold the score their failure counts as")
    low, high = np.quantile(bootstrap_means(differences, resamples, seed), (0.025, 0.975))
    above, below = int((differences > 0).sum()), int((differences < 0).sum())
    better, worse = (below, above) if direction == "lower" else (above, below)
    n = len(differences)
    return PairedDifference(
        mean=math.fsum(differences) / n,
        low=float(low),
        high=float(high),
        better=better,
        worse=worse,
        equal=n - better - worse,
        p=sign_test(better, worse),
        n=n,
        n_failed=int(failed.sum()),
    )


def sign_test(better: int, worse: int) -> float:
    """Two-sided p of the exact sign test, ties left out: twice the binomial tail with a fair coin, at most 1."""
    tosses = better + worse
    tail = sum(math.comb(tosses, heads) for heads in range(min(better, worse) + 1))
    # Integers throughout: the power of two does not fit a float from 1,024 images on.
    return min(1.0, 2 * tail / 2**tosses) if tosses else 1.0

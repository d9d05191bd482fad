"""Means over images with a bootstrap interval; nothing is dropped.

The interval is the percentile bootstrap (Efron 1979) over images: the 2.5 % and 97.5 % quantiles of the means of
seeded resamples. Scores are sorted first, so neither the mean nor the interval depends on the order of the images.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
RESAMPLED_VALUES_AT_ONCE = 2**22


@dataclass(frozen=True)
class Summary:
    """Mean of one metric over the images of a run.

    Attributes:
        mean: over all images, the failed ones entering by the metric's failure rule.
        low, high: 95 % bootstrap interval of the mean.
        n: number of images, the failed ones included.
        n_failed: how many of them failed.
    """

    mean: float
    low: float
    high: float
    n: int
    n_failed: int

    def as_dict(self) -> dict[str, float | int]:
        """For metrics.json."""
        return asdict(self)


def summarise(scores: Scores, failed: NDArray[np.bool_], resamples: int, seed: int) -> Summary:
    """Mean, interval and counts of one score per image.

    Args:
        scores: (n,) float64; a failed image holds what its failure counts as (`Protocol.worst`).
        failed: (n,) whether the image failed.
        resamples: bootstrap resamples.
        seed: their seed.

    Raises:
        ValueError: no images, lengths that differ, or a score that is not finite (it would be a hidden failure).
    """
    if scores.ndim != 1 or scores.shape != failed.shape or not len(scores):
        raise ValueError(f"one score and one failure flag per image, got {scores.shape} and {failed.shape}")
    ordered = np.sort(scores.astype(np.float64))
    if not np.isfinite(ordered).all():
        raise ValueError("a score is not finite: failed images must hold the score their failure counts as")
    low, high = np.quantile(bootstrap_means(ordered, resamples, seed), (0.025, 0.975))
    mean = math.fsum(ordered) / len(ordered)
    return Summary(mean, float(low), float(high), len(ordered), int(failed.sum()))


def bootstrap_means(values: Scores, resamples: int, seed: int) -> Scores:
    """Means of `resamples` samples drawn with replacement from (n,) values: (resamples,) float64."""
    generator = np.random.Generator(np.random.PCG64(seed))
    means = np.empty(resamples)
    rows = max(1, RESAMPLED_VALUES_AT_ONCE // len(values))
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        means[start : start + count] = values[generator.integers(len(values), size=(count, len(values)))].mean(axis=1)
    return means

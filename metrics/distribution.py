"""FID (Heusel et al. 2017) and KID (Bińkowski et al. 2018) between two sets of features.

The formulas are those of pytorch-fid and torch-fidelity, called on features of the embedded judge, so the numbers live
on their own scale: FID of 100-dimensional features is small where Inception's is tens, and it is biased upwards by a
small sample. KID is unbiased, averaged over seeded random subsets and multiplied by 1000 as the papers print it; it
may be slightly negative for equal distributions.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.compat import import_torchvision

BLOCK_ROWS = 1024


def fid(real: Tensor, fake: Tensor) -> float:
    """Fréchet distance between Gaussians fitted to two sets of features.

    Args:
        real: (n, d) features.
        fake: (m, d) features.

    Raises:
        ValueError: fewer than two rows, another width, or a value that is not finite.
    """
    require_features(real, fake)
    import_torchvision()
    from pytorch_fid.fid_score import calculate_frechet_distance

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # an argument of sqrtm; scipy is held below 1.18 for it
        return float(calculate_frechet_distance(*moments(real), *moments(fake)))


def moments(features: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (d,) and unbiased covariance (d, d) of features (n, d), in float64.

    In blocks of rows, so that features may be a file that is mapped into memory and much larger than it.
    """
    n, width = features.shape
    mean = sum(block.sum(axis=0) for block in _blocks(features)) / n
    covariance = np.zeros((width, width))
    for block in _blocks(features):
        centred = block - mean
        covariance += centred.T @ centred
    return mean, covariance / (n - 1)


def _blocks(features: Tensor) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(features), BLOCK_ROWS):
        yield features[start : start + BLOCK_ROWS].double().cpu().numpy()


def kid(real: Tensor, fake: Tensor, subsets: int, subset_size: int, seed: int) -> float:
    """Kernel distance x 1000, the mean over random subsets; see `kid_over_subsets`, whose arguments it takes."""
    return 1000 * kid_over_subsets(real, fake, subsets, subset_size, seed)[0]


def kid_over_subsets(real: Tensor, fake: Tensor, subsets: int, subset_size: int, seed: int) -> tuple[float, float]:
    """Kernel distance (polynomial of degree 3, unbiased): mean and deviation over random subsets.

    Args:
        real: (n, d) features.
        fake: (m, d) features.
        subsets: number of random subsets.
        subset_size: rows in each; the smaller set's rows where there are fewer.
        seed: seed of the choice of subsets.

    Raises:
        ValueError: fewer than two rows, another width, or a value that is not finite.
    """
    require_features(real, fake)
    import_torchvision()
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

    if subset_size >= max(len(real), len(fake)) and len(real) == len(fake):
        subsets = 1  # every subset is the whole sample in another order
    result = kid_features_to_metric(
        real.double(),
        fake.double(),
        kid_subsets=subsets,
        kid_subset_size=min(subset_size, len(real), len(fake)),
        kid_kernel="poly",
        kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None,
        kid_kernel_poly_coef0=1,
        rng_seed=seed,
        verbose=False,
    )
    return float(result[KEY_METRIC_KID_MEAN]), float(result[KEY_METRIC_KID_STD])


def require_features(real: Tensor, fake: Tensor) -> None:
    """Refuse with ValueError what has no distance: see `fid`."""
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(f"features must be (n, d) and (m, d), got {tuple(real.shape)} and {tuple(fake.shape)}")
    if min(len(real), len(fake)) < 2:
        raise ValueError("FID and KID need at least two images on each side")
    if not all(bool(np.isfinite(block).all()) for side in (real, fake) for block in _blocks(side)):
        raise ValueError("features must be finite")

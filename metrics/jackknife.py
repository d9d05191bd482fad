"""How certain FID and KID are: each image's share in the distance between two sets, by the jackknife.

A distance of sets has no score per image to resample. The jackknife (Quenouille 1956, Tukey 1958) leaves every image
out once, with all that was made of it, and calls n * d - (n - 1) * d_without_i its pseudo-value. Pseudo-values behave
like independent scores whose mean is the distance, and their spread tells how the distance scatters from one choice of
images to another; Efron and Stein (1981, "The jackknife estimate of variance") show that it errs on the large side.

They are given here moved to have the mean 0: `value + shares` are then scores per image whose mean is the value as
published (not the jackknife's bias-corrected one), so that intervals and paired differences of methods on the same
images come about as for every other metric.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from metrics.distribution import require_features

Scores = NDArray[np.float64]
Owners = NDArray[np.int64]
FEWEST_IMAGES = 3
"""Without one of them two must be left, or there is no covariance."""


def fid_shares(real: Tensor, fake: Tensor, owners: Owners, real_owners: Owners | None) -> Scores:
    """Each image's share in `metrics.distribution.fid`.

    Args:
        real: (n, d) features.
        fake: (m, d) features.
        owners: (m,) which image each row of `fake` was made of, 0 to k - 1.
        real_owners: (n,) likewise for `real`; None where the real images are a fixed reference that is not resampled.

    Returns:
        (k,) float64, of mean 0.

    Raises:
        ValueError: as `fid`, or fewer images than `FEWEST_IMAGES`.
    """
    images = _images(real, fake, owners, real_owners)
    origin = real.double().numpy().mean(axis=0)  # a shift changes no distance, and sums of squares stay small
    there, here = _Moments(real.double().numpy() - origin), _Moments(fake.double().numpy() - origin)
    fixed = there.without(None) if real_owners is None else None
    fixed_root = None if fixed is None else _root(fixed[1])

    def distance(left_out: int) -> float:
        mean, covariance = fixed or there.without(np.asarray(real_owners == left_out))
        other_mean, other_covariance = here.without(owners == left_out)
        root = _root(covariance) if fixed_root is None else fixed_root
        # tr (A B)^(1/2) = tr (A^(1/2) B A^(1/2))^(1/2), of a symmetric matrix.
        mixed = np.sqrt(np.clip(np.linalg.eigvalsh(root @ other_covariance @ root), 0.0, None)).sum()
        apart = float(((mean - other_mean) ** 2).sum())
        return apart + float(np.trace(covariance) + np.trace(other_covariance) - 2 * mixed)

    return _shares(np.array([distance(image) for image in range(images)]))


def kid_shares(real: Tensor, fake: Tensor, owners: Owners, real_owners: Owners | None) -> Scores:
    """Each image's share in KID x 1000, of the whole sets instead of random subsets; arguments as `fid_shares`."""
    images = _images(real, fake, owners, real_owners)
    ours, theirs = real.double().numpy(), fake.double().numpy()

    def kernel(a: Scores, b: Scores) -> Scores:
        return np.asarray((a @ b.T / a.shape[1] + 1) ** 3)

    within, within_fake, across = kernel(ours, ours), kernel(theirs, theirs), kernel(ours, theirs)
    np.fill_diagonal(within, 0.0)
    np.fill_diagonal(within_fake, 0.0)
    everything = np.ones(len(ours), dtype=bool)

    def distance(left_out: int) -> float:
        rows = everything if real_owners is None else real_owners != left_out
        columns = owners != left_out
        n, m = int(rows.sum()), int(columns.sum())
        same = within[np.ix_(rows, rows)].sum() / (n * (n - 1))
        same_fake = within_fake[np.ix_(columns, columns)].sum() / (m * (m - 1))
        return 1000 * float(same + same_fake - 2 * across[np.ix_(rows, columns)].sum() / (n * m))

    return _shares(np.array([distance(image) for image in range(images)]))


class _Moments:
    """Mean and covariance of rows, without some of them, at the cost of those alone."""

    def __init__(self, rows: Scores) -> None:
        self.rows = rows
        self.sum, self.products = rows.sum(axis=0), rows.T @ rows

    def without(self, left_out: NDArray[np.bool_] | None) -> tuple[Scores, Scores]:
        gone = self.rows[:0] if left_out is None else self.rows[left_out]
        n = len(self.rows) - len(gone)
        mean = (self.sum - gone.sum(axis=0)) / n
        return mean, (self.products - gone.T @ gone - n * np.outer(mean, mean)) / (n - 1)


def _root(covariance: Scores) -> Scores:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T)


def _shares(without: Scores) -> Scores:
    # n d - (n - 1) d_i less its mean over i: d cancels.
    return np.asarray((len(without) - 1) * (without.mean() - without))


def _images(real: Tensor, fake: Tensor, owners: Owners, real_owners: Owners | None) -> int:
    require_features(real, fake)
    images = int(owners.max()) + 1
    for side, of in ((fake, owners), (real, real_owners)):
        if of is not None and (of.shape != (len(side),) or set(of.tolist()) != set(range(images))):
            raise ValueError(f"every row needs the image that it is of, one of 0 to {images - 1}, each with a row")
    if images < FEWEST_IMAGES:
        raise ValueError(f"the jackknife needs at least {FEWEST_IMAGES} images, got {images}")
    return images

"""GANSpace: principal components of the latents as directions.

Paper: Härkönen, Hertzmann, Lehtinen, Paris, "GANSpace: Discovering Interpretable GAN Controls" (arXiv 2004.02546),
section 2.1 for W. Components come from an incremental PCA over chunks (Ross et al., "Incremental Learning for Robust
Visual Tracking", IJCV 2008, as scikit-learn has it).

Two edits are in circulation. The original *adds* a multiple of a component. The code around pSp, e4e, PTI and
HyperInverter *sets* the coordinate on a component, computed from the first row of the code, so that codes with larger
coordinates move backwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import ReinvertError
from methods.editing.directions import move


@dataclass(frozen=True)
class Components:
    """Principal components, all float64.

    Attributes:
        directions: (n, D) unit vectors, the strongest first; signs are arbitrary.
        deviations: (n,) standard deviations along them.
        ratios: (n,) shares of the whole variance.
        mean: (D,).
    """

    directions: Tensor
    deviations: Tensor
    ratios: Tensor
    mean: Tensor


class IncrementalPCA:
    """Principal components of samples that arrive in chunks; what earlier chunks leave is their first components.

    As in scikit-learn, the first chunk is decomposed in the precision of its samples, the others in float64. In float32
    this turns components whose strengths differ by some thousandths by 1e-4, which published components have in them.

    Args:
        count: components kept.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.samples = 0
        self._mean: NDArray[Any] = np.zeros(0)
        self._squares: NDArray[Any] = np.zeros(0)  # sums of squared deviations from the mean
        self._scaled: NDArray[Any] = np.zeros((0, 0))  # components times their singular values

    def add(self, chunk: Tensor) -> None:
        """Take in samples (N, D).

        Raises:
            ReinvertError: fewer samples than components, or of another width than before.
        """
        values = chunk.detach().cpu().numpy()
        if len(values) < self.count:
            raise ReinvertError(f"a chunk of {len(values)} samples is too small for {self.count} components")
        if self.samples and values.shape[1:] != self._mean.shape:
            raise ReinvertError(f"samples have {values.shape[1]} numbers, those before had {len(self._mean)}")
        mean = values.mean(axis=0, dtype=np.float64)
        squares = values.var(axis=0, dtype=np.float64) * len(values)
        rows = values - mean.astype(values.dtype)
        total = self.samples + len(values)
        if self.samples:
            # What the two means differ by counts as one more sample.
            shift = math.sqrt(self.samples * len(values) / total) * (self._mean - mean)
            rows = np.vstack([self._scaled, rows, shift[None]])
            squares = self._squares + squares + shift**2
            mean = (self._mean * self.samples + mean * len(values)) / total
        _, singular, vectors = scipy.linalg.svd(rows, full_matrices=False)
        self._scaled = singular[: self.count, None] * vectors[: self.count]
        self._mean, self._squares, self.samples = mean, squares, total

    def components(self) -> Components:
        """What has been found so far.

        Raises:
            ReinvertError: no samples yet.
        """
        if not self.samples:
            raise ReinvertError("no samples have been given; add some first")
        scaled, squares = torch.from_numpy(self._scaled).double(), torch.from_numpy(self._squares)
        singular = scaled.norm(dim=1)
        return Components(
            scaled / singular[:, None],
            singular / math.sqrt(self.samples - 1),
            singular.square() / squares.sum(),
            torch.from_numpy(self._mean),
        )


def exact_components(samples: Tensor, count: int) -> Components:
    """The first principal components of samples (N, D) that fit into memory, in float64."""
    analysis = IncrementalPCA(count)
    analysis.add(samples.double())
    return analysis.components()


def projected_deviations(samples: Tensor, components: Components) -> Tensor:
    """(n,) deviations (N - 1) of fresh samples (N, D) along the components: the unit of the original edit."""
    return ((samples.double() - components.mean) @ components.directions.t()).std(dim=0)


@dataclass(frozen=True)
class Edit:
    """A published edit: component, first row, row after the last, target coordinate (None where any is used)."""

    component: int
    start: int
    end: int
    strength: float | None = None


FFHQ_EDITS = {
    "eye_openness": Edit(54, 7, 8),
    "smile": Edit(46, 4, 5, -20.0),
    "beard": Edit(58, 7, 9),
    "lipstick": Edit(34, 10, 11, 20.0),
    "face_roundness": Edit(37, 0, 5, 20.0),
    "nose_length": Edit(51, 4, 5, -30.0),
    "eyebrow_thickness": Edit(37, 8, 9, 20.0),
    "head_angle_up": Edit(11, 1, 4, -10.5),
    "displeased": Edit(36, 4, 7, 10.0),
}
"""For the released components of the FFHQ StyleGAN2."""

CHURCH_EDITS = {
    "clouds": Edit(20, 7, 9, -20.0),
    "vibrant": Edit(8, 12, 14, -20.0),
    "blue_skies": Edit(11, 9, 14, 9.9),
    "trees": Edit(12, 5, 6, -19.1),
}
"""For the released components of the LSUN church StyleGAN2."""


def add_component(styles: Tensor, component: Tensor, deviation: float, sigmas: float, rows: slice) -> Tensor:
    """The original edit: styles (B, L, D) plus `sigmas` deviations along a component (D,), on some rows."""
    return move(styles, component, sigmas * deviation, rows)


def set_component(
    styles: Tensor, mean: Tensor, component: Tensor, deviation: Tensor | float, strength: float, rows: slice
) -> Tensor:
    """The pSp family's edit: the coordinate of a code's first row is made `strength`, by a move of some rows.

    Args:
        styles: (B, L, D).
        mean: (D,) of w.
        component: (D,) unit vector.
        deviation: of w along it, the unit of coordinates.
        strength: the coordinate wanted.
        rows: which are moved.
    """
    coordinates = (styles[:, 0] - mean) @ component / deviation
    offsets = ((strength - coordinates) * deviation)[:, None] * component
    return move(styles, offsets[:, None], 1.0, rows)

"""How much an inversion changes from one step to the next: in the image, in the code and in the generator's weights.

ReStyle (Alaluf et al. 2021) asks where and how much each step changes the image (Section 4.2, Figures 6 and 7) and
which styles it moves (Appendix B, Eqs. 5 and 6, Figure 15); HyperInverter (Dinh et al. 2022) where its second phase
changes the image (Appendix C.2, Figure 12) and which convolutions it changes (Section 4.5, Figures 8 and 11).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

IMAGE_PROTOCOL = "colour-distance@64/1"
"""`colour_distance`, and its mean over the pixels of an image."""
LATENT_PROTOCOL = "restyle-latent-change/1"
"""`latent_change`."""
WEIGHT_PROTOCOL = "mean-absolute-weight-change/1"
"""`weight_change`."""


def colour_distance(before: Tensor, after: Tensor) -> Tensor:
    """How far every pixel's colour moves: the root mean square over the channels, both images clipped to their range.

    Args:
        before: (B, 3, H, W), nominally in [-1, 1].
        after: likewise.

    Returns:
        (B, H, W) in [0, 1]: 1 is from black to white.
    """
    moved: Tensor = (after.clamp(-1, 1) - before.clamp(-1, 1)) / 2
    return moved.square().mean(dim=1).sqrt()


def latent_change(squared: NDArray[np.float64], groups: dict[str, tuple[int, int]]) -> dict[str, float]:
    """ReStyle's Eqs. 5 and 6 for the styles in groups: the norm of the mean squared change of a style, averaged over
    the styles of a group.

    Args:
        squared: (N, L, D) squared changes of N images' W+ codes.
        groups: by name the first style and the one after the last.

    Returns:
        By group the change, in squared units of W.
    """
    norms = np.linalg.norm(squared.mean(axis=0), axis=-1)
    return {name: float(norms[start:end].mean()) for name, (start, end) in groups.items()}


def latent_intervals(
    squared: NDArray[np.float64], groups: dict[str, tuple[int, int]], resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """95 % percentile bootstrap intervals of `latent_change` over the images.

    Args:
        squared: (N, L, D).
        groups: see `latent_change`.
        resamples: bootstrap resamples.
        seed: their seed.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    count, layers, dimensions = squared.shape
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=resamples) / count
    means = (drawn @ squared.reshape(count, -1)).reshape(resamples, layers, dimensions)
    norms = np.linalg.norm(means, axis=-1)
    ends = {}
    for name, (start, end) in groups.items():
        low, high = np.quantile(norms[:, start:end].mean(axis=1), (0.025, 0.975))
        ends[name] = (float(low), float(high))
    return ends


def weight_change(residual: Tensor) -> Tensor:
    """(B, ...) what is added to a weight -> (B,) its mean absolute value."""
    return residual.detach().flatten(1).to(torch.float64).abs().mean(dim=1)

"""What the papers' applications of an inversion are measured by: formulas only.

- Deep hiding (Wei et al., "E2Style", arXiv 2104.07661, section V-A): what rounding a code costs, beside what inverting
  the photo costs already (`ratio_of_means`).
- Semantic face swapping (E2Style, section V-B): the seam around what was pasted (`seam`). E2Style shows pictures only.
- Inversion of videos (Yao et al., "Feature-Style Encoder", arXiv 2202.02183, appendix C, Eq. 9): identity consistency.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

ROUNDING_PROTOCOL = "rounding-share-embedded@64/1"
"""Mean LPIPS between what a code and what its rounded code draw, over the mean LPIPS between the photo and what the
code draws; images as 8 bits. Where no code can be sent, the receiver has a mid-grey picture; a
code that draws nothing finite counts with equal distances."""
SWAP_PROTOCOL = "swap-identity-embedded@64/1"
"""Cosine, by the domain's identity judge, between what a swap drew and one of its photos; a failure counts as -1."""
SEAM_PROTOCOL = "seam@64/1"
"""`seam` of 8-bit images; a failed drawing counts with the seam of what was inverted."""
CONSISTENCY_PROTOCOL = "identity-consistency-embedded@64/1"
"""`identity_consistency` by the domain's identity judge; a video with a failed frame counts as -1."""
GAP_PROTOCOL = "identity-consistency-gap-embedded@64/1"
"""Absolute difference of a video's `identity_consistency` from that of its source, as a mean over videos."""


@dataclass(frozen=True)
class Box:
    """Rows top to bottom - 1 and columns left to right - 1 of a picture."""

    top: int
    bottom: int
    left: int
    right: int

    def __post_init__(self) -> None:
        if not (0 <= self.top < self.bottom and 0 <= self.left < self.right):
            raise ValueError(f"rows {self.top} to {self.bottom} and columns {self.left} to {self.right} are no box")


def seam(pixels: NDArray[np.uint8], box: Box) -> Scores:
    """How much colours jump at a box's border: over all pairs of a pixel inside and its direct neighbour outside, the
    mean of the root mean square difference over the channels.

    Args:
        pixels: (B, H, W, 3).
        box: with at least one pixel around it on every side.

    Returns:
        (B,) in [0, 1]: 0 where nothing changes at the border, 1 where black meets white all along it.

    Raises:
        ValueError: the box touches the picture's edge, beyond which there are no neighbours.
    """
    height, width = pixels.shape[1:3]
    if box.top < 1 or box.left < 1 or box.bottom >= height or box.right >= width:
        raise ValueError(f"the box must leave a pixel on every side of a picture of {height} x {width} pixels")
    values = pixels.astype(np.float64) / 255
    rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
    inside = [values[:, box.top, columns], values[:, box.bottom - 1, columns],
              values[:, rows, box.left], values[:, rows, box.right - 1]]  # fmt: skip
    outside = [values[:, box.top - 1, columns], values[:, box.bottom, columns],
               values[:, rows, box.left - 1], values[:, rows, box.right]]  # fmt: skip
    jumps = np.concatenate(inside, axis=1) - np.concatenate(outside, axis=1)
    return np.asarray(np.sqrt(np.square(jumps).mean(axis=-1)).mean(axis=-1))


def identity_consistency(embeddings: NDArray[np.floating]) -> Scores:
    """Feature-Style's Eq. 9: the mean cosine between the first frame of a video and each of those that follow.

    Args:
        embeddings: (V, F, d) of V videos of F frames, F at least 2; of any length above 0.

    Returns:
        (V,) in [-1, 1]; 1 where the identity never changes.

    Raises:
        ValueError: videos of a single frame, which is consistent with nothing.
    """
    if embeddings.ndim != 3 or embeddings.shape[1] < 2:
        raise ValueError(f"consistency needs (V, F, d) embeddings of at least two frames, got {embeddings.shape}")
    values = embeddings.astype(np.float64)
    units = values / np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray((units[:, 1:] @ units[:, 0, :, None])[..., 0].mean(axis=1))


def ratio_of_means(above: Scores, below: Scores, resamples: int, seed: int) -> tuple[float, float, float]:
    """Mean of `above` over mean of `below`, with its 95 % percentile bootstrap interval over the images.

    Args:
        above: (n,) one score per image.
        below: (n,) of the same images, with a mean above 0.
        resamples: bootstrap resamples, each of the same images above and below.
        seed: their seed.

    Returns:
        Ratio, low, high. The interval is widened to the ratio where it would leave it out.

    Raises:
        ValueError: lengths that differ, or nothing to divide by.
    """
    if above.shape != below.shape or not len(above) or not below.mean() > 0:
        raise ValueError("one score per image above and below, and a mean above 0 below")
    count = len(above)
    drawn = np.random.Generator(np.random.PCG64(seed)).multinomial(count, np.full(count, 1 / count), size=resamples)
    # A resample in which all below is 0 has no ratio: it is as large as can be.
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.nan_to_num((drawn @ above) / (drawn @ below), nan=np.inf, posinf=np.inf)
    ratio = float(above.mean() / below.mean())
    low, high = np.quantile(ratios, (0.025, 0.975), method="nearest")
    return ratio, min(float(low), ratio), max(float(high), ratio)

"""What an edit did, from attributes, codes and pictures before and after: formulas only.

- Editability (Dinh et al. 2022, HyperInverter, Table 2): the mean change of an attribute when every method moves its
  codes by the same gamma along the same direction.
- Standardised effects: changes over an attribute's own spread, so that years, degrees and shares can be compared. A
  direction is selective when what it is named after changes most.
- Latent editing consistency (Tov et al. 2021, e4e, arXiv 2102.02766, section 5.3): a code is edited, drawn, inverted
  again and edited back; how far is the result from where it started?
- Attribution in style mixing: what part of an attribute follows one of two images.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Scores = NDArray[np.float64]

EDITABILITY_PROTOCOL = "attribute-change@64/1"
"""Change of what the domain's judge reads, from the code's image to the edited code's image, both rounded to 8 bits; an
edit that holds a value that is not finite counts as no change."""
CONSISTENCY_PROTOCOL = "latent-editing-consistency@64/1"
"""Distance of W+ codes per image, root mean square over styles and dimensions, in units of the spread of one dimension
of W. e4e's script takes the norm of a whole batch and drops the outer percents of batches; this does neither."""
EDITED_PROTOCOLS = {name: f"{name}-edited-embedded@64/1" for name in ("fid", "kid", "id")}
"""FID and KID between real test images and all edited images at the outermost gammas; ID between each input and its
edited images. Failed edits enter as blank pictures, with ID -1."""

MIXING_PROTOCOL = "follows-content@64/1"
"""Over pairs of images, the s for which s * content + (1 - s) * looks is nearest to what the judge reads off the
mixture, in least squares; content and looks are those of the reconstructions."""


def is_monotone(means: Sequence[float]) -> bool:
    """Whether each value is above the one before; one value or none is not a sequence that rises."""
    return len(means) > 1 and all(later > earlier for earlier, later in itertools.pairwise(means))


def rising_share(values: Scores) -> float:
    """Share of neighbouring steps that rise, over images: values (steps, n) in the order of gamma.

    1 when the attribute of every image rises at every step, 0.5 for noise.
    """
    steps = np.diff(values, axis=0)
    return float(((steps > 0) + 0.5 * (steps == 0)).mean())


def slopes(gammas: Sequence[float], values: Scores) -> Scores:
    """(n,) least-squares change per gamma of each image's values (gammas, n)."""
    centred = np.asarray(gammas, dtype=np.float64) - np.mean(gammas)
    return np.asarray(centred @ values / (centred @ centred))


def standardised(changes: Mapping[str, float], spreads: Mapping[str, float]) -> dict[str, float]:
    """Changes over the attributes' spreads, for the attributes that have one; one that never varies has none, 0."""
    return {name: changes[name] / spread if spread > 0 else 0.0 for name, spread in spreads.items()}


def selectivity(effects: Mapping[str, float], own: str) -> float:
    """|effect| on `own` over the largest |effect| on another attribute; above 1, the others change less.

    Infinite where nothing else changes, 1 where nothing changes at all.
    """
    largest = max((abs(effect) for name, effect in effects.items() if name != own), default=0.0)
    if largest == 0:
        return float("inf") if effects[own] != 0 else 1.0
    return abs(effects[own]) / largest


def code_distance(first: Tensor, second: Tensor, latent_std: float) -> Tensor:
    """(B,) float64: root mean square difference of styles (B, L, D), over the deviation of one coordinate of W.

    Args:
        first: (B, L, D).
        second: (B, L, D).
        latent_std: spread of W over all dimensions (see `LoadedGenerator.latent_std`).
    """
    spread = latent_std / first.shape[-1] ** 0.5
    return (first.double() - second.double()).square().mean(dim=(1, 2)).sqrt() / spread


def followed_share(mixed: Scores, first: Scores, second: Scores) -> float:
    """The s with which s * first + (1 - s) * second is nearest to `mixed`, over images (n,); NaN if the two are equal.

    1: the attribute follows the first image, 0: the second.
    """
    between = first - second
    square = float(between @ between)
    return float((mixed - second) @ between) / square if square > 0 else float("nan")


def followed_share_with_interval(
    mixed: Scores, first: Scores, second: Scores, resamples: int, seed: int
) -> tuple[float | None, float | None, float | None]:
    """`followed_share` and its bootstrap 95 % interval over images; None three times where it is not defined.

    A resample in which the two images never differ, as happens with two or three of them, says nothing and is left out.
    """
    share = followed_share(mixed, first, second) if len(mixed) else math.nan
    if math.isnan(share):
        return None, None, None
    between = first - second
    along, squares = (mixed - second) * between, between**2
    drawn = np.random.Generator(np.random.PCG64(seed)).integers(len(mixed), size=(resamples, len(mixed)))
    numerators, denominators = along[drawn].sum(axis=1), squares[drawn].sum(axis=1)
    differ = denominators > 0
    low, high = np.quantile(numerators[differ] / denominators[differ], (0.025, 0.975))
    return share, float(low), float(high)


def changed_pixels(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Scores:
    """(n,) share of pixels to which the parser gives another class, of masks (n, H, W)."""
    return np.asarray((before != after).mean(axis=(1, 2), dtype=np.float64))

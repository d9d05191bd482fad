"""InterFaceGAN: an attribute is a hyperplane in latent space, editing is moving along its normal.

Papers: Shen, Gu, Tang, Zhou, "Interpreting the Latent Space of GANs for Semantic Face Editing" (arXiv 1907.10786),
sections 3.1 and 3.2; Shen, Yang, Tang, Zhou, "InterFaceGAN" (arXiv 2005.09635).

Kept from the official code:

- only the samples with the highest and the lowest scores are separated;
- single codes (n, D) are moved to a distance from the boundary, codes with a style per layer by a distance;
- two conditions are solved with 1e-8 in the denominator, three or more by their Gram matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.errors import ReinvertError
from methods.editing import linear_svm

_EPSILON = 1e-8


@dataclass(frozen=True)
class Boundary:
    """A hyperplane through latent space.

    Attributes:
        normal: (1, D), of unit length, towards higher scores.
        accuracy: share of the validation samples on their side; None without such samples.
    """

    normal: Tensor
    accuracy: float | None


def train_boundary(
    codes: Tensor,
    scores: Tensor,
    chosen: float = 0.02,
    split: float = 0.7,
    invalid: float | None = None,
    seed: int = 0,
) -> Boundary:
    """The hyperplane between the codes of the highest and of the lowest scores.

    Args:
        codes: (N, D).
        scores: (N,) of an attribute predictor.
        chosen: samples of each class: a share of all up to 1, else a count; at most half of all.
        split: share of them that trains, the others validate.
        invalid: score of samples to leave out.
        seed: of the split.

    Raises:
        ReinvertError: shapes that do not fit, or too few samples.
    """
    if codes.dim() != 2 or scores.shape != codes.shape[:1]:
        raise ReinvertError(
            f"codes {tuple(codes.shape)} and scores {tuple(scores.shape)} do not fit; give (N, D), (N,)"
        )
    if invalid is not None:
        valid = scores != invalid
        codes, scores = codes[valid], scores[valid]
    count = min(int(len(codes) * chosen) if 0 < chosen <= 1 else int(chosen), len(codes) // 2)
    training = int(count * split)
    if training < 1:
        raise ReinvertError(f"{len(codes)} samples leave {training} of each class to train on; choose more")
    samples = codes[scores.argsort(descending=True, stable=True)].double().cpu().numpy()
    source = np.random.default_rng(seed)
    classes = [
        chosen_ones[source.permutation(count)] for chosen_ones in (samples[:count], samples[len(samples) - count :])
    ]
    fitted = np.concatenate([one[:training] for one in classes])
    weights, intercept = linear_svm.fit(fitted, np.repeat([True, False], training))
    accuracy = None
    if training < count:
        right = [side * (one[training:] @ weights + intercept) > 0 for side, one in zip((1, -1), classes, strict=True)]
        accuracy = float(np.concatenate(right).mean())
    normal = weights / np.linalg.norm(weights)
    return Boundary(torch.from_numpy(normal)[None].to(codes.dtype), accuracy)


def condition(primary: Tensor, others: Sequence[Tensor]) -> Tensor:
    """The part of a normal (1, D) that leaves other attributes alone, rescaled to unit length (section 3.2).

    Args:
        primary: (1, D) unit normal.
        others: unit normals (1, D) of the attributes to keep.
    """
    if not others:
        return primary
    kept = torch.cat(list(others))
    if len(kept) == 2:
        shared = (kept[0] * kept[1]).sum()
        a, b = kept @ primary[0]
        weights = torch.stack([a - b * shared, b - a * shared]) / (1 - shared.square() + _EPSILON)
    else:  # of one unit normal the Gram matrix is 1
        weights = torch.linalg.solve(kept @ kept.t(), kept @ primary[0]) if len(kept) > 2 else kept @ primary[0]
    rest = primary - weights @ kept
    return rest / rest.norm()


def interpolate(code: Tensor, normal: Tensor, start: float = -3.0, end: float = 3.0, steps: int = 10) -> Tensor:
    """Codes across a boundary, from `start` to `end`.

    Args:
        code: (1, D), which is placed at these distances from the hyperplane, or (1, L, D), all of whose rows are moved
            by these distances.
        normal: (1, D) unit normal.
        start: distance of the first result.
        end: distance of the last.
        steps: number of results.

    Returns:
        (steps, D) or (steps, L, D).

    Raises:
        ReinvertError: a code of another shape.
    """
    if code.dim() not in (2, 3) or len(code) != 1 or code.shape[-1] != normal.shape[-1]:
        raise ReinvertError(f"a code of shape {tuple(code.shape)} cannot be moved along {tuple(normal.shape)}")
    distances = torch.linspace(start, end, steps, dtype=torch.float64).to(code)
    if code.dim() == 2:
        return code + (distances - (code * normal).sum())[:, None] * normal
    return code + distances[:, None, None] * normal

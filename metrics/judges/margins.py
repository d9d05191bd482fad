"""Margin losses on the unit sphere: the logits of ArcFace and CurricularFace.

ArcFace: Deng et al., CVPR 2019, equation 3. CurricularFace: Huang et al., CVPR 2020, equations 4-6 and 10.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def angular_margin(cosine: Tensor, margin: float) -> Tensor:
    """cos(theta + margin) for cosine = cos(theta), continued where theta + margin passes pi.

    Beyond pi the cosine would rise again and reward a wrong answer; both papers' codes go on with the line
    cos(theta) - margin sin(margin) there, as we do.

    Args:
        cosine: any shape, in [-1, 1].
        margin: radians, in [0, pi).
    """
    # The derivative of sqrt(1 - x^2) is infinite at 1; the clamp keeps gradients finite.
    sine = (1 - cosine.square()).clamp(min=1e-12).sqrt()
    shifted = cosine * math.cos(margin) - sine * math.sin(margin)
    return torch.where(cosine > math.cos(math.pi - margin), shifted, cosine - margin * math.sin(margin))


def arcface_logits(cosine: Tensor, target: Tensor, scale: float, margin: float) -> Tensor:
    """Logits of ArcFace (equation 3).

    Args:
        cosine: (B, C) cosines between embeddings and class centres.
        target: (B,) int64, the right class.
        scale: s, the radius of the sphere.
        margin: m, in radians.

    Returns:
        (B, C): s cos(theta + m) for the right class, s cos(theta) for the others.
    """
    right = angular_margin(cosine.gather(1, target[:, None]), margin)
    return scale * cosine.scatter(1, target[:, None], right)


def curricular_logits(cosine: Tensor, target: Tensor, difficulty: Tensor, scale: float, margin: float) -> Tensor:
    """Logits of CurricularFace (equation 10).

    Classes that beat the margin-reduced right one ("hard", equation 5) are re-weighted by (t + cos theta_j), t being
    the difficulty the training has reached; the others stay.

    Args:
        cosine, target, scale, margin: as for `arcface_logits`.
        difficulty: t, scalar, no gradient flows through it.

    Returns:
        (B, C) logits.
    """
    right = angular_margin(cosine.gather(1, target[:, None]), margin)
    hard = cosine > right
    reweighted = torch.where(hard, cosine * (difficulty.detach() + cosine), cosine)
    return scale * reweighted.scatter(1, target[:, None], right)


def next_difficulty(difficulty: Tensor, cosine: Tensor, target: Tensor, momentum: float) -> Tensor:
    """t after one batch (equation 6 with alpha = `momentum`): its moving average of the right classes' mean cosine."""
    mean = cosine.detach().gather(1, target[:, None]).mean()
    return momentum * difficulty + (1 - momentum) * mean

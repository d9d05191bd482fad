"""How good a judge is, from its answers on the test split. Plain functions on tensors, computed in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from core.errors import ReinvertError


def mean_absolute_error(predicted: Tensor, truth: Tensor) -> float:
    """Mean |predicted - truth| of two (N,) tensors, in their unit."""
    return float((predicted.double() - truth.double()).abs().mean())


def explained_variance(predicted: Tensor, truth: Tensor) -> float:
    """Mean over columns of R^2 = 1 - squared error / variance: 1 is perfect, 0 is no better than the mean.

    Args:
        predicted, truth: (N, K). Columns that are constant in `truth` have no R^2 and are left out.
    """
    predicted, truth = predicted.double(), truth.double()
    variance = (truth - truth.mean(0)).square().mean(0)
    varies = variance > 1e-12
    error = (predicted - truth).square().mean(0)
    return float((1 - error[varies] / variance[varies]).mean())


def area_under_curve(positive: Tensor, negative: Tensor) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    By ranks (Mann-Whitney U), so n log n. Args are (P,) and (N,) scores, neither empty.

    Raises:
        ReinvertError: one side is empty; there is no area then.
    """
    if not len(positive) or not len(negative):
        raise ReinvertError("an area under the curve needs positive and negative pairs; enlarge the test split")
    scores = torch.cat([positive, negative]).double()
    _, group, counts = torch.unique(scores, return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    # Tied scores share the mean of the ranks they occupy (ranks start at 1).
    ranks = (last - (counts.double() - 1) / 2)[group]
    count = float(len(positive))
    statistic = float(ranks[: len(positive)].sum()) - count * (count + 1) / 2
    return statistic / (count * len(negative))


def confusion(predicted: Tensor, truth: Tensor, classes: int) -> Tensor:
    """(classes, classes) int64 pixel counts, rows the truth, columns the prediction."""
    pairs = truth.long().flatten() * classes + predicted.long().flatten()
    return torch.bincount(pairs, minlength=classes * classes).view(classes, classes)


def intersection_over_union(matrix: Tensor) -> Tensor:
    """IoU of each class (classes,) float64 from a confusion matrix; NaN for classes the truth does not show."""
    hits = matrix.diagonal().double()
    shown, said = matrix.sum(1).double(), matrix.sum(0).double()
    return torch.where(shown > 0, hits / (shown + said - hits).clamp(min=1), torch.nan)


def share_ordered(near: Tensor, far: Tensor) -> float:
    """Share of (N,) pairs with near < far."""
    return float((near < far).double().mean())


def by_distribution(score: Callable[[Tensor], dict[str, float]], out_of_distribution: Tensor) -> dict[str, float]:
    """`score` on all items, on those in distribution, and on those out of it (where there are any).

    Args:
        score: from a (N,) bool mask of items to named scores.
        out_of_distribution: (N,) bool.

    Returns:
        name -> score, with the suffixes "_in_distribution" and "_out_of_distribution" for the parts.
    """
    result = score(torch.ones_like(out_of_distribution))
    for suffix, mask in (("in", ~out_of_distribution), ("out_of", out_of_distribution)):
        if bool(mask.any()):
            result |= {f"{name}_{suffix}_distribution": value for name, value in score(mask).items()}
    return result


def segmentation_scores(predicted: Tensor, truth: Tensor, names: Sequence[str], ood: Tensor) -> dict[str, float]:
    """Mean IoU over the classes shown and each class's own, over all pixels together.

    Args:
        predicted, truth: (N, H, W) class indices.
        names: of the classes.
        ood: (N,) bool, out of distribution.

    Returns:
        "miou", "miou_in_distribution", "miou_out_of_distribution" and "iou_<class>", the last over all images.
    """

    def mean(mask: Tensor) -> dict[str, float]:
        each = intersection_over_union(confusion(predicted[mask], truth[mask], len(names)))
        return {"miou": float(each.nanmean())}

    each = intersection_over_union(confusion(predicted, truth, len(names)))
    return by_distribution(mean, ood) | {
        f"iou_{name}": float(value) for name, value in zip(names, each, strict=True) if not value.isnan()
    }


def retrieval_scores(first: Tensor, second: Tensor, ood: Tensor) -> dict[str, float]:
    """Instance retrieval: how often the nearest of all ``second`` is the same image's.

    Args:
        first, second: (N, d) unit features of two views of the same images.
        ood: (N,) bool, out of distribution; the gallery is always all of ``second``.

    Returns:
        "retrieval_top1", also by distribution of the query.
    """
    nearest = (first.double() @ second.double().T).argmax(1)
    hits = nearest == torch.arange(len(first))
    return by_distribution(lambda mask: {"retrieval_top1": float(hits[mask].double().mean())}, ood)


def identity_pairs(identity: Tensor) -> tuple[Tensor, Tensor]:
    """All pairs i < j of images of one person: two (P,) int64 index tensors."""
    same = identity[:, None] == identity[None, :]
    first, second = torch.triu(same, diagonal=1).nonzero(as_tuple=True)
    return first, second


def stranger_partners(identity: Tensor, ood: Tensor, first: Tensor, second: Tensor, seed: int) -> Tensor:
    """For each pair another second image: of somebody else, and of the same distribution as `second`.

    Args:
        identity: (N,) int64.
        ood: (N,) bool, out of distribution.
        first, second: (P,) int64 pairs.
        seed: partners are uniform, and a function of it.

    Returns:
        (P,) int64.

    Raises:
        ReinvertError: a pair has no possible partner.
    """
    for distribution in ood[second].unique():
        if len(identity[ood == distribution].unique()) < 2:
            raise ReinvertError("pairs of strangers need two identities; enlarge the test split")
    generator = torch.Generator().manual_seed(seed)
    partner = torch.full_like(first, -1)
    open_ = torch.ones_like(first, dtype=torch.bool)
    while bool(open_.any()):
        partner[open_] = torch.randint(len(identity), (int(open_.sum()),), generator=generator)
        open_ = (identity[partner] == identity[first]) | (ood[partner] != ood[second])
    return partner


def identity_scores(
    embedding: Tensor,
    lookalike: Tensor,
    identity: Tensor,
    ood: Tensor,
    seed: int,
    across: Mapping[str, tuple[Tensor, float]],
) -> dict[str, float]:
    """Verification: are two images of one person more alike than images of two?

    Same pairs are all pairs of images of one person. Each gives two different pairs, whose second image is a random
    stranger's or, the hard one, the same scene with a look-alike in it (another person's geometry, the same skin and
    hair), so that a hard pair differs from its same pair in identity alone.

    Args:
        embedding: (N, d) unit embeddings of the images.
        lookalike: (N, d) unit embeddings of the same scenes with look-alikes.
        identity: (N,) int64.
        ood: (N,) bool; a pair is out of distribution when one of its images is.
        seed: of the random strangers.
        across: name -> what the images show of it (N,), and the difference from which on a pair counts as across it:
            for example yaw in degrees and 30. Look-alikes show what the image in whose place they stand shows.

    Returns:
        "auc" over all pairs, "auc_strangers" and "auc_lookalikes" against one kind of different pairs, and
        "auc_across_<name>" over the pairs, same and different, whose images differ by more than that; each also by
        distribution.
    """
    embedding, lookalike = embedding.double(), lookalike.double()
    first, second = identity_pairs(identity)
    stranger = stranger_partners(identity, ood, first, second, seed)
    same = (embedding[first] * embedding[second]).sum(1)
    random = (embedding[first] * embedding[stranger]).sum(1)
    hard = (embedding[first] * lookalike[second]).sum(1)

    def score(mask: Tensor) -> dict[str, float]:
        return {
            "auc": area_under_curve(same[mask], torch.cat([random[mask], hard[mask]])),
            "auc_strangers": area_under_curve(same[mask], random[mask]),
            "auc_lookalikes": area_under_curve(same[mask], hard[mask]),
        } | {f"auc_across_{name}": far_apart(*values, mask) for name, values in across.items()}

    def far_apart(values: Tensor, least: float, mask: Tensor) -> float:
        own = mask & ((values[first] - values[second]).abs() > least)
        others = mask & ((values[first] - values[stranger]).abs() > least)
        return area_under_curve(same[own], torch.cat([random[others], hard[own]]))

    return by_distribution(score, ood[first] | ood[second])

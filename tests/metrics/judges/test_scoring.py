"""Scores on inputs small enough to count by hand, and against slow definitions."""

import math

import pytest
import torch

from core.errors import ReinvertError
from metrics.judges import scoring


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_mean_absolute_error() -> None:
    assert scoring.mean_absolute_error(torch.tensor([1.0, 5.0, -2.0]), torch.tensor([2.0, 3.0, -2.0])) == 1.0


def test_explained_variance_is_one_for_perfect_and_zero_for_the_mean() -> None:
    truth = torch.tensor([[1.0, 7.0], [2.0, 7.0], [6.0, 7.0]])
    assert scoring.explained_variance(truth, truth) == 1.0
    assert scoring.explained_variance(truth.mean(0).expand(3, 2), truth) == pytest.approx(0.0)
    # One error of 1 against squares (4 + 1 + 9) = 14 around the mean 3; the constant column does not count.
    assert scoring.explained_variance(truth + torch.tensor([[1.0, 5.0], [0, 5], [0, 5]]), truth) == pytest.approx(
        1 - 1 / 14
    )


def test_area_under_curve_by_hand() -> None:
    # Of six pairs the positive wins 4, ties 1: (4 + 0.5) / 6.
    assert scoring.area_under_curve(torch.tensor([0.9, 0.5]), torch.tensor([0.1, 0.5, 0.6])) == pytest.approx(4.5 / 6)


def test_area_under_curve_is_the_share_of_won_pairs() -> None:
    # Integers, so that there are many ties.
    positive = torch.randint(3, 12, (57,), generator=_generator(0)).float()
    negative = torch.randint(0, 10, (83,), generator=_generator(1)).float()
    wins = (positive[:, None] > negative[None]).double() + 0.5 * (positive[:, None] == negative[None]).double()
    assert scoring.area_under_curve(positive, negative) == pytest.approx(float(wins.mean()), abs=1e-12)


def test_area_under_curve_needs_both_sides() -> None:
    with pytest.raises(ReinvertError, match="positive and negative"):
        scoring.area_under_curve(torch.tensor([1.0]), torch.tensor([]))


def test_intersection_over_union_by_hand() -> None:
    truth = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 3]])
    said = torch.tensor([[0, 1, 1, 1], [0, 0, 0, 1]])
    each = scoring.intersection_over_union(scoring.confusion(said, truth, 4))
    assert each[:2].tolist() == [3 / 5, 2 / 5]
    assert math.isnan(each[2])  # not shown, not said
    assert each[3] == 0  # shown, never said


def test_a_class_that_is_said_but_not_shown_has_no_score_of_its_own() -> None:
    each = scoring.intersection_over_union(scoring.confusion(torch.tensor([0, 1]), torch.tensor([0, 0]), 2))
    assert each[0] == 0.5
    assert math.isnan(each[1])


def test_by_distribution_gives_all_and_both_parts() -> None:
    values = torch.tensor([1.0, 2.0, 6.0])
    result = scoring.by_distribution(
        lambda mask: {"mean": float(values[mask].mean())}, torch.tensor([False, False, True])
    )
    assert result == {"mean": 3.0, "mean_in_distribution": 1.5, "mean_out_of_distribution": 6.0}
    only = scoring.by_distribution(lambda mask: {"n": float(mask.sum())}, torch.tensor([False, False]))
    assert only == {"n": 2.0, "n_in_distribution": 2.0}


def test_segmentation_scores() -> None:
    truth = torch.tensor([[[0, 1]], [[0, 0]]])
    said = torch.tensor([[[0, 1]], [[0, 1]]])
    result = scoring.segmentation_scores(said, truth, ("skin", "hair", "hat"), torch.tensor([False, True]))
    assert result == pytest.approx({
        "miou": (2 / 3 + 1 / 2) / 2, "miou_in_distribution": 1.0, "miou_out_of_distribution": 1 / 2,
        "iou_skin": 2 / 3, "iou_hair": 1 / 2,
    })  # fmt: skip


def test_identity_pairs_are_all_pairs_of_a_person() -> None:
    first, second = scoring.identity_pairs(torch.tensor([4, 7, 4, 4, 7]))
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 2), (0, 3), (1, 4), (2, 3)]


def test_stranger_partners_are_strangers_of_the_same_distribution() -> None:
    identity = torch.arange(40) // 4
    ood = torch.arange(40) % 3 == 0
    first, second = scoring.identity_pairs(identity)
    partner = scoring.stranger_partners(identity, ood, first, second, seed=3)
    assert (identity[partner] != identity[first]).all()
    assert (ood[partner] == ood[second]).all()
    assert len(partner.unique()) > 20
    assert torch.equal(partner, scoring.stranger_partners(identity, ood, first, second, seed=3))


def test_stranger_partners_need_two_people() -> None:
    one = torch.zeros(4, dtype=torch.int64)
    first, second = scoring.identity_pairs(one)
    with pytest.raises(ReinvertError, match="two identities"):
        scoring.stranger_partners(one, one.bool(), first, second, seed=0)


def _embeddings(noise: float, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    identity = torch.arange(80) // 4
    centres = torch.randn(20, 64, generator=_generator(seed))
    vectors = centres[identity] + noise * torch.randn(80, 64, generator=_generator(seed + 1))
    strangers = torch.randn(20, 64, generator=_generator(seed + 2))[identity]
    unit = torch.nn.functional.normalize
    return unit(vectors, dim=1), unit(strangers, dim=1), identity


def test_identity_scores_of_a_perfect_and_of_a_blind_judge() -> None:
    embedding, lookalike, identity = _embeddings(noise=0.05, seed=0)
    ood = torch.arange(80) % 3 == 0
    perfect = scoring.identity_scores(embedding, lookalike, identity, ood, 0, {})
    assert set(perfect.values()) == {1.0}
    assert {"auc", "auc_strangers_in_distribution", "auc_lookalikes_out_of_distribution"} <= set(perfect)
    blind = torch.nn.functional.normalize(torch.randn(80, 64, generator=_generator(5)), dim=1)
    scores = scoring.identity_scores(blind, blind.flip(0), identity, ood, 0, {})
    # 120 positives: the standard error of a chance AUC is about 0.03.
    assert scores["auc"] == pytest.approx(0.5, abs=0.12)


def test_a_judge_that_sees_skin_and_hair_only_fails_on_lookalikes() -> None:
    embedding, _, identity = _embeddings(noise=0.05, seed=0)
    ood = torch.zeros(80, dtype=torch.bool)
    scores = scoring.identity_scores(embedding, embedding, identity, ood, 0, {})
    assert scores["auc_strangers"] == 1.0
    assert scores["auc_lookalikes"] == 0.5  # the same similarities on both sides
    assert scores["auc"] == pytest.approx(0.75)


def test_pairs_across_an_attribute_are_those_far_apart_in_it() -> None:
    # Each person is seen at four angles, and the embedding changes more with the angle than from person to person.
    identity, angle = torch.arange(80) // 4, (torch.arange(80) % 4) * 20.0
    generator = _generator(4)
    person, place = torch.randn(20, 64, generator=generator), torch.randn(4, 64, generator=generator)
    vectors = person[identity] + 2 * place[torch.arange(80) % 4]
    embedding = torch.nn.functional.normalize(vectors, dim=1)
    ood = torch.zeros(80, dtype=torch.bool)
    across = {"yaw": (angle, 30.0), "any": (angle, -1.0)}
    scores = scoring.identity_scores(embedding, embedding.roll(4, 0), identity, ood, 0, across)
    assert scores["auc_across_any"] == scores["auc"]
    first, second = scoring.identity_pairs(identity)
    stranger = scoring.stranger_partners(identity, ood, first, second, seed=0)
    right, wrong = [], []
    for i, j, k in zip(first.tolist(), second.tolist(), stranger.tolist(), strict=True):
        if abs(angle[i] - angle[j]) > 30:
            right.append(float(embedding[i] @ embedding[j]))
            wrong.append(float(embedding[i] @ embedding[(j - 4) % 80]))
        if abs(angle[i] - angle[k]) > 30:
            wrong.append(float(embedding[i] @ embedding[k]))
    wins = sum((r > w) + 0.5 * (r == w) for r in right for w in wrong) / (len(right) * len(wrong))
    # A pair whose float32 and float64 cosines order differently moves the share by one in fifteen thousand.
    assert scores["auc_across_yaw"] == pytest.approx(wins, abs=5e-4)
    assert 0.5 < scores["auc_across_yaw"] < 1


def test_retrieval_by_hand() -> None:
    first = torch.eye(4)
    second = torch.eye(4)[[0, 2, 1, 3]]  # two images are taken for each other
    ood = torch.tensor([True, True, False, False])
    assert scoring.retrieval_scores(first, second, ood) == {
        "retrieval_top1": 0.5,
        "retrieval_top1_in_distribution": 0.5,
        "retrieval_top1_out_of_distribution": 0.5,
    }
    assert set(scoring.retrieval_scores(first, first, ood).values()) == {1.0}


def test_share_ordered() -> None:
    assert scoring.share_ordered(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([2.0, 2.0, 4.0, 3.0])) == 0.5

"""Objectives: losses against formulas written out, invented strangers, and scores that reward the right thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from core.errors import ReinvertError
from metrics.judges import contrastive, identity_objectives, objectives
from metrics.judges.objective import OBJECTIVES, GroundTruth, TestSet

NAMES = ("background", "skin", "hat")


def _truth(people: int = 12, images: int = 4) -> GroundTruth:
    generator = torch.Generator().manual_seed(0)
    identity = torch.arange(people * images) // images
    vectors = torch.rand(people, 5, generator=generator) * 2 - 1
    count = len(identity)
    attributes = {
        "identity": identity,
        "identity_vector": vectors[identity],
        "age": 20 + 60 * torch.rand(count, generator=generator),
        "yaw": 80 * torch.rand(count, generator=generator) - 40,
        "constant": torch.ones(count),
        "out_of_distribution": torch.arange(count) % 3 == 0,
    }
    return GroundTruth(attributes, torch.tensor([100, 25, 0]))


def _test_set(images: Tensor, lookalikes: Tensor, labels: Tensor | None = None) -> TestSet:
    def batches(all_images: Tensor) -> Callable[[], Iterator[Tensor]]:
        return lambda: iter(all_images.split(10))

    if labels is None:
        labels = torch.zeros(len(images), 2, 2, dtype=torch.uint8)
    return TestSet(batches(images), batches(lookalikes), labels, _truth().attributes, NAMES)


class _Normalised(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.normalize(images.flatten(1), dim=1)


def _margin(name: str, **more: float) -> identity_objectives.MarginSoftmax:
    torch.manual_seed(0)
    objective = OBJECTIVES.get(name)(
        _truth(), torch.zeros(2, 5), lookalikes=3, hidden=8, scale=10.0, margin=0.2, **more
    )
    assert isinstance(objective, identity_objectives.MarginSoftmax)
    return objective


def test_names() -> None:
    assert contrastive.MomentumContrast in [OBJECTIVES.get(name) for name in OBJECTIVES.names()]
    assert sorted(OBJECTIVES.names()) == sorted(
        ["arcface", "curricularface", "attributes", "segmentation", "scene", "perceptual", "momentum-contrast"]
    )


def test_class_centres_come_from_the_identity_vectors() -> None:
    truth = _truth()
    objective = _margin("arcface")
    for person in range(12):
        expected = truth.attributes["identity_vector"][truth.attributes["identity"] == person][0]
        assert torch.equal(objective.vectors[person], expected)


def test_invented_strangers_mix_the_person_with_others() -> None:
    objective = _margin("arcface")
    objective.lookalikes = 200
    torch.manual_seed(1)
    own = objective.vectors[:4]
    strangers = objective.invented_strangers(own)
    assert strangers.shape == (4, 200, 5)
    kept = strangers == own[:, None]
    donated = (strangers[..., None, :] == objective.vectors).any(-2)
    assert (kept | donated).all()
    # Half is kept on average, and one in twelve donors is the person; 4000 draws have a standard error of 0.01.
    assert float(kept.float().mean()) == pytest.approx(0.5 + 0.5 / 12, abs=0.05)


@pytest.mark.parametrize(("name", "more"), [("arcface", {}), ("curricularface", {"momentum": 0.9})])
def test_identity_loss_is_lower_for_the_right_person(name: str, more: dict[str, float]) -> None:
    objective = _margin(name, **more)
    identity = torch.arange(12)
    right = nn.functional.normalize(objective.centre(objective.vectors), dim=1).detach()
    losses = []
    for embedding in (right, right.roll(1, 0)):
        torch.manual_seed(3)
        found = objective.loss(_Normalised(), embedding, torch.zeros(0), {"identity": identity})
        assert found["loss"].requires_grad
        losses.append(found["loss"].item())
    assert losses[0] < losses[1]


def test_arcface_loss_without_strangers_is_the_papers() -> None:
    objective = _margin("arcface")
    objective.lookalikes = 0
    images = torch.randn(6, 5, generator=torch.Generator().manual_seed(2))
    target = torch.tensor([0, 3, 3, 11, 5, 7])
    cosine = (
        nn.functional.normalize(images, dim=1) @ nn.functional.normalize(objective.centre(objective.vectors), dim=1).T
    )
    expected = 0.0
    for row, right in enumerate(target):
        numerator = (10 * (cosine[row, right].acos() + 0.2).cos()).exp()
        others = sum((10 * cosine[row, j]).exp() for j in range(12) if j != right)
        expected -= (numerator / (numerator + others)).log().item() / 6
    found = objective.loss(_Normalised(), images, torch.zeros(0), {"identity": target})
    # float32 through acos, away from its ends.
    assert float(found["loss"]) == pytest.approx(expected, rel=1e-4)


def test_curriculum_state_moves_and_is_saved() -> None:
    objective = _margin("curricularface", momentum=0.5)
    objective.loss(
        _Normalised(), objective.centre(objective.vectors).detach(), torch.zeros(0), {"identity": torch.arange(12)}
    )
    # The right cosines are all one: 0.5 * 0 + 0.5 * 1.
    assert float(objective.difficulty) == pytest.approx(0.5, abs=1e-4)
    assert "difficulty" in objective.state_dict()


def test_identity_scores_use_images_and_lookalikes() -> None:
    vectors = _truth().attributes["identity_vector"]
    scores = _margin("arcface").scores(_Normalised(), _test_set(vectors, -vectors))
    assert scores["auc"] == 1.0
    scores = _margin("arcface").scores(_Normalised(), _test_set(vectors, vectors))
    assert scores["auc_lookalikes"] == 0.5


class _Constant(nn.Module):
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"age": images[:, 0], "yaw": images[:, 1]}


def test_attribute_loss_and_scores_are_absolute_errors() -> None:
    truth = _truth()
    objective = OBJECTIVES.get("attributes")(
        truth, {"age": torch.zeros(2), "yaw": torch.zeros(2)}, {"age": 3.0, "yaw": 1.0}
    )
    attributes = truth.attributes
    offsets = torch.where(attributes["out_of_distribution"], 3.0, 1.0)
    images = torch.stack([attributes["age"] + offsets, attributes["yaw"] - 2], 1)
    found = objective.loss(_Constant(), images, torch.zeros(0), attributes)
    mean = float(offsets.mean())
    spread = {name: float(attributes[name].std()) for name in ("age", "yaw")}
    assert float(found["loss"]) == pytest.approx(3 * mean / spread["age"] + 2 / spread["yaw"], rel=1e-5)
    scores = objective.scores(_Constant(), _test_set(images, images))
    # float32 rounding of ages up to 80.
    assert scores == pytest.approx({
        "age_mae": mean, "yaw_mae": 2.0, "age_mae_in_distribution": 1.0, "yaw_mae_in_distribution": 2.0,
        "age_mae_out_of_distribution": 3.0, "yaw_mae_out_of_distribution": 2.0,
    }, abs=1e-5)  # fmt: skip


def test_attribute_weights_must_be_for_the_outputs() -> None:
    with pytest.raises(ReinvertError, match="give one each for yaw"):
        OBJECTIVES.get("attributes")(_truth(), {"yaw": torch.zeros(2)}, {"age": 1.0})


def test_class_weights_average_one_over_pixels_and_skip_unseen_classes() -> None:
    counts = torch.tensor([90, 10, 0])
    weights = objectives.class_weights(counts, power=0.5)
    assert float(weights[1] / weights[0]) == pytest.approx(3.0)
    assert float((weights * counts).sum() / counts.sum()) == pytest.approx(1.0)
    assert float(weights[2]) == 0
    assert torch.equal(objectives.class_weights(counts, power=0.0), torch.tensor([1.0, 1.0, 0.0]))


def test_dice_by_hand() -> None:
    truth = torch.tensor([[[0, 0, 1, 1]]])
    exact = nn.functional.one_hot(truth, 3).permute(0, 3, 1, 2).float()
    assert float(objectives.soft_dice_loss(exact, truth)) == pytest.approx(0.0)
    # Class 0: overlap 1, totals 2 + 1; class 1: overlap 2, totals 2 + 3; class 2 is not shown.
    said = nn.functional.one_hot(torch.tensor([[[0, 1, 1, 1]]]), 3).permute(0, 3, 1, 2).float()
    assert float(objectives.soft_dice_loss(said, truth)) == pytest.approx(1 - (2 / 3 + 4 / 5) / 2)


def test_segmentation_loss_and_scores() -> None:
    objective = OBJECTIVES.get("segmentation")(_truth(), torch.zeros(2, 3, 2, 2), power=0.5, dice=1.0)
    labels = torch.randint(0, 2, (48, 2, 2), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    right = 20.0 * nn.functional.one_hot(labels.long(), 3).permute(0, 3, 1, 2).float()
    assert float(objective.loss(nn.Identity(), right, labels, {})["loss"]) == pytest.approx(0, abs=1e-5)
    wrong = right.roll(1, 1)
    assert float(objective.loss(nn.Identity(), wrong, labels, {})["loss"]) > 10
    scores = objective.scores(nn.Identity(), _test_set(right, right, labels))
    assert scores["miou"] == scores["iou_skin"] == 1.0
    assert "iou_hat" not in scores


def test_scene_targets_leave_out_what_is_ignored() -> None:
    objective = objectives.SceneRegression(_truth(), torch.zeros(2, 7), ignore=["identity", "out_of_distribution"])
    assert objective.names == ["age", "constant", "identity_vector", "yaw"]
    assert objective.targets(_truth().attributes).shape == (48, 8)
    with pytest.raises(ReinvertError, match="no attribute 'agge'"):
        objectives.SceneRegression(_truth(), torch.zeros(2, 7), ignore=["agge"])


def test_scene_regression_that_knows_the_answer_has_r2_one_and_no_loss() -> None:
    truth = _truth()
    objective = objectives.SceneRegression(truth, torch.zeros(2, 8), ignore=["identity", "out_of_distribution"])
    images = (objective.targets(truth.attributes) - objective.mean) / objective.spread
    with torch.no_grad():
        objective.read.weight.copy_(torch.eye(8))
        objective.read.bias.zero_()
    assert float(objective.loss(nn.Identity(), images, torch.zeros(0), truth.attributes)["loss"]) < 1e-10
    with torch.no_grad():
        scores = objective.scores(nn.Identity(), _test_set(images, images))
    assert scores["scene_r2"] == pytest.approx(1.0, abs=1e-6)


def test_distortions_grow() -> None:
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    noise = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    pairs = list(objectives.distortions(images, noise))
    assert len(pairs) == 3
    for once, twice in pairs:
        assert once.shape == twice.shape == images.shape
    once, twice = pairs[2]
    assert torch.equal(once[..., 1:], images[..., :-1])
    assert torch.equal(twice[..., 2:], images[..., :-2])
    for once, twice in pairs[:2]:
        assert float((once - images).square().mean()) < float((twice - images).square().mean())

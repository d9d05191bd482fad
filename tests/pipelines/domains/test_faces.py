"""The faces domain: images are a function of (split, index) alone, geometry is what the attributes say."""

import shutil

import pytest
import torch

from core.errors import ReinvertError
from pipelines import domains
from pipelines.domains.canvas import reduce_labels
from pipelines.domains.faces import scene as scenes
from pipelines.domains.faces.render import render

FACES = domains.get("faces")


def test_image_does_not_depend_on_batch_or_order() -> None:
    together = FACES.render_split("test", torch.arange(6))
    order = torch.tensor([4, 0, 3])
    apart = FACES.render_split("test", order)
    assert (together.images[order] - apart.images).abs().max() <= 1e-5
    assert torch.equal(together.labels[order], apart.labels)
    for name, value in apart.attributes.items():
        assert torch.equal(together.attributes[name][order], value), name


@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling the painter needs a C++ compiler")
def test_compiled_painter_equals_eager() -> None:
    indices = torch.tensor([0, 3, 10])
    scene = scenes.split_scene("test", indices)
    images, labels = render(scene)
    compiled_images, compiled_labels = render(scene, painter=torch.compile(FACES.painter, dynamic=False))
    assert (images - compiled_images).abs().max() <= 1e-5
    assert (labels != compiled_labels).float().mean() < 1e-3  # a half-covered pixel may round either way


def test_ranges_and_shapes() -> None:
    batch = FACES.render_split("test", torch.arange(32))
    assert batch.images.shape == (32, 3, 64, 64)
    assert batch.labels.shape == (32, 64, 64)
    assert batch.labels.dtype == torch.uint8
    assert torch.isfinite(batch.images).all()
    assert batch.images.abs().max() <= 1
    assert batch.attributes["yaw"].abs().max() <= 40
    assert batch.attributes["age"].min() >= 20
    assert batch.attributes["age"].max() <= 80


def test_every_class_is_present_in_the_test_split() -> None:
    labels = FACES.render_split("test", torch.arange(36)).labels
    assert set(labels.unique().tolist()) == set(range(len(FACES.label_names)))


def test_training_never_shows_accessories_and_a_third_of_the_test_does() -> None:
    train = FACES.attributes("train", torch.arange(3000))
    for name in ("hat", "earrings", "unusual_background"):
        assert train[name].sum() == 0
    test = FACES.attributes("test", torch.arange(FACES.split_size("test")))
    marked = test["out_of_distribution"]
    assert abs(marked.float().mean() - 1 / 3) < 0.001
    carries = (test["hat"] + test["earrings"] + test["unusual_background"]) > 0
    assert torch.equal(carries, marked)


def test_persons_do_not_cross_splits_and_keep_their_vector() -> None:
    test = FACES.attributes("test", torch.arange(40))
    same = test["identity"][:, None] == test["identity"][None, :]
    equal = (test["identity_vector"][:, None] == test["identity_vector"][None, :]).all(2)
    assert torch.equal(same, equal)
    train = FACES.attributes("train", torch.arange(0, 70_000, 10))["identity_vector"]
    assert (torch.cdist(test["identity_vector"], train) > 0.05).all()
    assert len(FACES.attributes("train", torch.arange(70_000))["identity"].unique()) == 7_000


def test_hard_negative_keeps_skin_and_hair_only() -> None:
    assert FACES.hard_negatives is not None
    original = FACES.attributes("test", torch.arange(8))
    negative = FACES.hard_negatives("test", torch.arange(8)).attributes
    for name in scenes.APPEARANCE_OF_IDENTITY + tuple(scenes.APPEARANCE):
        assert torch.equal(original[name], negative[name]), name
    for name in scenes.GEOMETRY_OF_IDENTITY:
        assert not torch.equal(original[name], negative[name]), name
    assert (negative["identity"] < 0).all()


def _plain_head(count: int) -> scenes.Scene:
    return scenes.scene_from_uniforms(torch.full((count, scenes.CHANNELS), 0.5))


def test_yaw_moves_the_nose_and_hides_the_far_eye() -> None:
    scene = _plain_head(3)
    scene["yaw"] = torch.tensor([-40.0, 0.0, 40.0])
    scene["shift_x"] = torch.zeros(3)
    _, labels = render(scene)
    columns = torch.arange(64.0) - 31.5
    nose = (labels == scenes.LABELS.index("nose")).float()
    centre = (nose.sum(1) * columns).sum(1) / nose.sum((1, 2))
    assert centre[0] < -5
    assert abs(centre[1]) < 0.5
    assert centre[2] > 5
    # Foreshortening: the eye on the side turned away covers fewer pixels.
    eyes = (labels == scenes.LABELS.index("eyes")).float().sum(1)
    split = centre.round().long() + 32
    left = torch.stack([eyes[i, : split[i]].sum() for i in range(3)])
    right = torch.stack([eyes[i, split[i] :].sum() for i in range(3)])
    assert left[2] > right[2]
    assert right[0] > left[0]
    assert (left[1] - right[1]).abs() <= 2


def test_frontal_head_is_mirror_symmetric_under_frontal_light() -> None:
    scene = _plain_head(1)
    for name in ("yaw", "light_azimuth", "shift_x", "hair_part", "gaze_x"):
        scene[name] = torch.zeros(1)
    _, labels = render(scene)
    skin = labels == scenes.LABELS.index("eyes")
    assert torch.equal(skin, skin.flip(2))


def test_age_greys_the_hair() -> None:
    scene = _plain_head(2)
    scene["age"] = torch.tensor([25.0, 80.0])
    images, labels = render(scene)
    hair = labels == scenes.LABELS.index("hair")
    means = torch.stack([images[i][:, hair[i]].mean(1) for i in range(2)])
    assert means[1].mean() > means[0].mean() + 0.2  # lighter
    assert means[1].max() - means[1].min() < means[0].max() - means[0].min() + 0.05  # less saturated


def test_labels_reduce_to_the_majority() -> None:
    labels = torch.tensor([[[1, 1, 2, 3], [1, 0, 3, 2], [0, 0, 4, 4], [0, 0, 4, 4]]])
    assert reduce_labels(labels, 2, 5).tolist() == [[[1, 3], [0, 4]]]  # a tie goes to the later class


def test_unknown_split_and_index_are_refused() -> None:
    with pytest.raises(ReinvertError, match="no split 'validation'"):
        FACES.split_size("validation")
    with pytest.raises(ReinvertError, match="0 to 2823"):
        FACES.render_split("test", torch.tensor([2824]))
    with pytest.raises(ReinvertError, match="did you mean 'faces'"):
        domains.get("face")

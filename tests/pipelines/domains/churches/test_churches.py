"""The churches domain: images are a function of (split, index) alone, and parts are where the attributes say."""

import shutil

import pytest
import torch
from torch import Tensor

from core.errors import ReinvertError
from pipelines import domains
from pipelines.domains.churches import scene as scenes
from pipelines.domains.churches.render import render
from pipelines.domains.domain import Batch

CHURCHES = domains.get("churches")
SKY, GROUND, VEGETATION, WALL, ROOF, OPENING = range(len(scenes.LABELS))


@pytest.fixture(scope="module")
def together() -> Batch:
    return CHURCHES.render_split("test", torch.arange(36))


def _plain_church(count: int, **numbers: float) -> Tensor:
    """(count, CHANNELS) uniforms: by day, from the front, one central pyramid, stone, no trees, clouds or porch."""
    rows = torch.full((count, scenes.CHANNELS), 0.5)
    settings = {"hour": 0.2, "towers": 0.65, "tower_roof": 0.1, "material": 0.1, "porch": 0.1, "front_windows": 0.1}
    empty = {name: 0.001 for name in scenes.PARAMETERS if name.endswith("_size")}
    for name, value in {**settings, **empty, **numbers}.items():
        rows[:, _channel(name)] = value
    return rows


def _channel(name: str) -> int:
    return CHURCHES.uniform_names.index(name)


def _drawn(rows: Tensor) -> tuple[Tensor, Tensor]:
    return CHURCHES.draw(rows)


def test_image_does_not_depend_on_batch_or_order(together: Batch) -> None:
    order = torch.tensor([4, 0, 3])
    apart = CHURCHES.render_split("test", order)
    assert (together.images[order] - apart.images).abs().max() <= 1e-5
    assert torch.equal(together.labels[order], apart.labels)
    for name, value in apart.attributes.items():
        assert torch.equal(together.attributes[name][order], value), name
    assert set(apart.attributes) == set(CHURCHES.attributes("test", order))


@pytest.mark.full_size  # g++ takes minutes for this painter; `make test` compiles the other domain's
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling the painter needs a C++ compiler")
def test_compiled_painter_equals_eager() -> None:
    scene = scenes.split_scene("test", torch.tensor([0, 3, 10]))
    images, labels = render(scene)
    compiled_images, compiled_labels = render(scene, painter=torch.compile(CHURCHES.painter, dynamic=False))
    assert (images - compiled_images).abs().max() <= 1e-5
    assert (labels != compiled_labels).float().mean() < 1e-3  # a half-covered pixel may round either way


def test_ranges_and_shapes(together: Batch) -> None:
    assert together.images.shape == (36, 3, 64, 64)
    assert together.labels.shape == (36, 64, 64)
    assert together.labels.dtype == torch.uint8
    assert torch.isfinite(together.images).all()
    assert together.images.abs().max() <= 1
    for name, (low, high) in scenes.PARAMETERS.items():
        assert together.attributes[name].min() >= low, name
        assert together.attributes[name].max() <= high, name
    assert CHURCHES.hard_negatives is None


def test_an_image_is_described_by_few_enough_numbers_for_the_latent_code() -> None:
    rows = CHURCHES.uniforms_of_split("train", torch.arange(5))
    assert rows.shape == (5, len(CHURCHES.uniform_names))
    assert rows.shape[1] <= 84  # two thirds of a code of 128 entries
    images, labels = _drawn(rows)
    batch = CHURCHES.render_split("train", torch.arange(5))
    assert torch.equal(images, batch.images)  # nothing else decides a training image
    assert torch.equal(labels, batch.labels)


def test_every_class_is_in_nearly_every_image(together: Batch) -> None:
    present = torch.stack([(together.labels == k).flatten(1).sum(1) for k in range(len(scenes.LABELS))], 1)
    for name, least, share in (
        ("sky", 600, 1.0), ("ground", 300, 1.0), ("wall", 100, 1.0), ("roof", 40, 1.0), ("opening", 12, 1.0),
        ("vegetation", 20, 0.8),
    ):  # fmt: skip
        count = present[:, scenes.LABELS.index(name)]
        assert (count >= least).float().mean() >= share, f"{name}: {count.tolist()}"


def test_labels_lie_where_the_drawing_shows_their_parts() -> None:
    images, labels = _drawn(_plain_church(1, roof_tone=0.5, tower_roof_tone=0.5, wall_tone=0.5))
    colors = {
        name: images[0][:, labels[0] == k].mean(1) for k, name in enumerate(scenes.LABELS) if name != "vegetation"
    }
    red, green, blue = range(3)
    assert colors["sky"][blue] > colors["sky"][red]
    assert colors["ground"][green] > colors["ground"][blue] + 0.2
    assert colors["roof"][red] > colors["roof"][blue] + 0.4  # red tiles
    assert (colors["wall"].max() - colors["wall"].min()) < 0.35  # grey stone
    assert colors["opening"].mean() < colors["wall"].mean() - 0.3  # dark glass by day
    rows = torch.arange(64.0)
    heights = {name: (rows * (labels[0] == k).sum(1)).sum() / (labels[0] == k).sum() for k, name in
               enumerate(scenes.LABELS) if name != "vegetation"}  # fmt: skip
    assert heights["sky"] < heights["roof"] < heights["wall"] < heights["ground"]


def test_a_small_step_in_any_number_changes_the_image_little() -> None:
    rows = CHURCHES.uniforms_of_split("train", torch.tensor([5]))
    steps = rows.repeat(scenes.CHANNELS, 1)
    step = 1e-3
    steps += torch.eye(scenes.CHANNELS) * step
    before = scenes.scene_from_uniforms(rows)
    images, _ = _drawn(rows)
    moved, _ = _drawn(steps)
    change = (moved - images).abs().mean((1, 2, 3))
    after = scenes.scene_from_uniforms(steps)
    for name in ("material_kind", "tower_roof_kind", "tower_left", "tower_right", "tower_central", "front_window_kind",
                 "bay_count", "has_porch"):  # fmt: skip
        assert (after[name] == before[name]).all(), name  # no threshold was crossed
    # No range of a length is over 2, so an edge of length 4 sweeps at most 8 * step of the 4 units of area, changing
    # pixels by at most 2: a mean change of 4 * step.
    assert change.max() <= 4 * step, CHURCHES.uniform_names[int(change.argmax())]


def test_turning_past_the_front_view_is_continuous() -> None:
    rows = _plain_church(2, tower_width=0.8, towers=0.4)
    rows[:, _channel("turn")] = torch.tensor([0.4999, 0.5001])
    images, _ = _drawn(rows)
    # The eaves of a tower stand out 0.015 less over the side that is seen, an eighth of the picture's height on either
    # edge: 2 * 0.015 * 0.25 of the area 4 by at most 2. Anything that flipped with the side would change far more.
    assert (images[0] - images[1]).abs().mean() < 4e-3


def test_towers_stand_where_the_attributes_say() -> None:
    rows = _plain_church(5, turn=0.5001)
    rows[:, _channel("towers")] = torch.tensor([0.01, 0.1, 0.4, 0.6, 0.9])
    scene = scenes.scene_from_uniforms(rows)
    assert scene["tower_count"].tolist() == [0, 1, 1, 1, 2]
    _, labels = _drawn(rows)
    building = (labels == WALL) | (labels == ROOF) | (labels == OPENING)
    widths = building.any(1).sum(1)
    left, right = building[:, :, :32].flatten(1).sum(1), building[:, :, 32:].flatten(1).sum(1)
    none, at_left, at_right, central, two = range(5)
    assert left[at_left] > right[at_left] + 40
    assert right[at_right] > left[at_right] + 40
    for symmetric in (none, central, two):
        assert (left[symmetric] - right[symmetric]).abs() <= 8
    assert widths[none] == widths[central] < widths[at_left] < widths[two]
    middle = building[:, :, 30:34].flatten(1).sum(1)
    assert middle[central] > middle[none] + 20


@pytest.mark.parametrize(("name", "label"), [("tower_rise", WALL), ("gable", WALL), ("nave_width", WALL)])
def test_sizes_grow_what_they_name(name: str, label: int) -> None:
    rows = _plain_church(2, towers=0.1)
    rows[:, _channel(name)] = torch.tensor([0.05, 0.95])
    _, labels = _drawn(rows)
    small, large = (labels == label).flatten(1).sum(1).tolist()
    assert large > small + 15


def test_turn_shows_the_side_it_names() -> None:
    rows = _plain_church(2)
    rows[:, _channel("turn")] = torch.tensor([0.02, 0.98])
    rows[:, _channel("shift_x")] = 0.5
    _, labels = _drawn(rows)
    ridge = (labels == ROOF).float().sum(1)
    columns = torch.arange(64.0) - 31.5
    middle = (ridge * columns).sum(1) / ridge.sum(1)
    door = ((labels == OPENING)[:, 45:].float().sum(1) * columns).sum(1)
    assert door[0] > 0 > door[1]  # the front moves away from the side that is seen
    assert (middle[0] - middle[1]).abs() < 12


def test_spires_are_taller_than_pyramids_and_flat_towers_have_no_cross() -> None:
    rows = _plain_church(2)  # stone: pyramid, spire, flat
    rows[:, _channel("tower_roof")] = torch.tensor([0.1, 0.5])
    flat = _plain_church(1, tower_roof=0.9)
    rows = torch.cat([rows, flat])
    kinds = scenes.scene_from_uniforms(rows)["tower_roof_kind"]
    assert [scenes.TOWER_ROOFS[int(kind)] for kind in kinds] == ["pyramid", "spire", "flat"]
    _, labels = _drawn(rows)
    tops = [int((labels[k] != SKY).any(1).float().argmax()) for k in range(3)]
    assert tops[1] < tops[0] - 3 < tops[0] < tops[2]


def test_windows_are_lit_at_night_and_the_rest_is_dark() -> None:
    rows = _plain_church(2)
    rows[:, _channel("hour")] = torch.tensor([0.2, 0.95])
    images, labels = _drawn(rows)
    assert torch.equal(labels[0], labels[1])  # the hour moves nothing
    brightness = images.mean(1)
    for label in (SKY, GROUND, WALL, ROOF):
        day, night = (brightness[k][labels[k] == label].mean() for k in range(2))
        assert night < day - 0.2, scenes.LABELS[label]
    windows = (labels[0] == OPENING) & (torch.arange(64)[:, None] < 45)  # above the door
    assert brightness[1][windows].mean() > brightness[0][windows].mean() + 0.4


def test_training_never_shows_oddities_and_a_third_of_the_test_does() -> None:
    train = CHURCHES.attributes("train", torch.arange(3000))
    for name in scenes.ODDITY_KINDS:
        assert train[name].sum() == 0
    assert train["tower_count"].max() == 2
    for split in ("test", "judges"):
        truth = CHURCHES.attributes(split, torch.arange(CHURCHES.split_size(split)))
        marked = truth["out_of_distribution"]
        assert abs(marked.float().mean() - 1 / 3) < 0.001
        kinds = torch.stack([truth[name] for name in scenes.ODDITY_KINDS], 1)
        assert torch.equal(kinds.sum(1) == 1, marked)
        assert kinds.sum(0).min() > 0.1 * marked.sum()  # of a sixth each


def _pairs(split: str, count: int) -> set[tuple[str, str]]:
    truth = CHURCHES.attributes(split, torch.arange(count))
    shown = truth["tower_count"] > 0
    return {
        (scenes.MATERIALS[int(m)], scenes.TOWER_ROOFS[int(r)])
        for m, r in zip(truth["material_kind"][shown], truth["tower_roof_kind"][shown], strict=True)
    }


def test_each_material_meets_one_tower_roof_only_out_of_distribution() -> None:
    unseen = set(zip(scenes.MATERIALS, scenes.UNSEEN_ROOF, strict=True))
    assert len(set(scenes.UNSEEN_ROOF)) == len(scenes.MATERIALS)  # so every roof is seen on three materials
    train = _pairs("train", 70_000)
    assert len(train) == 12
    assert not train & unseen
    assert _pairs("test", 2_824) - train == unseen
    test = CHURCHES.attributes("test", torch.arange(2_824))
    assert test["tower_count"][test["unseen_pair"] > 0].min() >= 1  # the pair is there to be seen


def test_every_oddity_changes_the_picture() -> None:
    rows = CHURCHES.uniforms_of_split("train", torch.tensor([1])).repeat(len(scenes.ODDITY_KINDS), 1)
    rows[:, _channel("towers")] = 0.1
    oddities = torch.full((len(rows), len(scenes.ODDITIES)), 0.5)
    oddities[:, 0] = (torch.arange(len(rows)) + 0.5) / len(rows)
    images, labels = render(scenes.scene_from_uniforms(rows, oddities, torch.ones(len(rows), dtype=torch.bool)))
    plain, plain_labels = render(scenes.scene_from_uniforms(rows))
    change = (images - plain).abs().amax(1)
    assert ((change > 0.2).flatten(1).sum(1) >= 20).all()
    sky = scenes.ODDITY_KINDS.index("odd_sky")
    assert torch.equal(labels[sky], plain_labels[sky])
    snow = scenes.ODDITY_KINDS.index("snow")
    ground = labels[snow] == GROUND
    assert images[snow].mean(0)[ground].mean() > plain[snow].mean(0)[ground].mean() + 0.3


def test_wrong_shapes_splits_and_names_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        scenes.scene_from_uniforms(torch.rand(2, 3))
    with pytest.raises(ReinvertError, match="0 to 2823"):
        CHURCHES.render_split("test", torch.tensor([2824]))
    with pytest.raises(ReinvertError, match="did you mean 'churches'"):
        domains.get("church")

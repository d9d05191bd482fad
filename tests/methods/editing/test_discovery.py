"""Directions planted in toy samples and toy generators are found again, named and kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.errors import ReinvertError
from methods.editing import discovery
from methods.editing.direction_set import Direction, DirectionSet
from methods.editing.labelled_samples import LabelledSamples
from methods.networks.stylegan2 import Generator


def axis(number: int, dimensions: int = 6) -> torch.Tensor:
    return torch.eye(dimensions)[number]


def labelled(count: int = 4000) -> LabelledSamples:
    """Attributes that are coordinates: age the first, yaw a mixture of the first and the second."""
    torch.manual_seed(0)
    codes = torch.randn(count, 6) * torch.tensor([2.0, 1.0, 4.0, 1.0, 1.0, 1.0])
    scores = {"age": codes[:, 0], "yaw": codes[:, 0] / 2 + codes[:, 1]}
    return LabelledSamples(codes, scores, "a" * 64, seed=0)


def test_boundaries_are_planted_axes_and_conditions_take_out_what_is_shared() -> None:
    found = discovery.boundaries(labelled(), {"age": [], "yaw": ["age"]}, 0.1, 0, 0.5, 8)
    age, yaw = found.directions
    # 800 samples of the extremes tell a plane in six dimensions to a few degrees.
    assert float(age.vector @ axis(0)) > 0.99
    assert float(yaw.vector @ axis(1)) > 0.99
    assert abs(float(yaw.vector @ age.vector)) < 1e-6
    assert age.unit == pytest.approx(0.5 * 2.0, rel=0.05) and yaw.unit == pytest.approx(0.5 * 1.0, rel=0.05)
    assert age.rows == (0, 8) and found.accuracies["age"] is not None and found.accuracies["age"] > 0.99
    with pytest.raises(ReinvertError, match="unknown attribute 'yam'; did you mean 'yaw'"):
        discovery.boundaries(labelled(), {"yam": []}, 0.1, 0, 0.5, 8)


def test_components_are_the_axes_of_most_variance_for_every_range() -> None:
    rows = {"coarse": (0, 2), "fine": (2, 4)}
    found = discovery.components(labelled().codes, 2, rows, 0.5)
    assert [one.name for one in found] == [
        "ganspace-0-coarse", "ganspace-0-fine", "ganspace-1-coarse", "ganspace-1-fine"
    ]  # fmt: skip
    assert abs(float(found[0].vector @ axis(2))) > 0.999 and found[0].unit == pytest.approx(0.5 * 4.0, rel=0.05)
    assert abs(float(found[2].vector @ axis(0))) > 0.999


def test_eigenvectors_are_those_of_the_rows_they_move() -> None:
    torch.manual_seed(1)
    generator = Generator(8, style_dim=6, mapping_layers=1, channels={4: 5, 8: 5})
    planted = {0: axis(1), 1: axis(3), 2: axis(3), 3: axis(3)}
    with torch.no_grad():
        for row, layer in enumerate([generator.conv1, *generator.convs, generator.to_rgbs[-1]]):
            weight = layer.conv.modulation.weight
            weight.copy_(torch.randn(len(weight), 1) * planted[row])
    found = discovery.eigenvectors(generator, torch.randn(500, 6), 1, {"first": (0, 1), "rest": (1, 4)}, 1.0)
    assert [(one.rows, int(one.vector.argmax())) for one in found] == [((0, 1), 1), ((1, 4), 3)]
    torch.testing.assert_close(found[0].vector, axis(1), atol=1e-6, rtol=0)


def candidate(number: int) -> Direction:
    return Direction(f"ganspace-{number}-all", "ganspace", "", axis(number), 1.0, (0, 4), number)


def test_candidates_are_named_after_what_they_change_most_and_the_clearest_is_kept() -> None:
    effects = [
        {"sky": 1.0, "wall": 0.8},  # sky, but the next one changes nothing else
        {"sky": -0.9, "wall": 0.1},
        {"sky": 0.5, "wall": 2.0},
        {"sky": 0.1, "wall": 0.2},  # too little of anything
    ]
    kept = discovery.named([candidate(number) for number in range(4)], effects, 0.5, 3, "ganspace")
    assert [(one.name, one.attribute, one.component) for one in kept] == [
        ("ganspace-1", "wall", 2), ("ganspace-2", "sky", 1)
    ]  # fmt: skip
    assert torch.equal(kept[1].vector, -axis(1))  # turned to raise what it is named after
    assert len(discovery.named([candidate(number) for number in range(4)], effects, 0.5, 1, "ganspace")) == 1
    with pytest.raises(ReinvertError, match="lower 'minimum_effect'"):
        discovery.named([candidate(0)], effects[3:], 0.5, 3, "ganspace")


def test_only_rows_of_the_direction_are_moved() -> None:
    direction = Direction("age", "interfacegan", "age", axis(0), 0.5, (1, 3))
    codes = torch.randn(2, 6)
    moved = discovery.moved_styles(codes, direction, [-2.0, 0.0, 2.0], 4)
    assert moved.shape == (3, 2, 4, 6)
    assert torch.equal(moved[1], codes[:, None].expand(-1, 4, -1))
    torch.testing.assert_close(moved[2, :, 1:3] - moved[1, :, 1:3], axis(0).expand(2, 2, 6))
    assert torch.equal(moved[2, :, [0, 3]], moved[1, :, [0, 3]])
    with pytest.raises(ReinvertError, match="the generator has 2"):
        direction.of_styles(2)


def test_a_set_of_directions_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "directions.npz"
    made = DirectionSet(
        (candidate(2), Direction("age", "interfacegan", "age", axis(0), 0.5, (0, 4))), {"age": 12.5}, "b" * 64
    )
    made.save(path)
    kept = DirectionSet.load(path)
    assert kept.spreads == made.spreads and kept.generator_sha256 == made.generator_sha256
    for one, other in zip(kept.directions, made.directions, strict=True):
        assert torch.equal(one.vector, other.vector)
        assert (one.name, one.finder, one.attribute, one.unit, one.rows, one.component) == (
            other.name, other.finder, other.attribute, other.unit, other.rows, other.component
        )  # fmt: skip
    assert kept.get("age").unit == 0.5
    with pytest.raises(ReinvertError, match="unknown direction 'ages'; did you mean 'age'"):
        kept.get("ages")
    kept.require_generator("b" * 64)
    with pytest.raises(ReinvertError, match="another generator"):
        kept.require_generator("c" * 64)


def test_files_that_hold_no_directions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReinvertError, match="is missing; make it with 'reinvert directions'"):
        DirectionSet.load(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(ReinvertError, match="holds no directions"):
        DirectionSet.load(tmp_path / "bad.npz")
    labelled(10).save(tmp_path / "other.npz")
    with pytest.raises(ReinvertError, match="holds no directions"):
        DirectionSet.load(tmp_path / "other.npz")

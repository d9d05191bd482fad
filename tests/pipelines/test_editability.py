"""Editability of a method whose every edit has a closed form: it draws one colour per image, which is its code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.config import validated
from core.errors import ReinvertError
from methods.code import Code
from methods.editing.direction_set import Direction, DirectionSet
from methods.inverter import Inverter, Step
from pipelines import editability
from pipelines.edit_measures import Drawn, Inverted, change_along, consistency, edited_at
from pipelines.editing_config import Editability
from tests.methods import tiny

SIDE = 8
SETTINGS: dict[str, Any] = {
    "images": 12, "fewer_images": {"optimization": 4, "pti": 4, "slow": 2}, "batch": 5, "seed": 0,
    "gammas": [-2, 0, 1, 2],
    "directions": {"faces": ["light"]}, "reference_images": 12, "fid_images": 20, "kid_subsets": 4,
    "kid_subset_size": 8, "consistency_images": 6, "consistency_gamma": 2, "mixing_row": 1, "interpolation_steps": 3,
    "shown": 2, "bootstrap_resamples": 100,
}  # fmt: skip
STEP = 10 / 127.5
"""What one gamma adds to red and green: ten of 255 levels, so that rounding to bytes loses nothing."""


class Colours(Inverter):
    """Red is the first style, green the second; weights add to green what is over 0.5 in it, and codes alone lose it.

    Args:
        blind: images whose red is below this become NaN when they are edited.
    """

    def __init__(self, blind: float = -2.0, weights: bool = False) -> None:
        card = SimpleNamespace(sha256="a" * 64)
        generator = SimpleNamespace(device=torch.device("cpu"), latent_std=1.0, style_shape=(2, 1), card=card)
        super().__init__(generator)  # type: ignore[arg-type]
        self.blind = blind
        self.weights = weights

    @classmethod
    def from_arguments(cls, arguments: Any, context: Any) -> Colours:
        return cls()

    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        colours = images.mean(dim=(2, 3))
        green = colours[:, 1:2].clamp(max=0.5 if self.weights else 1.0)
        residuals = {"green": colours[:, 1:2] - green} if self.weights else None
        yield Step(0, Code(torch.stack([colours[:, :1], green], dim=1), weight_residuals=residuals))

    def edit(self, code: Code, direction: Tensor, strength: float) -> Code:
        edited = super().edit(code, direction, strength)
        lost = (code.styles[:, :1, :1] < self.blind) & bool(strength)
        return replace(edited, styles=torch.where(lost, torch.nan, edited.styles))

    def draw(self, code: Code) -> Tensor:
        red, green = code.styles[:, 0, 0], code.styles[:, 1, 0]
        if code.weight_residuals is not None:
            green = green + code.weight_residuals["green"][:, 0]
        return torch.stack([red, green, torch.zeros_like(red)], dim=1)[:, :, None, None].expand(-1, -1, SIDE, SIDE)


class Judges:
    """Reads colours in levels of 255; the distance of two images is that of their greens."""

    def masks(self, pixels: Any) -> Any:
        return (pixels[..., 0] > 127).astype(np.uint8)

    def attributes(self, pixels: Any, masks: Any) -> dict[str, Any]:
        assert np.array_equal(masks, self.masks(pixels))
        return {"red": pixels[:, 0, 0, 0].astype(np.float64), "green": pixels[:, 0, 0, 1].astype(np.float64)}

    def perceptual(self, first: Any, second: Any) -> Any:
        return np.abs(first[:, 0, 0, 1].astype(np.float64) - second[:, 0, 0, 1])

    def identities(self, first: Any, second: Any) -> Any:
        return np.ones(len(first))

    def features(self, pixels: Any) -> Tensor:
        return torch.from_numpy(pixels[:, 0, 0, :2].astype(np.float64))


JUDGES: Any = Judges()
LIGHT = Direction("light", "interfacegan", "red", torch.tensor([1.0]), STEP, (0, 1))
SPREADS = {"red": 20.0, "green": 20.0}


def settings(**changes: Any) -> Editability:
    return validated(Editability, SETTINGS | changes, "params.yaml: editability")


def pixels(count: int = 12) -> Any:
    levels = np.random.default_rng(0).integers(60, 180, size=(count, 1, 1, 3))
    return np.broadcast_to(levels, (count, SIDE, SIDE, 3)).astype(np.uint8)


def images(count: int = 12) -> editability.Edited:
    return editability.Edited(pixels(count), np.arange(count), pixels(12))


def test_everything_measured_of_a_method_has_its_closed_form() -> None:
    directions = DirectionSet((LIGHT,), SPREADS, "a" * 64)
    found, pictures = editability.measure(Colours(), images(), directions, ("light",), JUDGES, settings())
    light = found["directions"]["light"]
    assert [change["mean"] for change in light["changes"]] == [-20.0, 0.0, 10.0, 20.0]
    assert [change["low"] for change in light["changes"]] == [-20.0, 0.0, 10.0, 20.0]  # every image moves alike
    assert light["per_gamma"]["mean"] == pytest.approx(10.0) and light["per_gamma"]["n"] == 12
    assert light["effects"] == {"red": 2.0, "green": 0.0} and light["selectivity"] is None  # nothing else moves
    assert light["monotone"] and light["perceptual"][0]["mean"] == 0.0
    crossed = [
        np.mean((pixels()[:, 0, 0, 0] > 127) != (pixels()[:, 0, 0, 0].astype(int) + step > 127)) for step in (-20, 20)
    ]
    assert [end["mean"] for end in light["changed_pixels"]] == pytest.approx(crossed)
    edited = found["edited"]
    assert edited["id"]["mean"] == 1.0 and edited["fid"]["n"] == 24 and edited["fid"]["value"] > 0
    assert (
        found["consistency"]["code"]["mean"] == pytest.approx(0.0, abs=1e-6) and found["consistency"]["code"]["n"] == 6
    )
    # Red is the first style and comes from the content, green is the second and comes from the looks.
    shares = found["mixing"]["follows_content"]
    assert found["mixing"]["content_from"] == "styles"
    assert shares["red"]["mean"] == pytest.approx(1.0) and shares["green"]["mean"] == pytest.approx(0.0)
    assert found["interpolation"]["code"]["endpoint_lpips"]["mean"] == 0.0
    assert found["interpolation"]["code_and_weights"] is None
    assert pictures["edit_light"].shape == (2, 4, SIDE, SIDE, 3) and pictures["mixing"].shape[:2] == (2, 4)
    middle = pictures["interpolation_code"][0, 1, 0, 0, :2].astype(int)
    assert np.abs(middle - (pixels()[0, 0, 0, :2].astype(int) + pixels()[1, 0, 0, :2]) / 2).max() <= 0.5


def test_interpolation_by_code_alone_loses_what_the_weights_hold() -> None:
    directions = DirectionSet((LIGHT,), SPREADS, "a" * 64)
    bright = editability.Edited(np.maximum(pixels(), 220), np.arange(12), pixels(12))
    found, pictures = editability.measure(Colours(weights=True), bright, directions, ("light",), JUDGES, settings())
    # 0.5 is level 191.25, drawn as 191: 29 below the input's 220.
    assert found["interpolation"]["code"]["endpoint_lpips"]["mean"] == 29.0
    assert found["interpolation"]["code_and_weights"]["endpoint_lpips"]["mean"] == 0.0
    assert pictures["interpolation_code_and_weights"].shape == (2, 3, SIDE, SIDE, 3)


def test_failed_edits_count_as_no_change_and_are_counted() -> None:
    inverter = Colours(blind=0.0)
    dark = pixels()[:, 0, 0, 0] < 127.5
    inverted = Inverted.by(inverter, pixels(), JUDGES, settings())
    edits = edited_at(inverted, LIGHT.of_styles(2), settings().gammas, 5)
    entry = change_along(inverted, LIGHT, edits, JUDGES, SPREADS, settings())
    assert 0 < dark.sum() < 12
    for gamma, change in zip((-20.0, 10.0, 20.0), (entry["changes"][place] for place in (0, 2, 3)), strict=True):
        assert change["n_failed"] == dark.sum() and change["n"] == 12
        assert change["mean"] == pytest.approx(gamma * (~dark).mean())
    consistent = consistency(inverted, LIGHT.of_styles(2), JUDGES, settings())
    assert consistent["code"]["n_failed"] == dark[:6].sum()
    nothing = consistency(replace(inverted, unedited=Drawn(inverted.unedited.pixels, np.ones(12, bool))),
                          LIGHT.of_styles(2), JUDGES, settings())  # fmt: skip
    assert nothing["code"] == {"mean": None, "low": None, "high": None, "n": 6, "n_failed": 6}


def test_fid_is_withheld_from_few_images() -> None:
    directions = DirectionSet((LIGHT,), SPREADS, "a" * 64)
    found, _ = editability.measure(Colours(), images(4), directions, ("light",), JUDGES, settings())
    assert found["edited"]["fid"] == {"value": None, "low": None, "high": None, "n": 8, "n_failed": 0}
    assert found["edited"]["kid"]["value"] is not None and found["consistency"]["code"]["n"] == 2


def test_searching_methods_get_the_first_images_of_the_others() -> None:
    methods = {
        "psp": {"kind": "psp"}, "hybrid": {"kind": "optimization", "start": "psp"}, "slow": {"kind": "optimization"},
        "pti": {"kind": "pti", "start": "slow"},
    }  # fmt: skip
    config = tiny.config(methods)
    counts = {name: editability.image_count(name, config, settings()) for name in methods}
    assert counts == {"psp": 12, "hybrid": 4, "slow": 2, "pti": 2}
    everything = pixels(40)
    split: Any = SimpleNamespace(
        attributes={"out_of_distribution": torch.arange(40) % 3 == 2}, images=lambda indices: everything[indices]
    )
    many, few = (editability.images_of(split, count, settings()) for count in (12, 4))
    assert len(set(many.indices.tolist())) == 12 and many.indices[:4].tolist() == few.indices.tolist()
    assert np.array_equal(few.pixels, everything[few.indices]) and len(few.reference) == 12


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    DirectionSet((LIGHT,), SPREADS, "a" * 64).save(tmp_path / "data" / "faces" / "directions.npz")
    (tmp_path / "data" / "faces" / "test").mkdir()
    (tmp_path / "data" / "faces" / "test" / "manifest.json").write_text("{}")
    everything = pixels(40)
    split = SimpleNamespace(
        attributes={"out_of_distribution": torch.arange(40) % 3 == 2}, images=lambda indices: everything[indices]
    )
    monkeypatch.setattr(editability.shards, "load", lambda folder: split)
    monkeypatch.setattr(editability.EditJudges, "load", lambda *_, **__: JUDGES)
    return tmp_path


def run(project: Path, inverter: Inverter, **changes: Any) -> dict[str, Any]:
    from core.config import RunConfig

    config = tiny.config({"psp": {"kind": "psp"}}).model_copy(
        update={"runs": {"faces-psp": RunConfig(domain="faces", method="psp")}}
    )
    return editability.editability(
        "faces-psp", config, settings(**changes), project / "weights", project / "data", project / "results",
        torch.device("cpu"), lambda *_: inverter,
    )  # fmt: skip


def test_the_stage_leaves_numbers_and_pictures(project: Path) -> None:
    measured = run(project, Colours())
    assert json.loads((project / "results" / "editability.json").read_text()) == measured
    assert (
        measured["status"] == "ok" and measured["n"] == 12 and set(measured["protocols"]) >= {"changes", "consistency"}
    )
    with np.load(project / "results" / "edits.npz") as pictures:
        assert set(pictures.files) == {
            "inputs", "reconstructions", "indices", "edit_light", "mixing", "interpolation_code"
        }  # fmt: skip


def test_a_method_that_fails_leaves_its_reason(project: Path) -> None:
    class Broken(Colours):
        def draw(self, code: Code) -> Tensor:
            return super().draw(code) * torch.nan

    measured = run(project, Broken())
    assert measured["status"] == "failed" and "not finite" in measured["reason"] and measured["n_failed"] == 12
    assert (project / "results" / "edits.npz").is_file()


def test_what_does_not_fit_is_refused_in_one_line(project: Path) -> None:
    other = Colours()
    other.generator.card.sha256 = "b" * 64
    with pytest.raises(ReinvertError, match="another generator"):
        run(project, other)
    with pytest.raises(ReinvertError, match="unknown direction 'lihgt'; did you mean 'light'"):
        run(project, Colours(), directions={"faces": ["lihgt"]})
    with pytest.raises(ReinvertError, match="names no directions to edit faces along"):
        run(project, Colours(), directions={"churches": ["light"]})
    with pytest.raises(ReinvertError, match="more than the 12 images"):
        settings(fewer_images={"psp": 13})
    with pytest.raises(ReinvertError, match="some methods get only 2 images"):
        settings(shown=3)
    with pytest.raises(ReinvertError, match="changes nothing tests nothing"):
        settings(consistency_gamma=0)

"""Inspection of a method whose steps have a closed form, and of every method of phases with random weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.config import RunConfig, validated
from core.errors import ReinvertError
from methods import registry
from methods.code import Code
from methods.inverter import Inverter, Step
from pipelines import inspection
from pipelines.inspection_config import Inspection
from tests.methods import tiny

SIDE = 8
SETTINGS: dict[str, Any] = {
    "images": 10, "fewer_images": {"pti": 2}, "batch": 4, "seed": 0, "groups": {"coarse": [0, 1], "fine": [1, 2]},
    "shown": 3, "bootstrap_resamples": 100,
}  # fmt: skip


class Nearing(Inverter):
    """Draws grey and halves the distance to the image's mean with every step; the first style is that grey, the second
    ten times it. Red of `lost` at the start makes the third yield NaN."""

    def __init__(self, yields: int = 4, lost: float = 2.0) -> None:
        generator = SimpleNamespace(device=torch.device("cpu"), style_shape=(2, 1), resolution=64)
        super().__init__(generator)  # type: ignore[arg-type]
        self.yields, self.lost = yields, lost

    @classmethod
    def from_arguments(cls, arguments: Any, context: Any) -> Nearing:
        return cls()

    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        goal = images.mean(dim=(1, 2, 3))
        for step in range(self.yields):
            grey = goal * (1 - 0.5**step)
            if step == 2:
                grey = torch.where(goal > self.lost, torch.nan, grey)
            weight = {name: torch.full((len(goal), 1, 2), float(step)) for name in ("conv1.conv.weight", "other")}
            yield Step(step * 5, Code(torch.stack([grey, 10 * grey], dim=1)[..., None], weight_residuals=weight))

    def draw(self, code: Code) -> Tensor:
        return code.styles[:, 0, 0][:, None, None, None].expand(-1, 3, SIDE, SIDE)


def settings(**changes: Any) -> Inspection:
    return validated(Inspection, SETTINGS | changes, "params.yaml: inspection")


def pixels(count: int = 10) -> Any:
    levels = np.linspace(140, 240, count).round().astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, SIDE, SIDE, 3)).copy()


def test_every_step_is_compared_with_the_one_before() -> None:
    found, arrays = inspection.measure(Nearing(), pixels(), settings(), every_yield=True)
    goals = pixels()[:, 0, 0, 0] / 127.5 - 1
    assert (found["n"], found["n_failed"], found["steps"]) == (10, 0, [0, 5, 10, 15])
    for number, entry in enumerate(found["image_change"], start=1):
        assert entry["step"] == 5 * number
        moved = goals / 2 * 0.5**number  # of the range from black to white
        assert entry["mean"] == pytest.approx(moved.mean(), rel=1e-5)
        assert entry["low"] <= entry["mean"] <= entry["high"]
        assert entry["per_image"] == pytest.approx(moved.tolist(), rel=1e-4)
        groups = found["latent_change"][number - 1]["groups"]
        assert groups["coarse"]["value"] == pytest.approx(((goals * 0.5**number) ** 2).mean(), rel=1e-5)
        assert groups["fine"]["value"] == pytest.approx(100 * groups["coarse"]["value"], rel=1e-5)
    assert arrays["change_maps"].shape == (3, SIDE, SIDE) and arrays["drawn"].shape == (4, 3, SIDE, SIDE, 3)
    assert arrays["error_maps"][-1] == pytest.approx((goals / 2 * 0.125).mean(), rel=1e-5)
    assert np.array_equal(arrays["inputs"], pixels()[:3])
    layer = found["weight_change"]["layers"][0]
    assert len(found["weight_change"]["layers"]) == 1  # what is no convolution of the generator is left aside
    assert (layer["layer"], layer["kind"], layer["resolution"]) == ("4px-conv1", "convolution", 4)
    assert layer["mean"] == found["weight_change"]["resolutions"]["4"]["mean"] == 3.0


def test_of_a_search_start_and_answer_are_compared() -> None:
    found, arrays = inspection.measure(Nearing(), pixels(), settings(), every_yield=False)
    goals = pixels()[:, 0, 0, 0] / 127.5 - 1
    assert found["steps"] == [0, 1] and len(found["image_change"]) == 1
    assert found["image_change"][0]["mean"] == pytest.approx((goals / 2 * 0.875).mean(), rel=1e-5)
    assert arrays["drawn"].shape == (2, 3, SIDE, SIDE, 3)


def test_what_is_not_finite_is_counted_and_in_no_mean() -> None:
    found, arrays = inspection.measure(Nearing(lost=0.8), pixels(), settings(), every_yield=True)
    goals = pixels()[:, 0, 0, 0] / 127.5 - 1
    kept = goals <= 0.8
    assert (found["n"], found["n_failed"]) == (int(kept.sum()), int((~kept).sum()))
    assert found["n_failed"] > 0
    entry = found["image_change"][0]
    assert [score is None for score in entry["per_image"]] == (~kept).tolist()
    assert entry["mean"] == pytest.approx((goals[kept] / 4).mean(), rel=1e-5)
    assert np.isfinite(arrays["change_maps"]).all() and np.isfinite(arrays["error_maps"]).all()
    with pytest.raises(FloatingPointError, match="not finite"):
        inspection.measure(Nearing(lost=-2), pixels(), settings(), every_yield=True)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ReinvertError, match="yields only once"):
        inspection.measure(Nearing(yields=1), pixels(), settings(), every_yield=True)
    with pytest.raises(ReinvertError, match="more than the generator's 2 styles"):
        inspection.measure(Nearing(), pixels(), settings(groups={"coarse": [0, 3]}), every_yield=True)
    with pytest.raises(ReinvertError, match="groups.fine is 2 to 1"):
        settings(groups={"fine": [2, 1]})
    with pytest.raises(ReinvertError, match="more than the 10 images"):
        settings(fewer_images={"pti": 11})


def test_layers_are_named_after_the_generator_s_weights() -> None:
    layers = inspection.layers_of(16)
    assert [name for name, _, _ in layers.values()] == [
        "4px-conv1", "4px-torgb", "8px-conv0", "8px-conv1", "8px-torgb", "16px-conv0", "16px-conv1", "16px-torgb",
    ]  # fmt: skip
    assert {kind for _, kind, _ in layers.values()} == {"convolution", "torgb"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.methods import test_every_method

    folder = tmp_path_factory.mktemp("phases")
    for write in (tiny.write_generator, tiny.write_judges, tiny.write_discriminator):
        write(folder, 64)
    tiny.write_perceptual(folder)
    for name in ("e4e", "restyle-psp", "e2style/1-stage", "e2style/2-stage", "hfgi", "feature-style",
                 "hyperinverter/w-encoder", "hyperinverter"):  # fmt: skip
        test_every_method.write_initial(name, "faces", folder)
    return folder


@pytest.mark.parametrize(
    ("method", "changes", "weights"),
    [("restyle-psp", 2, False), ("e4e/naive-iteration", 1, False), ("e2style/2-stage", 1, False), ("hfgi", 1, False),
     ("feature-style", 1, False), ("hyperinverter", 1, True), ("pti/e4e", 1, True)],
)  # fmt: skip
def test_methods_of_phases_can_be_inspected(method: str, changes: int, weights: bool, root: Path) -> None:
    from tests.methods.test_every_method import CONFIG

    inverter = registry.build(method, CONFIG, "faces", root)
    noise = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3)).astype(np.uint8)
    every = CONFIG.methods[method].kind in inspection.OF_PASSES
    found, arrays = inspection.measure(inverter, noise, settings(groups={"all": [0, 10]}), every)
    assert len(found["image_change"]) == len(arrays["change_maps"]) == changes
    assert (found["weight_change"] is not None) == weights
    if weights:
        assert len(found["weight_change"]["layers"]) == 14
    # Phases after the code leave the styles alone.
    moved = [change["groups"]["all"]["value"] > 0 for change in found["latent_change"]]
    assert moved == [every] * changes


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data" / "faces" / "test").mkdir(parents=True)
    (tmp_path / "data" / "faces" / "test" / "manifest.json").write_text("{}")
    everything = pixels(40)
    split = SimpleNamespace(
        attributes={"out_of_distribution": torch.arange(40) % 3 == 2}, images=lambda indices: everything[indices]
    )
    monkeypatch.setattr(inspection.shards, "load", lambda folder: split)
    return tmp_path


def run(project: Path, inverter: Inverter, kind: str = "restyle") -> dict[str, Any]:
    config = tiny.config({"one": {"kind": kind}}).model_copy(
        update={"runs": {"faces-one": RunConfig(domain="faces", method="one")}}
    )
    return inspection.inspection(
        "faces-one", config, settings(), project / "weights", project / "data", project / "results",
        torch.device("cpu"), lambda *_: inverter,
    )  # fmt: skip


def test_the_stage_leaves_numbers_and_pictures(project: Path) -> None:
    measured = run(project, Nearing())
    first = (project / "results" / "inspection.json").read_bytes()
    assert json.loads(first) == measured and measured["status"] == "ok" and len(measured["image_change"]) == 3
    with np.load(project / "results" / "inspection.npz") as arrays:
        assert set(arrays.files) == {"change_maps", "error_maps", "inputs", "drawn", "indices"}
    run(project, Nearing())
    assert (project / "results" / "inspection.json").read_bytes() == first
    few = run(project, Nearing(), "pti")
    assert (few["n"], few["steps"]) == (2, [0, 1])


def test_a_method_that_fails_leaves_its_reason(project: Path) -> None:
    measured = run(project, Nearing(lost=-2))
    assert measured["status"] == "failed" and "not finite" in measured["reason"]
    assert (measured["n"], measured["n_failed"]) == (0, 10)

"""Figures and tables of inspections, made up: what is drawn, what is said, what is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.config import Config
from core.errors import ReinvertError
from metrics.change import colour_distance
from reports import drawing, heat, inspecting, markdown
from reports import inspecting_figures as figures
from reports.model import Figure, Report, Section, Table, numbered, text
from reports.read import Run
from reports.read_inspection import Inspected, read_inspections

SIDE = 16
METHODS = {
    "restyle-psp": ("restyle", 24),
    "psp/naive-iteration": ("naive_iteration", 24),
    "hyperinverter": ("hyperinverter", 24),
    "pti": ("pti", 1),
    "e2style/3-stage": ("e2style", 24),
}
STEPS = {
    "restyle": [0, 1, 2, 3],
    "naive_iteration": [1, 2, 3],
    "hyperinverter": [0, 1],
    "pti": [0, 1],
    "e2style": [1, 2, 3],
}


def entry(value: float, n: int, **more: Any) -> dict[str, Any]:
    return {"mean": value, "low": 0.9 * value, "high": 1.1 * value, "n": n, "n_failed": 1, **more}


def made_up(method: str, kind: str, n: int) -> dict[str, Any]:
    groups = {"coarse": [0, 4], "fine": [8, 10], "medium": [4, 8]}
    changes = STEPS[kind][1:]
    weights = None
    if kind in ("hyperinverter", "pti"):
        layers = [("8px-conv0", "convolution", 8), ("8px-torgb", "torgb", 8), ("16px-conv0", "convolution", 16)]
        weights = {
            "layers": [entry(0.1 * (1 + number), n) | {"layer": name, "kind": what, "resolution": side}
                       for number, (name, what, side) in enumerate(layers)],
            "kinds": {"convolution": entry(0.2, n), "torgb": entry(0.2, n)},
            "resolutions": {"16": entry(0.3, n), "8": entry(0.15, n)},
        }  # fmt: skip
    return {
        "method": method, "status": "ok", "reason": "", "n": n, "n_failed": 1, "steps": STEPS[kind],
        "settings": {"groups": groups},
        "protocols": {"image_change": "colour-distance@64/1", "latent_change": "latent/1", "weight_change": "weight/1"},
        "image_change": [entry(0.5 / step, n, step=step) for step in changes],
        "latent_change": [
            {"step": step, "groups": {name: {"value": 2.0 / step, "low": 1.0 / step, "high": 3.0 / step, "n": n}
                                      for name in groups}} for step in changes],
        "weight_change": weights,
    }  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> tuple[Config, Path]:
    noise = np.random.default_rng(0)
    for method, (kind, n) in METHODS.items():
        folder = tmp_path / f"faces-{method.replace('/', '-')}"
        folder.mkdir()
        (folder / "inspection.json").write_text(json.dumps(made_up(method, kind, n), sort_keys=True))
        steps = len(STEPS[kind])
        drawn = noise.integers(0, 255, (steps, 2, SIDE, SIDE, 3)).astype(np.uint8)
        np.savez(folder / "inspection.npz", change_maps=noise.random((steps - 1, SIDE, SIDE), np.float32),
                 error_maps=noise.random((steps, SIDE, SIDE), np.float32), inputs=drawn[0], drawn=drawn)  # fmt: skip
    entries: dict[str, Any] = {name: {"kind": kind} for name, (kind, _) in METHODS.items()}
    entries["pti"]["start"] = "optimization-w"
    config = Config.model_validate({
        "domains": {"faces": {"recipe": 1}}, "methods": entries | {"optimization-w": {"kind": "optimization"}},
        "runs": {f"faces-{name.replace('/', '-')}": {"domain": "faces", "method": name} for name in entries},
    })  # fmt: skip
    return config, tmp_path


def evaluated(method: str, seed: int, group: str = "encoder", **record: Any) -> Run:
    pixels = np.random.default_rng(seed).integers(0, 255, (2, 12, SIDE, SIDE, 3)).astype(np.uint8)
    pixels[0] = np.random.default_rng(0).integers(0, 255, pixels[0].shape)
    table = pd.DataFrame({"out_of_distribution": np.arange(12) % 4 == 3}, index=np.arange(0, 120, 10))
    return Run(f"faces-{method}", "faces", method, group, record={"arguments": record}, per_image=table,
               inputs=pixels[0], outputs=pixels[1])  # fmt: skip


def rendered(blocks: Any) -> str:
    section = Section(identifier="here", title="Here", blocks=list(blocks))
    return markdown.render(numbered(Report(title="t", subtitle=text("s"), sections=[section])))


def test_every_chapter_gets_its_figures_and_equal_inputs_give_equal_bytes(
    project: tuple[Config, Path], tmp_path: Path
) -> None:
    inspected = read_inspections(*project)
    runs = [evaluated("pti", 1, "optimization", start="optimization-w"), evaluated("optimization-w", 2, "optimization")]
    found = inspecting.chapters(inspected, runs, tmp_path / "a")
    parts = {paper: [one.identifier for one in blocks if isinstance(one, Figure | Table)]
             for paper, blocks in found.items()}  # fmt: skip
    assert parts == {
        "restyle": ["steps-faces-maps", "steps-faces-latents", "steps-faces"],
        "hyperinverter": ["weights-faces-layers", "weights-faces", "phases-faces-hyperinverter"],
        "e2style": ["phases-faces-e2style"],
    }
    figure = next(one for one in found["hyperinverter"] if getattr(one, "identifier", "").startswith("phases"))
    assert "code in W → changed weights: 24" in rendered([figure])
    assert "pivot → tuned weights: 12" in rendered([figure])  # of the runs' images: one is no mean
    for blocks in found.values():
        for one in blocks:
            if isinstance(one, Figure):
                assert {(tmp_path / "a" / f"{one.identifier}.{end}").is_file() for end in ("svg", "png")} == {True}
    inspecting.chapters(read_inspections(*project), runs, tmp_path / "b")
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)


def test_tables_hold_what_was_measured_in_the_order_of_the_styles(project: tuple[Config, Path], tmp_path: Path) -> None:
    blocks = inspecting.chapters(read_inspections(*project), [], tmp_path)
    steps = next(one for one in blocks["restyle"] if isinstance(one, Table))
    rows = [[cell.value for cell in row.cells] for row in steps.rows]
    assert [row[1] for row in rows[:4]] == ["image", "coarse styles", "medium styles", "fine styles"]
    assert rows[0][2:] == [0.5, 0.25, 0.5 / 3, 24, 1]
    assert rows[4][0] == "psp/naive-iteration" and rows[4][2] is None  # its first pass has nothing before it
    weights = next(one for one in blocks["hyperinverter"] if isinstance(one, Table))
    assert [column.key for column in weights.columns][2:6] == [
        "hyperinverter_interval",
        "hyperinverter_mean",
        "hyperinverter_low",
        "hyperinverter_high",
    ]
    assert [row.cells[0].value for row in weights.rows][-2:] == ["all of 8 px", "all of 16 px"]
    assert [cell.value for cell in weights.rows[2].cells[3:6]] == pytest.approx([0.3, 0.27, 0.33])
    assert weights.rows[2].cells[2].text == "0.300000 [0.270000, 0.330000]"
    assert [cell.value for cell in weights.rows[2].cells[7:]] == [pytest.approx(0.3), None, None]  # of one image
    assert weights.rows[2].cells[6].text == "0.300000"


def test_what_is_absent_is_left_out(project: tuple[Config, Path], tmp_path: Path) -> None:
    config, results = project
    (results / "faces-hyperinverter" / "inspection.json").unlink()
    (results / "faces-restyle-psp" / "inspection.npz").unlink()  # a fresh clone has the numbers alone
    (results / "faces-e2style-3-stage" / "inspection.json").write_text('{"status": "failed", "reason": "x"}')
    inspected = read_inspections(config, results)
    assert [one.method for one in inspected] == ["restyle-psp", "psp/naive-iteration", "pti"]
    found = inspecting.chapters(inspected, [], tmp_path / "out")
    assert set(found) == {"restyle", "hyperinverter"}
    assert not (tmp_path / "out" / "phases-faces-hyperinverter.svg").exists()  # PTI's own images are too few
    assert inspecting.chapters([], [], tmp_path / "out") == {}
    (results / "faces-psp-naive-iteration" / "inspection.npz").write_bytes(b"no")
    with pytest.raises(ReinvertError, match="run 'reinvert inspect faces-psp-naive-iteration' again"):
        read_inspections(config, results)


def test_every_stage_is_a_phase() -> None:
    measured = made_up("e2style/3-stage", "e2style", 24)
    maps = np.ones((2, SIDE, SIDE), np.float32)
    drawn = np.zeros((3, 1, SIDE, SIDE, 3), np.uint8)
    errors = np.full((3, SIDE, SIDE), 2, np.float32)
    one = Inspected("r", "e2style/3-stage", "e2style", "faces", measured, maps, errors, drawn[0], drawn)
    found = inspecting._of_steps(one, inspecting.PHASES["e2style"][1])
    assert [transition.name for transition in found] == ["e2style\nstage 1 → stage 2", "e2style\nstage 2 → stage 3"]
    assert not found[0].error_change.any()


def test_error_grids_hold_every_method_once(tmp_path: Path) -> None:
    runs = [evaluated(f"method-{number}", number) for number in range(1, 14)]
    blocks = inspecting.errors(runs, tmp_path, 6.85)
    assert [one.identifier for one in blocks if isinstance(one, Figure)] == ["errors-faces-1", "errors-faces-2"]
    assert "part 2 of 2" in rendered(blocks) and "all 12 test images" in rendered(blocks)
    assert inspecting.errors([], tmp_path, 6.85) == []


def test_distance_of_stored_pictures_is_that_of_tensors() -> None:
    import torch

    one, other = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4, 3)).astype(np.uint8)
    tensors = [torch.from_numpy(pixels / 127.5 - 1).permute(0, 3, 1, 2) for pixels in (one, other)]
    np.testing.assert_allclose(figures.distance(one, other), colour_distance(*tensors).numpy(), rtol=1e-12)


def test_a_grid_of_insertion_layers_compares_the_same_images(tmp_path: Path) -> None:
    originals, first, second = np.random.default_rng(0).integers(0, 256, (3, 4, SIDE, SIDE, 3)).astype(np.uint8)
    variants = [(4, first, originals), (5, second, originals)]
    figures.insertion_layer_grid(variants, tmp_path, "layers", 6.85, images=3)
    svg = (tmp_path / "layers.svg").read_text()
    # Input: 3 pictures; each K: a mean map, 3 pictures, 3 maps; the scale.
    assert svg.count("<image") == 3 + 2 * 7 + 1
    with pytest.raises(ValueError, match="different images"):
        figures.insertion_layer_grid([*variants, (6, first, second)], tmp_path, "layers", 6.85)
    with pytest.raises(ValueError, match="no variants"):
        figures.insertion_layer_grid([], tmp_path, "layers", 6.85)


def test_ends_of_scales() -> None:
    values = [np.array([0.0, 1.0]), np.array([3.0, 2.0])]
    assert heat.top_of(values) == 3.0
    assert heat.top_of(values, 0.5) == 1.5
    assert heat.top_of([np.zeros(3)]) == 1.0  # nothing to see, and no scale of no length


def test_looks_follow_restyle_s_figure() -> None:
    def yielding(method: str, group: str, yields: int, **arguments: Any) -> Run:
        return Run(f"faces-{method}", "faces", method, group, record={"arguments": arguments},
                   curve={"steps": list(range(yields)), "seconds": [1.0] * yields})  # fmt: skip

    looks = drawing.looks([
        yielding("optimization-w", "optimization", 9), yielding("pti", "optimization", 5, start="optimization-w"),
        yielding("psp", "encoder", 1), yielding("e4e", "encoder", 1), yielding("e2style/1-stage", "encoder", 1),
        yielding("e2style/2-stage", "encoder", 2), yielding("restyle-psp", "encoder", 11),
        yielding("psp/naive-iteration", "encoder", 10), yielding("hybrid-e4e", "hybrid", 5, start="e4e"),
        yielding("dni", "hybrid", 5, start="psp"), yielding("hyperinverter", "encoder", 2),
    ])  # fmt: skip
    style = {name.removeprefix("faces-"): (look["linestyle"], look["color"]) for name, look in looks.items()}
    green, blue, red = drawing.OPTIMISATION, drawing.FAMILIES["psp"], drawing.FAMILIES["e4e"]
    assert style["optimization-w"] == style["pti"] == ("-", green)
    assert style["psp"] == ("none", blue) and style["e4e"] == ("none", red)
    assert style["restyle-psp"] == ("-", blue) and style["psp/naive-iteration"] == (":", blue)
    assert style["hybrid-e4e"] == ("--", red) and style["dni"] == ("--", blue)
    assert style["hyperinverter"] == ("none", drawing.FAMILIES["hyperinverter"])
    # No two methods look alike.
    seen = {(look["color"], look["linestyle"], look["marker"]) for look in looks.values()}
    assert len(seen) == len(looks)

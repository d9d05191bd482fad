"""What applications add to the report: numbers as measured, pictures where there are any, nothing where nothing is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.errors import ReinvertError
from reports import applying, markdown
from reports.model import Block, Figure, Pair, Report, Section, Table, numbered, text
from reports.read_applications import read_applied

SIDE = 8
METHODS = ["psp", "feature-style"]


def cell(method: str, metric: str, setting: str, value: float, n: int = 16) -> dict[str, Any]:
    return {"method": method, "metric": metric, "setting": setting, "value": value, "low": value - 0.01,
            "high": value + 0.01, "n": n, "n_failed": 1}  # fmt: skip


def write(folder: Path, application: str, domain: str, pictures: dict[str, Any], **record: Any) -> None:
    output = folder / "applications" / f"{application}-{domain}"
    output.mkdir(parents=True)
    whole = {"application": application, "domain": domain, **record}
    (output / f"{application}.json").write_text(json.dumps(whole))
    if pictures:
        np.savez(output / f"{application}.npz", **pictures)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*shape, SIDE, SIDE, 3)).astype(np.uint8)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    one = "e2style/2-stage"
    for domain in ("churches", "faces"):
        write(
            folder, "deep-hiding", domain, {name: noise(3) for name in ("inputs", "whole", "rounded")}, methods=[one],
            cells=[cell(one, "share_of_codes_exact", "deep-hiding", 0.875, 8),
                   cell(one, "rounding_share", "deep-hiding", 0.25)],
            protocols={name: f"{name}@64/1" for name in ("rounding_share", "lpips", "psnr")}, carrier_side=24,
            lpips_of_rounding=0.3, lpips_of_inversion=1.2, stego_psnr=66.66, carrier_values_changed=0.0123,
            message_bits=11520, rate=0.1042,
        )  # fmt: skip
    settings = {"boxes": {"features": [0.3, 0.7, 0.3, 0.6], "face": [0.25, 0.75, 0.3, 0.7]}, "largest_yaw": 15}
    alike = {"source": 0.61, "target": 0.42, "pasted-source": 0.7, "pasted-target": 0.5, "source-target": 0.1}
    write(
        folder, "face-swapping", "faces", {name: noise(3) for name in ("sources", "targets", "pasted", "results")},
        methods=[one], settings=settings, shown_box="face",
        protocols={"swap_identity": "swap@64/1", "seam": "seam@64/1"},
        cells=[*(cell(one, "swap_identity", f"swap={name},box={box}", value - (box == "features") / 10)
                 for name, value in alike.items() for box in settings["boxes"]),
               *(cell(one, "seam", f"swap={name},box={box}", 0.05)
                 for name in ("result", "pasted", "photo") for box in settings["boxes"])],
    )  # fmt: skip
    per_video = {"source": [0.9, 0.95], "psp": [0.97, 0.99], "feature-style": [0.91, 0.96]}
    write(
        folder, "videos", "faces", {name: noise(1, 4) for name in per_video}, methods=METHODS, per_video=per_video,
        settings={"videos": 2, "frames": 4, "amplitudes": {"yaw": 0.1, "smile": 0.2}},
        protocols={"identity_consistency": "ic@64/1", "identity_consistency_gap": "gap@64/1"},
        cells=[*(cell(name, "identity_consistency", "", np.mean(per_video[name])) for name in per_video),
               *(cell(name, "identity_consistency_gap", "", 0.015) for name in METHODS)],
    )  # fmt: skip
    return folder


def rendered(blocks: list[Block]) -> str:
    section = Section(identifier="here", title="Here", blocks=blocks)
    words = markdown.render(numbered(Report(title="t", subtitle=text("s"), sections=[section])))
    return words.replace("\\[", "[").replace("\\]", "]")


def leaves(blocks: list[Block]) -> list[Table | Figure]:
    section = Section(identifier="here", title="Here", blocks=blocks)
    report = Report(title="t", subtitle=text("s"), sections=[section])
    return [*report.tables(), *report.figures()]


def test_every_chapter_gets_its_table_and_pictures(results: Path, tmp_path: Path) -> None:
    applied = read_applied(results)
    assert [(one.application, one.domain) for one in applied] == [
        ("deep-hiding", "faces"), ("deep-hiding", "churches"), ("face-swapping", "faces"), ("videos", "faces"),
    ]  # fmt: skip
    found = applying.chapters(applied, tmp_path / "a", 6)
    assert {paper: [part.identifier for part in leaves(blocks)] for paper, blocks in found.items()} == {
        "e2style": ["deep-hiding", "face-swapping", "deep-hiding-faces-pictures", "deep-hiding-churches-pictures",
                    "face-swapping-faces-pictures"],
        "feature-style-encoder": ["videos", "videos-plot", "videos-frames"],
    }  # fmt: skip
    assert any(isinstance(block, Pair) for block in found["e2style"])
    shown = [part for blocks in found.values() for part in leaves(blocks) if isinstance(part, Figure)]
    files = {f"{figure.identifier}.{suffix}" for figure in shown for suffix in ("svg", "png")}
    assert {path.name for path in (tmp_path / "a").iterdir()} == files
    applying.chapters(applied, tmp_path / "b", 6)
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    for path in (tmp_path / "a").glob("*.png"):
        with Image.open(path) as opened:
            assert opened.width > 50


def test_tables_print_what_was_measured_and_keep_the_ends_apart(results: Path, tmp_path: Path) -> None:
    found = applying.chapters(read_applied(results), tmp_path, 6)
    words = rendered(found["e2style"])
    for shown in ("0.875 [0.865, 0.885]", "0.250 [0.240, 0.260]", "66.7", "1.23", "11,520 bits, 0.104 for each",
                  "0.610 [0.600, 0.620]", "0.420 [0.410, 0.430]", "0.0500 [0.0400, 0.0600]", "`seam@64/1`",
                  "15 degrees", "face: 0.25, 0.75, 0.3, 0.7; features: 0.3", "0.510 [0.500, 0.520]", "24 px",
                  "box `face`."):  # fmt: skip
        assert shown in words, shown
    videos = rendered(found["feature-style-encoder"])
    for shown in ("0.925 [0.915, 0.935]", "0.980 [0.970, 0.990]", "0.0150 [0.0050, 0.0250]", "2 videos of 4 frames",
                  "yaw, smile move", "`ic@64/1`, `gap@64/1`"):  # fmt: skip
        assert shown in videos, shown
    table = next(part for part in leaves(found["feature-style-encoder"]) if isinstance(part, Table))
    place = [column.key for column in table.columns].index("identity_consistency_gap")
    assert [row.cells[place].value for row in table.rows] == [None, 0.015, 0.015]
    assert [column.key for column in table.shown()[0]] == [
        "method", "identity_consistency_interval", "identity_consistency_gap_interval", "n", "n_failed",
    ]  # fmt: skip


def test_without_pictures_the_numbers_are_still_there(results: Path, tmp_path: Path) -> None:
    for path in results.rglob("*.npz"):
        path.unlink()
    found = applying.chapters(read_applied(results), tmp_path, 6)
    assert [part.identifier for blocks in found.values() for part in leaves(blocks)] == [
        "deep-hiding", "face-swapping", "videos", "videos-plot",
    ]  # fmt: skip


def test_nothing_measured_is_nothing_said(tmp_path: Path) -> None:
    assert applying.chapters(read_applied(tmp_path), tmp_path, 6) == {}
    one, other = text("1"), text("2")
    first: Any = {"a": [one], "b": [one]}
    assert applying.together(first, {"b": [other], "c": [other]}) == {"a": [one], "b": [one, other], "c": [other]}


def test_a_damaged_file_is_named(results: Path) -> None:
    path = results / "applications" / "videos-faces" / "videos.json"
    path.write_text("{}")
    with pytest.raises(ReinvertError, match="videos.json' is damaged"):
        read_applied(results)
    path.write_text(json.dumps({"application": "videos", "domain": "faces"}))
    (results / "applications" / "videos-faces" / "videos.npz").write_bytes(b"x")
    with pytest.raises(ReinvertError, match="is damaged"):
        read_applied(results)

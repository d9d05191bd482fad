"""Applications of inversions whose answers have closed forms, the files they leave, and what the graph says of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn
from typer.testing import CliRunner

from core.config import load_config, validated
from core.errors import ReinvertError
from methods.code import Code
from methods.inverter import Inverter, Step
from metrics.applications import identity_consistency, seam
from metrics.judges import ARCHITECTURES
from pipelines import applications, deep_hiding, domains, face_swapping, video_consistency, wiring
from pipelines.applications_config import DeepHiding, FaceSwapping, Videos
from pipelines.cli import app
from reports.claims import measured, names
from reports.claims.evidence import Cell, Evidence, valued
from reports.claims.judged import judge_all
from tests.conftest import ROOT
from tests.methods import tiny

CONFIG = load_config(ROOT / "params.yaml")
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
SIDE, BLOCK = 16, 4
COMMON: dict[str, Any] = {"batch": 5, "seed": 0, "shown": 2, "bootstrap_resamples": 100}
HIDING = COMMON | {"method": "one", "images": 10, "hidden": 8, "carrier_tiles": 2}
BOX = (0.25, 0.75, 0.25, 0.5)
SWAPPING = COMMON | {
    "method": "one",
    "images": 8,
    "largest_yaw": 20,
    "boxes": {"face": BOX, "left": (0.1, 0.9, 0.1, 0.2)},
}
VIDEOS = COMMON | {
    "methods": ["one"], "videos": 8, "frames": 3, "cycles": [0.5, 1.5], "amplitudes": {"yaw": 0.2, "smile": 0.5},
}  # fmt: skip


class Coarse(Inverter):
    """The code is the image in blocks of `block` pixels, times `scale`; above `lost` a block becomes 300."""

    def __init__(self, block: int = BLOCK, scale: float = 10.0, lost: float = 2.0, side: int = SIDE) -> None:
        generator = SimpleNamespace(device=torch.device("cpu"), style_shape=(3, (side // block) ** 2), resolution=side)
        super().__init__(generator)  # type: ignore[arg-type]
        self.block, self.scale, self.lost, self.side = block, scale, lost, side

    @classmethod
    def from_arguments(cls, arguments: Any, context: Any) -> Coarse:
        return cls()

    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        coarse = nn.functional.avg_pool2d(images, self.block).flatten(2)
        yield Step(0, Code(torch.where(coarse > self.lost, 300.0, self.scale * coarse)))

    def draw(self, code: Code) -> Tensor:
        many = self.side // self.block
        small = (code.styles / self.scale).unflatten(2, (many, many))
        return nn.functional.interpolate(small, scale_factor=self.block, mode="nearest")


class Lost(Coarse):
    """Draws nothing finite of images that are bright."""

    def draw(self, code: Code) -> Tensor:
        drawn = super().draw(code)
        return torch.where(code.styles.mean(dim=(1, 2))[:, None, None, None] > 0, torch.nan, drawn)


class Squared(nn.Module):
    """A distance of images."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return (first - second).square().mean(dim=(1, 2, 3))


def blocks(count: int = 10, side: int = SIDE, seed: int = 0) -> np.ndarray:
    """Images that `Coarse` draws as they are, to the rounding of its codes."""
    small = np.random.default_rng(seed).integers(20, 236, (count, side // BLOCK, side // BLOCK, 3)).astype(np.uint8)
    return small.repeat(BLOCK, 1).repeat(BLOCK, 2)


def rough_blocks(count: int = 10) -> np.ndarray:
    """Images that lose something when `Coarse` inverts them."""
    noise = np.random.default_rng(1).integers(-20, 20, (count, SIDE, SIDE, 3))
    return (blocks(count) + noise).astype(np.uint8)


def hiding(**changes: Any) -> DeepHiding:
    return validated(DeepHiding, HIDING | changes, "params.yaml: applications.hiding")


def by(lines: list[applications.Measured], metric: str, setting: str, method: str = "one") -> applications.Measured:
    return next(line for line in lines if (line.method, line.metric, line.setting) == (method, metric, setting))


# --- deep hiding -----------------------------------------------------------------------------------------------------


def test_a_montage_is_of_the_images_that_follow() -> None:
    levels = np.arange(5, dtype=np.uint8)
    pixels = np.broadcast_to(levels[:, None, None, None], (5, 2, 3, 3))
    carrier = deep_hiding.montage(pixels, 2, 3)
    assert carrier.shape == (4, 6, 3)
    assert carrier[::2, ::3, 0].tolist() == [[4, 0], [1, 2]]
    assert (carrier[:2, 3:] == 0).all() and (carrier[2:, :3] == 1).all()


def test_codes_are_revealed_and_what_rounding_costs_is_measured() -> None:
    rough = rough_blocks()
    lines, facts, pictures = deep_hiding.measure(Coarse(), rough, Squared(), hiding())
    exact, share = by(lines, "share_of_codes_exact", "deep-hiding"), by(lines, "rounding_share", "deep-hiding")
    assert (exact.value, exact.low, exact.high, exact.n, exact.n_failed) == (1, 1, 1, 8, 0)
    # What follows from the images alone, to the rounding of what is drawn to 8 bits.
    coarse = (rough / 127.5 - 1).reshape(10, 4, 4, 4, 4, 3).mean(axis=(2, 4))
    of_rounding = np.square(np.rint(10 * coarse) / 10 - coarse).mean(axis=(1, 2, 3))
    whole = coarse.repeat(BLOCK, 1).repeat(BLOCK, 2)
    of_inversion = np.square(rough / 127.5 - 1 - whole).mean(axis=(1, 2, 3))
    assert share.value == pytest.approx(of_rounding.mean() / of_inversion.mean(), rel=0.05)
    assert share.low <= share.value <= share.high and (share.n, share.n_failed) == (10, 0)
    assert facts["rate"] == pytest.approx(3 * 16 * 9 / (32 * 32 * 3)) and facts["message_bits"] == 432
    # Only lowest bits change: so many changes of one level.
    error = facts["carrier_values_changed"] / 255**2
    assert 0 < facts["carrier_values_changed"] < 0.5
    assert facts["stego_psnr"] == pytest.approx(-10 * np.log10(error), abs=0.1)
    assert list(pictures) == ["inputs", "whole", "rounded"]
    assert {part.shape for part in pictures.values()} == {(2, SIDE, SIDE, 3)}


def test_codes_that_cannot_be_sent_count_as_failed() -> None:
    pixels = rough_blocks()
    pixels[3, :4, :4] = 255
    lines, _, pictures = deep_hiding.measure(Coarse(lost=0.95), pixels, Squared(), hiding(shown=4))
    exact, share = by(lines, "share_of_codes_exact", "deep-hiding"), by(lines, "rounding_share", "deep-hiding")
    assert (exact.value, exact.n, exact.n_failed) == (7 / 8, 8, 1)
    assert (share.n, share.n_failed) == (10, 1)
    assert (pictures["rounded"][3] == deep_hiding.BLANK).all() and not (pictures["rounded"][2] == 128).all()
    assert deep_hiding.sendable(np.array([[[1.0, np.nan]], [[255.4, 1]], [[255.6, 1]]], np.float32)).tolist() == [
        False, True, False,
    ]  # fmt: skip


def test_a_method_that_draws_nothing_finite_proves_nothing() -> None:
    lines, _, _ = deep_hiding.measure(Lost(), blocks() // 8 + np.uint8(220), Squared(), hiding())
    share = by(lines, "rounding_share", "deep-hiding")
    assert (share.value, share.low, share.high, share.n_failed) == pytest.approx((1, 1, 1, 10))


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ReinvertError, match="11 codes cannot be hidden of 10"):
        hiding(hidden=11)
    with pytest.raises(ReinvertError, match="needs more than 10 images"):
        hiding(carrier_tiles=4)
    with pytest.raises(ReinvertError, match="boxes.face must end below"):
        swapping(boxes={"face": (0.8, 0.7, 0.1, 0.2)})
    for change in ({"cycles": [2, 1]}, {"methods": ["one", "one"]}, {"amplitudes": {"yaw": 0.6}}, {"videos": 7}):
        with pytest.raises(ReinvertError, match=r"params.yaml: applications.videos"):
            videos(**change)


# --- face swapping ---------------------------------------------------------------------------------------------------


def swapping(**changes: Any) -> FaceSwapping:
    return validated(FaceSwapping, SWAPPING | changes, "params.yaml: applications.swapping")


def test_pairs_are_others_of_nearest_yaw() -> None:
    identities, yaws = np.array([0, 0, 1, 1, 2, 2]), np.array([-3.0, 2.0, 40.0, 1.0, 2.5, -4.0])
    usable = np.array([True, True, True, True, False, True])
    sources, targets = face_swapping.pairs_of(identities, yaws, usable, 4, 20)
    assert sources.tolist() == [0, 1, 3, 5]
    assert targets.tolist() == [5, 3, 1, 0]
    assert face_swapping.pairs_of(identities, yaws, usable, 2, 20)[0].tolist() == [0, 5]
    with pytest.raises(ReinvertError, match="4 images fit"):
        face_swapping.pairs_of(identities, yaws, usable, 5, 20)
    with pytest.raises(ReinvertError, match="nobody"):
        face_swapping.pairs_of(identities * 0, yaws, usable, 2, 20)


def test_only_the_box_is_pasted() -> None:
    sources, targets = blocks(seed=1), blocks(seed=2)
    together = face_swapping.pasted(sources, targets, face_swapping.box_of(SIDE, BOX))
    inside = np.zeros((SIDE, SIDE), bool)
    inside[4:12, 4:8] = True
    assert np.array_equal(together[:, inside], sources[:, inside])
    assert np.array_equal(together[:, ~inside], targets[:, ~inside])
    with pytest.raises(ReinvertError, match="no such box in 4 px"):
        face_swapping.box_of(4, (0.1, 0.75, 0.25, 0.5))


class Nearness(nn.Module):
    """1 minus the mean squared difference: stands for a cosine."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return 1 - (first - second).square().mean(dim=(1, 2, 3))


def test_a_swap_is_held_against_source_target_and_what_was_pasted() -> None:
    sources, targets = blocks(8, seed=1), blocks(8, seed=2)
    box = face_swapping.box_of(SIDE, BOX)
    together = face_swapping.pasted(sources, targets, box)
    lines, pictures = face_swapping.measure(Coarse(scale=1.0), sources, targets, Nearness(), swapping())
    # An inversion without loss leaves the seam, and the source where it was pasted: an eighth of the picture.
    assert by(lines, "seam", "swap=result,box=face").value == pytest.approx(seam(together, box).mean())
    assert by(lines, "seam", "swap=pasted,box=face").value == pytest.approx(seam(together, box).mean())
    assert by(lines, "seam", "swap=photo,box=face").value == pytest.approx(seam(targets, box).mean())
    between = np.square((sources.astype(float) - targets) / 127.5)
    kept = between.sum(axis=(1, 2, 3)) - between[:, 4:12, 4:8].sum(axis=(1, 2, 3))
    expected = 1 - kept / (SIDE * SIDE * 3)
    assert by(lines, "swap_identity", "swap=source,box=face").value == pytest.approx(expected.mean(), abs=1e-5)
    assert (
        by(lines, "swap_identity", "swap=source,box=face").value
        == by(lines, "swap_identity", "swap=pasted-source,box=face").value
    )
    target = by(lines, "swap_identity", "swap=target,box=face").value
    assert target == pytest.approx(1 - between[:, 4:12, 4:8].sum(axis=(1, 2, 3)).mean() / (SIDE * SIDE * 3), abs=1e-5)
    assert np.array_equal(pictures["pasted"], together[:2]) and np.array_equal(pictures["results"], together[:2])
    flat, _ = face_swapping.measure(Coarse(block=SIDE), sources, targets, Nearness(), swapping())
    assert by(flat, "seam", "swap=result,box=face").value == 0
    other = face_swapping.box_of(SIDE, (0.1, 0.9, 0.1, 0.2))
    pair = face_swapping.pasted(sources, targets, other)
    assert by(lines, "seam", "swap=pasted,box=left").value == pytest.approx(seam(pair, other).mean())


def test_a_failed_swap_counts_as_no_likeness() -> None:
    sources, targets = blocks(8, seed=1), blocks(8, seed=2)
    targets[2], sources[2] = 250, 250
    lines, _ = face_swapping.measure(Lost(), sources, targets, Nearness(), swapping())
    lost = by(lines, "swap_identity", "swap=source,box=face")
    bright = (face_swapping.pasted(sources, targets, face_swapping.box_of(SIDE, BOX)) / 127.5 - 1).mean(
        axis=(1, 2, 3)
    ) > 0  # fmt: skip
    assert (lost.n, lost.n_failed) == (8, bright.sum()) and 0 < bright.sum() < 8
    assert by(lines, "swap_identity", "swap=pasted-source,box=face").n_failed == 0
    bright = np.full_like(sources, 240)
    lines, _ = face_swapping.measure(Lost(), bright // 8 * 7, bright, Nearness(), swapping())
    assert by(lines, "swap_identity", "swap=source,box=face").value == -1
    assert by(lines, "seam", "swap=result,box=face").value == by(lines, "seam", "swap=pasted,box=face").value > 0


# --- videos ----------------------------------------------------------------------------------------------------------


def videos(**changes: Any) -> Videos:
    return validated(Videos, VIDEOS | changes, "params.yaml: applications.videos")


def test_only_what_is_named_moves_and_smoothly() -> None:
    names = ("a", "yaw", "b", "smile")
    uniforms = torch.tensor([[0.3, 0.05, 0.6, 0.9], [0.1, 0.5, 0.2, 0.5]])
    moved = video_consistency.moving(uniforms, names, {"yaw": 0.2, "smile": 0.5}, 200, (0.5, 1.5), 0)
    assert moved.shape == (2, 200, 4)
    assert (moved[:, :, [0, 2]] == uniforms[:, None, [0, 2]]).all()
    assert (moved > 0).all() and (moved < 1).all()
    for column, amplitude in ((1, 0.2), (3, 0.5)):
        centre = uniforms[:, column].clamp(amplitude, 1 - amplitude)
        assert ((moved[:, :, column] - centre[:, None]).abs() <= amplitude + 1e-6).all()
        step = moved[:, :, column].diff(dim=1).abs()
        assert (step <= amplitude * 2 * torch.pi * 1.5 / 200 + 1e-6).all() and (step.sum(dim=1) > amplitude).all()
        assert not torch.equal(moved[0, :, column], moved[1, :, column])
    again = video_consistency.moving(uniforms, names, {"yaw": 0.2, "smile": 0.5}, 200, (0.5, 1.5), 0)
    assert torch.equal(moved, again)
    with pytest.raises(ReinvertError, match="an image has no nod"):
        video_consistency.moving(uniforms, names, {"nod": 0.1}, 3, (1, 1), 0)


def test_videos_show_different_persons_without_accessories() -> None:
    domain = domains.get("faces")
    attributes = domain.attributes("test", torch.arange(domain.split_size("test")))
    indices = video_consistency.first_frames(attributes, 16)
    assert len(set(attributes["identity"][indices].tolist())) == 16
    assert not attributes["out_of_distribution"][indices].any()
    with pytest.raises(ReinvertError, match="give fewer"):
        video_consistency.first_frames(attributes, 5000)


def test_what_never_changes_is_consistent_and_what_fails_is_not() -> None:
    network = nn.Sequential(nn.AvgPool2d(BLOCK), nn.Flatten())
    still = blocks(4)[:, None].repeat(3, axis=1)
    found, failed, drawn = video_consistency.measure(Coarse(), still, network, videos())
    assert found == pytest.approx(np.ones(4)) and not failed.any()
    assert drawn.shape == still.shape
    moving = still.copy()
    moving[:, 1:] = blocks(8, seed=3).reshape(4, 2, SIDE, SIDE, 3)
    found, _, drawn = video_consistency.measure(Coarse(), moving, network, videos())
    seen = (drawn / 127.5 - 1).reshape(4, 3, 4, 4, 4, 4, 3).mean(axis=(3, 5)).reshape(4, 3, -1)
    assert found == pytest.approx(identity_consistency(seen), abs=1e-5)
    dark = moving // 2
    dark[1, 2] = 255
    found, failed, _ = video_consistency.measure(Lost(), dark, network, videos())
    assert failed.tolist() == [False, True, False, False] and found[1] == -1 and (found[[0, 2, 3]] > 0).all()


# --- the stages ------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for domain in ("faces", "churches"):
        (tmp_path / "data" / domain / "test").mkdir(parents=True)
        (tmp_path / "data" / domain / "test" / "manifest.json").write_text("{}")
    everything = rough_blocks(40)
    attributes = {
        "out_of_distribution": torch.arange(40) % 3 == 2, "yaw": torch.linspace(-15, 15, 40),
        "identity": torch.arange(40) // 4,
    }  # fmt: skip
    split = SimpleNamespace(attributes=attributes, images=lambda indices: everything[indices])
    monkeypatch.setattr(deep_hiding.shards, "load", lambda folder: split)
    return tmp_path


def judge(domain: str, name: str, weights: Path, device: torch.device) -> nn.Module:
    if name == "perceptual":
        return ARCHITECTURES.get("alexnet-features")().eval()
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten())


def test_stages_leave_tables_that_claims_can_read(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep_hiding, "Perceptual", lambda network: Squared())
    config, device = tiny.config({"one": {"kind": "psp"}}), torch.device("cpu")
    results = project / "results" / "applications"

    def bench(inverter: Any) -> applications.Bench:
        return applications.Bench(config, project / "weights", project / "data", device, lambda *_: inverter, judge)

    def run() -> dict[str, list[applications.Measured]]:
        return {
            "deep-hiding-churches": deep_hiding.hide_codes(
                "churches", hiding(), results / "deep-hiding-churches", bench(Coarse())),
            "face-swapping-faces": face_swapping.swap_faces(
                swapping(), results / "face-swapping-faces", bench(Coarse())),
            "videos-faces": video_consistency.invert_videos(
                videos(), results / "videos-faces", bench(Coarse(side=64))),
        }  # fmt: skip

    lines = run()
    files = sorted(path for path in results.rglob("*") if path.is_file())
    assert {path.suffix for path in files} == {".csv", ".json", ".npz"} and len(files) == 9
    first = {path: path.read_bytes() for path in files if path.suffix != ".npz"}
    run()
    assert {path: path.read_bytes() for path in first} == first
    evidence = measured.evidence([], project / "results", ["faces", "churches"])
    assert len(evidence.cells) == sum(map(len, lines.values()))
    for folder, found in lines.items():
        domain = folder.rsplit("-", 1)[1]
        record = json.loads((results / folder / f"{folder.removesuffix(f'-{domain}')}.json").read_text())
        assert record["domain"] == domain and len(record["cells"]) == len(found)
        assert set(record["protocols"]) >= {line.metric for line in found} - {"share_of_codes_exact"}
        for line in found:
            cell = evidence.cells[Cell(domain, line.method, line.metric, line.setting)]
            assert cell.value == pytest.approx(line.value, rel=1e-6) and cell.n == line.n
    videos_found = lines["videos-faces"]
    per_video = json.loads((results / "videos-faces" / "videos.json").read_text())["per_video"]
    gaps = np.abs(np.array(per_video["one"]) - per_video["source"])
    assert by(videos_found, "identity_consistency_gap", "").value == pytest.approx(gaps.mean(), abs=1e-5)
    assert by(videos_found, "identity_consistency", "", "source").value == pytest.approx(np.mean(per_video["source"]))


def test_an_unknown_method_is_answered_with_the_nearest(project: Path) -> None:
    with pytest.raises(ReinvertError, match="unknown method 'e2style/2-stag'; did you mean 'e2style/2-stage'"):
        applications.require_known(["psp", "e2style/2-stag"], CONFIG)


def test_a_number_that_is_none_is_not_written(tmp_path: Path) -> None:
    line = applications.Measured("one", "seam", "", float("nan"), 0, 0, 8, 0)
    with pytest.raises(ReinvertError, match="not finite"):
        applications.write(tmp_path, {"application": "x", "domain": "faces"}, [line], {})
    assert not list(tmp_path.iterdir())


Numbers = dict[tuple[str, str, str], float]
SUPPORTING: Numbers = {
    ("e2style/2-stage", "share_of_codes_exact", "deep-hiding"): 1.0,
    ("e2style/2-stage", "rounding_share", "deep-hiding"): 0.3,
    ("e2style/2-stage", "swap_identity", "swap=source,box=face"): 0.7,
    ("e2style/2-stage", "swap_identity", "swap=target,box=face"): 0.4,
    ("e2style/2-stage", "seam", "swap=result,box=face"): 0.04,
    ("e2style/2-stage", "seam", "swap=pasted,box=face"): 0.2,
    **{(method, "identity_consistency_gap", ""): 0.05 for method in ("psp", "e4e", "restyle-psp", "hfgi")},
    ("feature-style", "identity_consistency_gap", ""): 0.01,
}


@pytest.mark.parametrize(
    ("claim", "cell", "value"),
    [
        ("e2style-19", ("e2style/2-stage", "share_of_codes_exact", "deep-hiding"), 0.9),
        ("e2style-20", ("e2style/2-stage", "rounding_share", "deep-hiding"), 1.2),
        ("e2style-21", ("e2style/2-stage", "swap_identity", "swap=source,box=face"), 0.2),
        ("e2style-21", ("e2style/2-stage", "seam", "swap=result,box=face"), 0.3),
        ("feature-style-6", ("hfgi", "identity_consistency_gap", ""), 0.001),
    ],
)
def test_claims_turn_on_these_numbers(claim: str, cell: tuple[str, str, str], value: float) -> None:
    def verdict(numbers: Numbers) -> str:
        rooms = {key: 0 if one == 1 else 1e-3 for key, one in numbers.items()}
        cells = {
            Cell("faces", *key): valued(one, one - rooms[key], one + rooms[key], key[1], 16)
            for key, one in numbers.items()
        }
        judged = judge_all(Evidence(["faces"], cells), {})
        return judged.of_measured[claim][0].verdict

    assert verdict(SUPPORTING) == "supported"
    assert verdict(SUPPORTING | {cell: value}) == "contradicted"
    assert verdict({key: one for key, one in SUPPORTING.items() if key != cell}) == "not measured"


def test_ids_are_those_that_the_stages_state() -> None:
    stated = deep_hiding.PROTOCOLS | face_swapping.PROTOCOLS | video_consistency.PROTOCOLS
    for metric in ("rounding_share", "swap_identity", "seam", "identity_consistency", "identity_consistency_gap"):
        assert names.metric(metric).protocol == stated[metric]


# --- the graph and the command line ----------------------------------------------------------------------------------


def networks_and_cells(stage: dict[str, Any]) -> tuple[set[str], set[str]]:
    named = [name.replace("${item}", "faces") for name in stage["deps"]]
    judges = {"weights/faces/perceptual", "weights/faces/identity-judge"}
    return ({name for name in named if name.startswith("weights/")} - judges,
            {name for name in named if name.startswith("data/cells/")})  # fmt: skip


@pytest.mark.parametrize(
    ("stage", "key"), [("deep-hiding", "hiding"), ("face-swapping", "swapping"), ("videos", "videos")]
)
def test_the_graph_names_what_the_methods_are_made_of(stage: str, key: str) -> None:
    entry = GRAPH[stage].get("do", GRAPH[stage])
    settings = CONFIG.applications[key]
    folders = {wiring.folder_of(method) for method in settings.get("methods", [settings.get("method")])}
    networks, cells = networks_and_cells(entry)
    assert networks == {f"weights/faces/{folder}" for folder in folders}
    assert cells == {f"data/cells/default/faces-{folder}.json" for folder in folders}
    assert all((ROOT / name).is_file() for name in entry["deps"] if name.endswith(".py"))


def test_the_parameters_fit() -> None:
    for model, key in ((DeepHiding, "hiding"), (FaceSwapping, "swapping"), (Videos, "videos")):
        validated(model, CONFIG.applications[key], f"params.yaml: applications.{key}")


@pytest.mark.parametrize("command", ["hiding", "swapping", "videos"])
def test_commands_hand_over_what_params_yaml_says(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def stand_in(*arguments: Any) -> list[applications.Measured]:
        given.extend(arguments)
        return [applications.Measured("one", "seam", "swap=result", 0.5, 0.4, 0.6, 8, 1)]

    for module, function in (
        (deep_hiding, "hide_codes"), (face_swapping, "swap_faces"), (video_consistency, "invert_videos"),
    ):  # fmt: skip
        monkeypatch.setattr(module, function, stand_in)
    more = ["--domain", "churches"] if command == "hiding" else []
    said = CliRunner().invoke(
        app, ["apply", command, *more, "--params", str(ROOT / "params.yaml"), "--results", str(tmp_path)]
    )
    assert said.exit_code == 0, said.output
    assert "0.5000 [0.4000, 0.6000], n = 8, 1 failed" in said.stdout
    folders = {"hiding": "deep-hiding-churches", "swapping": "face-swapping-faces", "videos": "videos-faces"}
    assert tmp_path / "applications" / folders[command] in given
    settings = next(one for one in given if isinstance(one, DeepHiding | FaceSwapping | Videos))
    assert settings.model_dump(mode="json") == CONFIG.applications[command] | settings.model_dump(mode="json")

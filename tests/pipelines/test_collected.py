"""What is measured ahead is what the stage would measure, or it is not taken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from core.config import Config, load_config
from core.errors import ReinvertError
from core.weights import save_weights
from pipelines import ahead, collected
from pipelines.collected import STAGES, Places
from tests.conftest import ROOT
from tests.methods.tiny import card

RUN = "faces-hybrid-psp"


def write(network: str, value: int) -> None:
    """Weights of that name, whose hash depends on the value."""
    made = card(network, "any", {})
    save_weights(Path("weights/faces") / network, {"weight": torch.tensor([float(value)])}, made)


@pytest.fixture
def places(project: Path) -> Places:
    """Weights and data that are there, whatever they hold."""
    for name in ("generator", "perceptual", "psp", "e4e"):
        write(name, 0)
    (project / "data/faces/test").mkdir(parents=True)
    (project / "data/faces/test/manifest.json").write_text("{}")
    (project / "data/faces/directions.npz").write_text("")
    return Places(Path("weights"), Path("data"), Path(".cache"), "cpu")


def config(**changes: Any) -> Config:
    return load_config(ROOT / "params.yaml").model_copy(update=changes).at_scale("default")


def with_method(name: str, **arguments: Any) -> Config:
    whole = config()
    entry = whole.methods[name]
    entry = type(entry).model_validate(entry.model_dump() | arguments)
    return whole.model_copy(update={"methods": whole.methods | {name: entry}})


def fill(folder: Path, stage: str) -> None:
    for name in STAGES[stage].files:
        (folder / name).write_text(f"{stage} {name}")


def test_a_key_covers_what_the_files_depend_on(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def key(settings: Config | None = None, stage: str = "evaluate", device: str = "cpu") -> Path | None:
        there = Places(places.weights, places.data, places.cache, device)
        return collected.folder_of(stage, RUN, settings or config(), there)

    first = key()
    assert first is not None and first == key()
    assert first.parts[:5] == (".cache", "ahead", "default", "evaluate", RUN)
    seen = {first, key(stage="editability"), key(device="auto")}
    seen.add(key(with_method("hybrid-psp", steps=7)))
    seen.add(key(with_method("psp", widths=[1])))  # from which it starts
    whole = config()
    assert whole.evaluation is not None
    seen.add(key(whole.model_copy(update={"evaluation": whole.evaluation.model_copy(update={"images": 17})})))
    seen.add(key(whole.model_copy(update={"editability": whole.editability | {"images": 17}}), "editability"))
    assert len(seen) == 7
    # Neither another method nor edits matter to reconstructions.
    assert key(with_method("e4e/naive-iteration", steps=3)) == first
    assert key(whole.model_copy(update={"editability": {}})) == first
    write("e4e", 1)
    assert key() == first
    for network in ("psp", "perceptual"):
        write(network, 1)
        seen.add(key())
    Path("data/faces/test/manifest.json").write_text("[]")
    seen.add(key())
    monkeypatch.setattr(collected, "sha256_of_code", lambda parts: "other code")
    seen.add(key())
    edited = key(stage="editability")
    Path("data/faces/directions.npz").write_text("others")
    seen |= {edited, key(stage="editability")}
    assert len(seen) == 13 and None not in seen


def test_nothing_is_collected_where_weights_or_data_are_missing(places: Places) -> None:
    Path("data/faces/directions.npz").unlink()
    assert collected.folder_of("editability", RUN, config(), places) is None
    assert collected.folder_of("evaluate", RUN, config(), places) is not None
    Path("weights/faces/psp/card.json").write_text("damaged")
    assert collected.folder_of("evaluate", RUN, config(), places) is None
    assert not collected.collect("evaluate", RUN, config(), places, Path("out"))


@pytest.mark.parametrize("stage", STAGES)
def test_only_what_is_whole_is_collected_and_the_newest_is_kept(places: Places, stage: str) -> None:
    folder = collected.folder_of(stage, RUN, config(), places)
    assert folder is not None
    (folder.parent / "older").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt), collected.kept(folder) as made:
        fill(made, stage)
        raise KeyboardInterrupt
    assert [path.name for path in folder.parent.iterdir()] == ["older"]
    assert not collected.collect(stage, RUN, config(), places, Path("out"))
    with collected.kept(folder) as made:
        fill(made, stage)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert collected.collect(stage, RUN, config(), places, Path("out"))
    assert {path.name: path.read_text() for path in Path("out").iterdir()} == {
        name: f"{stage} {name}" for name in STAGES[stage].files
    }
    (folder / STAGES[stage].files[0]).unlink()
    assert not collected.collect(stage, RUN, config(), places, Path("out"))


def test_the_stage_collects_without_torch(places: Places) -> None:
    """The seconds of importing it, a hundred times over, are what this is for."""
    for stage in STAGES:
        folder = collected.folder_of(stage, RUN, config(), places)
        assert folder is not None
        with collected.kept(folder) as made:
            fill(made, stage)
        program = (
            f"import sys; sys.argv = ['reinvert', '{stage}', '{RUN}', '--device', 'cpu']\n"
            "from pipelines.cli import app\n"
            "app(standalone_mode=False)\n"
            "heavy = {'torch', 'numpy', 'pandas', 'scipy'} & set(sys.modules)\n"
            "assert not heavy, heavy\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert Path("results", RUN, STAGES[stage].files[-1]).is_file()


class Faulty(ahead.Bench):
    """Measures at once; one stage of one run fails."""

    def measure(self, stage: str, run: str, output: Path) -> None:
        if (stage, run) == ("evaluate", "faces-e4e"):
            raise ReinvertError("no weights; get them")
        if (stage, run) == ("editability", "faces-psp"):
            raise ZeroDivisionError
        print(f"measuring {stage}")
        fill(output, stage)


def test_what_fails_is_said_and_what_is_done_is_kept(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_bench", Faulty(config(), places, "cpu", 1, None, None))
    stages = tuple(STAGES)
    assert ahead._work("faces-e4e", stages).problem == "evaluate: no weights; get them"
    done = ahead._work("faces-psp", stages)
    assert set(done.seconds) == {"evaluate"}
    assert done.problem == "editability: see .cache/ahead/logs/faces-psp.log"
    said = Path(".cache/ahead/logs/faces-psp.log").read_text()
    assert "measuring evaluate" in said and "ZeroDivisionError" in said
    assert collected.collect("evaluate", "faces-psp", config(), places, Path("out"))
    assert not collected.collect("editability", "faces-psp", config(), places, Path("out"))
    assert not list(Path(".cache").rglob("*.tmp"))
    # What is there is not measured again.
    monkeypatch.setattr(Faulty, "measure", lambda *arguments: pytest.fail("measured again"))
    assert ahead._work("faces-psp", ("evaluate",)).problem == ""


def test_processes_say_what_is_missing_and_go_on(project: Path) -> None:
    said: list[str] = []
    places = Places(Path("weights"), Path("data"), Path(".cache"), "cpu")
    wanted = {"faces-psp": ("evaluate",), "faces-e4e": ("evaluate",)}
    failed = ahead.measure_ahead(wanted, config(), None, None, places, "cpu", 1, said.append)
    assert set(failed) == set(wanted) and len(said) == 2
    assert all("data/faces/test" in problem for problem in failed.values()), failed


def test_the_longest_runs_are_begun_first() -> None:
    runs = ["faces-psp", "faces-optimization-w", "faces-pti", "faces-e4e"]
    assert ahead.longest_first(runs, config()) == ["faces-pti", "faces-optimization-w", "faces-psp", "faces-e4e"]

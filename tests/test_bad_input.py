"""Everything a user may do wrong, through the command line.

Each ends with one clear line, a status that is not zero, nothing half-written and nothing lost.
"""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from core.weights import CARD_FILE, WEIGHTS_FILE
from pipelines.cli import app
from tests.conftest import ROOT
from tests.methods.tiny import write_generator

STEPS = 2


@pytest.fixture
def workplace(project: Path) -> Path:
    """A project with a tiny random generator and a method that needs nothing else."""
    write_generator(project / "weights", 64)
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["methods"]["quick"] = {
        "kind": "optimization",
        "steps": STEPS,
        "learning_rate": 0.01,
        "losses": {"l2": 1.0},
        "yield_every": 1,
    }
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    return project


def write_photo(path: Path, width: int = 64, height: int = 64, mode: str = "RGB") -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def invert(*photos: Path, method: str = "quick") -> Any:
    arguments = [*map(str, photos), "--method", method, "--out", "out", "--device", "cpu"]
    return CliRunner().invoke(app, ["invert", *arguments])


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*")) if folder.exists() else []


def assert_refused(result: Any, *words: str) -> None:
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    assert "; " in result.stderr, "says what is wrong; and what to do"
    for word in words:
        assert word in result.stderr
    assert written(Path("out")) == []


FILES = ["{}-code.safetensors", "{}-reconstruction.png", "{}-side-by-side.png"]


def files_of(*names: str) -> list[str]:
    return sorted(file.format(name) for name in names for file in FILES)


def test_a_good_photo_is_inverted(workplace: Path) -> None:
    result = invert(write_photo(workplace / "a.png"), write_photo(workplace / "b.jpg", 80, 80))
    assert result.exit_code == 0, result.stderr
    assert written(workplace / "out") == files_of("a", "b")


def test_not_an_image(workplace: Path) -> None:
    (workplace / "a.png").write_text("a poem")
    assert_refused(invert(workplace / "a.png"), "'", "a.png", "not an image")


def test_no_such_file(workplace: Path) -> None:
    assert_refused(invert(workplace / "a.png"), "a.png", "not found")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_truncated_image(workplace: Path, suffix: str) -> None:
    path = write_photo(workplace / f"a.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert_refused(invert(path), f"a.{suffix}", "truncated")


def test_a_wrong_size(workplace: Path) -> None:
    assert_refused(invert(write_photo(workplace / "wide.png", 96, 64)), "96 x 64", "--crop")
    assert_refused(invert(write_photo(workplace / "small.png", 32, 32)), "32 x 32", "larger")


def test_wrong_channels(workplace: Path) -> None:
    assert_refused(invert(write_photo(workplace / "a.jpg", mode="CMYK")), "CMYK")


def test_a_bad_photo_among_good_ones_stops_before_anything_is_written(workplace: Path) -> None:
    (workplace / "bad.png").write_bytes(b"")
    assert_refused(invert(write_photo(workplace / "a.png"), workplace / "bad.png"), "bad.png")


def test_a_missing_weight_file(workplace: Path) -> None:
    photo = write_photo(workplace / "a.png")
    (workplace / "weights/faces/generator" / WEIGHTS_FILE).unlink()
    assert_refused(invert(photo), WEIGHTS_FILE, "missing", "dvc pull")
    (workplace / "weights/faces/generator" / CARD_FILE).unlink()
    assert_refused(invert(photo), "no weights in", "dvc pull")


def test_an_altered_weight_file(workplace: Path) -> None:
    path = workplace / "weights/faces/generator" / WEIGHTS_FILE
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(whole)
    assert_refused(invert(write_photo(workplace / "a.png")), WEIGHTS_FILE, "altered", "sha256")


def test_an_unknown_method(workplace: Path) -> None:
    assert_refused(invert(write_photo(workplace / "a.png"), method="quik"), "unknown method 'quik'", "'quick'")


@pytest.mark.parametrize(
    ("key", "value"), [("steps", 0), ("learning_rate", -1), ("space", "z"), ("losses", {"l2": 0}), ("stpes", 3)]
)
def test_a_parameter_out_of_range(workplace: Path, key: str, value: Any) -> None:
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["methods"]["quick"][key] = value
    Path("params.yaml").write_text(yaml.safe_dump(values))
    assert_refused(invert(write_photo(workplace / "a.png")), "params.yaml: methods.quick: ", key)


def program(*photos: Path, before: str = "", limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """`reinvert invert` in a process of its own, after the statements `before`, no file larger than `limit` bytes."""
    arguments = ["reinvert", "invert", *map(str, photos), "--method", "quick", "--out", "out", "--device", "cpu"]
    code = f"import sys\nsys.argv = {arguments!r}\n{before}\nfrom pipelines.cli import main\nmain()\n"

    def lower() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-B", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=300, preexec_fn=lower,
    )  # fmt: skip


def test_a_full_disk(workplace: Path) -> None:
    """A file-size limit makes the operating system itself refuse to write, as a full disk does."""
    photo = write_photo(workplace / "a.png")
    done = program(photo, limit=500)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: the disk is full")
    assert written(workplace / "out") == []
    assert invert(photo).exit_code == 0
    assert written(workplace / "out") == files_of("a")


def test_a_full_disk_loses_no_finished_work(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendering stopped in its second shard goes on there."""
    from pipelines.domains import shards

    rendered: list[int] = []

    def blank(domain: Any, split: str, start: int, stop: int, *rest: Any) -> Any:
        rendered.append(start)
        size = domain.resolution
        images = np.zeros((stop - start, size, size, 3), np.uint8)
        return start, stop, images, images[..., 0]

    saved = np.save

    def full(path: Path, pixels: Any) -> None:
        if "-01" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        saved(path, pixels)

    monkeypatch.setattr(shards, "_render_part", blank)
    monkeypatch.setattr(shards, "_PART", shards.SHARD_SIZE)
    monkeypatch.setattr(shards, "cores", lambda: 1)  # others would not know of `blank`
    monkeypatch.setattr(np, "save", full)
    arguments = ["render", "--domain", "faces", "--split", "test", "--out", "data/faces/test"]
    result = CliRunner().invoke(app, arguments)
    assert_refused(result, "the disk is full", "images-01.npy")
    assert written(workplace / "data/faces/test") == ["images-00.npy", "labels-00.npy"]

    monkeypatch.setattr(np, "save", saved)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    assert rendered == [0, shards.SHARD_SIZE, shards.SHARD_SIZE]
    assert "manifest.json" in written(workplace / "data/faces/test")


# A real signal, at a moment that does not depend on how fast the machine is: while the second photo is inverted.
# A process started in the background by a shell ignores that signal, and its children inherit it.
INTERRUPT = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from methods.optimization import Optimization
original, photos = Optimization.invert, []
def interrupted(self, images, seed):
    photos.append(1)
    for step in original(self, images, seed):
        if len(photos) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        yield step
Optimization.invert = interrupted
"""


def test_ctrl_c(workplace: Path) -> None:
    photos = [write_photo(workplace / "a.png"), write_photo(workplace / "b.png")]
    done = program(*photos, before=INTERRUPT)
    assert done.returncode == 130
    assert done.stderr == "interrupted; run the same command again to go on\n"
    assert written(workplace / "out") == files_of("a")
    assert invert(*photos).exit_code == 0
    assert written(workplace / "out") == files_of("a", "b")

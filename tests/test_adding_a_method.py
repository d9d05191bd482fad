"""docs/adding-a-method.md, carried out: its module, its entry and its run, through the program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from core.config import load_config
from tests.conftest import ROOT
from tests.methods.tiny import write_generator

PAGE = (ROOT / "docs" / "adding-a-method.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def followed(project: Path) -> Path:
    """A project with the page's module beside the other methods and its entries in params.yaml."""
    (project / "more").mkdir()
    (module,) = blocks("python")
    (project / "more" / "random_search.py").write_text(module)
    values = yaml.safe_load((project / "params.yaml").read_text())
    for block in blocks("yaml"):
        for section, entries in yaml.safe_load(block).items():
            values[section].update(entries)
    values["methods"]["random-search"]["draws"] = 20
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    write_generator(project / "weights", 64)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(project / "photo.png")
    return project


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys, methods\nmethods.__path__.append('more')\n"
        f"sys.argv = {['reinvert', *arguments]!r}\nfrom pipelines.cli import main\nmain()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def test_the_page_s_commands_work(followed: Path) -> None:
    described = program("describe", "random-search")
    assert described.returncode == 0, described.stderr
    assert "the nearest of many latents" in described.stdout
    assert "draws: 20" in described.stdout

    (commands,) = [block.splitlines() for block in blocks("sh")]
    words = commands[1].split()
    assert words[:2] == ["reinvert", "invert"]
    inverted = program(*words[1:], "--device", "cpu")
    assert inverted.returncode == 0, inverted.stderr
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "photo-code.safetensors", "photo-reconstruction.png", "photo-side-by-side.png",
    ]  # fmt: skip


def test_the_page_s_run_is_what_the_program_prints(followed: Path) -> None:
    (entry,) = [yaml.safe_load(block)["runs"] for block in blocks("yaml") if "runs" in yaml.safe_load(block)]
    config = load_config(followed / "params.yaml")
    assert config.runs["faces-random-search"].model_dump() == entry["faces-random-search"]
    printed = program("wire", "random-search")
    assert printed.returncode == 0, printed.stderr
    assert entry.items() <= yaml.safe_load(printed.stdout)["runs"].items()
    assert "train-method" not in printed.stdout


def test_a_cell_whose_module_is_not_there_is_refused(followed: Path) -> None:
    refused = program("cells")
    assert refused.returncode == 1
    assert "needs methods/random_search.py, which is not there" in refused.stderr  # here it lies elsewhere

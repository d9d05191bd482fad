"""The recipes of `make repro` and `make reference`: which runs are measured side by side."""

import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def _make(*words: str, said: str = "") -> str:
    done = subprocess.run(
        ["make", "--no-print-directory", *words], cwd=ROOT, input=said, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_stale_stages_are_named_as_reinvert_ahead_takes_them() -> None:
    said = "\n".join(
        [
            "Stage 'pipelines/scores/dvc.yaml:evaluate@faces-psp' didn't change, skipping",
            "Running stage 'pipelines/scores/dvc.yaml:evaluate@faces-pti-e4e':",
            "> reinvert evaluate faces-pti-e4e",
            "Running stage 'render-test@faces':",
            "Running stage 'pipelines/scores/dvc.yaml:editability@churches-e2style-1-stage':",
            "Running stage 'pipelines/scores/dvc.yaml:inspect@faces-hfgi':",
            "Use `dvc push` to send your updates to remote storage.",
        ]
    )
    found = _make("--eval", "stale: ; @$(STALE)", "stale", said=said)
    assert found.split() == ["faces-pti-e4e", "editability@churches-e2style-1-stage", "inspect@faces-hfgi"]


def test_recipes_ask_for_stages_that_there_are() -> None:
    stages = {}
    for name in ("", "pipelines/scores/", "pipelines/reference/"):
        stages[name] = set(yaml.safe_load((ROOT / name / "dvc.yaml").read_text())["stages"])
    learnt = _make("--eval", "learnt: ; @echo $(LEARNT)", "learnt").split()
    assert learnt and set(learnt) <= stages[""]
    for target in ("repro", "reference"):
        commands = _make("-n", target)
        asked = set(re.findall(r"[\w./]+dvc\.yaml:[\w-]+", commands))
        assert len(asked) == 3
        for word in asked:
            file, stage = word.split("dvc.yaml:")
            assert stage in stages[file], word
        for stage in ("render-test", "cells"):
            assert stage in stages[""] and stage in commands

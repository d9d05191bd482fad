"""The files of inspections, as typed values. What is missing stays empty, so that its figure can be left out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.config import Config
from core.errors import ReinvertError
from reports.read import Pixels

FILE = "inspection.json"
Maps = NDArray[np.float32]


@dataclass(frozen=True)
class Inspected:
    """What one run changes from step to step.

    Attributes:
        run: its name.
        method: of the run.
        kind: of the method.
        domain: of the run.
        measured: results/<run>/inspection.json.
        maps: (S - 1, H, W) mean colour distance between neighbouring steps, in [0, 1]; None without the pictures' file.
        errors: (S, H, W) mean colour distance to the image at every step.
        inputs: (shown, H, W, 3).
        drawn: (S, shown, H, W, 3), what was drawn at every step.
        trained_steps: steps that the method takes in training, where it takes several.
    """

    run: str
    method: str
    kind: str
    domain: str
    measured: Mapping[str, Any]
    maps: Maps | None = None
    errors: Maps | None = None
    inputs: Pixels = field(default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8))
    drawn: Pixels = field(default_factory=lambda: np.zeros((0, 0, 1, 1, 3), np.uint8))
    trained_steps: int | None = None

    @property
    def n(self) -> int:
        """Images in the means."""
        return int(self.measured["n"])

    @property
    def steps(self) -> Sequence[int]:
        """Numbers of the steps; each but the first has a change."""
        steps: Sequence[int] = self.measured["steps"]
        return steps

    @property
    def groups(self) -> list[str]:
        """Names of the groups of styles, coarsest first."""
        ranges: Mapping[str, Sequence[int]] = self.measured["settings"]["groups"]
        return sorted(ranges, key=lambda name: ranges[name][0])

    @property
    def of_passes(self) -> bool:
        """Whether its steps are passes of one encoder, or of one after the other, not two different phases."""
        return self.kind in ("restyle", "naive_iteration", "e2style")


def read_json(path: Path) -> dict[str, Any]:
    """An inspection.json that says that something was measured; empty where there is none, or nothing could be.

    Raises:
        ReinvertError: the file is damaged.
    """
    if not path.is_file():
        return {}
    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return read if read["status"] == "ok" else {}
    except (ValueError, KeyError, TypeError) as error:
        raise ReinvertError(f"'{path}' is damaged ({error!r}); run 'reinvert inspect' for it again") from error


def read_inspections(config: Config, results: Path) -> list[Inspected]:
    """The inspections of all runs that have one, in the order of params.yaml.

    Raises:
        ReinvertError: a file is damaged.
    """
    found = []
    for name, run in config.runs.items():
        measured = read_json(results / name / FILE)
        if not measured:
            continue
        path = results / name / "inspection.npz"
        arrays = {}
        if path.is_file():  # numbers are in git, pictures are not
            try:
                with np.load(path, allow_pickle=False) as stored:
                    arrays = {"maps": stored["change_maps"], "errors": stored["error_maps"],
                              "inputs": stored["inputs"], "drawn": stored["drawn"]}  # fmt: skip
            except (OSError, KeyError, ValueError) as error:
                raise ReinvertError(f"'{path}' is damaged; run 'reinvert inspect {name}' again") from error
        method = config.methods[run.method]
        trained = method.arguments.get("training_steps")
        found.append(Inspected(name, run.method, method.kind, run.domain, measured, trained_steps=trained, **arrays))
    return found

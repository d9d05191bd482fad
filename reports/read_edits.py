"""The files of directions and of runs' edits, as typed values. What is missing stays empty, so that it can be said."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.config import Config
from core.errors import ReinvertError
from reports.read import Pixels

Pictures = Mapping[str, Pixels]


@dataclass(frozen=True)
class Directions:
    """The directions of one domain.

    Attributes:
        domain: its name.
        measured: results/directions/<domain>/metrics.json; empty where nobody has looked.
        strips: by direction (samples, gammas, H, W, 3).
    """

    domain: str
    measured: Mapping[str, Any] = field(default_factory=dict)
    strips: Pictures = field(default_factory=dict)

    @property
    def entries(self) -> Mapping[str, Any]:
        """What was measured of each direction, by name; finder by finder."""
        found: Mapping[str, Any] = self.measured.get("directions", {})
        order = [name for finder in ("interfacegan", "ganspace", "sefa") for name in found
                 if found[name]["finder"] == finder]  # fmt: skip
        return {name: found[name] for name in order}


@dataclass(frozen=True)
class Edits:
    """The edits of one run.

    Attributes:
        run: its name.
        method: of the run.
        domain: of the run.
        reason: why there are no numbers; empty where there are.
        measured: results/<run>/editability.json.
        pictures: of results/<run>/edits.npz.
    """

    run: str
    method: str
    domain: str
    reason: str = ""
    measured: Mapping[str, Any] = field(default_factory=dict)
    pictures: Pictures = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Images edited."""
        return int(self.measured.get("n", 0))


def number(entry: Mapping[str, Any] | None, key: str) -> float:
    """A number of an entry, NaN where there is none."""
    value = None if entry is None else entry.get(key)
    return math.nan if value is None else float(value)


def _json(path: Path, remedy: str) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ReinvertError(f"'{path}' is not valid JSON; {remedy}") from error
    return read


def _pictures(path: Path, remedy: str) -> dict[str, Pixels]:
    # Numbers are in git, pictures are not: a fresh clone has tables without figures until the stage has run.
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise ReinvertError(f"'{path}' is damaged; {remedy}") from error


def read_directions(domain: str, results: Path) -> Directions:
    """The directions of a domain; ReinvertError where a file is damaged."""
    folder, remedy = results / "directions" / domain, f"run 'reinvert directions --domain {domain}'"
    if not (folder / "metrics.json").is_file():
        return Directions(domain)
    return Directions(domain, _json(folder / "metrics.json", remedy), _pictures(folder / "strips.npz", remedy))


def read_edits(config: Config, results: Path) -> list[Edits]:
    """The edits of all runs, in the order of params.yaml; ReinvertError where a file is damaged."""
    found = []
    for name, run in config.runs.items():
        path, remedy = results / name / "editability.json", f"run 'reinvert editability {name}'"
        if not path.is_file():
            found.append(Edits(name, run.method, run.domain, "not measured"))
            continue
        measured = _json(path, remedy)
        reason = str(measured["reason"]) or "no reason was recorded" if measured["status"] != "ok" else ""
        pictures = {} if reason else _pictures(results / name / "edits.npz", remedy)
        found.append(Edits(name, run.method, run.domain, reason, measured, pictures))
    return found

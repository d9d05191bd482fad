"""The files of runs and the cards of networks, as typed values. What is missing is said, never skipped."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.config import Config
from core.errors import ReinvertError
from core.pictures import read_pictures

GROUPS = ("optimization", "encoder", "hybrid")
"""Kinds of methods in the order of HyperInverter's Table 1."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Run:
    """One method on one domain, or the reason why there is nothing."""

    name: str
    domain: str
    method: str
    group: str
    reason: str = ""
    """Why the run has no results; empty when it has."""
    record: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By metric: value, low, high (NaN where there is no interval), n, n_failed."""
    timing: Mapping[str, Any] = field(default_factory=dict)
    curve: Mapping[str, list[float]] = field(default_factory=dict)
    per_image: pd.DataFrame = field(default_factory=pd.DataFrame)
    """One row per image, in the order of the pictures; index = number of the image in its split."""
    inputs: Pixels = field(default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8))
    outputs: Pixels = field(default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8))

    @property
    def failed(self) -> bool:
        """Whether the run has nothing to show, because it broke off or because nobody has made it yet."""
        return bool(self.reason)

    @property
    def status(self) -> str:
        """In a word or two."""
        return ("failed" if self.record else "not run") if self.failed else "ok"


@dataclass(frozen=True)
class Generator:
    """What is known of a domain's generator."""

    domain: str
    card: Mapping[str, Any] = field(default_factory=dict)
    """The card of its weights; empty where there are none."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """Its metrics.json; empty where nobody has measured it."""
    training: Sequence[tuple[int, float]] = ()
    """Images seen and FID during training, as far as training wrote them down."""

    @property
    def stale(self) -> bool:
        """Whether other weights were measured than those present now."""
        return bool(self.card and self.measured) and self.card["sha256"] != self.measured["sha256"]


def group_of(method: str, config: Config) -> str:
    """The group of a method: encoders are trained (or repeat one that is), optimisations are not, and a hybrid is
    an optimisation that starts from an encoder.

    Args:
        method: its name in params.yaml.
        config: all parameters.
    """
    entry = config.methods[method]
    if "training" in entry.arguments or entry.kind == "naive_iteration":
        return "encoder"
    start = str(entry.arguments.get("start"))
    return "optimization" if start not in config.methods or group_of(start, config) == "optimization" else "hybrid"


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ReinvertError(f"'{path}' is missing; evaluate the run again") from error
    except ValueError as error:
        raise ReinvertError(f"'{path}' is not valid JSON; evaluate the run again") from error


def _number(value: Any) -> float:
    # JSON has no NaN: a score that is none arrives as null.
    return math.nan if value is None else float(value)


def _metrics(raw: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    return {
        name: {
            "value": _number(entry["mean"] if "mean" in entry else entry["value"]),
            "low": _number(entry.get("low")),
            "high": _number(entry.get("high")),
            "n": int(entry["n"]),
            "n_failed": int(entry["n_failed"]),
        }
        for name, entry in raw.items()
    }


def read_run(name: str, config: Config, results_dir: Path) -> Run:
    """The results of run `name`.

    Raises:
        ReinvertError: a file of a run that claims success is missing or damaged.
    """
    cell = config.runs[name]
    empty = Run(name, cell.domain, cell.method, group_of(cell.method, config))
    folder = results_dir / name
    if not (folder / "record.json").is_file():
        return replace(empty, reason=f"{results_dir.name}/{name}/record.json is missing")
    record = _json(folder / "record.json")
    if record.get("status") == "failed":
        return replace(empty, record=record, reason=str(record.get("reason") or "no reason was recorded"))
    try:
        per_image = pd.read_parquet(folder / "per_image.parquet").set_index("image")
        outputs, inputs = (
            read_pictures(folder / f"{file}.webp", len(per_image)) for file in ("reconstructions", "inputs")
        )
    except (OSError, KeyError, ValueError, ReinvertError) as error:
        raise ReinvertError(f"results of run '{name}' are incomplete ({error}); evaluate it again") from error
    if not per_image.index.is_unique:
        raise ReinvertError(f"run '{name}': an image has two lines of scores; evaluate it again")
    return replace(
        empty,
        record=record,
        metrics=_metrics(_json(folder / "metrics.json")),
        timing=_json(folder / "timing.json"),
        curve={key: [_number(v) for v in values] for key, values in _json(folder / "curve.json").items()
               if isinstance(values, list)},
        per_image=per_image,
        inputs=inputs,
        outputs=outputs,
    )  # fmt: skip


def read_runs(config: Config, results_dir: Path) -> list[Run]:
    """All runs of the configuration, by domain, group and then in the order of params.yaml.

    Raises:
        ReinvertError: as `read_run`, or the configuration has no run.
    """
    runs = [read_run(name, config, results_dir) for name in config.runs]
    if not runs:
        raise ReinvertError("params.yaml names no runs, so there is nothing to report; add some under 'runs'")
    domains = list(dict.fromkeys(run.domain for run in runs))
    return sorted(runs, key=lambda run: (domains.index(run.domain), GROUPS.index(run.group)))


def outcome_in_words(runs: Sequence[Run]) -> str:
    """How many of the runs have no numbers, and why: "1 of 48 runs failed, 4 were not run"."""
    statuses = [run.status for run in runs]
    absent = statuses.count("not run")
    failed = f"{statuses.count('failed') or 'none'} of {len(runs)} runs failed"
    return f"{failed}, {absent} {'was' if absent == 1 else 'were'} not run" if absent else failed


def read_cards(weights_root: Path, domains: list[str]) -> list[dict[str, Any]]:
    """The cards of all networks of `domains`, generator first, then by name. Each is a plain mapping."""
    cards = [_json(path) for domain in domains for path in sorted((weights_root / domain).glob("*/card.json"))]
    return sorted(cards, key=lambda card: (domains.index(card["domain"]), card["name"] != "generator", card["name"]))


def _training(path: Path) -> list[tuple[int, float]]:
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            return [(int(row["images"]), float(row["fid"])) for row in csv.DictReader(handle) if row.get("fid")]
    except FileNotFoundError:
        return []
    except (KeyError, ValueError) as error:
        raise ReinvertError(f"'{path}' is not a log of training; get it again with 'dvc pull --force'") from error


def read_generators(config: Config, generators_dir: Path, weights_root: Path) -> list[Generator]:
    """The generators of all domains that have one, or numbers of one.

    Raises:
        ReinvertError: a file is damaged.
    """
    found = []
    for domain in config.domains:
        folder, measured = weights_root / domain / "generator", generators_dir / domain / "metrics.json"
        generator = Generator(
            domain,
            _json(folder / "card.json") if (folder / "card.json").is_file() else {},
            _json(measured) if measured.is_file() else {},
            _training(folder / "training.csv"),
        )
        if generator.card or generator.measured:
            found.append(generator)
    return found

"""What this project measured, as evidence for claims.

Besides the runs' own files, those about editing and about steps among them, every `cells.csv` below results/ is read:
a table with one line per number and the columns domain, method, metric, setting, value, low, high, n. So a new kind of
result (an analysis, a video, another task) takes part without a line of code here: its stage writes such a file, its
metrics stand in metrics.yaml.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pydantic

from core.config import Strict, validated
from core.errors import ReinvertError
from reports.claims import edits, inspections, names
from reports.claims.evidence import Cell, Evidence, Value, valued
from reports.read import Run

TABLE = "cells.csv"
ABLATIONS = "ablations"
"""Below results/: what was collected of ablations, judged apart (`reports.claims.ablated`)."""
PARAMETERS = "params_millions"
TIME_FACTOR = 3**0.5
"""A time is known up to this factor either way: the same optimisation took 2.5 s on an idle and 6.6 s on a busy
machine, where an encoder took as long as before, and a verdict must not turn on that."""
MINIMISED = frozenset({"l2", "lpips", "psnr"})
"""Metrics of what searches minimise."""
PAPER_SCALE = "paper-scale"
"""Below results/: <paper>/cells.csv, measured at that paper's scale, on its images, by its protocols. Kept apart."""


class Line(Strict):
    """One line of a `cells.csv`."""

    domain: str
    method: str
    metric: str
    setting: str = ""
    """Empty for a method's answer; `name=number` along a sweep (`gamma=-2`, `step=3`)."""
    value: float | None
    """None: measured, and no number came out."""
    low: float | None = None
    high: float | None = None
    n: int | None = pydantic.Field(default=None, ge=1)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _empty_is_none(cls, values: dict[str, str]) -> dict[str, str | None]:
        return {key: None if text == "" and key != "setting" else text for key, text in values.items()}

    @pydantic.model_validator(mode="after")
    def _interval_is_whole(self) -> Line:
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval needs both 'low' and 'high'")
        if self.value is not None and self.low is not None and not self.low <= self.value <= float(self.high or 0):
            raise ValueError("the value is not inside its interval")
        return self


def read_table(path: Path) -> dict[Cell, Value]:
    """The numbers of a `cells.csv`.

    Raises:
        ReinvertError: the file is damaged, has other columns, a line holds a mistake, or a cell stands twice.
    """
    columns = list(Line.model_fields)
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            rows = list(csv.reader(handle))
    except UnicodeDecodeError as error:
        raise ReinvertError(f"'{path}' is not UTF-8 text; make it again") from error
    if not rows or rows[0] != columns:
        raise ReinvertError(f"'{path}' has not the columns {', '.join(columns)}; make it again")
    cells: dict[Cell, Value] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(columns):
            raise ReinvertError(f"{path}, line {number}: {len(row)} fields instead of {len(columns)}; make it again")
        line = validated(Line, dict(zip(columns, row, strict=True)), f"{path}, line {number}")
        names.metric(line.metric)
        cell = Cell(line.domain, line.method, line.metric, line.setting)
        if cell in cells:
            raise ReinvertError(f"{path}, line {number}: stands there twice; make the file again")
        cells[cell] = valued(line.value, line.low, line.high, line.metric, line.n)
    return cells


def evidence(
    runs: Sequence[Run],
    results_dir: Path,
    known: Collection[str] = (),
    cut_short: Collection[str] = (),
    shared_dir: Path | None = None,
) -> Evidence:
    """Everything measured.

    Args:
        runs: of all domains, those that failed included.
        results_dir: holds <run>/.
        known: domains of the suite, whether or not there is a run on them.
        cut_short: methods that were given fewer steps than they need; their times are the least they take, their
            errors the most they make (`without_last_steps`).
        shared_dir: holds **/cells.csv; None for results_dir.

    Raises:
        ReinvertError: as `read_table`, or two tables have the same cell.
    """
    found = Evidence(domains=list(dict.fromkeys(run.domain for run in runs)), known=frozenset(known))
    for run in runs:
        if run.failed:
            found.absent[run.domain, run.method] = f"{run.status}, {run.reason.rstrip('.')}"
        else:
            found.cells |= of_run(run, run.method in cut_short)
        found.cells |= edits.read_edits(results_dir / run.name / edits.FILE, run.domain, run.method)
        found.cells |= inspections.read_inspection(results_dir / run.name / inspections.FILE, run.domain, run.method)
    for path in _tables(shared_dir or results_dir):
        table = read_table(path)
        for cell in table:
            if cell in found.cells:
                raise ReinvertError(
                    f"'{path}' has {', '.join(filter(None, cell))} a second time; remove one of the two"
                )
        found.cells |= table
    return found


def _tables(shared_dir: Path) -> list[Path]:
    return sorted(path for path in shared_dir.rglob(TABLE) if path.parent.parent != shared_dir / PAPER_SCALE)


def with_published_sizes(found: Evidence, own: Mapping[str, Mapping[Cell, Value]]) -> Evidence:
    """The same with the parameters that the methods' networks have at their published size.

    The small networks' are no evidence: which of two is larger depends on how each was made small. As long as nothing
    was counted at full size, everything stays.

    Args:
        found: from `evidence`, or of ablations.
        own: from `paper_scale`.
    """
    counts = {cell: value for cells in own.values() for cell, value in cells.items() if cell.metric == PARAMETERS}
    if not counts:
        return found
    with_numbers = {(cell.domain, cell.method) for cell in found.cells}
    kept = {cell: value for cell, value in found.cells.items() if cell.metric != PARAMETERS}
    kept |= {cell: value for cell, value in counts.items() if (cell.domain, cell.method) in with_numbers}
    return replace(found, cells=kept, published_sizes=True)


def paper_scale(shared_dir: Path) -> dict[str, dict[Cell, Value]]:
    """What was measured as the papers did, by paper.

    Raises:
        ReinvertError: as `read_table`, or a folder is named after no paper.
    """
    found = {}
    for path in sorted((shared_dir / PAPER_SCALE).glob(f"*/{TABLE}")):
        paper = path.parent.name
        if paper not in names.methods().papers:
            raise ReinvertError(f"'{path.parent}' is named after no paper; known: {', '.join(names.methods().papers)}")
        found[paper] = read_table(path)
    return found


def of_run(run: Run, cut_short: bool = False) -> dict[Cell, Value]:
    """The numbers of a run that has any; with all its steps it would be slower and nearer if it was `cut_short`."""
    cells = {}
    for name, entry in run.metrics.items():
        value = valued(entry["value"], entry["low"], entry["high"], name, int(entry["n"]), int(entry["n_failed"]))
        if name in run.per_image and math.isfinite(value.value):
            value = replace(value, scores=run.per_image[name])
        cells[Cell(run.domain, run.method, name)] = without_last_steps(value, name) if cut_short else value
    seconds, parameters = run.timing.get("seconds_per_image_batch_1"), run.timing.get("parameters")
    for name, number in (("seconds_per_image", seconds), (PARAMETERS, parameters and parameters / 1e6)):
        if number is not None:
            value = valued(float(number), None, None, name, None)
            steps = (run.record.get("arguments") or {}).get("steps")
            if name == "seconds_per_image" and steps is not None:
                # How long a method takes is how many steps it is given.
                value = replace(value, text=f"{value.text} ({steps} steps{', cut short' if cut_short else ''})")
            if name == "seconds_per_image":
                low, high = value.value / TIME_FACTOR, value.value * TIME_FACTOR
                value = replace(value, low=low, high=math.inf if cut_short else high, certainty="sampled")
            cells[Cell(run.domain, run.method, name)] = value
    for name in run.curve:
        if name in names.metrics():
            for step, number in zip(run.curve["steps"], run.curve[name], strict=True):
                cells[Cell(run.domain, run.method, name, f"step={step:g}")] = valued(number, None, None, name, None)
    return cells


def without_last_steps(value: Value, metric: str) -> Value:
    """What the number of a search that was cut short says of the whole search.

    What it minimises would be smaller, nobody knows by how much; of other metrics it says nothing, because identity or
    FID may well get worse on the way.
    """
    low, high, scores = -math.inf, math.inf, None
    if metric in MINIMISED:
        low, high = (low, value.high) if names.metric(metric).direction == "lower" else (value.low, high)
        scores = value.scores
    return replace(value, low=low, high=high, certainty="sampled", text=f"{value.text}, cut short", scores=scores)


def digest(results_dir: Path, runs: Iterable[str], shared_dir: Path | None = None) -> str:
    """SHA-256 over scores of `runs`, tables and ablations, all of them in git: by it verdicts know their results."""
    total, shared_dir = hashlib.sha256(), shared_dir or results_dir
    files = [results_dir / run / name for run in runs for name in ("metrics.json", edits.FILE, inspections.FILE)]
    scores = [(path, results_dir) for path in files if path.is_file()]
    tables = [(path, shared_dir) for path in [*shared_dir.rglob(TABLE), *(shared_dir / ABLATIONS).glob("*.json")]]
    for path, root in sorted([*scores, *tables], key=lambda found: found[0].relative_to(found[1])):
        total.update(f"{path.relative_to(root).as_posix()}\n".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()

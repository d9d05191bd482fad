"""results/ablations/<domain>.json: what `reinvert ablations collect` leaves of a domain's ablations.

One file in git, because the trainings take hours: with it a report can be written, and every claim on an ablation be
judged from the scores of single images, where no variant was ever trained.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import ReinvertError
from reports.claims.evidence import Cell, Value, valued
from reports.claims.measured import of_run
from reports.read import Run


class Strict(BaseModel):
    """No other keys; nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Score(Strict):
    """A metric of a variant: mean or distance, with its interval where it has one; None is no number."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int
    n_failed: int = 0


class Training(Strict):
    """What a variant's training took, from the card of its weights."""

    steps: int
    batch: int
    seconds: float | None
    device: str
    precision: str | None
    parameters: int
    """Of what was trained."""


class Edit(Strict):
    """A number about edits."""

    metric: str
    setting: str
    score: Score


class Measured(Strict):
    """What was measured of one method."""

    reason: str = ""
    """Why it has no numbers; empty where it has."""
    training: Training | None
    """None for a method of the benchmark, which has its own card."""
    parameters: float | None = None
    """Of all networks an inversion runs, the generator's included."""
    seconds_per_image: float | None = None
    metrics: dict[str, Score] = {}
    per_image: dict[str, list[float | None]] = {}
    """By metric, in the order of `Record.images`."""
    edits: list[Edit] = []


class Row(Strict):
    """One variant."""

    variant: str
    group: str
    base: str | None
    says: str
    differs: dict[str, tuple[Any, Any]]
    """By dotted argument: of the base and of the variant; the budget apart."""
    measured_as: str
    """The method whose numbers it has: itself, or the one it is the same as."""


class Record(Strict):
    """All ablations of a domain."""

    schema_version: Literal[1]
    domain: str
    images: list[int]
    """Of the test split."""
    budgets: dict[str, int]
    """Steps of every training, by group."""
    rows: list[Row]
    measured: dict[str, Measured]
    """By method."""


def read_records(folder: Path) -> list[Record]:
    """The records of all domains, by name of the file; none where nothing was collected.

    Raises:
        ReinvertError: a file is damaged.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(Record.model_validate(json.loads(path.read_text(encoding="utf-8"))))
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise ReinvertError(
                f"'{path}' holds no ablations (at {where}); run 'reinvert ablations collect'"
            ) from error
        except (ValueError, UnicodeDecodeError) as error:
            raise ReinvertError(f"'{path}' is not valid JSON; restore it from git") from error
    return found


def cells_of(record: Record) -> tuple[dict[Cell, Value], dict[tuple[str, str], str]]:
    """The numbers of a domain under the names of the variants, and why some have none, as `Evidence` keeps them.

    The change at the greatest strength of editing also stands without a setting: along a family of variants, one number
    of each is compared.
    """
    cells: dict[Cell, Value] = {}
    absent: dict[tuple[str, str], str] = {}
    for row in record.rows:
        measured = record.measured[row.measured_as]
        if measured.reason:
            absent[record.domain, row.variant] = measured.reason.rstrip(".")
            continue
        cells |= of_run(_as_run(record, row.variant, measured))
        for edit in measured.edits:
            cells[Cell(record.domain, row.variant, edit.metric, edit.setting)] = _value(edit)
        strongest = [edit for edit in measured.edits if edit.setting == _strongest(measured.edits, edit.metric)]
        for edit in strongest:
            cells.setdefault(Cell(record.domain, row.variant, edit.metric), _value(edit))
    return cells, absent


def _strongest(edits: list[Edit], metric: str) -> str:
    settings = [edit.setting for edit in edits if edit.metric == metric and edit.setting.startswith("gamma=")]
    return max(settings, key=lambda setting: float(setting.removeprefix("gamma=")), default="gamma")


def _value(edit: Edit) -> Value:
    score = edit.score
    return valued(score.value, score.low, score.high, edit.metric, score.n)


def _as_run(record: Record, variant: str, measured: Measured) -> Run:
    def number(value: float | None) -> float:
        return math.nan if value is None else value

    metrics = {
        name: {"value": number(s.value), "low": number(s.low), "high": number(s.high), "n": s.n, "n_failed": s.n_failed}
        for name, s in measured.metrics.items()
    }
    per_image = pd.DataFrame(
        {name: [number(value) for value in values] for name, values in measured.per_image.items()}, index=record.images
    )
    timing = {"seconds_per_image_batch_1": measured.seconds_per_image, "parameters": measured.parameters}
    return Run(variant, record.domain, variant, "encoder", metrics=metrics, timing=timing, per_image=per_image)

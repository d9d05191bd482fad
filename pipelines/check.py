"""The regression gate: are the measured scores as good as the committed baseline?

DVC shows differences of metrics but knows no thresholds, so the gate is ours. Every cell (run, metric) of the baseline
must still be there and be no worse than its tolerance allows, in the metric's own direction. A cell that is missing,
has no number, has more failures or counts other images than the baseline is a regression as well: a mean over easier
images is no progress, nor is one by another protocol. Times are reported elsewhere and never gated.

The baseline also holds the verdicts on the papers' claims; `check_claims` compares those.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from core.config_evaluation import Tolerances
from core.errors import ReinvertError
from core.files import atomic_write_json, read_json_as
from metrics import registry
from reports.claims.judge import Verdict as ClaimVerdict

Verdict = Literal[
    "same",
    "better",
    "within tolerance",
    "new",
    "worse",
    "missing",
    "failed",
    "more failures",
    "other n",
    "other protocol",
]
REGRESSIONS: frozenset[Verdict] = frozenset(
    {"worse", "missing", "failed", "more failures", "other n", "other protocol"}
)
SCHEMA = 3


class BaselineCell(BaseModel):
    """One score to be held."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    n: int
    n_failed: int
    protocol: str | None = None
    """From schema 3 on."""


class Baseline(BaseModel):
    """reports/baseline.json: run -> metric -> cell, and claim -> domain -> verdict (from schema 2 on)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1, 2, 3]
    runs: dict[str, dict[str, BaselineCell]]
    claims: dict[str, dict[str, ClaimVerdict]] = {}


@dataclass(frozen=True)
class Comparison:
    """One cell now and in the baseline; values are None where there is no number."""

    run: str
    metric: str
    baseline: float | None
    now: float | None
    tolerance: float
    verdict: Verdict
    protocols: tuple[str | None, str | None] = (None, None)
    """That of the baseline and that of now."""

    @property
    def regressed(self) -> bool:
        """Whether the gate objects."""
        return self.verdict in REGRESSIONS

    def __str__(self) -> str:
        if self.verdict == "other protocol":
            return f"{self.run} {self.metric}: measured by {self.protocols[1]}, the baseline by {self.protocols[0]}"
        decimals = registry.get(self.metric).decimals + 1
        return (
            f"{self.run} {self.metric}: {self.verdict} (baseline {_shown(self.baseline, decimals)}, "
            f"now {_shown(self.now, decimals)}, tolerance {self.tolerance:g})"
        )


def _shown(value: float | None, decimals: int) -> str:
    return "none" if value is None else f"{value:.{decimals}f}"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise ReinvertError(f"'{path}' is not valid JSON; restore it from git or evaluate the run again") from error


def read_baseline(path: Path) -> Baseline:
    """The committed baseline.

    Raises:
        ReinvertError: it is missing or damaged, or names a metric that does not exist.
    """
    try:
        baseline = read_json_as(Baseline, path, "baseline", "restore it from git")
    except FileNotFoundError as error:
        raise ReinvertError(f"no baseline at '{path}'; give the file with --baseline or write one") from error
    for cells in baseline.runs.values():
        for metric in cells:
            registry.get(metric)
    return baseline


def read_scores(results_dir: Path, run: str) -> dict[str, dict[str, Any]] | None:
    """The tracked metrics of a run: name -> {value, n, n_failed, protocol}; None without results.

    The value is None for no number, the protocol where the file is of a version that did not say it.
    """
    path = results_dir / run / "metrics.json"
    if not path.is_file():
        return None
    scores = {}
    for name, entry in _read_json(path).items():
        value = entry.get("mean", entry.get("value"))
        finite = value is not None and math.isfinite(value)
        counts = {"n": entry["n"], "n_failed": entry["n_failed"]}
        scores[name] = {"value": value if finite else None, **counts, "protocol": entry.get("protocol")}
    return scores


def judge(metric: str, before: BaselineCell, now: dict[str, Any] | None, tolerance: float) -> Verdict:
    """The verdict on one cell of the baseline."""
    if now is None:
        return "missing"
    if now["value"] is None:
        return "failed"
    if before.protocol and now["protocol"] != before.protocol:
        return "other protocol"
    if now["n_failed"] > before.n_failed:
        return "more failures"
    if now["n"] != before.n:
        return "other n"
    if now["value"] == before.value:
        return "same"
    known = registry.get(metric)
    if known.is_better(now["value"], before.value):
        return "better"
    # A difference of exactly the tolerance passes, whatever its binary fraction rounds to.
    allowed = tolerance * (1 + 1e-9)
    return "within tolerance" if abs(now["value"] - before.value) <= allowed else "worse"


def compare(baseline_file: Path, results_dir: Path, tolerances: Tolerances) -> list[Comparison]:
    """Every cell of the baseline and of the results, in the order of the baseline, new ones last.

    Raises:
        ReinvertError: the baseline or a results file is missing or damaged.
    """
    baseline = read_baseline(Path(baseline_file))
    allowed = tolerances.model_dump()
    found = {path.parent.name for path in Path(results_dir).glob("*/metrics.json")}
    comparisons = []
    for run in [*baseline.runs, *sorted(found - set(baseline.runs))]:
        cells, scores = baseline.runs.get(run, {}), read_scores(Path(results_dir), run) or {}
        for metric in registry.names():
            before, now = cells.get(metric), scores.get(metric)
            if before is None and now is None:
                continue
            verdict: Verdict = "new" if before is None else judge(metric, before, now, allowed[metric])
            comparisons.append(
                Comparison(
                    run=run,
                    metric=metric,
                    baseline=before.value if before else None,
                    now=now["value"] if now else None,
                    tolerance=allowed[metric],
                    verdict=verdict,
                    protocols=(before.protocol if before else None, now["protocol"] if now else None),
                )
            )
    return comparisons


def check(baseline_file: Path, results_dir: Path, tolerances: Tolerances) -> list[Comparison]:
    """The cells that are worse than the baseline allows; empty when all is well. See `compare` for errors."""
    return [comparison for comparison in compare(baseline_file, results_dir, tolerances) if comparison.regressed]


def require_none(what: str, found: Sequence[object]) -> None:
    """Raise one ReinvertError that names everything the gate objects to; nothing happens when it is nothing.

    Args:
        what: it is called, in the plural: "score(s) worse than the baseline".
        found: each names itself.
    """
    if found:
        raise ReinvertError(
            f"{len(found)} {what}: {'; '.join(map(str, found))}; repair the cause, or write a new baseline if the "
            "change is meant"
        )


def markdown_table(comparisons: Iterable[Comparison]) -> str:
    """The comparison as a Markdown table, regressions in bold; for the job summary of a CI run."""
    lines = ["| run | metric | baseline | now | change | tolerance | verdict |", "|---|---|--:|--:|--:|--:|---|"]
    for one in comparisons:
        metric = registry.get(one.metric)
        decimals = metric.decimals + 1
        change = "" if one.now is None or one.baseline is None else f"{one.now - one.baseline:+.{decimals}f}"
        verdict = f"**{one.verdict}**" if one.regressed else one.verdict
        lines.append(
            f"| {one.run} | {metric.label} | {_shown(one.baseline, decimals)} | {_shown(one.now, decimals)} "
            f"| {change} | {one.tolerance:g} | {verdict} |"
        )
    return "\n".join(lines) + "\n"


def write_baseline(
    baseline_file: Path,
    results_dir: Path,
    runs: Iterable[str],
    claims: Mapping[str, Mapping[str, ClaimVerdict]] | None = None,
) -> None:
    """Make the present scores of `runs` and the verdicts on claims the baseline.

    Raises:
        ReinvertError: a run has no results, or a score without a number: that is nothing to hold others to.
    """
    table: dict[str, dict[str, Any]] = {}
    for run in runs:
        scores = read_scores(Path(results_dir), run)
        if scores is None:
            raise ReinvertError(f"run '{run}' has no results in '{results_dir}'; evaluate it first")
        without = [name for name, score in scores.items() if score["value"] is None]
        if without:
            raise ReinvertError(f"run '{run}' has no number for {', '.join(without)}; a failed run is no baseline")
        table[run] = {name: scores[name] for name in registry.names() if name in scores}
    atomic_write_json(baseline_file, {"schema_version": SCHEMA, "runs": table, "claims": claims or {}})

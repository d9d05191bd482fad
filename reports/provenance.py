"""What was measured and with what: protocols, runs, versions, networks, judge scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from metrics import registry
from reports.model import Cell, Column, Row, Span, Table, Text, text
from reports.read import Run
from reports.tabulate import code, failure_notes, heading_of, measured, plain


@dataclass(frozen=True)
class Bar:
    """What a judge has to reach on the whole test split before its measurements are believed."""

    network: str
    score: str
    """Key on the card; one that ends in "*" stands for the smallest of all scores that begin so."""
    direction: Literal["at most", "at least"]
    limit: float
    meaning: str

    def met(self, value: float) -> bool:
        """Whether `value` reaches the bar; NaN does not."""
        return value <= self.limit if self.direction == "at most" else value >= self.limit


BARS = (
    Bar("attributes", "yaw_mae", "at most", 2.5, "yaw, mean absolute error (degrees)"),
    Bar("attributes", "age_mae", "at most", 5.5, "age, mean absolute error (years)"),
    Bar("identity-judge", "auc", "at least", 0.97, "identity, area under ROC incl. hard negatives"),
    Bar("identity-train", "auc", "at least", 0.97, "identity, area under ROC incl. hard negatives"),
    Bar("parser", "miou", "at least", 0.7, "parsing, mean intersection over union"),
    Bar("parser", "iou_*", "at least", 0.4, "parsing, worst class"),
)


def protocols(runs: Sequence[Run]) -> Table:
    """Every metric: what is measured and how, as recorded by the runs."""
    columns = [Column(key="metric", label="Metric", align="left"),
               Column(key="protocol", label="Protocol", align="left"),
               Column(key="better", label="Better", align="left"), Column(key="unit", label="Scale", align="left"),
               Column(key="judge", label="Judge", align="left"),
               Column(key="failure", label="A failed image counts as", align="left")]  # fmt: skip
    rows = []
    for name in measured(runs):
        metric = registry.get(name)
        recorded = sorted({str(run.record.get("protocols", {}).get(name, metric.protocol)) for run in runs
                           if not run.failed})  # fmt: skip
        counts_as = "a blank picture" if metric.how.worst is None else f"{metric.how.worst:g}"
        rows.append(Row(cells=[plain(heading_of(metric)), code(" ".join(recorded)), plain(metric.direction),
                               plain(metric.unit), code(metric.judge) if metric.judge else Cell(text="–"),
                               plain(counts_as)]))  # fmt: skip
    return Table(identifier="protocols", caption=text("Metrics and their protocols."), columns=columns, rows=rows,
                 small=True)  # fmt: skip


def runs_table(runs: Sequence[Run]) -> Table:
    """Every run with its status, and what would be needed to repeat it."""
    columns = [Column(key="run", label="Run", align="left"), Column(key="status", label="Status", align="left"),
               Column(key="seed", label="Seed"), Column(key="device", label="Device", align="left"),
               Column(key="dtype", label="Type", align="left"),
               Column(key="data_sha256", label="Test data", align="left"),
               Column(key="arguments", label="Arguments", align="left")]  # fmt: skip
    rows = []
    for run in runs:
        record: Mapping[str, Any] = run.record
        arguments = dict(record.get("arguments") or {})
        # How a network was trained belongs to the network: its recipe is in the table of networks.
        shown = ", ".join(_flat({key: value for key, value in arguments.items() if key != "training"}))
        status = plain("ok")
        if run.failed:
            status = Cell(text=run.status, value=f"{run.status}: {run.reason}", mark="failed")
        data = str(record.get("data_sha256") or "")
        plainly = [Cell(text=str(record.get(key, "–")), value=record.get(key)) for key in ("seed", "device", "dtype")]
        rows.append(Row(cells=[code(run.name), status, *plainly, code(data, 12) if data else Cell(text="–"),
                               Cell(text=shown or "–", value=json.dumps(arguments, sort_keys=True))]))  # fmt: skip
    return Table(identifier="runs", caption=text("Runs. Hashes are the first 12 digits of SHA-256; whole ones are in "
                 "the CSV file."), columns=columns, rows=rows, small=True, notes=failure_notes(runs))  # fmt: skip


def _flat(arguments: Mapping[str, Any], prefix: str = "") -> list[str]:
    words: list[str] = []
    for key, value in sorted(arguments.items()):
        nested = isinstance(value, Mapping)
        words += _flat(value, f"{prefix}{key}.") if nested else [f"{prefix}{key} {value}"]
    return words


def versions(runs: Sequence[Run]) -> Table:
    """Package versions and machines; one line each when all runs agree."""
    found: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        entries = {**dict(run.record.get("versions") or {})}
        if run.record.get("machine"):
            entries["machine"] = run.record["machine"]
        for key, value in sorted(entries.items(), key=lambda entry: (entry[0] != "machine", entry[0])):
            found.setdefault((key, str(value)), []).append(run.name)
    recorded = sum(1 for run in runs if run.record)
    columns = [Column(key="what", label="What", align="left"), Column(key="version", label="Version", align="left"),
               Column(key="runs", label="Runs", align="left")]  # fmt: skip
    rows = [Row(cells=[plain(key), Cell(text=value, value=value),
                       Cell(text="all" if len(names) == recorded else ", ".join(names), value=" ".join(names))])
            for (key, value), names in found.items()]  # fmt: skip
    return Table(identifier="versions", caption=text("Machine and software the runs were made with."),
                 columns=columns, rows=rows, small=True)  # fmt: skip


def networks(cards: Sequence[Mapping[str, Any]], runs: Sequence[Run]) -> Table:
    """Every network with the card it came with; a note for each run that was made with other weights."""
    columns = [Column(key="domain", label="Domain", align="left"), Column(key="network", label="Network", align="left"),
               Column(key="architecture", label="Architecture", align="left"),
               Column(key="parameters", label="Parameters"), Column(key="images_seen", label="Images seen"),
               Column(key="recipe", label="Recipe"), Column(key="seed", label="Seed"),
               Column(key="device", label="Trained on", align="left"),
               Column(key="dtype", label="Stored", align="left"),
               Column(key="sha256", label="SHA-256", align="left")]  # fmt: skip
    rows = []
    for card in cards:
        rows.append(Row(cells=[plain(card["domain"]), code(card["name"]), code(card["architecture"]),
                               plain(card["parameters"]), plain(card["images_seen"]), plain(card["recipe"]),
                               Cell(text=str(card["seed"]), value=card["seed"]), plain(card["device"]),
                               plain(card["dtype"]), code(card["sha256"], 12)]))  # fmt: skip
    return Table(identifier="networks", caption=text("Networks: what they are and the hashes of their weights."),
                 columns=columns, rows=rows, small=True, notes=stale(cards, runs))  # fmt: skip


def stale(cards: Sequence[Mapping[str, Any]], runs: Sequence[Run]) -> list[Text]:
    """A line for every run that was made with other weights than those present now, runs of equal weights together."""
    present = {(card["domain"], card["name"]): card["sha256"] for card in cards}
    found: dict[tuple[str, ...], list[str]] = {}
    for run in runs:
        others = tuple(
            f"{network} ({str(sha256)[:12]})"
            for network, sha256 in sorted(dict(run.record.get("weights") or {}).items())
            if present.get((run.domain, network), sha256) != sha256
        )
        if others:
            found.setdefault((run.domain, *others), []).append(run.name)
    return [
        [Span(text=", ".join(names), style="strong"),
         Span(text=f" {'was' if len(names) == 1 else 'were'} made with other weights of {', '.join(others)}; evaluate "
                   f"{'it' if len(names) == 1 else 'them'} again.")]
        for (_, *others), names in found.items()
    ]  # fmt: skip


def _reached(cards: Sequence[Mapping[str, Any]]) -> list[tuple[str, Bar, float | None]]:
    """Every bar with the score of each domain's judge; a judge that no domain has is there once, with neither."""
    found: list[tuple[str, Bar, float | None]] = []
    for bar in BARS:
        of = [card for card in cards if card["name"] == bar.network]
        found += [(card["domain"], bar, _score(card["scores"], bar.score)) for card in of] or [("–", bar, None)]
    return found


def missed_bars(cards: Sequence[Mapping[str, Any]]) -> list[str]:
    """The judges' scores that are there and too low, as words."""
    return [f"{bar.meaning} of {bar.network} on {domain} ({value:.3f})" for domain, bar, value in _reached(cards)
            if value is not None and not bar.met(value)]  # fmt: skip


def judge_bars(cards: Sequence[Mapping[str, Any]]) -> Table:
    """The judges' scores on the test split against what they have to reach."""
    columns = [Column(key="domain", label="Domain", align="left"),
               Column(key="network", label="Judge", align="left"), Column(key="score", label="Score", align="left"),
               Column(key="value", label="Reached"), Column(key="bar", label="Bar"),
               Column(key="met", label="Met", align="left")]  # fmt: skip
    rows = []
    for domain, bar, value in _reached(cards):
        met = "not measured" if value is None else "yes" if bar.met(value) else "no"
        sign = "≤" if bar.direction == "at most" else "≥"
        rows.append(Row(cells=[plain(domain), code(bar.network), plain(bar.meaning),
                               Cell(text="–" if value is None else f"{value:.3f}", value=value),
                               Cell(text=f"{sign} {bar.limit:g}", value=bar.limit),
                               Cell(text=met, value=met, mark="" if met == "yes" else "failed")]))  # fmt: skip
    return Table(identifier="judges", caption=text("Judges against their bars, on the whole test split."),
                 columns=columns, rows=rows)  # fmt: skip


def _score(scores: Mapping[str, float], key: str) -> float | None:
    if key.endswith("*"):
        return min((value for name, value in scores.items() if name.startswith(key[:-1])), default=None)
    return scores.get(key)


def all_scores(cards: Sequence[Mapping[str, Any]]) -> Table:
    """Every score on every card, those of one kind on the parts of the test split in one line."""
    parts = ("", "_in_distribution", "_out_of_distribution")
    columns = [Column(key="domain", label="Domain", align="left"), Column(key="network", label="Network", align="left"),
               Column(key="score", label="Score", align="left"),
               Column(key="all", label="All"), Column(key="in_distribution", label="In-distribution"),
               Column(key="out_of_distribution", label="Out-of-distribution")]  # fmt: skip
    rows = []
    for card in cards:
        scores = card["scores"]
        names = sorted({name.removesuffix(parts[2]).removesuffix(parts[1]) for name in scores})
        for name in names:
            values = [scores.get(name + part) for part in parts]
            rows.append(Row(cells=[plain(card["domain"]), code(card["name"]), code(name),
                                   *[Cell(text="–" if value is None else f"{value:.4g}", value=value)
                                     for value in values]]))  # fmt: skip
    return Table(identifier="scores", caption=text("All scores stored with the networks."), columns=columns, rows=rows,
                 small=True)  # fmt: skip

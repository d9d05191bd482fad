"""Methods compared pairwise on the same images: is each step of the ranking more than the choice of test images?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from metrics import registry
from metrics.paired import PairedDifference, paired_difference
from metrics.registry import Metric
from reports.model import Cell, Column, Row, Table, Text, text
from reports.read import Run
from reports.tabulate import dagger_note, heading_of, plain, protocol_note

METRICS = ("lpips", "id", "psnr")
"""Each is the headline of one question: does it look alike, is it the same person, are the pixels right."""
RESAMPLES = 2000
SEED = 0
SMALLEST_P = 0.001
"""Below this, p is printed as "< 0.001"."""


def ranked(runs: Sequence[Run], metric: Metric) -> list[Run]:
    """The runs that have a mean of the metric, best first; ties in the order given."""
    having = [run for run in runs if metric.name in run.per_image and metric.name in run.metrics]
    finite = [run for run in having if math.isfinite(run.metrics[metric.name]["value"])]
    sign = 1 if metric.direction == "lower" else -1
    return sorted(finite, key=lambda run: sign * run.metrics[metric.name]["value"])


def compare(first: Run, second: Run, metric: Metric) -> PairedDifference | str:
    """First against second on the images that both were measured on, or the reason why that cannot be."""
    protocols = {str(run.record.get("protocols", {}).get(metric.name)) for run in (first, second)}
    if len(protocols) > 1:
        return f"measured under different protocols ({', '.join(sorted(protocols))})"
    if first.record.get("data_sha256") != second.record.get("data_sha256"):
        return "measured on different test images"
    common = first.per_image.index.intersection(second.per_image.index)
    if not len(common):
        return "measured on different test images"
    one, other = first.per_image.loc[common], second.per_image.loc[common]
    failed = one["failed"].to_numpy(bool) | other["failed"].to_numpy(bool)
    scores = [part[metric.name].to_numpy(np.float64) for part in (one, other)]
    return paired_difference(scores[0], scores[1], failed, metric.direction, RESAMPLES, SEED)


def _probability(p: float) -> Cell:
    return Cell(text=f"< {SMALLEST_P:g}" if p < SMALLEST_P else f"{p:.3f}", value=p)


def _signed(value: float, decimals: int) -> Cell:
    return Cell(text=f"{value:+.{decimals}f}", value=value)


def _row(first: Run, second: Run, metric: Metric, found: PairedDifference) -> Row:
    apart = found.low > 0 or found.high < 0
    return Row(
        cells=[
            Cell(text=heading_of(metric) + ("†" if metric.embedded else ""), value=metric.name),
            plain(first.method),
            plain(second.method),
            *[_signed(value, metric.decimals) for value in (found.mean, found.low, found.high)],
            Cell(text=f"[{found.low:+.{metric.decimals}f}, {found.high:+.{metric.decimals}f}]"),
            Cell(text="yes" if apart else "no", value="yes" if apart else "no"),
            plain(found.better),
            plain(found.worse),
            plain(found.equal),
            _probability(found.p),
            plain(found.n),
            plain(found.n_failed),
        ]
    )


def table(domain: str, runs: Sequence[Run]) -> Table | None:
    """Every method against the next in the ranking, by `METRICS`; None where no two methods can be compared."""
    columns = [
        Column(key="metric", label="Metric", align="left"), Column(key="method", label="Method", align="left"),
        Column(key="next", label="next in rank", align="left"), Column(key="difference", label="Difference"),
        Column(key="low", label="low", only="csv"), Column(key="high", label="high", only="csv"),
        Column(key="interval", label="95 % interval", only="report"), Column(key="apart", label="0 outside"),
        Column(key="better", label="better"), Column(key="worse", label="worse"),
        Column(key="equal", label="equal", only="csv"), Column(key="p", label="p"), Column(key="n", label="n"),
        Column(key="n_failed", label="Failed", only="csv"),
    ]  # fmt: skip
    rows: list[Row] = []
    refused: list[str] = []
    unpaired = False
    for metric in [registry.get(name) for name in METRICS]:
        for first, second in pairwise(ranked([run for run in runs if not run.failed], metric)):
            found = compare(first, second, metric)
            if isinstance(found, str):
                refused.append(f"{first.method} and {second.method} by {heading_of(metric)}: {found}")
            else:
                rows.append(_row(first, second, metric, found))
                unpaired |= found.n < max(len(first.per_image), len(second.per_image))
    if not rows and not refused:
        return None
    notes: list[Text] = [text(
        f"Difference: method minus next, mean over images, with its bootstrap 95 % interval ({RESAMPLES:,} "
        f"resamples, seed {SEED}). Better, worse: on how many images. p: the sign test, exact, two-sided and not "
        f"corrected for the {len(rows)} comparisons of this table: {0.05 / max(len(rows), 1):.2g} in the place of "
        "0.05 is the careful bar. Failed: images on which either method failed; they count with their score under the "
        "failure rule."
    )]  # fmt: skip
    names = [name for name in METRICS if any(name in run.metrics for run in runs)]
    if any(registry.get(name).embedded for name in names):
        notes.append(dagger_note(names))
    notes.append(protocol_note(names, runs))
    if unpaired:
        notes.append(text("Some runs were measured on more images than n: only those that both have are compared."))
    # Methods' names are words of ours, protocol ids have no marks: safe as running text.
    notes += [text(f"Not compared: {line}.") for line in refused]
    return Table(
        identifier=f"paired-{domain}",
        caption=text(f"Neighbours in the ranking on **{domain}**, compared image by image."),
        columns=columns, rows=rows, small=True, notes=notes,
    )  # fmt: skip

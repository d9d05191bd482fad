"""The tables of the report, built from runs and cards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from metrics import registry
from metrics.registry import Metric
from reports.model import Cell, Column, Row, Span, Table, Text, text
from reports.ranking import marks
from reports.read import GROUPS, Run

QUALITY = ("l2", "lpips", "id", "ssim", "ms_ssim", "psnr", "fid", "kid")
"""Columns of the reconstruction table, near the order of HyperInverter's Table 1."""

GROUP_TITLES = {"optimization": "Optimisation", "encoder": "Encoders", "hybrid": "Hybrids (started from an encoder)"}

COST: dict[str, tuple[str, str, Literal["lower", "higher"]]] = {
    "seconds_per_image_batch_1": ("Time (s)", "↓", "lower"),
    "images_per_second_best": ("Images/s", "↑", "higher"),
}

FID_SAMPLE_BIAS = 2048
"""Below as many images as Inception has features, FID's covariance is singular and its bias is large."""

SET_RANK = 128
"""Features of the embedded judge: FID of fewer images has a covariance without full rank, so nothing is marked."""

INTERVAL_DECIMALS = {"kid": 1}
"""Decimals of an interval's ends where those of the value would feign precision: KID's are hundreds apart."""

MARKING_NOTE = "Best in **bold**, second best underlined, as printed; ties share the mark."


def heading_of(metric: Metric) -> str:
    """A metric's name as a column heads it, without its arrow."""
    return metric.label.rstrip(" ↑↓")


def heading_of_name(name: str) -> str:
    """`heading_of` by a metric's name, with the dagger where a judge of the embedded domain measures it."""
    metric = registry.get(name)
    return heading_of(metric) + ("†" if metric.embedded else "")


def enough(runs: Sequence[Run], name: str) -> bool:
    """Whether a number of whole sets (FID, KID) is of enough images to rank methods by it."""
    sizes = [int(run.metrics[name]["n"]) for run in runs if name in run.metrics]
    return bool(sizes) and min(sizes) >= SET_RANK


def metric_column(name: str, runs: Sequence[Run] = ()) -> Column:
    """The column of a metric: its label, direction and whether a judge of the embedded domain measures it.

    FID and KID depend on how many images they are of: the head says so where it is given the runs.
    """
    metric = registry.get(name)
    arrow: Literal["↓", "↑"] = "↓" if metric.direction == "lower" else "↑"
    label = heading_of(metric)
    sizes = sorted({int(run.metrics[name]["n"]) for run in runs if name in run.metrics})
    if not metric.per_image and sizes:
        label += f" (n = {'–'.join(f'{size:,}' for size in dict.fromkeys((sizes[0], sizes[-1])))})"
    return Column(key=name, label=label, direction=arrow, dagger=metric.embedded)


def sample_size_note(runs: Sequence[Run]) -> list[Text]:
    """What FID's small sample does, where it is small."""
    sizes = [int(run.metrics["fid"]["n"]) for run in runs if "fid" in run.metrics]
    if not sizes or min(sizes) >= FID_SAMPLE_BIAS:
        return []
    unmarked = f" Of fewer than {SET_RANK} images, FID and KID are not marked." if min(sizes) < SET_RANK else ""
    return [text(f"**FID of fewer than {FID_SAMPLE_BIAS:,} images is biased upwards**, the more the fewer they "
                 "are: compare it only between equal n. KID is unbiased, hence negative by chance where it is near "
                 f"0; less than 0 is not better than 0.{unmarked}")]  # fmt: skip


def significant(value: float, digits: int = 3) -> str:
    """A positive number with about `digits` significant digits and no exponent, for times and rates."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "failed"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


_FAILED = Cell(text="failed", mark="failed")


def number(value: float, decimals: int, mark: Literal["", "best", "second"] = "") -> Cell:
    """A score as a cell; one that is no number reads "failed"."""
    if not math.isfinite(value):
        return _FAILED
    return Cell(text=f"{value:.{decimals}f}", value=value, mark=mark)


def _cost(value: float, mark: Literal["", "best", "second"] = "") -> Cell:
    return Cell(text=significant(value), value=value, mark=mark) if math.isfinite(value) else _FAILED


def plain(value: float | int | str) -> Cell:
    """A cell that reads as its value does."""
    return Cell(text=f"{value:,}" if isinstance(value, int) else str(value), value=value)


def code(value: str, shown: int | None = None) -> Cell:
    """A name, version or hash in fixed-width type, cut after `shown` characters in the report but not in the CSV."""
    return Cell(text=value[:shown] if shown else value, value=value, code=True)


def dagger_note(names: Sequence[str]) -> Text:
    """What the dagger means."""
    judged = ", ".join(heading_of(registry.get(name)) for name in names if registry.get(name).embedded)
    return text(
        f"† {judged}: measured with judges trained on the embedded domain. Not comparable with published numbers, "
        "which use ImageNet and face-recognition backbones."
    )


def protocol_note(names: Sequence[str], runs: Sequence[Run]) -> Text:
    """The protocol ids of the metrics, as the runs recorded them."""
    recorded = [
        run.record.get("protocols", {}).get(name, registry.get(name).protocol)
        for name in names
        for run in runs
        if not run.failed
    ] or [registry.get(name).protocol for name in names]
    return text("Protocols: " + ", ".join(f"`{identifier}`" for identifier in dict.fromkeys(recorded)) + ".")


def measured(runs: Sequence[Run]) -> list[str]:
    """Metrics that any of the runs has, in the order of the tables."""
    found = {name for run in runs for name in run.metrics}
    return [name for name in QUALITY if name in found] + sorted(found - set(QUALITY))


def absent(run: Run) -> Cell:
    """What stands instead of any number of a run that has none."""
    return Cell(text=run.status, mark="failed")


def _failed_row(run: Run, columns: int) -> list[Cell]:
    return [Cell(text=run.method, value=run.method)] + [absent(run)] * (columns - 1)


def failure_notes(runs: Sequence[Run]) -> list[Text]:
    """One note per run that failed, with the reason, and one for all that were not run."""
    # Spans made by hand, because a reason is anybody's text and must not be read for marks.
    notes: list[Text] = [
        [Span(text=run.method, style="strong"), Span(text=f" on {run.domain} failed: {run.reason.rstrip('.')}.")]
        for run in runs
        if run.status == "failed"
    ]
    not_run: dict[str, list[str]] = {}
    for run in runs:
        if run.status == "not run":
            not_run.setdefault(run.domain, []).append(run.method)
    if not_run:
        parts = [f"{', '.join(methods)} ({domain})" for domain, methods in not_run.items()]
        notes.append([Span(text=f"Methods that were not run: {'; '.join(parts)}.")])
    return notes


def reconstruction(domain: str, runs: Sequence[Run], size: int) -> Table:
    """HyperInverter's Table 1 for one domain: methods in groups, all metrics, cost, best and second best marked."""
    names = measured(runs)
    done = [run for run in runs if not run.failed]
    counts, broken = {count_of(run) for run in done}, sum(failed_of(run) for run in done)
    columns = [
        Column(key="method", label="Method", align="left"),
        *[metric_column(name, runs) for name in names],
        *[Column(key=key, label=label, direction=arrow, only="" if key == "seconds_per_image_batch_1" else "csv")  # type: ignore[arg-type]
          for key, (label, arrow, _) in COST.items()],
        Column(key="parameters", label="Params (M)", only="csv"),
        Column(key="n", label="n", only="" if len(counts) > 1 else "csv"),
        Column(key="n_failed", label="Failed", only="" if broken else "csv"),
    ]  # fmt: skip
    score_marks = {
        name: marks([None if run.failed or not (registry.get(name).per_image or enough(runs, name)) else
                     score(run, name) for run in runs], registry.get(name).direction, registry.get(name).decimals)
        for name in names
    }  # fmt: skip
    cost_marks = {
        key: marks([None if run.failed else _rounded(_timing(run, key)) for run in runs], direction, 12)
        for key, (_, _, direction) in COST.items()
    }
    rows: list[Row] = []
    for group in GROUPS:
        members = [(position, run) for position, run in enumerate(runs) if run.group == group]
        if members:
            rows.append(Row(cells=[Cell(text=GROUP_TITLES[group])], heading=True))
        for position, run in members:
            if run.failed:
                rows.append(Row(cells=_failed_row(run, len(columns))))
                continue
            cells = [Cell(text=run.method, value=run.method)]
            for name in names:
                cells.append(number(score(run, name), registry.get(name).decimals, score_marks[name][position]))
            for key in COST:
                cells.append(_cost(_timing(run, key), cost_marks[key][position]))
            parameters = int(run.timing.get("parameters", 0))
            cells.append(Cell(text=significant(parameters / 1e6), value=parameters))
            cells += [plain(count_of(run)), plain(failed_of(run))]
            rows.append(Row(cells=cells))
    notes = [text(MARKING_NOTE + f" Time is for one image at batch 1 after warm-up; more on it in [[cost-{domain}]]."),
             protocol_note(names, runs), *sample_size_note(runs), *failure_notes(runs)]  # fmt: skip
    if any(registry.get(name).embedded for name in names):
        notes.insert(1, dagger_note(names))
    smallest = min((count_of(run) for run in runs if not run.failed), default=0)
    whole = "none failed" if not broken else f"{broken} reconstructions failed"
    caption = f"Reconstruction on **{domain}** ({size} × {size} px, {smallest:,} test images, {whole})."
    return Table(identifier=f"reconstruction-{domain}", caption=text(caption), columns=columns, rows=rows,
                 notes=notes, small=True)  # fmt: skip


def score(run: Run, name: str) -> float:
    """The run's mean of a metric, NaN where it has none."""
    return float(run.metrics[name]["value"]) if name in run.metrics else math.nan


def seconds(run: Run) -> Cell:
    """Seconds per image at batch 1, as a cell."""
    if run.failed:
        return absent(run)
    return _cost(_timing(run, "seconds_per_image_batch_1"))


def _timing(run: Run, key: str) -> float:
    value = run.timing.get(key)
    return math.nan if value is None else float(value)


def _rounded(value: float) -> float:
    """As `significant` prints it, so that ties are those that a reader sees."""
    return float(significant(value).replace(",", "")) if math.isfinite(value) else math.nan


def count_of(run: Run) -> int:
    """How many images the run was measured on."""
    return max((int(entry["n"]) for entry in run.metrics.values()), default=0)


def failed_of(run: Run) -> int:
    """How many images of the run failed."""
    return max((int(entry["n_failed"]) for entry in run.metrics.values()), default=0)


def intervals(domain: str, runs: Sequence[Run]) -> Table:
    """All metrics with their intervals."""
    names = measured(runs)
    columns = [Column(key="method", label="Method", align="left")]
    for name in names:
        column = metric_column(name)
        # Without an arrow: the ends of an interval are not there to be compared.
        columns.append(column.model_copy(update={"key": f"{name}_interval", "direction": "", "only": "report"}))
        for end in ("low", "high"):
            update = {"key": f"{name}_{end}", "label": f"{column.label} {end}", "direction": "", "only": "csv"}
            columns.append(column.model_copy(update=update))
    rows = []
    for run in runs:
        if run.failed:
            rows.append(Row(cells=_failed_row(run, len(columns))))
            continue
        cells = [Cell(text=run.method, value=run.method)]
        for name in names:
            decimals = INTERVAL_DECIMALS.get(name, registry.get(name).decimals)
            entry = run.metrics.get(name, {})
            ends = [number(entry.get(side, math.nan), decimals) for side in ("low", "high")]
            cells += [Cell(text=f"{ends[0].text} – {ends[1].text}"), *ends]
        rows.append(Row(cells=cells))
    return Table(
        identifier=f"intervals-{domain}",
        caption=text(f"Bootstrap 95 % intervals on **{domain}**, over the same images as [[reconstruction-{domain}]]; "
                     "those of FID and KID by the jackknife."),
        columns=columns, rows=rows, small=True,
        notes=[text("The interval covers the choice of test images, not the randomness of training. That of FID says "
                    "how it would scatter with as many other images, not by how much their small number raises it."),
               protocol_note(names, runs)],
    )  # fmt: skip


def distribution_shift(domain: str, runs: Sequence[Run]) -> Table:
    """In-distribution against out-of-distribution images, per method and metric."""
    done = [run for run in runs if not run.failed]
    names = [name for name in measured(runs) if registry.get(name).per_image]
    columns = [Column(key="method", label="Method", align="left"), Column(key="images", label="Images", align="left"),
               *[metric_column(name) for name in names], Column(key="n", label="n"),
               Column(key="n_failed", label="Failed")]  # fmt: skip
    rows = []
    for run in done:
        outside = run.per_image["out_of_distribution"].astype(bool)
        for title, part in (("in-distribution", run.per_image[~outside]), ("out-of-dist.", run.per_image[outside])):
            cells = [Cell(text=run.method, value=run.method), Cell(text=title, value=title)]
            for name in names:
                scores = part[name].to_numpy(float).tolist() if name in part else []
                mean = math.fsum(scores) / len(scores) if len(scores) else math.nan
                cells.append(number(mean, registry.get(name).decimals) if len(scores) else Cell(text="–"))
            cells += [plain(len(part)), plain(int(part["failed"].sum()))]
            rows.append(Row(cells=cells))
    return Table(
        identifier=f"shift-{domain}",
        caption=text(f"Images like the training data, and images with what training never shows (hats, earrings, "
                     f"unusual backgrounds), on **{domain}**."),
        columns=columns, rows=rows, small=True,
        notes=[text("Means over the images of each part, failed ones included as their protocol says."),
               protocol_note(names, runs), *failure_notes(runs)],
    )  # fmt: skip


def cost(domain: str, runs: Sequence[Run]) -> Table:
    """What an inversion takes, and how that was measured."""
    columns = [Column(key="method", label="Method", align="left"),
               Column(key="seconds_per_image_batch_1", label="Time (s)", direction="↓"),
               Column(key="images_timed", label="of images"), Column(key="best_batch", label="Best batch"),
               Column(key="images_per_second_best", label="Images/s", direction="↑"),
               Column(key="extrapolated_from_steps", label="of steps"),
               Column(key="threads", label="Threads"), Column(key="peak_memory_mb", label="Memory (MiB)"),
               Column(key="parameters", label="Parameters")]  # fmt: skip
    rows = []
    for run in runs:
        if run.failed:
            rows.append(Row(cells=_failed_row(run, len(columns))))
            continue
        best = dict(run.timing.get("batches") or {}).get(str(run.timing.get("best_batch")))
        steps = best.get("extrapolated_from_steps") if isinstance(best, dict) else None
        cells = [Cell(text=run.method, value=run.method)]
        for column in columns[1:]:
            value = steps if column.key == "extrapolated_from_steps" else run.timing.get(column.key)
            words = "–" if value is None else significant(value) if isinstance(value, float) else f"{value:,}"
            cells.append(Cell(text=words, value=value))
        rows.append(Row(cells=cells))
    memory = sorted({str(run.timing["peak_memory_of"]) for run in runs if "peak_memory_of" in run.timing})
    notes = [text("Time: one image at batch 1, the median of so many images, drawing the image from its code included. "
                  "Images/s: at the best batch size; where a number of steps is given, the batch was timed for so many "
                  "and the rest was extrapolated. Memory: the peak.")]  # fmt: skip
    beside = sorted({int(run.timing["processes"]) - 1 for run in runs if "processes" in run.timing} - {0})
    if beside:
        others = " or ".join(str(count) for count in beside)
        notes.append(
            text(
                f"Timed by one process while others measured beside it ({others}), one thread each: they share "
                "memory and caches, and alone each would be faster."
            )
        )
    if memory:
        notes.append(text(f"Peak memory: {'; '.join(memory)}."))
    return Table(identifier=f"cost-{domain}", caption=text(f"Cost of an inversion on **{domain}**."), columns=columns,
                 rows=rows, small=True, notes=notes)  # fmt: skip

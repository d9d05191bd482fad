"""The chapter on ablations: what was varied, on which budget, what came out and what it cost.

The papers' tables, in their layout and with their own numbers apart, are in the chapters of the papers; here all
variants of a paper stand beside each other, those of no table included.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from core.errors import ReinvertError
from metrics import registry
from reports.claims import names
from reports.claims.ablated import Ablated
from reports.claims.evidence import Value
from reports.inspecting_figures import insertion_layer_grid
from reports.model import Block, Bullets, Cell, Column, Figure, Heading, Paragraph, Row, Section, Table, text
from reports.ranking import marks
from reports.read_ablations import Record
from reports.tabulate import dagger_note, plain

METRICS = ("l2", "lpips", "ssim", "psnr", "id", "fid")
TABLES = {
    "hyperinverter": ["hyperinverter-3"],
    "feature-style-encoder": ["feature-style-4"],
    "e2style": ["e2style-iii"],
    "restyle": ["restyle-1"],
}
"""Layouts of the papers' own tables that a group fills."""


def draw(ablated: Ablated, source: Path, folder: Path, width: float) -> set[str]:
    """Draw reconstructions for every insertion layer, where they were kept.

    Args:
        ablated: what was collected.
        source: results/ablations.
        folder: of the figures.
        width: of a figure, in inches.

    Returns:
        Identifiers of what was drawn.

    Raises:
        ReinvertError: a file of pictures is damaged.
    """
    drawn = set()
    for record in ablated.records:
        path = source / f"{record.domain}-insertion-layers.npz"
        if not path.is_file():
            continue
        try:
            with np.load(path, allow_pickle=False) as kept:
                layers, inputs, outputs = kept["layers"], kept["inputs"], kept["reconstructions"]
        except (OSError, KeyError, ValueError) as error:
            raise ReinvertError(f"'{path}' is damaged; restore it from git") from error
        name = f"insertion-layers-{record.domain}"
        variants = [(int(layer), images, inputs) for layer, images in zip(layers, outputs, strict=True)]
        insertion_layer_grid(variants, folder, name, width)
        drawn.add(name)
    return drawn


def section(ablated: Ablated, drawn: Collection[str], tables: Collection[str]) -> Section:
    """The chapter; one paragraph where nothing was measured.

    Args:
        ablated: what was collected.
        drawn: identifiers of the figures there are.
        tables: identifiers of the papers' tables that are filled, to refer to.
    """
    if not ablated.records:
        nothing = "Not measured: `make ablations` trains and measures them, in some hours of one core a domain."
        return Section(identifier="ablations", title="Ablations", blocks=[Paragraph(text=text(nothing))])
    blocks: list[Block] = [
        Paragraph(text=text(
            "The papers take parts out of their methods and train again. So does this chapter: every variant is one of "
            "the benchmark's methods with the stated difference, trained by the same code on the same images in the "
            "same order."
        )),
        Bullets(items=[
            text("**Budget.** All variants of a paper train for the same number of steps, a fraction of what the "
                 "benchmark's methods get, and the method itself trains as long once more, as the row of comparison. "
                 "Orders may change with longer training, of large networks above all."),
            text("**One seed.** Intervals are over test images; another training of the same variant would differ, "
                 "too, and by how much is not measured."),
            text("**Claims** on ablations are judged by these numbers alone, all others by the benchmark's."),
        ]),
        _costs(ablated),
    ]  # fmt: skip
    groups = list(dict.fromkeys(row.group for record in ablated.records for row in record.rows))
    for group in groups:
        blocks.append(Heading(title=names.methods().papers[group]))
        filled = [name for name in TABLES.get(group, []) if f"measured-{name}" in tables]
        if filled:
            links = " and ".join(f"[[measured-{name}]]" for name in filled)
            blocks.append(Paragraph(text=text(f"In the layout of the paper, beneath what it prints: {links}.")))
        for record in ablated.records:
            blocks.append(_table(ablated, record, group))
            figure = f"insertion-layers-{record.domain}"
            if group == "feature-style-encoder" and figure in drawn:
                blocks.append(_figure(figure, record.domain))
    return Section(identifier="ablations", title="Ablations", blocks=blocks)


def _figure(identifier: str, domain: str) -> Figure:
    return Figure(
        identifier=identifier,
        caption=text(f"Feature-Style, Figure 22, on {domain}: the layer K at which the feature is inserted. Maps 4 "
                     "and 5 have 16 px, 6 and 7 have 32. Left the mean error over all images, then reconstructions "
                     "with their errors."),
        alternative="Rows of reconstructions for every K under the input images",
    )  # fmt: skip


def _costs(ablated: Ablated) -> Table:
    columns = [Column(key="group", label="Paper", align="left"), Column(key="domain", label="Domain", align="left"),
               Column(key="steps", label="Steps"), Column(key="trained", label="Trainings"),
               Column(key="minutes", label="Minutes"), Column(key="device", label="On", align="left")]  # fmt: skip
    rows = []
    for record in ablated.records:
        for group, steps in record.budgets.items():
            methods = dict.fromkeys(row.measured_as for row in record.rows if row.group == group)
            found = [training for name in methods if (training := record.measured[name].training) is not None]
            if not found:
                continue
            minutes = sum(training.seconds or 0.0 for training in found) / 60
            devices = ", ".join(dict.fromkeys(training.device for training in found))
            first = Cell(text=_short(group), value=group)
            rows.append(Row(cells=[first, plain(record.domain), plain(steps), plain(len(found)),
                                   Cell(text=f"{minutes:.1f}", value=minutes), plain(devices)]))  # fmt: skip
    return Table(
        identifier="ablation-costs", caption=text("What the trainings of the ablations took, one thread each."),
        columns=columns, rows=rows,
        notes=[text("Wall-clock time of each training, added up; several ran at once.")],
    )  # fmt: skip


def _table(ablated: Ablated, record: Record, group: str) -> Table:
    lines = [row for row in record.rows if row.group == group]
    chosen = [name for name in METRICS if names.applies(name, record.domain)]
    columns = [Column(key="variant", label="Variant", align="left"), Column(key="says", label="Differs", align="left")]
    for name in chosen:
        known = registry.get(name)
        columns.append(Column(key=name, label=names.metric(name).label, dagger=known.embedded,
                              direction="↓" if known.direction == "lower" else "↑"))  # fmt: skip
    columns += [Column(key="parameters", label="Trained (M)"), Column(key="minutes", label="Minutes")]
    values = {name: [_number(ablated, record.domain, row.variant, name) for row in lines] for name in chosen}
    marked = {name: marks(found, names.metric(name).direction, registry.get(name).decimals)
              for name, found in values.items()}  # fmt: skip
    rows = []
    for index, row in enumerate(lines):
        measured = record.measured[row.measured_as]
        alias = f"as {row.measured_as}" if row.measured_as != row.variant else ""
        says = "; ".join(filter(None, (row.says, alias))) or "the row of comparison"
        # Without the paper's method, which the caption names.
        cells = [Cell(text=row.variant.split("/", 1)[-1], value=row.variant, code=True), plain(says)]
        for name in chosen:
            value = values[name][index]
            if measured.reason:  # which a note under the table gives
                cells.append(Cell(text="–"))
                continue
            shown = "failed" if value is None else names.metric(name).printed(value)
            cells.append(Cell(text=shown, value=value, mark="failed" if value is None else marked[name][index]))
        training = measured.training
        if training is None:
            cells += [Cell(text="–"), Cell(text="–")]
        else:
            minutes = None if training.seconds is None else training.seconds / 60
            cells += [Cell(text=f"{training.parameters / 1e6:.2f}", value=training.parameters / 1e6),
                      Cell(text="–" if minutes is None else f"{minutes:.1f}", value=minutes)]  # fmt: skip
        rows.append(Row(cells=cells))
    failed = [f"{row.variant}: {reason}." for row in lines if (reason := record.measured[row.measured_as].reason)]
    return Table(
        identifier=f"ablations-{group}-{record.domain}",
        caption=text(f"Variants of **{_short(group)}** on {record.domain}, {record.budgets[group]} steps each, "
                     f"measured on {len(record.images)} test images."),
        columns=columns, rows=rows, small=True,
        notes=[dagger_note(chosen), *(text(line) for line in failed),
               text("Variants without minutes are the benchmark's own networks, or those of the line they name.")],
    )  # fmt: skip


def _short(paper: str) -> str:
    return names.methods().papers[paper].split(" (")[0]


def _number(ablated: Ablated, domain: str, variant: str, metric: str) -> float | None:
    found = ablated.evidence.find(domain, variant, metric)
    return found.value if isinstance(found, Value) else None

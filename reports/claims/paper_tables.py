"""The papers' tables in their own layout, filled with published numbers; the same layouts filled with measured ones.

Never in one table: numbers of the embedded scale have other pictures, other sizes and other judges. Only what was
measured at paper scale with the paper's own protocols stands beside the published number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import pydantic

from core.config import Strict, validated
from reports.claims import names
from reports.claims.evidence import OF_SETS, Evidence, Value
from reports.claims.evidence import Cell as Place
from reports.claims.measured import PARAMETERS
from reports.claims.published import Published, place_of
from reports.claims.statements import PAPERS, read_yaml
from reports.model import Cell, Column, Row, Table, text
from reports.ranking import Mark, marks
from reports.tabulate import SET_RANK

OURS = "ours"
"""Heads a column of numbers measured at paper scale, beside the published ones."""


class Selector(Strict):
    """Part of a cell's name; what is None is said elsewhere."""

    domain: str | None = None
    method: str | None = None
    metric: str | None = None
    setting: str | None = None


class LayoutColumn(Selector):
    """A column of numbers."""

    label: str


class LayoutRow(Selector):
    """A line; `labels` fill the columns of words."""

    labels: list[str]


class Group(Selector):
    """Lines under a common heading."""

    heading: str = ""
    rows: list[LayoutRow]


class Body(Strict):
    """Columns and lines."""

    columns: list[LayoutColumn]
    groups: list[Group]


class Layout(Selector):
    """One table of a paper; see the head of tables.yaml."""

    identifier: str
    paper: str
    table: str
    caption: str
    printed: str
    """What the published numbers were taken on."""
    header: list[str]
    columns: list[LayoutColumn]
    groups: list[Group]
    embedded: Body | None = None
    """The layout for measured numbers where it is another."""


class _Layouts(pydantic.RootModel[Annotated[list[Layout], pydantic.Field(min_length=1)]]):
    pass


Lookup = Callable[[Place], tuple[float, str] | None]
"""The number in a cell and how it reads, or None."""


def read_layouts(path: Path = PAPERS / "tables.yaml") -> list[Layout]:
    """All layouts, in the order of the file.

    Raises:
        ReinvertError: the file is missing or holds a mistake.
    """
    return validated(_Layouts, read_yaml(path), str(path)).root


def published_table(layout: Layout, published: Sequence[Published], own: Mapping[Place, Value] | None) -> Table:
    """The table as the paper has it.

    Args:
        layout: its layout.
        published: all printed numbers.
        own: what was measured at paper scale with this paper's protocols, for columns beside the published ones.
    """
    printed = {
        Place(one.domain, one.method, one.metric, one.sweep): (one.value, one.text)
        for one in published
        if (one.paper, one.table) == (layout.paper, layout.table)
    }
    beside: Lookup | None = None
    if own:

        def measured_here(place: Place) -> tuple[float, str] | None:
            return (own[place].value, own[place].text.split(" [")[0]) if place in own else None

        beside = measured_here
    notes = [f"Published: {layout.printed}", "Best in **bold** and second best underlined among all methods that the "
             "table compares, marked by this report as printed; ties share the mark."]  # fmt: skip
    body = Body(columns=layout.columns, groups=layout.groups)
    table = _table(layout, body, printed.get, beside, f"published-{layout.identifier}",
                   f"{place_of(layout.paper, layout.table)}, **as published**. {layout.caption}", notes)  # fmt: skip
    if all(column.label != OURS for column in table.columns):
        return table
    ours = text(f"Columns `{OURS}`: measured here at the paper's scale.")
    return table.model_copy(update={"notes": [*table.notes, ours]})


def measured_table(layout: Layout, measured: Evidence) -> Table | None:
    """The same layout with numbers of the embedded scale, of the lines that have any; None where there are none."""

    def lookup(place: Place) -> tuple[float, str] | None:
        if place.domain not in measured.domains:
            return None
        found = measured.find(*place)
        return (found.value, names.metric(place.metric).printed(found.value)) if isinstance(found, Value) else None

    body = layout.embedded or Body(columns=layout.columns, groups=layout.groups)
    groups, left_out = [], []
    for group in body.groups:
        has = [any(lookup(_place(layout, group, row, column)) for column in body.columns) for row in group.rows]
        if group.domain is None or group.domain in measured.domains:  # others are no domains of this suite
            left_out += [row.method for row, there in zip(group.rows, has, strict=True) if not there and row.method]
        if any(has):
            rows = [row for row, there in zip(group.rows, has, strict=True) if there]
            # Headings of the papers give sizes; these pictures have another.
            heading = group.domain.capitalize() if group.domain and group.heading else group.heading
            groups.append(group.model_copy(update={"rows": rows, "heading": heading}))
    if not groups:
        return None
    shown = {place: found for group in groups for row in group.rows for column in body.columns
             if isinstance(found := measured.find(*(place := _place(layout, group, row, column))), Value)}  # fmt: skip
    columns = [_with_sample_size(column, shown) for column in body.columns]
    notes = ["Rendered pictures of 64 px, networks of this suite, judges (†) trained on the same domain. **Not "
             f"comparable** with [[published-{layout.identifier}]]: only the order of methods may be compared, and "
             "that is what the claims do."]  # fmt: skip
    # A method that is measured on one domain only has its line there.
    nowhere = [name for name in dict.fromkeys(left_out) if all(place.method != name for place in shown)]
    if nowhere:
        notes.append(f"Not measured: {', '.join(nowhere)}.")
    if measured.published_sizes and any(place.metric == PARAMETERS for place in shown):
        notes.append("Parameters are those of the networks at their published size, counted in our classes.")
    notes += _provenance(shown)
    unranked = {place.metric for place, found in shown.items()
                if place.metric in OF_SETS and (found.n is None or found.n < SET_RANK)}  # fmt: skip
    return _table(layout, Body(columns=columns, groups=groups), lookup, None, f"measured-{layout.identifier}",
                  f"**Measured on the embedded scale**, in the layout of {place_of(layout.paper, layout.table)}. "
                  f"{layout.caption}", notes, unranked)  # fmt: skip


def _numbers(counts: Iterable[int | None]) -> str:
    """E.g. "16" or "16 to 48"; empty where none is known."""
    known = sorted({count for count in counts if count is not None})
    return " to ".join(f"{count:,}" for count in dict.fromkeys((known[0], known[-1]))) if known else ""


def _with_sample_size(column: LayoutColumn, shown: Mapping[Place, Value]) -> LayoutColumn:
    """FID and KID depend on how many images they are of, so their column's head says it."""
    if column.metric not in OF_SETS:
        return column
    count = _numbers(found.n for place, found in shown.items() if place.metric == column.metric)
    return column.model_copy(update={"label": f"{column.label} (n = {count})"}) if count else column


def _provenance(shown: Mapping[Place, Value]) -> list[str]:
    """Protocols, and of how many images the numbers are."""
    metrics = list(dict.fromkeys(place.metric for place in shown))
    protocols = dict.fromkeys(filter(None, (names.metric(name).protocol for name in metrics)))
    notes = [f"Protocols: {', '.join(f'`{identifier}`' for identifier in protocols)}."] if protocols else []
    counted: dict[tuple[str, str], list[str]] = {}
    for name in metrics:
        found = [value for place, value in shown.items() if place.metric == name]
        counts = _numbers(value.n for value in found), _numbers(value.n_failed for value in found)
        if counts[0]:
            counted.setdefault(counts, []).append(names.metric(name).label)
    parts = [f"{n}{f', {failed} failed' if failed else ''} ({', '.join(labels)})"
             for (n, failed), labels in counted.items()]  # fmt: skip
    return [*notes, *([f"Images: {'; '.join(parts)}."] if parts else [])]


def _place(layout: Layout, group: Group, row: LayoutRow, column: LayoutColumn) -> Place:
    said: dict[str, str] = {}
    for part in (layout, group, row, column):
        said |= {key: value for key in Selector.model_fields if (value := getattr(part, key)) is not None}
    return Place(said["domain"], said["method"], said["metric"], said.get("setting", ""))


def _table(layout: Layout, body: Body, lookup: Lookup, beside: Lookup | None, identifier: str, caption: str,
           notes: Sequence[str], unranked: Collection[str] = ()) -> Table:  # fmt: skip
    grid = [[_place(layout, group, row, column) for column in body.columns] for group in body.groups
            for row in group.rows]  # fmt: skip
    marked = _marks([place for line in grid for place in line if place.metric not in unranked], lookup)
    doubled = [beside is not None and any(beside(line[index]) for line in grid) for index in range(len(body.columns))]
    embedded = identifier.startswith("measured-")
    columns = [Column(key=f"label_{index}" if index > 1 else "label", label=head, align="left")
               for index, head in enumerate(layout.header, 1)]  # fmt: skip
    for column, twice in zip(body.columns, doubled, strict=True):
        columns.append(_column(column, embedded))
        if twice:
            columns.append(
                _column(column, embedded).model_copy(update={"key": columns[-1].key + "_ours", "label": OURS})
            )
    rows: list[Row] = []
    lines = iter(grid)
    for group in body.groups:
        if group.heading:
            rows.append(Row(cells=[Cell(text=group.heading)], heading=True))
        for row in group.rows:
            labels = [label for label, _ in zip_longest(row.labels, layout.header, fillvalue="")]
            cells = [Cell(text=label, value=label) for label in labels]
            for place, twice in zip(next(lines), doubled, strict=True):
                found = lookup(place)
                cells.append(
                    Cell(text="–") if found is None else Cell(text=found[1], value=found[0], mark=marked.get(place, ""))
                )
                if twice and beside is not None:
                    ours = beside(place)
                    cells.append(Cell(text="–") if ours is None else Cell(text=ours[1], value=ours[0]))
            rows.append(Row(cells=cells))
    if any(group.heading for group in body.groups):
        columns, rows = _with_group_column(columns, rows)
    return Table(identifier=identifier, caption=text(caption), columns=columns, rows=rows,
                 notes=[text(note) for note in notes], small=True)  # fmt: skip


def _with_group_column(columns: list[Column], rows: list[Row]) -> tuple[list[Column], list[Row]]:
    # Headings are not part of the CSV file, so the group is a column there too.
    group = ""
    result: list[Row] = []
    for row in rows:
        if row.heading:
            group = row.cells[0].text
        else:
            shown = "" if result and result[-1].cells[0].value == group else group
            result.append(Row(cells=[Cell(text=shown, value=group), *row.cells]))
    return [Column(key="group", label="", align="left"), *columns], result


def _column(column: LayoutColumn, embedded: bool) -> Column:
    key = "_".join(filter(None, (column.domain, column.method, column.metric))).replace("/", "-")
    if column.metric is None:
        return Column(key=key, label=column.label)
    facts = names.metric(column.metric)
    return Column(key=key, label=column.label, direction="↓" if facts.direction == "lower" else "↑",
                  dagger=embedded and facts.judged)  # fmt: skip


def _marks(places: Sequence[Place], lookup: Lookup) -> dict[Place, Mark]:
    """Best and second best among the methods of the table, for every domain, metric and setting."""
    sized = {facts.size_of for facts in names.metrics().values()}
    found: dict[Place, Mark] = dict.fromkeys(places, "")
    for domain, metric, setting in dict.fromkeys((place.domain, place.metric, place.setting) for place in places):
        same = [place for place in found if (place.domain, place.metric, place.setting) == (domain, metric, setting)]
        values = [None if (cell := lookup(place)) is None or not math.isfinite(cell[0])
                  else float(cell[1].replace(",", "")) for place in same]  # fmt: skip
        if metric in sized:  # an edit is stronger the more it changes, in either direction
            values = [None if value is None else abs(value) for value in values]
        found |= dict(zip(same, marks(values, names.metric(metric).direction, 12), strict=True))
    return found

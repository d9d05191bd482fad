"""What a report consists of, before anyone decides how it looks.

Both renderers read this model and nothing else, so the Markdown and the PDF cannot disagree. Numbers of tables and
figures are given here for the same reason.

Running text knows three marks: `code` in backticks, **strong**, and [[identifier]], which becomes a link to the table,
figure or section of that identifier ("Table 2").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

import pydantic

_MARKS = re.compile(r"`([^`]+)`|\*\*(.+?)\*\*|\[\[([a-z0-9-]+)\]\]")


class Part(pydantic.BaseModel):
    """Base of everything in a report: unknown fields are errors."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Span(Part):
    """A piece of running text."""

    text: str
    style: Literal["plain", "code", "strong", "reference"] = "plain"
    target: str = ""
    """Identifier that a reference leads to."""


Text = list[Span]


class Column(Part):
    """One column of a table; `key` heads it in the CSV file, `label` in the report."""

    key: str
    label: str
    align: Literal["left", "right"] = "right"
    direction: Literal["", "↓", "↑"] = ""
    """Which way is better."""
    dagger: bool = False
    """Measured with a judge trained on the embedded domain."""
    group: str = ""
    """Neighbouring columns of one group stand under it as a common head."""
    only: Literal["", "csv", "report"] = ""
    """In the CSV file only (what would make the table too wide), or in the report only (what the file has apart)."""


class Cell(Part):
    """One entry of a table: `text` for readers, `value` in full precision for the CSV file (None: empty)."""

    text: str
    value: float | int | str | None = None
    mark: Literal["", "best", "second", "failed"] = ""
    code: bool = False
    detail: str = ""
    """Smaller words on lines of their own below."""


class Row(Part):
    """One line of a table. A heading has a single cell that spans the table and is not part of the CSV file."""

    cells: list[Cell]
    heading: bool = False


class Table(Part):
    """A captioned table; written to tables/<identifier>.csv as well."""

    kind: Literal["table"] = "table"
    identifier: str
    caption: Text
    columns: list[Column]
    rows: list[Row]
    notes: list[Text] = []
    small: bool = False
    """Set in small type, for tables that are wide."""
    number: int = 0

    @pydantic.model_validator(mode="after")
    def _rows_are_full(self) -> Table:
        for row in self.rows:
            if len(row.cells) != (1 if row.heading else len(self.columns)):
                raise ValueError(f"table '{self.identifier}': a row has {len(row.cells)} cells")
        return self

    def shown(self) -> tuple[list[Column], list[Row]]:
        """Columns and rows without what is for the CSV file only."""
        kept = [index for index, column in enumerate(self.columns) if column.only != "csv"]
        rows = [row if row.heading else row.model_copy(update={"cells": [row.cells[index] for index in kept]})
                for row in self.rows]  # fmt: skip
        return [self.columns[index] for index in kept], rows


class Figure(Part):
    """A captioned picture: figures/<identifier>.svg, and .png."""

    kind: Literal["figure"] = "figure"
    identifier: str
    caption: Text
    alternative: str
    """What the picture shows, for those who cannot see it."""
    width: float = 1.0
    """Share of the text width."""
    number: int = 0


class Paragraph(Part):
    """Running text."""

    kind: Literal["paragraph"] = "paragraph"
    text: Text


class Bullets(Part):
    """A list of points."""

    kind: Literal["bullets"] = "bullets"
    items: list[Text]
    small: bool = False


class Warnings(Part):
    """A list of points under a title, set apart: what a reader should know before believing the numbers."""

    kind: Literal["warnings"] = "warnings"
    title: str
    items: list[Text]


class Heading(Part):
    """A heading inside a section, not in the contents."""

    kind: Literal["heading"] = "heading"
    title: str


class Pair(Part):
    """Two figures beside each other where the medium has pages; one after the other where it has none."""

    kind: Literal["pair"] = "pair"
    left: Figure
    right: Figure
    share: float = 0.5
    """Of the width that the left one gets."""


Block = Annotated[
    Table | Figure | Paragraph | Bullets | Warnings | Heading | Pair, pydantic.Field(discriminator="kind")
]


class Section(Part):
    """A numbered chapter."""

    identifier: str
    title: str
    blocks: list[Block]
    new_page: bool = False
    """Begins a page of its own, where there are pages; otherwise it goes on where the one before ends."""
    number: int = 0
    landscape: bool = False


class Report(Part):
    """The whole."""

    title: str
    subtitle: Text
    sections: list[Section]

    def tables(self) -> list[Table]:
        """All tables, in order."""
        return [block for block in _leaves(self.sections) if isinstance(block, Table)]

    def figures(self) -> list[Figure]:
        """All figures, in order."""
        return [block for block in _leaves(self.sections) if isinstance(block, Figure)]


def text(marked: str) -> Text:
    """Running text with its marks resolved into spans. References still lack their words; `numbered` adds them."""
    spans: Text = []
    end = 0
    for match in _MARKS.finditer(marked):
        if match.start() > end:
            spans.append(Span(text=marked[end : match.start()]))
        code, strong, target = match.groups()
        if code:
            spans.append(Span(text=code, style="code"))
        elif strong:
            spans.append(Span(text=strong, style="strong"))
        else:
            spans.append(Span(text="", style="reference", target=target))
        end = match.end()
    if end < len(marked):
        spans.append(Span(text=marked[end:]))
    return spans


def _leaves(sections: list[Section]) -> Iterator[Table | Figure]:
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Pair):
                yield block.left
                yield block.right
            elif isinstance(block, Table | Figure):
                yield block


def numbered(report: Report) -> Report:
    """The report with sections, tables and figures numbered in order and every reference worded.

    Raises:
        ValueError: two things share an identifier, or a reference leads nowhere.
    """
    names: dict[str, str] = {}
    numbers: dict[str, int] = {}

    def assign(identifier: str, noun: str, number: int) -> None:
        if identifier in names:
            raise ValueError(f"two parts of the report are called '{identifier}'")
        names[identifier], numbers[identifier] = f"{noun} {number}", number

    for position, section in enumerate(report.sections, 1):
        assign(section.identifier, "Section", position)
    for position, table in enumerate(report.tables(), 1):
        assign(table.identifier, "Table", position)
    for position, figure in enumerate(report.figures(), 1):
        assign(figure.identifier, "Figure", position)

    def visit(part: object) -> object:
        if isinstance(part, Span):
            if part.style != "reference":
                return part
            if part.target not in names:
                raise ValueError(f"the report refers to '{part.target}', which is not in it")
            return part.model_copy(update={"text": names[part.target]})
        if isinstance(part, list):
            return [visit(item) for item in part]
        if isinstance(part, Part):
            update = {name: visit(getattr(part, name)) for name in type(part).model_fields}
            if "number" in update:
                update["number"] = numbers[update["identifier"]]  # type: ignore[index]
            return part.model_copy(update=update)
        return part

    result = visit(report)
    assert isinstance(result, Report)
    return result

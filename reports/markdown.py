"""The report as GitHub Markdown."""

from __future__ import annotations

import re

from reports.model import Block, Bullets, Cell, Column, Figure, Heading, Pair, Paragraph, Report, Section, Table, Text
from reports.model import Warnings as WarningBox

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


def escaped(words: str) -> str:
    """Plain words with every sign that Markdown or HTML would read as markup made harmless."""
    return _SPECIAL.sub(r"\\\1", words.replace("&", "&amp;")).replace("\n", " ")


def _inline(spans: Text) -> str:
    parts = []
    for span in spans:
        if span.style == "code":
            parts.append(f"`{span.text}`")
        elif span.style == "strong":
            parts.append(f"**{escaped(span.text)}**")
        elif span.style == "reference":
            parts.append(f"[{span.text}](#{span.target})")
        else:
            parts.append(escaped(span.text))
    return "".join(parts)


def _anchor(identifier: str) -> str:
    # Own anchors: the ones GitHub makes from headings change with every word.
    return f'<a id="{identifier}"></a>'


def _cell(cell: Cell) -> str:
    if not cell.text:
        return ""
    words = f"`{cell.text}`" if cell.code else escaped(cell.text)
    marked = {"": words, "best": f"**{words}**", "second": f"<ins>{words}</ins>", "failed": f"*{words}*"}[cell.mark]
    lines = [f"<sub>{escaped(line)}</sub>" for line in cell.detail.splitlines()]
    return "<br>".join([marked, *lines])


def _head(column: Column) -> str:
    label = f"{column.group}: {column.label}" if column.group else column.label
    return escaped(label) + ("†" if column.dagger else "") + (f" {column.direction}" if column.direction else "")


def _table(table: Table) -> list[str]:
    lines = [_anchor(table.identifier), "", f"**Table {table.number}.** {_inline(table.caption)}", ""]
    columns, rows = table.shown()
    lines.append("| " + " | ".join(_head(column) for column in columns) + " |")
    lines.append("|" + "|".join(":--" if column.align == "left" else "--:" for column in columns) + "|")
    for row in rows:
        cells = [f"*{escaped(row.cells[0].text)}*"] + [""] * (len(columns) - 1) if row.heading else [
            _cell(cell) for cell in row.cells
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("")
    for note in table.notes:
        lines += [f"<sub>{_inline(note)}</sub>  "]
    lines += [f"<sub>[Table {table.number} as CSV](tables/{table.identifier}.csv)</sub>", ""]
    return lines


def _figure(figure: Figure) -> list[str]:
    picture = f"![{escaped(figure.alternative)}](figures/{figure.identifier}.svg)"
    return [_anchor(figure.identifier), "", picture, "",
            f"**Figure {figure.number}.** {_inline(figure.caption)}", ""]  # fmt: skip


def _block(block: Block) -> list[str]:
    match block:
        case Table():
            return _table(block)
        case Figure():
            return _figure(block)
        case Pair():
            return _figure(block.left) + _figure(block.right)
        case Paragraph():
            return [_inline(block.text), ""]
        case Bullets():
            return [f"- {_inline(item)}" for item in block.items] + [""]
        case WarningBox():
            # GitHub draws this as a coloured box; elsewhere it is a quotation.
            return ["> [!WARNING]", f"> **{escaped(block.title)}**", ">"] + [
                f"> - {_inline(item)}" for item in block.items
            ] + [""]  # fmt: skip
        case Heading():
            return [f"### {escaped(block.title)}", ""]


def _section(section: Section) -> list[str]:
    lines = [_anchor(section.identifier), "", f"## {section.number}. {escaped(section.title)}", ""]
    for block in section.blocks:
        lines += _block(block)
    return lines


def render(report: Report) -> str:
    """The whole report as one Markdown document with paths relative to its own folder."""
    lines = [f"# {escaped(report.title)}", "", _inline(report.subtitle), "", "**Contents**", ""]
    lines += [f"{section.number}. [{escaped(section.title)}](#{section.identifier})" for section in report.sections]
    lines.append("")
    for section in report.sections:
        lines += _section(section)
    return "\n".join(lines).rstrip() + "\n"

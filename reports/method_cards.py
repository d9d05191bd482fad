"""A card for every method that was run: its paper, how it differs from the official code, what its training took."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import methods
from reports.model import Block, Bullets, Cell, Column, Heading, Paragraph, Row, Section, Table, text
from reports.sections import Material
from reports.tabulate import plain


def section(material: Material) -> Section:
    """The trainings in a table, then the cards, one for all methods of a kind."""
    kinds: dict[str, list[str]] = {}
    for run in material.runs:
        of = kinds.setdefault(str((run.record.get("arguments") or {}).get("kind", "")), [])
        if run.method not in of:
            of.append(run.method)
    blocks: list[Block] = [Paragraph(text=text(
        "Below the trainings, each method in the words of its module, which `reinvert describe` prints with all "
        "arguments. [[runs]] has the arguments of the runs, [[networks]] the hashes of the weights."
    ))]  # fmt: skip
    trainings = _trainings(material)
    blocks += [trainings] if trainings.rows else []
    for kind, entries in kinds.items():
        if points := points_of(kind):
            blocks += [Heading(title=", ".join(entries)), Bullets(items=[text(one) for one in points], small=True)]
    return Section(identifier="method-cards", title="Method cards", blocks=blocks, new_page=True)


def points_of(kind: str) -> list[str]:
    """What the module of a kind says of itself, paragraph by paragraph; nothing where there is no such module.

    The module is read, not imported: it would bring torch along, which a report does without.
    """
    path = Path(methods.__path__[0]) / f"{kind}.py"
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path.is_file() else None
    pieces = [piece for paragraph in (said or "").split("\n\n") for piece in re.split(r"\n(?=- )", paragraph)]
    return [" ".join(piece.removeprefix("- ").split()) for piece in pieces if piece.strip()]


def _trainings(material: Material) -> Table:
    """What each network that is a method's own has seen and taken, domain by domain."""
    columns = [Column(key="method", label="Method", align="left")]
    for domain in material.domains:
        group = domain.capitalize()
        columns += [Column(key=f"{domain}_images_seen", label="Images seen", group=group),
                    Column(key=f"{domain}_minutes", label="Minutes", group=group),
                    Column(key=f"{domain}_held_out_psnr", label="PSNR held out", direction="↑", group=group),
                    Column(key=f"{domain}_device", label="On", align="left", group=group)]  # fmt: skip
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for run in material.runs:
        if (card := material.card_of(run)) is not None:
            found.setdefault(run.method, {})[run.domain] = card
    rows = [Row(cells=[plain(method), *(cell for domain in material.domains for cell in _cells(of.get(domain)))])
            for method, of in found.items()]  # fmt: skip
    return Table(
        identifier="trainings", caption=text("What the trainings of the methods took."), columns=columns, rows=rows,
        notes=[text("Of the method's own networks alone, of its last stage: what it starts from has a line of its own. "
                    "Minutes of wall-clock time, with one thread where the device is a cpu; held out: images of the "
                    "training split that no training sees.")],
    )  # fmt: skip


def _cells(card: Mapping[str, Any] | None) -> list[Cell]:
    if card is None:
        return [Cell(text="–")] * 4
    seconds, psnr = card.get("training_seconds"), card["scores"].get("held_out_psnr")
    return [
        plain(card["images_seen"]),
        Cell(text="–") if seconds is None else Cell(text=f"{seconds / 60:.1f}", value=seconds / 60),
        Cell(text="–") if psnr is None else Cell(text=f"{psnr:.2f}", value=psnr),
        plain(card["device"]),
    ]

"""From the results of all runs to report.md, report.pdf, figures/ and tables/.

The report is a function of its inputs: no clock, no machine, no order of files enters, so equal inputs give equal
bytes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.config import Config
from core.errors import ReinvertError
from core.files import atomic_write_text
from reports import (
    ablations,
    applying,
    drawing,
    editing,
    editing_pictures,
    frontpage,
    generators,
    inspecting,
    markdown,
    method_cards,
    pdf,
    pictures,
    sections,
)
from reports.claims import chapters, judged
from reports.claims.ablated import read_ablated
from reports.claims.measured import ABLATIONS, digest, evidence, paper_scale, with_published_sizes
from reports.claims.record import FILE as VERDICTS_FILE
from reports.claims.record import write_record
from reports.model import Report, Table, numbered, text
from reports.read import Generator, Run, read_cards, read_generators, read_runs
from reports.read_applications import read_applied
from reports.read_edits import read_directions, read_edits
from reports.read_inspection import read_inspections
from reports.sheet import Sheet

FULL_WIDTH = 6.85
"""Text width of the PDF in inches."""
SHOWN = (5, 3)
"""Images of a comparison: in-distribution and out-of-distribution."""
ROWS = 6
"""Methods in one grid, so that two grids fit a page and a face can be judged."""
WORST, WORST_ROWS = 4, 12
"""Worst images of each method, and methods in one picture of them."""
SAMPLES_WIDTH = 1000
"""Sample grids narrower than this many pixels are enlarged."""


@dataclass(frozen=True)
class ReportPaths:
    """The files of a report."""

    markdown: Path
    pdf: Path
    figures: list[Path]
    tables: list[Path]
    verdicts: Path
    """The verdicts on the papers' claims, for `reinvert check`."""


def build_report(
    config: Config, results_dir: Path, weights_root: Path, output_dir: Path, shared_dir: Path | None = None
) -> ReportPaths:
    """Write the report about every run of the configuration, those that failed included.

    Args:
        config: says which runs there should be, at which scale.
        results_dir: holds <run>/ as docs/architecture.md describes them.
        weights_root: holds <domain>/<network>/card.json and, of <domain>/generator/, samples.png and training.csv, if
            there are any.
        output_dir: gets report.md, report.pdf, claims.json, figures/ and tables/; what older reports left in the latter
            two goes.
        shared_dir: holds what is the same at every scale: ablations/, applications/, directions/<domain>/,
            generators/<domain>/, paper-scale/; None for results_dir.

    Raises:
        ReinvertError: a run that claims success lacks a file, or the disk is full.
    """
    runs = read_runs(config, results_dir)
    domains = list(dict.fromkeys(run.domain for run in runs))
    cards = read_cards(weights_root, domains)
    figures = output_dir / "figures"
    drawn: set[str] = set()
    lost: dict[str, int] = {}
    worst_by: dict[str, str] = {}
    for domain in domains:
        done = [run for run in runs if run.domain == domain and not run.failed]
        if done:
            worst_by[domain] = "lpips" if all("lpips" in run.per_image for run in done) else "l2"
            lost[domain] = _draw(domain, done, worst_by[domain], figures, drawn)
    shared_dir = shared_dir or results_dir
    measured = read_generators(config, shared_dir / "generators", weights_root)
    for generator in measured:
        _draw_generator(generator, shared_dir / "generators" / generator.domain, weights_root, figures, drawn)
    directions, edits = [read_directions(domain, shared_dir) for domain in domains], read_edits(config, results_dir)
    for found in directions:
        drawn |= editing_pictures.draw_directions(found, figures)
        drawn |= editing_pictures.draw_edits(
            found.domain, [run for run in edits if run.domain == found.domain], figures
        )
    material = sections.Material(
        runs, cards, frozenset(drawn), lost, worst_by, measured, scale_in_words(config),
        editing.distrust(directions, edits),
        frozenset(name for name, method in config.methods.items() if "training" in method.arguments),
    )  # fmt: skip
    ablated = read_ablated(shared_dir / ABLATIONS, config.methods, domains)
    drawn |= ablations.draw(ablated, shared_dir / ABLATIONS, figures, FULL_WIDTH)
    material = replace(
        material, drawn=material.drawn | frozenset(drawn) | frontpage.draw(material, figures, FULL_WIDTH)
    )
    own = paper_scale(shared_dir)
    claims = judged.judge_all(
        with_published_sizes(evidence(runs, results_dir, config.domains, config.cut_short, shared_dir), own),
        own,
        replace(ablated, evidence=with_published_sizes(ablated.evidence, own)),
    )
    chapters.draw(claims, figures, FULL_WIDTH)
    inspected = inspecting.chapters(read_inspections(config, results_dir), runs, figures)
    applied = applying.chapters(read_applied(shared_dir), figures, inspecting.LANDSCAPE / 2)
    papers = chapters.sections(claims, applying.together(inspected, applied))
    report = numbered(
        Report(
            title="reinvert: StyleGAN inversion, measured",
            subtitle=text(
                "Made from the files of the runs alone; every table is also a CSV file. How to make the numbers "
                "again: [[measured]]."
            ),
            sections=[
                frontpage.section(material, judged.summary_line(claims), chapters.SUMMARY_BARS),
                frontpage.key_section(material),
                sections.reconstruction(material),
                sections.quality_time(material),
                inspecting.extended(sections.comparison(material), inspecting.errors(runs, figures, FULL_WIDTH)),
                editing.directions_section(directions, drawn),
                editing.editability_section(edits, drawn),
                sections.failures(material),
                ablations.section(ablated, drawn, chapters.tables_of(papers)),
                *papers,
                method_cards.section(material),
                generators.section(measured, drawn),
                sections.provenance_section(material),
            ],
        )
    )
    tables = [_write_csv(table, output_dir / "tables") for table in report.tables()]
    listed = _write_lines(judged.comparisons(claims), output_dir / "tables" / "claims-comparisons.csv")
    shown = [figures / f"{figure.identifier}.{suffix}" for figure in report.figures() for suffix in ("svg", "png")]
    _remove_others(figures, shown, (".svg", ".png"))
    _remove_others(output_dir / "tables", [*tables, listed], (".csv",))
    atomic_write_text(output_dir / "report.md", markdown.render(report))
    pdf.render(report, output_dir, output_dir / "report.pdf")
    verdicts = [one for claim in claims.claims for one in claims.of_measured[claim.id]]
    write_record(output_dir / VERDICTS_FILE, verdicts, digest(results_dir, config.runs, shared_dir))
    return ReportPaths(output_dir / "report.md", output_dir / "report.pdf", shown, tables, output_dir / VERDICTS_FILE)


def scale_in_words(config: Config) -> str:
    """The scale of the run and the steps it gives optimisations that run; empty where none is chosen."""
    if config.scale is None:
        return ""
    scale = config.scales[config.scale]
    run = {cell.method for cell in config.runs.values()}
    steps = [f"{name} {given['steps']}" for name, given in scale.methods.items() if "steps" in given and name in run]
    changed = f" Steps: {', '.join(steps)}; all others as in params.yaml." if steps else " All steps as in params.yaml."
    return f"`{config.scale}`. {scale.about}{changed}"


def pages(runs: Sequence[Run], rows: int) -> list[list[Run]]:
    """The runs in parts of at most `rows`, about equally many in each."""
    count = -(-len(runs) // rows)
    return [list(runs[len(runs) * n // count : len(runs) * (n + 1) // count]) for n in range(count)]


def _draw(domain: str, done: Sequence[Run], worst_by: str, folder: Path, drawn: set[str]) -> int:
    available = [name for name in drawing.PANELS if all(name in run.curve for run in done)]
    lost = 0
    if available:
        lost = drawing.quality_time(done, available, folder, f"quality-time-{domain}", FULL_WIDTH)
        drawn.add(f"quality-time-{domain}")
    chosen = pictures.chosen_images(done, *SHOWN)
    parts = pages(done, ROWS)
    for number, part in enumerate(parts, start=1):
        name = f"comparison-{domain}-{number}"
        pictures.comparison(part, chosen, 28).save(folder, name)
        drawn.add(name)
    for number, part in enumerate(pages(done, WORST_ROWS), start=1):
        name = f"failures-{domain}-{number}"
        pictures.failures(part, worst_by, ("lpips", "psnr", "id"), WORST).save(folder, name)
        drawn.add(name)
    return lost


def _draw_generator(generator: Generator, measured: Path, weights: Path, folder: Path, drawn: set[str]) -> None:
    domain = generator.domain
    # One grid with the same number of pictures as that of real images; training leaves another behind.
    samples = measured / "samples.png" if generator.measured else weights / domain / "generator" / "samples.png"
    for name, source in ((f"real-{domain}", measured / "real.png"), (f"samples-{domain}", samples)):
        if source.is_file():
            _enlarged(source).save(folder, name)
            drawn.add(name)
    if drawing.training_curve(generator.training, folder, f"training-{domain}", FULL_WIDTH * 0.6):
        drawn.add(f"training-{domain}")


def _enlarged(source: Path) -> Sheet:
    try:
        with Image.open(source) as opened:
            grid = np.asarray(opened.convert("RGB"))
    except OSError as error:
        raise ReinvertError(f"'{source}' is not a readable picture; get it again with 'dvc pull --force'") from error
    height, width = grid.shape[:2]
    times = max(1, -(-SAMPLES_WIDTH // width))
    sheet = Sheet(width * times, height * times, times)
    sheet.image(0, 0, grid)
    return sheet


def _write_csv(table: Table, folder: Path) -> Path:
    kept = [index for index, column in enumerate(table.columns) if column.only != "report"]
    lines: list[list[Any]] = [[table.columns[index].key for index in kept]]
    for row in table.rows:
        if not row.heading:
            cells = [row.cells[index] for index in kept]
            lines.append([cell.text if cell.value is None and cell.mark == "failed" else cell.value for cell in cells])
    return _write_lines(lines, folder / f"{table.identifier}.csv")


def _write_lines(lines: Sequence[Sequence[Any]], path: Path) -> Path:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(lines)
    atomic_write_text(path, buffer.getvalue())
    return path


def _remove_others(folder: Path, kept: Sequence[Path], suffixes: Sequence[str]) -> None:
    # A figure of a run that is no longer configured must not outlive it.
    if folder.is_dir():
        for path in folder.iterdir():
            if path.suffix in suffixes and path not in kept:
                path.unlink()

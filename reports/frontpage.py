"""The first page, for those who read one page, and the second, for those who read on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from metrics import registry
from reports import frontpage_drawing, pictures, tabulate
from reports.claims import names
from reports.model import (
    Block,
    Bullets,
    Cell,
    Column,
    Figure,
    Heading,
    Pair,
    Paragraph,
    Row,
    Section,
    Table,
    Text,
    text,
)
from reports.model import Warnings as WarningBox
from reports.ranking import marks
from reports.read import Run, outcome_in_words
from reports.sections import Material, distrust, listed

ROWS = 12
"""With more runs on a domain, the first page shows the best of each family."""
_SHOWN = {1: (2, 1), 2: (1, 1)}
"""By number of domains: images of each that the page has room for, in- and out-of-distribution."""
_FEW_STEPS = 200
"""Optimisations of fewer steps are far from where the papers' end."""
_PLOTTED = ("lpips", "psnr")


def family(method: str) -> str:
    """What a method is a variant of: `restyle` of restyle-psp, `e2style` of e2style/3-stage."""
    return method.split("/")[0].split("-")[0]


def representatives(runs: Sequence[Run], by: str) -> list[str]:
    """The methods that stand for the runs of a domain: all where there are few, else the best of each family.

    Args:
        runs: of one domain, in the order of the tables.
        by: the metric whose mean says which one is best.
    """
    if len(runs) <= ROWS:
        return [run.method for run in runs]
    sign = 1 if registry.get(by).direction == "lower" else -1

    def key(run: Run) -> tuple[bool, float]:
        value = float(run.metrics[by]["value"]) if not run.failed and by in run.metrics else math.nan
        return not math.isfinite(value), sign * value if math.isfinite(value) else 0.0

    families: dict[str, list[Run]] = {}
    for run in runs:
        families.setdefault(family(run.method), []).append(run)
    best = {min(members, key=key).method for members in families.values()}
    return [run.method for run in runs if run.method in best]


def shown_methods(material: Material) -> list[str]:
    """The methods of the first page: those that stand for the first domain, and families that only others have."""
    chosen: list[str] = []
    for domain in material.domains:
        for method in representatives(material.of(domain), material.worst_by.get(domain, "l2")):
            if method in chosen:
                continue
            if domain == material.domains[0] or family(method) not in {family(one) for one in chosen}:
                chosen.append(method)
    return chosen


def draw(material: Material, folder: Path, width: float) -> set[str]:
    """Draw the page's figures, `width` inches wide; returns what could be drawn."""
    methods = shown_methods(material)
    done = {domain: [run for run in material.of(domain) if not run.failed and run.method in methods]
            for domain in material.domains}  # fmt: skip
    domains = [domain for domain in material.domains if done[domain]][:2]
    if not domains:
        return set()
    drawn = set()
    plotted = [name for name in _PLOTTED if all(name in run.curve for domain in domains for run in done[domain])]
    if plotted:
        wanted = [(domain, plotted[0]) for domain in domains]
        if len(domains) == 1:
            wanted = [(domains[0], name) for name in plotted]
        panels = [(domain, done[domain], name) for domain, name in wanted]
        frontpage_drawing.quality_time(panels, folder, "summary-quality-time", width)
        drawn.add("summary-quality-time")
    parts = [(done[domain], pictures.chosen_images(done[domain], *_SHOWN[len(domains)])) for domain in domains]
    having = {run.method for runs, _ in parts for run in runs}
    columns = [name for name in methods if name in having]
    frontpage_drawing.strip(parts, columns).save(folder, "summary-comparison")
    return {*drawn, "summary-comparison"}


def summary_table(material: Material) -> Table:
    """The main table: one line per method that stands for others, a group of columns per domain."""
    methods, domains = shown_methods(material), material.domains
    wanted = ["l2", "psnr", "lpips", "id", "fid"] if len(domains) == 1 else ["psnr", "lpips", "id"]
    columns = [Column(key="method", label="Method", align="left")]
    cells: list[list[Cell]] = [[Cell(text=name, value=name)] for name in methods]
    shown: list[str] = []
    for domain in domains:
        by_method = {run.method: run for run in material.of(domain)}
        runs = [by_method.get(name) for name in methods]
        here = [run for run in runs if run is not None]
        found = [name for name in wanted if name in tabulate.measured(here)]
        found = [name for name in found if registry.get(name).per_image or tabulate.enough(here, name)]
        shown += [name for name in found if name not in shown]
        prefix, group = (f"{domain}_", domain.capitalize()) if len(domains) > 1 else ("", "")
        for name in found:
            metric = registry.get(name)
            values = [tabulate.score(run, name) if run is not None and not run.failed else None for run in runs]
            column = tabulate.metric_column(name).model_copy(update={"key": prefix + name, "group": group})
            columns.append(column)
            for line, run, value, mark in zip(
                cells, runs, values, marks(values, metric.direction, metric.decimals), strict=True
            ):
                if run is None:
                    line.append(Cell(text="–"))
                elif value is None:
                    line.append(tabulate.absent(run))
                else:
                    line.append(tabulate.number(value, metric.decimals, mark))
        columns.append(Column(key=f"{prefix}seconds_per_image_batch_1", label="Time (s)", direction="↓", group=group))
        for line, run in zip(cells, runs, strict=True):
            line.append(Cell(text="–") if run is None else tabulate.seconds(run))
    full = " and ".join(f"[[reconstruction-{domain}]]" for domain in domains)
    note = "Best in **bold**, second best underlined, among the lines shown. "
    total = max(len(material.of(domain)) for domain in domains)
    if total > len(methods):
        by = tabulate.heading_of_name(material.worst_by.get(domains[0], "l2"))
        note += f"Of each family of methods the best by {by} on {domains[0]}; all {total} and all metrics: {full}."
    else:
        note += f"All metrics: {full}."
    notes = [text(note), *tabulate.failure_notes([run for run in material.runs if run.method in methods])]
    notes.insert(1, tabulate.protocol_note(shown, material.runs))
    counts = sorted({tabulate.count_of(run) for run in material.runs if not run.failed}) or [0]
    size = " to ".join(f"{count:,}" for count in dict.fromkeys((counts[0], counts[-1])))
    where = listed([f"**{domain}**" for domain in domains])
    return Table(identifier="summary-table", caption=text(f"Reconstruction on {where}, {size} test images each."),
                 columns=columns, rows=[Row(cells=line) for line in cells], notes=notes, small=True)  # fmt: skip


def _facts(material: Material) -> list[Text]:
    machines = sorted({str(run.record["machine"]) for run in material.runs if run.record.get("machine")})
    per_domain = listed([f"{len(material.of(domain))} methods on {domain}" for domain in material.domains])
    lines = [f"**Run:** {per_domain}; {outcome_in_words(material.runs)}. "
             f"**Machine:** {'; '.join(machines) if machines else 'not recorded'}."]  # fmt: skip
    if material.scale:
        lines.append(f"**Scale:** {material.scale.split(' Steps:')[0]}")
    return [text(line) for line in lines]


def _worst(material: Material) -> list[Text]:
    """What to distrust first; each fits one line."""
    done = [run for run in material.runs if not run.failed]
    lines: list[str] = []
    if len(done) < len(material.runs):
        lines.append(f"{outcome_in_words(material.runs).capitalize()}: those have no numbers ([[runs]]).")
    lines += _limits(material)
    if any(registry.get(name).embedded for run in done for name in run.metrics):
        lines.append("†: judged by networks of this rendered domain; no number here compares with a published one.")
    short = [one.domain for one in material.generators
             if any(not entry["met"] for entry in one.measured.get("bars", {}).values())]  # fmt: skip
    if short:
        lines.append(f"The generators of {listed(short)} miss bars set for them; no method draws what they cannot "
                     "([[generators]])." if len(short) > 1 else f"The generator of {short[0]} misses bars set for it; "
                     "no method draws what it cannot ([[generators]]).")  # fmt: skip
    return [text(line) for line in lines] + [text("All doubts, with where they come from, are in [[distrust]].")]


def _limits(material: Material) -> list[str]:
    """Few images, short trainings, few steps: what a small run leaves open."""
    done = [run for run in material.runs if not run.failed]
    lines: list[str] = []
    counts = [tabulate.count_of(run) for run in done]
    if counts and min(counts) < tabulate.SET_RANK:
        lines.append(f"{min(counts)} test images only: many neighbours in the ranking cannot be told apart, FID and "
                     "KID rank nothing.")  # fmt: skip
    seen = [int(card["images_seen"]) for card in material.cards if card["name"] in material.trained]
    if seen:
        lines.append(f"Encoders were trained for minutes, on {min(seen):,} to {max(seen):,} images: a contradicted "
                     "claim may be theirs, not the paper's ([[methods]]).")  # fmt: skip
    searching = [int(run.record["arguments"]["steps"]) for run in done
                 if run.group != "encoder" and "steps" in (run.record.get("arguments") or {})]  # fmt: skip
    if searching and min(searching) < _FEW_STEPS:
        lines.append(f"Optimisations make {min(searching)} to {max(searching)} steps here, the papers' hundreds to "
                     "thousands: they look worse and faster than there.")  # fmt: skip
    return lines


def section(material: Material, claims: Text, bars: str) -> Section:
    """The first page.

    Args:
        material: the runs and what was drawn.
        claims: how the papers' claims came out, in a line.
        bars: identifier of the figure of it.
    """
    blocks: list[Block] = [Bullets(items=[*_facts(material), claims], small=True), summary_table(material)]
    if "summary-quality-time" in material.drawn:
        more = ", ".join(f"[[quality-time-{d}]]" for d in material.domains if f"quality-time-{d}" in material.drawn)
        blocks.append(Figure(
            identifier="summary-quality-time",
            caption=text("Quality against time. Stars: methods that answer once; lines: methods that answer again and "
                         "again, a dot where they end. Green: optimisation; blue: encoders; purple, dashed: started "
                         "from an encoder." + (f" All metrics: {more}." if more else "")),
            alternative="Quality against seconds per image, a line or star per method",
        ))  # fmt: skip
    counted = Figure(identifier=bars, caption=text("Claims of each paper by verdict ([[claims]])."),
                     alternative="Stacked bars: verdicts on the claims of each paper")  # fmt: skip
    if "summary-comparison" in material.drawn:
        grid = Figure(
            identifier="summary-comparison",
            caption=text("Inputs and reconstructions; framed: out-of-distribution, with what training never shows. "
                         "More in [[comparison]]."),
            alternative="Inputs and every shown method's reconstructions, an image per row",
        )  # fmt: skip
        blocks.append(Pair(left=grid, right=counted, share=0.55))
    else:
        blocks.append(counted.model_copy(update={"width": 0.5}))
    blocks.append(WarningBox(title="What to distrust", items=_worst(material)))
    return Section(identifier="summary", title="Summary", blocks=blocks)


_WORDS = (
    "**Embedded scale.** Every picture is rendered (64 px), every network is this suite's own and small. The order of "
    "methods can be compared with the papers', the size of a number cannot. **Out-of-distribution** (OOD): with hats, "
    "earrings or backgrounds that training never shows.",
    "**LPIPS†** adds up five layers of the domain's own network without learned weights. It goes from 0 to 10, about "
    "ten times the published LPIPS, which stays below 1. Methods minimise it themselves, by the same network, as in "
    "the papers; optimisation does so on the very image that is measured, hence its lead over encoders, greater by "
    "LPIPS than by PSNR.",
    "**FID† and KID†** compare sets of images. Of fewer than 128 images FID has a covariance without full rank and is "
    "biased far upwards; it is not marked then, and no claim rests on it. KID is unbiased: near 0 it is negative by "
    "chance, and a more negative KID is not a better one.",
    "**ID†** is the cosine of two embeddings, 1 for the same picture. **W** is one style for all layers, **W+** one "
    "for each. **γ** is the strength of an edit, half a standard deviation of w along the direction. A **yield** is an "
    "answer that a method has on its way.",
    "**Time** is for one image at batch 1 on the machine above, after warm-up, drawing the reconstruction included "
    "(at every yield, too) and reading the network not. Times are of few images: they vary by a third from run to "
    "run, and two- to threefold with the load of the machine.",
)  # fmt: skip


def key_section(material: Material) -> Section:
    """How to read the tables, the methods in a line each, and all doubts."""
    blocks: list[Block] = [
        Bullets(items=[text(line) for line in _WORDS], small=True),
        methods_table(material),
        *([Paragraph(text=text(f"**Scale** {material.scale}"))] if material.scale else []),
        Heading(title="What to distrust"),
        Bullets(items=[*(text(line) for line in _limits(material)), *distrust(material)], small=True),
    ]
    return Section(identifier="distrust", title="How to read this report", blocks=blocks, new_page=True)


def methods_table(material: Material) -> Table:
    """What each method does, what it was trained on and where it starts."""
    about = names.methods().about
    columns = [
        Column(key="method", label="Method", align="left"), Column(key="about", label="What it does", align="left"),
        Column(key="start", label="Starts from", align="left"), Column(key="steps", label="Steps"),
        Column(key="images_seen", label="Images seen"), Column(key="parameters", label="Params (M)"),
    ]  # fmt: skip
    shown: dict[str, Run] = {}
    for run in material.runs:  # of a method that ran on one domain only, that run
        if run.method not in shown or shown[run.method].failed:
            shown[run.method] = run
    rows = []
    for run in shown.values():
        arguments = dict(run.record.get("arguments") or {})
        card = material.card_of(run)
        steps, seen = arguments.get("steps"), None if card is None else int(card["images_seen"])
        parameters = run.timing.get("parameters")
        kind = str(arguments.get("kind", ""))
        rows.append(Row(cells=[
            Cell(text=run.method, value=run.method),
            Cell(text=about.get(kind, kind or "–"), value=about.get(kind, kind)),
            Cell(text=str(arguments.get("start") or "–"), value=arguments.get("start")),
            Cell(text="–" if steps is None else str(steps), value=steps),
            Cell(text="–" if seen is None else f"{seen:,}", value=seen),
            Cell(text="–" if parameters is None else tabulate.significant(parameters / 1e6), value=parameters),
        ]))  # fmt: skip
    return Table(
        identifier="methods", caption=text("The methods that were run."), columns=columns, rows=rows, small=True,
        notes=[text("Images seen: in the method's own training, of its last stage. Params: all networks that the "
                    "method reads, the generator included. Everything else is in [[method-cards]].")],
    )  # fmt: skip

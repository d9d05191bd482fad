"""The chapters about the papers: how the claims came out, what in the papers does not fit, a page for each paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from reports.claims import bars, doubts, names, paper_tables
from reports.claims.judge import VERDICTS, Judgement, Verdict
from reports.claims.judged import Judged, counts, overall, short_name
from reports.claims.published import place_of
from reports.model import Block, Bullets, Cell, Column, Figure, Heading, Paragraph, Row, Section, Table, text
from reports.tabulate import plain

BARS = "claims-bars"
ABLATED = (
    "Every line was trained on the short, equal budget of [[ablations]]: not the numbers of the benchmark's methods."
)
SUMMARY_BARS = "summary-claims"
"""The measured verdicts alone, for the first page."""
MARKS: dict[Verdict, Literal["", "best", "failed"]] = {
    "supported": "best", "contradicted": "failed", "inconclusive": "", "not measured": "",
}  # fmt: skip


def draw(judged: Judged, folder: Path, width: float) -> None:
    """Draw the figure of these chapters into `folder`."""
    counted = [(short_name(paper), counts(judged, paper)) for paper in judged.papers]
    bars.draw(counted, folder, BARS, width)
    measured = [(paper, {source: found for source, found in sources.items() if source != "published"})
                for paper, sources in counted]  # fmt: skip
    bars.draw_small(measured, folder, SUMMARY_BARS, 0.38 * width)


def sections(judged: Judged, more: Mapping[str, Sequence[Block]]) -> list[Section]:
    """The overview, and a chapter for each paper; `more` is what stands at the end of a paper's chapter."""
    layouts = paper_tables.read_layouts()
    return [
        _overview(judged),
        doubts.section(judged),
        *[_paper(judged, paper, [one for one in layouts if one.paper == paper], more.get(paper, ()))
          for paper in judged.papers],
    ]  # fmt: skip


def tables_of(chapters: Sequence[Section]) -> set[str]:
    """Identifiers of the tables in chapters."""
    return {block.identifier for chapter in chapters for block in chapter.blocks if isinstance(block, Table)}


def _overview(judged: Judged) -> Section:
    domains = ", ".join(judged.measured.domains)
    blocks: list[Block] = [
        Paragraph(text=text(
            f"{len(judged.claims)} statements of {len(judged.papers)} papers, each as comparisons that a program "
            f"judges: once by the numbers that the paper itself prints, once by what was measured here ({domains}), "
            "every domain apart. The two are never mixed."
        )),
        Bullets(items=[
            text("**supported**: every comparison that the statement consists of surely holds."),
            text("**contradicted**: at least one surely does not."),
            text("**inconclusive**: the interval of a difference crosses zero, or the tolerance. Measured numbers have "
                 "95 % bootstrap intervals, of paired differences where two methods have scores of the same images; "
                 "printed ones are known to half a unit of their last digit, which some claims do not survive. FID "
                 "and KID have theirs by the jackknife; of fewer than 128 images, or where none was taken (ablations), "
                 "they decide nothing. Times and single steps have none and count as printed. A search that was **cut "
                 "short** would end nearer in L2, LPIPS and PSNR, by an unknown amount, and with any other score: only "
                 "what holds all the same is decided. Where a paper states a factor of time, a tenth to a half of it "
                 "is asked, because machines and networks differ; a measured time is taken as known up to a factor of "
                 "1.7, which is what the load of a machine does to it."),
            text("**not measured**: a number is missing, and none that is there contradicts. The reason is given; "
                 "**not printed** where it is the paper that has none."),
        ]),
        Figure(
            identifier=BARS,
            caption=text("Claims by verdict. A claim counts once in every bar whose domain it speaks of; **published** "
                         "takes the worst verdict over the paper's own domains."),
            alternative="Stacked bars: supported, contradicted, inconclusive and not measured claims of each paper",
        ),
        _count_table(judged),
    ]  # fmt: skip
    return Section(identifier="claims", title="The papers' claims", blocks=blocks)


def _count_table(judged: Judged) -> Table:
    columns = [Column(key="paper", label="Paper", align="left"), Column(key="source", label="Numbers", align="left"),
               *[Column(key=verdict.replace(" ", "_"), label=verdict.capitalize()) for verdict in VERDICTS],
               Column(key="claims", label="Claims")]  # fmt: skip
    rows = []
    for paper in judged.papers:
        for source, found in counts(judged, paper).items():
            shown = source if source == "published" else f"measured, {source}"
            first = Cell(text=short_name(paper) if source == "published" else "", value=paper)
            numbers = [plain(count) for count in (*(found[verdict] for verdict in VERDICTS), sum(found.values()))]
            rows.append(Row(cells=[first, Cell(text=shown, value=source), *numbers]))
    return Table(identifier="claims-counts", caption=text("Verdicts by paper."), columns=columns, rows=rows)


def _paper(judged: Judged, paper: str, layouts: Sequence[paper_tables.Layout], more: Sequence[Block]) -> Section:
    blocks: list[Block] = [_verdicts(judged, paper)]
    for layout in layouts:
        blocks.append(Heading(title=f"{place_of(paper, layout.table)}: as published"))
        blocks.append(paper_tables.published_table(layout, judged.published, judged.paper_scale.get(paper)))
        ablated = judged.ablated if judged.ablated and judged.ablated.fills(layout) else None
        table = paper_tables.measured_table(layout, ablated.evidence if ablated else judged.measured)
        if table is None:
            nothing = "On the embedded scale none of its methods has a number of this table yet."
            blocks.append(Paragraph(text=text(nothing)))
            continue
        if ablated:
            table = table.model_copy(update={"notes": [*table.notes, text(ABLATED)]})
        blocks += [Heading(title=f"{place_of(paper, layout.table)}: its layout on the embedded scale"), table]
    blocks += more
    return Section(identifier=f"paper-{paper}", title=names.methods().papers[paper], blocks=blocks, landscape=True)


def _verdict(judgements: Sequence[Judgement], published: bool) -> Cell:
    """The verdict with its reason and the numbers that decide, domain by domain where there are several."""
    if not judgements:
        return Cell(text="–")
    verdict = overall(judgements)
    # A paper measures nothing here: where it prints no number the claim rests on a figure or its text.
    shown = "not printed" if published and verdict == "not measured" else verdict
    lines = []
    for one in judgements:
        why = one.reason.split("; first: ")[0] if one.numbers else one.reason
        if len(judgements) > 1 and one.verdict != verdict:
            why = f"{one.verdict}, {why}"
        words = f"{why}.{' ' if one.numbers else ''}{one.numbers}"
        lines.append(f"{one.domain.capitalize()}: {words}" if len(judgements) > 1 else words)
    return Cell(text=shown, value=verdict, mark=MARKS[verdict], detail="\n".join(lines))


def _verdicts(judged: Judged, paper: str) -> Table:
    domains = judged.measured.domains
    columns = [
        Column(key="claim", label="Claim", align="left"), Column(key="place", label="Place", align="left", only="csv"),
        Column(key="says", label="The paper says", align="left", only="csv"),
        Column(key="published", label="By its own numbers", align="left"),
        Column(key="published_why", label="Why", align="left", only="csv"),
    ]  # fmt: skip
    for domain in domains:
        columns += [Column(key=domain, label=f"Measured on {domain}", align="left"),
                    Column(key=f"{domain}_why", label="Why", align="left", only="csv")]  # fmt: skip
    rows = []
    for claim in judged.claims_of(paper):
        cells = [Cell(text=f"{claim.id} ({claim.where})", value=claim.id, detail=claim.says, mark="best"),
                 plain(claim.where), plain(claim.says)]  # fmt: skip
        found = [_verdict(judged.of_published[claim.id], True)]
        found += [_verdict([one for one in judged.of_measured[claim.id] if one.domain == domain], False)
                  for domain in domains]  # fmt: skip
        for cell in found:
            cells += [cell, Cell(text=cell.detail, value=cell.detail)]
        rows.append(Row(cells=cells))
    return Table(
        identifier=f"claims-{paper}",
        caption=text(f"The claims of {short_name(paper)}: what its own numbers and the measured ones say of them."),
        columns=columns, rows=rows, small=True,
        notes=[text("Of every metric the comparison that decides: the closest that holds, or the clearest that does "
                    "not; `<?` and the like: cannot be told. In brackets 95 % intervals. All comparisons, those of "
                    "other domains too, are in `tables/claims-comparisons.csv`."),
               text("–: the claim does not speak of this domain. Not printed: no table of the paper has the number, "
                    "the claim rests on the place given. Measured numbers are of the embedded scale: networks trained "
                    "for minutes, optimisations cut short. A contradiction says that the statement does not hold "
                    "there, not why.")],
    )  # fmt: skip

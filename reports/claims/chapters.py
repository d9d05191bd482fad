"""The chapters about the papers: how the claims came out, what in the papers does not fit, a page for each paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from reports.claims import bars, doubts, names, paper_tables
from reports.claims.judge import VERDICTS, Verdict
from reports.claims.judged import Judged, counts, overall, short_name
from reports.claims.published import place_of
from reports.model import Block, Bullets, Cell, Column, Figure, Heading, Paragraph, Row, Section, Table, text
from reports.tabulate import plain

BARS = "claims-bars"
ABLATED = (
    "Every line was trained on the short, equal budget of [[ablations]]: not the numbers of the benchmark's methods."
)
MARKS: dict[Verdict, str] = {"supported": "best", "contradicted": "failed", "inconclusive": "", "not measured": ""}


def draw(judged: Judged, folder: Path, width: float) -> None:
    """Draw the figure of these chapters into `folder`."""
    bars.draw([(short_name(paper), counts(judged, paper)) for paper in judged.papers], folder, BARS, width)


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
                 "printed ones are known to half a unit of their last digit, which some claims do not survive. FID, "
                 "KID, times and single steps have no interval here: they count as printed."),
            text("**not measured**: a number is missing, and none that is there contradicts. The reason is given."),
        ]),
        Figure(
            identifier=BARS,
            caption=text("Claims by verdict. A claim counts once in every bar whose domain it speaks of; **published** "
                         "takes the worst verdict over the paper's own domains."),
            alternative="Stacked bars: supported, contradicted, inconclusive and not measured claims of each paper",
            vector=True,
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
    blocks: list[Block] = [_verdicts(judged, paper), _details(judged, paper)]
    for layout in layouts:
        blocks.append(Heading(title=f"{place_of(paper, layout.table)}: as published"))
        blocks.append(paper_tables.published_table(layout, judged.published, judged.paper_scale.get(paper)))
        blocks.append(Heading(title=f"{place_of(paper, layout.table)}: its layout on the embedded scale"))
        ablated = judged.ablated if judged.ablated and judged.ablated.fills(layout) else None
        table = paper_tables.measured_table(layout, ablated.evidence if ablated else judged.measured)
        if ablated and table is not None:
            table = table.model_copy(update={"notes": [*table.notes, text(ABLATED)]})
        nothing = "None of its methods has a number of this table yet."
        blocks.append(Paragraph(text=text(nothing)) if table is None else table)
    blocks += more
    return Section(identifier=f"paper-{paper}", title=names.methods().papers[paper], blocks=blocks, landscape=True)


def _verdict(verdict: Verdict) -> Cell:
    return Cell(text=verdict, value=verdict, mark=MARKS[verdict])  # type: ignore[arg-type]


def _verdicts(judged: Judged, paper: str) -> Table:
    domains = judged.measured.domains
    columns = [Column(key="claim", label="Claim", align="left"), Column(key="place", label="Place", align="left"),
               Column(key="says", label="The paper says", align="left"),
               Column(key="published", label="Its own numbers", align="left"),
               *[Column(key=domain, label=f"Measured, {domain}", align="left") for domain in domains]]  # fmt: skip
    rows = []
    for claim in judged.claims_of(paper):
        by_domain = {one.domain: one.verdict for one in judged.of_measured[claim.id]}
        cells = [
            plain(claim.id),
            plain(claim.where),
            plain(claim.says),
            _verdict(overall(judged.of_published[claim.id])),
        ]
        cells += [_verdict(by_domain[domain]) if domain in by_domain else Cell(text="–") for domain in domains]
        rows.append(Row(cells=cells))
    return Table(
        identifier=f"claims-{paper}", caption=text(f"The claims of {short_name(paper)} and their verdicts."),
        columns=columns, rows=rows, small=True,
        notes=[text(f"–: the claim does not speak of this domain. Numbers and reasons are in [[claims-why-{paper}]].")],
    )  # fmt: skip


def _details(judged: Judged, paper: str) -> Table:
    columns = [Column(key="claim", label="Claim", align="left"), Column(key="source", label="Numbers", align="left"),
               Column(key="domain", label="Domain", align="left"), Column(key="verdict", label="Verdict", align="left"),
               Column(key="reason", label="Reason", align="left"),
               Column(key="numbers", label="What decides", align="left")]  # fmt: skip
    rows: list[Row] = []
    for claim in judged.claims_of(paper):
        for source, found in (("published", judged.of_published), ("measured", judged.of_measured)):
            for one in found[claim.id]:
                first = Cell(text="" if rows and rows[-1].cells[0].value == claim.id else claim.id, value=claim.id)
                numbers = Cell(text=one.numbers or "–", value=one.numbers)
                rows.append(Row(cells=[first, plain(source), plain(one.domain or "–"), _verdict(one.verdict),
                                       plain(one.reason), numbers]))  # fmt: skip
    return Table(
        identifier=f"claims-why-{paper}",
        caption=text(f"Why: for every claim of {short_name(paper)} published and measured numbers, and the reason."),
        columns=columns, rows=rows, small=True,
        notes=[text("Of every metric the comparison that decides: the closest that holds, or the clearest that does "
                    "not; `<?` and the like: cannot be told. All of them are in `tables/claims-comparisons.csv`.")],
    )  # fmt: skip

"""The chapters about the papers: how the claims came out, what in the papers does not fit, and a page for each paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reports.claims import inconsistencies, names, paper_tables
from reports.claims.evidence import Cell as Place
from reports.claims.evidence import Evidence, Value
from reports.claims.judge import VERDICTS, Judgement, Verdict, judge, read_rules
from reports.claims.published import Published, evidence_of, place_of, read_published
from reports.claims.statements import Claim, read_claims
from reports.model import Block, Bullets, Cell, Column, Figure, Heading, Paragraph, Row, Section, Span, Table, text
from reports.tabulate import plain

BARS = "claims-bars"
MARKS: dict[Verdict, str] = {"supported": "best", "contradicted": "failed", "inconclusive": "", "not measured": ""}
WORST_FIRST: tuple[Verdict, ...] = ("contradicted", "inconclusive", "supported", "not measured")


@dataclass(frozen=True)
class Judged:
    """The papers, what they print, and the verdicts."""

    claims: Sequence[Claim]
    published: Sequence[Published]
    measured: Evidence
    of_published: Mapping[str, Sequence[Judgement]]
    """By claim: judged from the paper's own tables."""
    of_measured: Mapping[str, Sequence[Judgement]]
    paper_scale: Mapping[str, Mapping[Place, Value]] = field(default_factory=dict)
    """By paper: what was measured at its scale with its protocols."""

    @property
    def papers(self) -> list[str]:
        """Their keys, in the order of the report."""
        return list(names.methods().papers)

    def claims_of(self, paper: str) -> list[Claim]:
        """The paper's claims."""
        return [claim for claim in self.claims if claim.paper == paper]


def judge_all(measured: Evidence, paper_scale: Mapping[str, Mapping[Place, Value]]) -> Judged:
    """Every claim judged from published and from measured numbers.

    Raises:
        ReinvertError: a file of reports/papers/ is missing or holds a mistake.
    """
    claims, published, rules = read_claims(), read_published(), read_rules()
    own = {paper: evidence_of(paper, published) for paper in names.methods().papers}
    return Judged(
        claims,
        published,
        measured,
        {claim.id: judge(claim, own[claim.paper], rules) for claim in claims},
        {claim.id: judge(claim, measured, rules) for claim in claims},
        paper_scale,
    )


def overall(judgements: Sequence[Judgement]) -> Verdict:
    """One verdict for several domains: the worst of those that were judged."""
    found = {one.verdict for one in judgements}
    return next((verdict for verdict in WORST_FIRST if verdict in found), "not measured")


def counts(judged: Judged, paper: str) -> dict[str, dict[Verdict, int]]:
    """By source of numbers ("published", then every measured domain): how many claims have which verdict."""
    claims = judged.claims_of(paper)
    verdicts: dict[str, list[Verdict]] = {"published": [overall(judged.of_published[claim.id]) for claim in claims]}
    for domain in judged.measured.domains:
        verdicts[domain] = [one.verdict for claim in claims for one in judged.of_measured[claim.id] if one.domain == domain]
    return {source: {verdict: found.count(verdict) for verdict in VERDICTS} for source, found in verdicts.items()}


def draw(judged: Judged, folder: Path, width: float) -> None:
    """Draw the figure of these chapters into `folder`."""
    from reports.claims import bars

    bars.draw([(_short(paper), counts(judged, paper)) for paper in judged.papers], folder, BARS, width)


def _short(paper: str) -> str:
    return names.methods().papers[paper].split(" (")[0]


def sections(judged: Judged) -> list[Section]:
    """The overview, and a chapter for each paper."""
    layouts = paper_tables.read_layouts()
    return [
        _overview(judged),
        _doubts(judged),
        *[_paper(judged, paper, [one for one in layouts if one.paper == paper]) for paper in judged.papers],
    ]


def _overview(judged: Judged) -> Section:
    domains = ", ".join(judged.measured.domains)
    blocks: list[Block] = [
        Paragraph(text=text(
            f"{len(judged.claims)} statements of four papers, each as a comparison that a program judges: once from the "
            f"numbers that the paper itself prints, once from what was measured here ({domains}), for every domain apart. "
            "The two are never mixed."
        )),
        Bullets(items=[
            text("**supported**: every comparison that the statement consists of surely holds."),
            text("**contradicted**: at least one surely does not."),
            text("**inconclusive**: the interval of a difference crosses zero, or the tolerance. Measured numbers have 95 % "
                 "bootstrap intervals, of paired differences where two methods have scores of the same images; printed "
                 "ones are known to half a unit of their last digit, which some claims do not survive. FID, KID, times and "
                 "single steps have no interval here: they count as printed."),
            text("**not measured**: a number is missing; the reason is given. Nothing is judged in part."),
        ]),
        Figure(
            identifier=BARS,
            caption=text("Claims by verdict. A claim counts once in every bar whose domain it speaks of; **published** takes "
                         "the worst verdict over the paper's own domains."),
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
            first = Cell(text=_short(paper) if source == "published" else "", value=paper)
            rows.append(Row(cells=[first, Cell(text=shown, value=source), *[plain(found[verdict]) for verdict in VERDICTS],
                                   plain(sum(found.values()))]))  # fmt: skip
    return Table(identifier="claims-counts", caption=text("Verdicts by paper."), columns=columns, rows=rows)


def _doubts(judged: Judged) -> Section:
    findings = inconsistencies.read_findings()
    blocks: list[Block] = [
        Paragraph(text=text("What does not fit in the papers themselves. No result of this project enters here.")),
        Heading(title="Found by a program in the published numbers"),
        *_between_papers(judged, findings),
        _impossible(judged),
        Heading(title="Found by reading"),
        _by_hand(findings),
    ]
    return Section(identifier="inconsistencies", title="Inconsistencies in the papers", blocks=blocks)


def _between_papers(judged: Judged, findings: inconsistencies.Findings) -> list[Block]:
    apart = inconsistencies.between_papers(judged.published, findings.images)
    within = inconsistencies.within_papers(judged.published)
    reversed_ = inconsistencies.reversals(judged.published, findings.images)
    papers = [paper for paper in judged.papers if any(paper in (one.first.paper, one.second.paper) for one in apart)]
    columns = [Column(key="method", label="Method", align="left"), Column(key="metric", label="Metric", align="left"),
               Column(key="domain", label="Domain", align="left"),
               *[Column(key=paper, label=_short(paper)) for paper in papers],
               Column(key="ratio", label="Largest / smallest")]  # fmt: skip
    by_quantity: dict[tuple[str, str, str], dict[str, Published]] = {}
    for one in apart:
        entry = by_quantity.setdefault((one.method, one.metric, one.first.domain), {})
        entry |= {one.first.paper: one.first, one.second.paper: one.second}
    rows = []
    for (method, metric, domain), found in by_quantity.items():
        sizes = sorted(abs(one.value) for one in found.values())
        numbers = [Cell(text=found[paper].text, value=found[paper].value) if paper in found else Cell(text="–")
                   for paper in papers]  # fmt: skip
        ratio = sizes[-1] / sizes[0]
        rows.append(Row(cells=[Cell(text=names.methods().label(method), value=method),
                               Cell(text=names.metric(metric).label, value=metric), plain(domain), *numbers,
                               Cell(text=f"{ratio:.2f}", value=ratio)]))  # fmt: skip
    sets = [f"{_short(key.split('/')[0])}, {one.set}: {one.which}" for key, one in findings.images.items()
            if key.split("/")[1] == "table-1" and key.split("/")[0] in papers and key.endswith("/faces")]  # fmt: skip
    same = ("No number of a network differs between two tables of one paper." if not within else
            f"{len(within)} numbers differ between two tables of one paper: "
            + "; ".join(f"{one.method} {one.metric} {one.first.text} and {one.second.text}" for one in within) + ".")
    turned = ("Any two methods that two papers compare by the same metric stand in the same order in both."
              if not reversed_ else "Two papers order methods differently: " + "; ".join(
                  f"{names.metric(metric).label} of {a.method} and {b.method} is {a.text} and {b.text} in {a.place}, "
                  f"{c.text} and {d.text} in {c.place}" for metric, a, b, c, d in reversed_) + ".")  # fmt: skip
    table = Table(
        identifier="inconsistencies-between-papers",
        caption=text("The same method on the same set of images, printed with numbers that no rounding reconciles."),
        columns=columns, rows=rows, small=True,
        notes=[text("Images: " + ". ".join(sets) + "."),
               text("Which images of the set, the size they are compared at and the identity network (CurricularFace or "
                    "ArcFace) differ; times are left out, because machines differ. A number of one paper must not be "
                    "ranked against one of another.")],
    )  # fmt: skip
    return [table, Paragraph(text=text(f"{same} {turned}"))]


def _impossible(judged: Judged) -> Table:
    columns = [Column(key="place", label="Place", align="left"), Column(key="domain", label="Domain", align="left"),
               Column(key="method", label="Method", align="left"), Column(key="l2", label="L2"),
               Column(key="psnr", label="PSNR"), Column(key="least_psnr", label="Least PSNR for this L2")]  # fmt: skip
    found = inconsistencies.impossible_pairs(judged.published)
    rows = [Row(cells=[plain(l2.place), plain(l2.domain), Cell(text=l2.method, value=l2.method),
                       Cell(text=l2.text, value=l2.value), Cell(text=psnr.text, value=psnr.value),
                       Cell(text=f"{least:.2f}", value=least)]) for l2, psnr, least in found]  # fmt: skip
    return Table(
        identifier="inconsistencies-l2-psnr",
        caption=text("L2 and PSNR that cannot be of the same pictures: by Jensen's inequality the mean PSNR is at least "
                     "the PSNR of the mean error, 10 log10(4 / L2) for images in [-1, 1]."),
        columns=columns, rows=rows, small=True,
        notes=[text("The authors' scripts resize to 256 px for L2 and compare PSNR at 1024 px. On churches, which are of "
                    "256 px anyway, no row is affected.")],
    )  # fmt: skip


def _by_hand(findings: inconsistencies.Findings) -> Table:
    columns = [Column(key="place", label="Place", align="left"), Column(key="found", label="Found", align="left"),
               Column(key="reason", label="Why, and how it is read here", align="left")]  # fmt: skip
    rows = [Row(cells=[plain(one.place), plain(one.found), plain(one.reason)]) for one in findings.by_hand]
    return Table(identifier="inconsistencies-by-hand", caption=text("Checked against the papers' texts."),
                 columns=columns, rows=rows, small=True)  # fmt: skip


def _paper(judged: Judged, paper: str, layouts: Sequence[paper_tables.Layout]) -> Section:
    blocks: list[Block] = [_verdicts(judged, paper), _details(judged, paper)]
    for layout in layouts:
        blocks.append(Heading(title=f"{place_of(paper, layout.table)}: as published"))
        blocks.append(paper_tables.published_table(layout, judged.published, judged.paper_scale.get(paper)))
        blocks.append(Heading(title=f"{place_of(paper, layout.table)}: its layout on the embedded scale"))
        table = paper_tables.measured_table(layout, judged.measured)
        nothing = "None of its methods has a number of this table yet."
        blocks.append(Paragraph(text=text(nothing)) if table is None else table)
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
        cells = [plain(claim.id), plain(claim.where), plain(claim.says), _verdict(overall(judged.of_published[claim.id]))]
        cells += [_verdict(by_domain[domain]) if domain in by_domain else Cell(text="–") for domain in domains]
        rows.append(Row(cells=cells))
    return Table(
        identifier=f"claims-{paper}", caption=text(f"The claims of {_short(paper)} and their verdicts."),
        columns=columns, rows=rows, small=True,
        notes=[text(f"–: the claim does not speak of this domain. Numbers and reasons are in [[claims-why-{paper}]].")],
    )  # fmt: skip


def _details(judged: Judged, paper: str) -> Table:
    columns = [Column(key="claim", label="Claim", align="left"), Column(key="source", label="Numbers", align="left"),
               Column(key="domain", label="Domain", align="left"), Column(key="verdict", label="Verdict", align="left"),
               Column(key="reason", label="Reason", align="left"),
               Column(key="numbers", label="What decides", align="left")]  # fmt: skip
    rows = []
    for claim in judged.claims_of(paper):
        for source, found in (("published", judged.of_published), ("measured", judged.of_measured)):
            for one in found[claim.id]:
                first = Cell(text="" if rows and rows[-1].cells[0].value == claim.id else claim.id, value=claim.id)
                rows.append(Row(cells=[first, plain(source), plain(one.domain or "–"), _verdict(one.verdict),
                                       plain(one.reason), Cell(text=one.numbers or "–", value=one.numbers)]))  # fmt: skip
    return Table(
        identifier=f"claims-why-{paper}",
        caption=text(f"Why: for every claim of {_short(paper)} the published numbers, the measured ones, and the reason."),
        columns=columns, rows=rows, small=True,
        notes=[text("Of every metric the comparison that decides: the closest that holds, or the clearest that does not; "
                    "`<?` and the like: cannot be told. All of them are in `tables/claims-comparisons.csv`.")],
    )  # fmt: skip


def comparisons(judged: Judged) -> list[list[str]]:
    """Every single comparison, as lines of a CSV file with their head."""
    lines = [["claim", "paper", "place", "source", "domain", "verdict", "subject", "outcome", "words"]]
    for claim in judged.claims:
        for source, found in (("published", judged.of_published), ("measured", judged.of_measured)):
            for one in found[claim.id]:
                for part in one.comparisons:
                    words = part.words or str(part.missing or "")
                    lines.append([claim.id, claim.paper, claim.where, source, one.domain, one.verdict, part.subject,
                                  part.outcome, words])  # fmt: skip
    return lines


def summary_line(judged: Judged) -> list[Span]:
    """How the claims came out, in one line for the summary."""
    parts = []
    for domain in judged.measured.domains:
        verdicts = [one.verdict for found in judged.of_measured.values() for one in found if one.domain == domain]
        decided = [f"{verdicts.count(verdict)} {verdict}" for verdict in VERDICTS if verdicts.count(verdict)]
        parts.append(f"on {domain} {', '.join(decided)}")
    own = [overall(found) for found in judged.of_published.values()]
    return text(f"**Claims of the papers:** {'; '.join(parts)}. From the papers' own numbers {own.count('supported')} of "
                f"{len(own)} are supported and {own.count('contradicted')} contradicted ([[claims]]).")  # fmt: skip

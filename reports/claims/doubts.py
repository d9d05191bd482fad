"""The chapter about what does not fit in the papers themselves."""

from __future__ import annotations

from reports.claims import inconsistencies, names
from reports.claims.judged import Judged, short_name
from reports.claims.published import Published
from reports.model import Block, Cell, Column, Heading, Paragraph, Row, Section, Table, text
from reports.tabulate import plain


def section(judged: Judged) -> Section:
    """Found by program and by hand."""
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
               *[Column(key=paper, label=short_name(paper)) for paper in papers],
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
    sets = [f"{short_name(key.split('/')[0])}, {one.set}: {one.which}" for key, one in findings.images.items()
            if key.split("/")[1] == "table-1" and key.split("/")[0] in papers and key.endswith("/faces")]  # fmt: skip
    same = (
        "No number of a network differs between two tables of one paper."
        if not within
        else f"{len(within)} numbers differ between two tables of one paper: "
        + "; ".join(f"{one.method} {one.metric} {one.first.text} and {one.second.text}" for one in within)
        + "."
    )
    turned = ("Any two methods that two papers compare by the same metric stand in the same order in both."
              if not reversed_ else "Two papers order methods differently: " + "; ".join(
                  f"{names.metric(metric).label} of {a.method} and {b.method} is {a.text} and {b.text} in {a.place}, "
                  f"{c.text} and {d.text} in {c.place}" for metric, a, b, c, d in reversed_) + ".")  # fmt: skip
    table = Table(
        identifier="inconsistencies-between-papers",
        caption=text("The same method on the same set of images, printed with numbers that no rounding reconciles."),
        columns=columns, rows=rows, small=True,
        notes=[text("Images: " + ". ".join(sets) + "."),
               text("Which images of the set, the size they are compared at and the identity network (CurricularFace "
                    "or ArcFace) differ; times are left out, because machines differ. A number of one paper must not "
                    "be ranked against one of another.")],
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
        caption=text("L2 and PSNR that cannot be of the same pictures: by Jensen's inequality the mean PSNR is at "
                     "least the PSNR of the mean error, 10 log10(4 / L2) for images in [-1, 1]."),
        columns=columns, rows=rows, small=True,
        notes=[text("The authors' scripts resize to 256 px for L2 and compare PSNR at 1024 px. On churches, which are "
                    "of 256 px anyway, no row is affected.")],
    )  # fmt: skip


def _by_hand(findings: inconsistencies.Findings) -> Table:
    columns = [Column(key="place", label="Place", align="left"), Column(key="found", label="Found", align="left"),
               Column(key="reason", label="Why, and how it is read here", align="left")]  # fmt: skip
    rows = [Row(cells=[plain(one.place), plain(one.found), plain(one.reason)]) for one in findings.by_hand]
    return Table(identifier="inconsistencies-by-hand", caption=text("Checked against the papers' texts."),
                 columns=columns, rows=rows, small=True)  # fmt: skip

"""The chapters of the report: which tables and figures stand where, and what is said around them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metrics import registry
from reports import generators, paired, provenance, tabulate
from reports.model import (
    Block,
    Figure,
    Heading,
    Paragraph,
    Section,
    Text,
    text,
)
from reports.read import Generator, Run, outcome_in_words


@dataclass(frozen=True)
class Material:
    """Everything a chapter may need."""

    runs: Sequence[Run]
    cards: Sequence[Mapping[str, Any]]
    drawn: frozenset[str]
    """Identifiers of the figures that could be drawn."""
    lost_points: Mapping[str, int]
    """By domain: points that no plot could show."""
    worst_by: Mapping[str, str]
    """By domain: the metric by which failures are chosen."""
    generators: Sequence[Generator] = field(default_factory=tuple)
    scale: str = ""
    """How large the run is, in a sentence or two; empty where params.yaml does not say."""
    doubts_on_editing: Sequence[Text] = ()
    """Of directions and edits, for the summary."""
    trained: frozenset[str] = frozenset()
    """The methods that have a training of their own."""

    @property
    def domains(self) -> list[str]:
        """Domains in the order of the runs."""
        return list(dict.fromkeys(run.domain for run in self.runs))

    def card_of(self, run: Run) -> Mapping[str, Any] | None:
        """The card of the network that was trained for the run's method, if one was."""
        names = (run.method, run.method.replace("/", "-")) if run.method in self.trained else ()
        return next((card for card in self.cards if card["domain"] == run.domain and card["name"] in names), None)

    def of(self, domain: str) -> list[Run]:
        """The runs of one domain."""
        return [run for run in self.runs if run.domain == domain]


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _quality_time_caption(domain: str, more: str = "") -> Text:
    return text(
        f"Quality against time on **{domain}**. Stars: encoders that answer once, a thin line from what they refine. "
        "Lines: one point per yield; solid for encoders of several passes, dotted for naive iteration, dashed for "
        "hybrids, green for optimisation; otherwise a colour is the encoder that a method is built on. Each point is "
        f"the mean over all test images. Time is for one image at batch 1, without loading the network.{more}"
    )


def _grid_caption(domain: str, number: int, count: int) -> Text:
    part = f", part {number} of {count}" if count > 1 else ""
    return text(
        f"Inputs and reconstructions on **{domain}**{part}; framed: out-of-distribution, showing what training never "
        "does. Images are spread evenly over the test images, not chosen."
    )


def numbered_figures(stem: str, drawn: Collection[str]) -> list[str]:
    """Identifiers `<stem>-1`, `<stem>-2` and so on of the figures that could be drawn, in order."""
    return [name for name in (f"{stem}-{n + 1}" for n in range(len(drawn))) if name in drawn]


def distrust(material: Material) -> list[Text]:
    """What limits the numbers of this very report, the worst first."""
    items: list[Text] = []
    done = [run for run in material.runs if not run.failed]
    if len(done) < len(material.runs):
        items.append(
            text(f"{outcome_in_words(material.runs).capitalize()}: those have no numbers, and [[runs]] says why.")
        )
    broken = sum(tabulate.failed_of(run) for run in done)
    if broken:
        items.append(text(f"Failed reconstructions: {broken}. They stay in every mean with the score named in "
                          "[[protocols]], so a mean may hide a few catastrophes: see [[failures]]."))  # fmt: skip
    items += provenance.stale(material.cards, material.runs)
    missed = provenance.missed_bars(material.cards)
    if missed:
        items.append(text(f"Judges below their bar: {listed(missed)} ([[judges]])."))
    items += generators.missed(material.generators)
    items += material.doubts_on_editing
    smallest = min((tabulate.count_of(run) for run in done), default=0)
    sets = [tabulate.heading_of(registry.get(name)).split(" ")[0] for name in ("fid", "kid")
            if any(name in run.metrics for run in done)]  # fmt: skip
    if sets and smallest < tabulate.FID_SAMPLE_BIAS:
        items.append(
            text(
                f"{listed(sets)} of {smallest:,} images: FID is biased upwards by small samples (usual: at least "
                f"{tabulate.FID_SAMPLE_BIAS:,}) and KID is noisy. Compare them within one table only."
            )
        )
    if any(registry.get(name).embedded for run in done for name in run.metrics):
        items.append(text("Metrics with a dagger (†) use judges trained on the embedded, rendered domain. They rank "
                          "methods here; they say nothing about published numbers."))  # fmt: skip
    for card in material.cards:
        if card["name"] == "generator":
            where = f" ([[samples-{card['domain']}]])" if f"samples-{card['domain']}" in material.drawn else ""
            items.append(text(f"The generator of {card['domain']} saw {card['images_seen']:,} images in training; no "
                              f"method can draw what it cannot{where}."))  # fmt: skip
    items.append(_about_times(material))
    singles = sum(run.timing.get("images_timed") == 1 for run in done)
    if singles:
        tables = listed([f"[[cost-{domain}]]" for domain in material.domains])
        items.append(text(f"Runs that were timed on one image: {singles} ({tables}): a search that ends by itself, as "
                          "PTI's does, may take much longer on others."))  # fmt: skip
    return items


def _about_times(material: Material) -> Text:
    mixed = [
        domain
        for domain in material.domains
        if len({run.record["machine"] for run in material.of(domain) if run.record.get("machine")}) > 1
    ]
    if mixed:
        return text(
            f"Methods on {listed(mixed)} were timed on several machines ([[versions]]): compare no times there."
        )
    return text("Times belong to the machine named above and are never compared across machines.")


def reconstruction(material: Material) -> Section:
    """The tables."""
    blocks: list[Block] = [Paragraph(text=text(
        "Every method inverts the same test images; the reconstruction is compared with its input as 8-bit pixels. "
        "Groups and columns follow Table 1 of HyperInverter (Dinh et al., CVPR 2022). Marks compare all methods of a "
        "domain, across groups."
    ))]  # fmt: skip
    for domain in material.domains:
        runs = material.of(domain)
        size = next((run.inputs.shape[1] for run in runs if not run.failed), 0)
        compared = paired.table(domain, runs)
        blocks += [
            tabulate.reconstruction(domain, runs, size),
            tabulate.intervals(domain, runs),
            *([compared] if compared else []),
            tabulate.cost(domain, runs),
        ]
    return Section(identifier="reconstruction", title="Reconstruction", blocks=blocks)


def quality_time(material: Material) -> Section:
    """The plots."""
    blocks: list[Block] = [Paragraph(text=text(
        "An inversion may stop at any yield. Methods nearer the lower left are better, for PSNR nearer the upper left. "
        "Both axes are logarithmic, save those of PSNR, which is a logarithm already, and KID, which may be negative."
    ))]  # fmt: skip
    for domain in material.domains:
        if f"quality-time-{domain}" not in material.drawn:
            blocks.append(Paragraph(text=text(f"No run on {domain} finished, so there is nothing to draw.")))
            continue
        lost = material.lost_points.get(domain, 0)
        more = f" {lost} points are not finite or not positive and could not be drawn." if lost else ""
        blocks.append(
            Figure(
                identifier=f"quality-time-{domain}",
                caption=_quality_time_caption(domain, more),
                alternative=f"Plots of every metric against seconds per image on {domain}",
            )
        )
    return Section(identifier="quality-time", title="Quality against time", blocks=blocks)


def comparison(material: Material) -> Section:
    """The grids."""
    blocks: list[Block] = []
    for domain in material.domains:
        shown = numbered_figures(f"comparison-{domain}", material.drawn)
        if not shown:
            blocks.append(Paragraph(text=text(f"No run on {domain} finished, so there is nothing to show.")))
        blocks += [
            Figure(
                identifier=name,
                caption=_grid_caption(domain, number, len(shown)),
                alternative=f"Grid: inputs of {domain} in the first row, one row of reconstructions per method below",
                width=0.9,
            )
            for number, name in enumerate(shown, start=1)
        ]
    return Section(identifier="comparison", title="Comparison", blocks=blocks)


def failures(material: Material) -> Section:
    """The worst images and the images unlike the training data."""
    blocks: list[Block] = [Paragraph(text=text(
        "Means hide failures. Below, each method's worst images by its own scores; failed images, if any, come first."
    ))]  # fmt: skip
    for domain in material.domains:
        blocks += [Paragraph(text=note) for note in tabulate.failure_notes(material.of(domain))]
        names = numbered_figures(f"failures-{domain}", material.drawn)
        for number, name in enumerate(names, start=1):
            metric = tabulate.heading_of_name(material.worst_by[domain])
            broken = sum(tabulate.failed_of(run) for run in material.of(domain) if not run.failed) or "No"
            part = f", part {number} of {len(names)}" if len(names) > 1 else ""
            blocks.append(Figure(
                identifier=name,
                caption=text(f"The worst images of each method on **{domain}** by {metric}{part}: input, "
                             f"reconstruction and scores. {broken} reconstructions failed, of all methods."),
                alternative=f"The worst reconstructions on {domain} beside their inputs, one method per row",
                width=0.88,  # twelve rows and the caption fill a page
            ))  # fmt: skip
    for domain in material.domains:
        if any(not run.failed for run in material.of(domain)):
            blocks.append(tabulate.distribution_shift(domain, material.of(domain)))
    return Section(identifier="failures", title="Failures and unusual images", blocks=blocks)


def provenance_section(material: Material) -> Section:
    """What was measured, and with what."""
    blocks: list[Block] = [
        Heading(title="Metrics"),
        provenance.protocols(material.runs),
        Heading(title="Runs"),
        provenance.runs_table(material.runs),
        provenance.versions(material.runs),
        Heading(title="Networks"),
        provenance.networks(material.cards, material.runs),
        provenance.judge_bars(material.cards),
        provenance.all_scores(material.cards),
    ]
    return Section(identifier="measured", title="What was measured", blocks=blocks)

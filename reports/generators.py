"""The chapter on the domains: what their images look like, what their generators draw, and how far those are from
their bars. The numbers are those of results/generators/<domain>/metrics.json; nothing is measured here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from metrics import registry
from reports.model import Block, Cell, Column, Figure, Heading, Pair, Paragraph, Row, Section, Table, Text, text
from reports.read import Generator
from reports.tabulate import dagger_note, plain

_WORDS = {
    "completeness": "Samples in which the parser finds every part (share)",
    "fid_test_in_distribution": "FID† to in-distribution test images",
    "fid_test": "FID† to all test images",
    "psnr_w_plus": "PSNR of W+ optimisation (dB)",
    "psnr_above_w": "PSNR of W+ above that of W (dB)",
}
_SETS = {"test_in_distribution": "in-distribution test images", "test": "all test images"}


def _words(name: str) -> str:
    if name.startswith("coverage_"):
        return f"Range of {name.removeprefix('coverage_')} over samples, as a share of real images'"
    return _WORDS.get(name, name)


def bars(generator: Generator) -> Table:
    """Every measured number beside its bar."""
    columns = [Column(key="measure", label="Measure", align="left"), Column(key="value", label="Measured"),
               Column(key="bar", label="Bar"), Column(key="met", label="Met", align="left")]  # fmt: skip
    measured = generator.measured
    rows = []
    for name, entry in measured["bars"].items():
        met = "yes" if entry["met"] else "no"
        sign = "≥" if entry["direction"] == "at least" else "≤"
        rows.append(Row(cells=[plain(_words(name)), Cell(text=f"{entry['value']:.3f}", value=entry["value"]),
                               Cell(text=f"{sign} {entry['bar']:.3f}", value=entry["bar"]),
                               Cell(text=met, value=met, mark="" if entry["met"] else "failed")]))  # fmt: skip
    for key, words in _SETS.items():
        kid = measured["distances"][key]["kid"]["samples_test"]
        rows.append(Row(cells=[plain(f"KID x1000† to {words}"), Cell(text=f"{kid:.3f}", value=kid), Cell(text="–"),
                               Cell(text="–")]))  # fmt: skip
    return Table(
        identifier=f"bars-{generator.domain}",
        caption=text(f"The generator of **{generator.domain}** against its bars, on {measured['samples']:,} samples "
                     f"after {measured['images_seen']:,} images of training."),
        columns=columns, rows=rows, notes=_notes(measured),
    )  # fmt: skip


def _notes(measured: Mapping[str, Any]) -> list[Text]:
    complete = {name: 100 * shares["complete"] for name, shares in measured["completeness"].items()}
    worst = sorted((share, part) for part, share in measured["completeness"]["samples"].items() if part != "complete")
    fids = [(words, measured["distances"][key]["fid"]) for key, words in _SETS.items()]
    psnr = measured["psnr"]
    lines = [
        f"The same parser finds every part in {complete['test_in_distribution']:.1f} % of real in-distribution and "
        f"{complete['test_out_of_distribution']:.1f} % of real out-of-distribution images. Least often found in "
        f"samples: {worst[0][1]} ({100 * worst[0][0]:.1f} % have it).",
        "The bar of FID is made of real images only: the factor times FID between two disjoint sets of training "
        "images, plus what test images are farther from training images than those from each other. "
        + " ".join(f"For {words}: {fid['train_train']:.3f} between training images, {fid['train_test']:.3f} from "
                   "training to test." for words, fid in fids),
        f"Inverted: {psnr['n']} in-distribution test images, in W+ ({psnr['w_plus']:.2f} dB) and in W "
        f"({psnr['w']:.2f} dB), starting from the mean latent ({psnr['mean_code']:.2f} dB).",
    ]  # fmt: skip
    ids = {name: registry.get(name).protocol for name in ("fid", "kid")}
    lines.append(
        f"Protocols: `{ids['fid']}`; KID as `{ids['kid']}`, over the subsets of params.yaml's generator_quality."
    )
    return [*(text(line) for line in lines), dagger_note(["fid", "kid"])]


def missed(generators: Sequence[Generator]) -> list[Text]:
    """A line for every generator that misses a bar, and for every one whose numbers belong to other weights."""
    lines = []
    for generator in generators:
        entries = generator.measured.get("bars", {})
        short = [_words(name).replace("†", "") for name, entry in entries.items() if not entry["met"]]
        if short:
            lines.append(text(f"The generator of {generator.domain} misses {len(short)} of {len(entries)} bars "
                              f"({'; '.join(short)}): [[bars-{generator.domain}]]."))  # fmt: skip
        if generator.stale:
            lines.append(text(f"The generator of {generator.domain} was measured with other weights than those present "
                              "now; measure it again."))  # fmt: skip
    return lines


def section(generators: Sequence[Generator], drawn: Collection[str]) -> Section:
    """Real images beside samples, the bars and the training, for every domain that has any of them.

    Args:
        generators: of all domains.
        drawn: identifiers of the figures there are.
    """
    blocks: list[Block] = []
    for generator in generators:
        domain = generator.domain
        blocks.append(Heading(title=domain.capitalize()))
        pictures = [figure for figure in (_real(domain), _samples(generator)) if figure.identifier in drawn]
        if len(pictures) == 2:
            blocks.append(Pair(left=pictures[0], right=pictures[1]))
        else:
            blocks += [figure.model_copy(update={"width": 0.85}) for figure in pictures]
        if generator.measured:
            blocks.append(bars(generator))
        else:
            blocks.append(
                Paragraph(text=text(f"Not measured yet: `reinvert measure generator --domain {domain}` does it."))
            )
        if f"training-{domain}" in drawn:
            finite = [(images, fid) for images, fid in generator.training if math.isfinite(fid)]
            best = min(finite, key=lambda point: point[1])
            blocks.append(
                Figure(
                    identifier=f"training-{domain}",
                    caption=text(f"FID† of the generator of **{domain}** by images seen, the lowest {best[1]:.2f} "
                                 f"after {best[0]:,} images. FID depends on the number of samples, so compare points "
                                 "of this curve with each other only."),
                    alternative=f"FID of the generator of {domain} against images seen in training",
                    width=0.6,
                )
            )  # fmt: skip
    if not blocks:
        blocks.append(Paragraph(text=text("No generator is there, so there is nothing to show.")))
    return Section(identifier="generators", title="Domains and generators", blocks=blocks)


def _real(domain: str) -> Figure:
    return Figure(identifier=f"real-{domain}", caption=text(f"Real test images of **{domain}**, spread evenly."),
                  alternative=f"Grid of real test images of {domain}")  # fmt: skip


def _samples(generator: Generator) -> Figure:
    seen = f", {generator.card['images_seen']:,} images seen in training" if generator.card else ""
    recipe = f", recipe {generator.card['recipe']}" if generator.card else ""
    domain = generator.domain
    return Figure(identifier=f"samples-{domain}",
                  caption=text(f"Uncurated samples of the generator of **{domain}**{seen}{recipe}."),
                  alternative=f"Grid of random samples of the generator of {domain}")  # fmt: skip

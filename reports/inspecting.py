"""What inspections add to the chapters of the papers: figures, tables, and what is said about them.

A figure whose runs were not inspected is left out. Every figure answers one question, which its caption asks first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reports import inspecting_figures as figures
from reports.inspecting_figures import Transition
from reports.model import Block, Cell, Column, Figure, Heading, Row, Section, Table, text
from reports.pictures import chosen_images
from reports.read import Run
from reports.read_inspection import Inspected
from reports.tabulate import plain

LANDSCAPE = 10.2
"""Text width of a landscape page in inches."""
TALLEST = 5.0
"""Height of a drawing on such a page."""
ROWS = 10
"""Methods in one grid of error maps."""
SHOWN = (3, 2)
"""Images of an error grid: in-distribution and out-of-distribution."""
PHASES = {
    "hyperinverter": ("hyperinverter", "code in W → changed weights"),
    "pti": ("hyperinverter", "pivot → tuned weights"),
    "feature_style": ("feature-style-encoder", "styles alone → with feature"),
    "hfgi": ("feature-style-encoder", "basic encoder → consulted"),
    "e2style": ("e2style", "stage {} → stage {}"),
}
"""By kind of method: the paper in whose chapter its phases stand, and what they are called."""


def chapters(inspected: Sequence[Inspected], runs: Sequence[Run], folder: Path) -> dict[str, list[Block]]:
    """Draw what was inspected, and what to put into the chapter of each paper.

    Args:
        inspected: of all domains.
        runs: of all domains, for phases that are runs of their own.
        folder: where the drawings go.

    Returns:
        By paper the blocks for the end of its chapter; papers without any are left out.
    """
    found: dict[str, list[Block]] = {}
    for domain in dict.fromkeys(one.domain for one in inspected):
        own = [one for one in inspected if one.domain == domain]
        done = [run for run in runs if run.domain == domain and not run.failed]
        for paper, blocks in (
            ("restyle", _steps(domain, own, folder)),
            ("hyperinverter", _weights(domain, own, folder)),
            *((paper, _phases(domain, paper, own, done, folder))
              for paper in dict.fromkeys(paper for paper, _ in PHASES.values())),
        ):  # fmt: skip
            found.setdefault(paper, []).extend(blocks)
    title = Heading(title="Step by step: where and how much methods change")
    return {paper: [title, *blocks] for paper, blocks in found.items() if blocks}


def extended(section: Section, blocks: Sequence[Block]) -> Section:
    """The section with more blocks at its end."""
    return section.model_copy(update={"blocks": [*section.blocks, *blocks]})


def _steps(domain: str, inspected: Sequence[Inspected], folder: Path) -> list[Block]:
    iterative = [one for one in inspected if one.kind in ("restyle", "naive_iteration")]
    # ReStyle first, then what it is compared with.
    iterative.sort(key=lambda one: one.kind != "restyle")
    blocks: list[Block] = []
    drawable = [one for one in iterative if one.maps is not None]
    if drawable:
        name = f"steps-{domain}-maps"
        figures.step_maps(drawable, folder, name, LANDSCAPE, TALLEST)
        blocks.append(Figure(
            identifier=name,
            caption=text(
                f"Where does every step change the image? On **{domain}**, means over {_images(drawable)} (ReStyle's "
                "Figures 6 and 7). Bright is much change: the distance of colours between one step's image and the "
                "next one's, root mean square over the channels. Of each method the upper row scales every step by "
                "itself, to the number under it, and shows where the step is busy; the lower row has one scale for "
                "all steps, with each map's mean under it, and shows how fast changes fade. A scale ends at the value "
                f"that {figures.CLIP:.1%} of its pixels stay below. Step 1 of ReStyle is the way from the image of the "
                "average code, so it dwarfs the others; naive iteration has its first pass as step 1 and no change "
                f"there.{_trained(drawable)} "
                "Look for: from background and outline in early steps to eyes and hair in later ones, and fading."
            ),
            alternative=f"Heat maps of the mean change at every step on {domain}, two rows per method",
        ))  # fmt: skip
    if iterative:
        name = f"steps-{domain}-latents"
        figures.latent_lines(iterative, folder, name, LANDSCAPE)
        ranges = iterative[0].measured["settings"]["groups"]
        styles = ", ".join(f"{name}: styles {ranges[name][0]} to {ranges[name][1] - 1}" for name in iterative[0].groups)
        blocks.append(Figure(
            identifier=name,
            caption=text(
                f"Which styles does every step move? On **{domain}** (ReStyle's Figure 15). Change of a style: the "
                f"norm of its mean squared change over the images (Eqs. 5 and 6), averaged over a group ({styles}); "
                "bands are 95 % bootstrap intervals over images. The axis is logarithmic and the same for all methods. "
                "Look for: coarse above fine in early steps, as the paper reports for cars, and lines that go on "
                "falling."
            ),
            alternative=f"Lines of latent change over steps on {domain} for coarse, medium and fine styles",
        ))  # fmt: skip
        blocks.append(_step_table(domain, iterative))
    return blocks


def _trained(inspected: Sequence[Inspected]) -> str:
    steps = sorted({one.trained_steps for one in inspected if one.trained_steps is not None})
    return f" Training takes {' or '.join(map(str, steps))} steps; later ones are beyond it." if steps else ""


def _images(inspected: Sequence[Inspected]) -> str:
    counts = sorted({one.n for one in inspected})
    failed = sum(int(one.measured["n_failed"]) for one in inspected)
    more = f" ({failed} failed reconstructions are left out)" if failed else ""
    return f"{' to '.join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))} test images{more}"


def _step_table(domain: str, inspected: Sequence[Inspected]) -> Table:
    numbers = sorted({step for one in inspected for step in one.steps[1:]})
    columns = [Column(key="method", label="Method", align="left"),
               Column(key="change", label="Change of", align="left"),
               *[Column(key=f"step_{number}", label=str(number)) for number in numbers],
               Column(key="n", label="n"), Column(key="n_failed", label="Failed")]  # fmt: skip
    rows = []
    for one in inspected:
        counts = [plain(one.n), plain(int(one.measured["n_failed"]))]
        image = {entry["step"]: float(entry["mean"]) for entry in one.measured["image_change"]}
        lines = [("image", image, 4)]
        for group in one.groups:
            lines.append((f"{group} styles", {entry["step"]: float(entry["groups"][group]["value"])
                                              for entry in one.measured["latent_change"]}, 3))  # fmt: skip
        for number, (label, values, decimals) in enumerate(lines):
            cells = [Cell(text=f"{values[step]:.{decimals}f}", value=values[step]) if step in values else Cell(text="–")
                     for step in numbers]  # fmt: skip
            first = Cell(text=one.method if number == 0 else "", value=one.method)
            rows.append(Row(cells=[first, plain(label), *cells, *counts]))
    protocols = ", ".join(f"`{inspected[0].measured['protocols'][key]}`" for key in ("image_change", "latent_change"))
    return Table(
        identifier=f"steps-{domain}", caption=text(f"Change at every step on **{domain}**: numbers of both figures."),
        columns=columns, rows=rows, small=True,
        notes=[text("Image: mean distance of colours, 1 from black to white. Styles: squared units of W. Claims about "
                    "steps are judged by these numbers and their intervals, image by image where there is a score for "
                    f"each. Protocols: {protocols}.")],
    )  # fmt: skip


def _weights(domain: str, inspected: Sequence[Inspected], folder: Path) -> list[Block]:
    changing = [one for one in inspected if one.measured.get("weight_change")]
    changing.sort(key=lambda one: one.kind == "pti")
    if not changing:
        return []
    name = f"weights-{domain}-layers"
    figures.weight_bars(changing, folder, name, LANDSCAPE)
    figure = Figure(
        identifier=name,
        caption=text(
            f"Which convolutions change? On **{domain}** (HyperInverter's Figures 8 and 11). Mean absolute change of a "
            "convolution's weights, over the weights and the test images; lines on the bars are 95 % bootstrap "
            f"intervals over images, of {figures.FEWEST} and more. Each method has its own scale: "
            "HyperInverter predicts its changes, PTI finds them by gradient descent, with steps of about equal size "
            "for all weights. Look for: solid bars above hatched "
            "ones, and, on the papers' faces, the last resolution above all others."
        ),
        alternative=f"Bars of the mean weight change of each convolution on {domain}",
    )  # fmt: skip
    columns = [Column(key="layer", label="Layer", align="left"), Column(key="kind", label="Kind", align="left")]
    for one in changing:
        columns.append(Column(key=f"{one.method}_interval", label=one.method, only="report"))
        columns += [Column(key=f"{one.method}_{end}", label=end, only="csv") for end in ("mean", "low", "high")]
    parts = [{layer["layer"]: layer for layer in one.measured["weight_change"]["layers"]} for one in changing]
    summed = [
        {f"all {kind}": entry for kind, entry in one.measured["weight_change"]["kinds"].items()}
        | {
            f"all of {side} px": one.measured["weight_change"]["resolutions"][side]
            for side in sorted(one.measured["weight_change"]["resolutions"], key=int)
        }
        for one in changing
    ]
    rows = []
    for found in (parts, summed):
        for layer in found[0]:
            cells = [plain(layer.replace("-", " ").replace("px", " px") if found is parts else layer)]
            cells.append(plain(found[0][layer]["kind"] if found is parts else "mean of layers"))
            for part in found:
                known = 0 if layer not in part else 3 if part[layer]["n"] >= figures.FEWEST else 1
                ends = [float(part[layer][end]) for end in ("mean", "low", "high")[:known]]
                words = [f"{end:.6f}" for end in ends] or ["–"]
                cells.append(Cell(text=words[0] + (f" [{', '.join(words[1:])}]" if words[1:] else "")))
                cells += [Cell(text=word, value=end) for word, end in zip(words, ends, strict=False)]
                cells += [Cell(text="–")] * (3 - len(ends))
            rows.append(Row(cells=cells))
    images = ", ".join(f"{one.method} {one.n}" for one in changing)
    return [figure, Table(
        identifier=f"weights-{domain}", caption=text(f"Mean absolute change of weights by layer on **{domain}**."),
        columns=columns, rows=rows, small=True,
        notes=[text(f"Test images: {images}; in brackets intervals of 95 %, of {figures.FEWEST} images and more. "
                    "The last lines are what the claims are judged by. "
                    f"Protocol: `{changing[0].measured['protocols']['weight_change']}`.")],
    )]  # fmt: skip


def _phases(domain: str, paper: str, inspected: Sequence[Inspected], runs: Sequence[Run], folder: Path) -> list[Block]:
    transitions = []
    for one in inspected:
        home, words = PHASES.get(one.kind, ("", ""))
        if home == paper:
            transitions += _of_runs(one, words, runs) if one.n < figures.FEWEST else _of_steps(one, words)
    # A refinement that passes through another one's stages shows them all.
    transitions = list({one.name: one for one in transitions}.values())
    if not transitions:
        return []
    name = f"phases-{domain}-{paper}"
    figures.phase_maps(transitions, folder, name, LANDSCAPE, TALLEST)
    counts = ", ".join(f"{one.name.replace(chr(10), ', ')}: {one.n}" for one in transitions)
    return [Figure(
        identifier=name,
        caption=text(
            f"What does a later phase change, and does it help? On **{domain}** (HyperInverter's Figures 12 and 13). "
            "Left: mean change from before to after, on each map's own scale and, where there are several rows, on one "
            "for all; then by how much the mean error, the distance of colours to the input, grows, with its mean over "
            f"the pixels below: purple is better, orange worse. Means over test images ({counts}). Right: examples, of "
            "which the last picture is the change. Look for: change where detail is, and purple wherever there is "
            "change."
        ),
        alternative=f"Heat maps of the change from one phase to the next on {domain}, with examples",
    )]  # fmt: skip


def _of_steps(one: Inspected, words: str) -> list[Transition]:
    if one.maps is None or one.errors is None:
        return []
    found = []
    for number, change in enumerate(one.maps):
        name = words.format(one.steps[number], one.steps[number + 1])
        method = one.method.split("/")[0] if one.of_passes else one.method
        found.append(Transition(
            f"{method}\n{name}", one.n, change.astype(np.float64),
            one.errors[number + 1].astype(np.float64) - one.errors[number], one.inputs,
            one.drawn[number], one.drawn[number + 1],
        ))  # fmt: skip
    return found


def _of_runs(one: Inspected, words: str, runs: Sequence[Run]) -> list[Transition]:
    after = next((run for run in runs if run.name == one.run), None)
    start = after.record.get("arguments", {}).get("start") if after else None
    before = next((run for run in runs if run.method == start), None)
    if after is None or before is None or not after.per_image.index.equals(before.per_image.index):
        return []
    errors = [figures.distance(after.inputs, outputs).mean(axis=0) for outputs in (before.outputs, after.outputs)]
    change = figures.distance(before.outputs, after.outputs).mean(axis=0)
    places = _places(after, chosen_images([after], 2, 0))
    return [Transition(f"{one.method}\n{words}", len(after.inputs), change, errors[1] - errors[0],
                       after.inputs[places], before.outputs[places], after.outputs[places])]  # fmt: skip


def _places(run: Run, images: Sequence[int]) -> list[int]:
    numbers = run.per_image.index.tolist()
    return [numbers.index(image) for image in images]


def errors(runs: Sequence[Run], folder: Path, width: float) -> list[Block]:
    """Where methods err: for every domain grids of error maps, one per part of its methods.

    Args:
        runs: of all domains; those that failed have no maps.
        folder: where the drawings go.
        width: of a figure, in inches.
    """
    done = [run for run in runs if not run.failed]
    domains = dict.fromkeys(run.domain for run in done)
    return [block for domain in domains
            for block in _errors(domain, [run for run in done if run.domain == domain], folder, width)]  # fmt: skip


def _errors(domain: str, done: Sequence[Run], folder: Path, width: float) -> list[Block]:
    chosen = chosen_images(done, *SHOWN)
    maps = {run.name: figures.distance(run.inputs, run.outputs) for run in done}
    top = figures.top_of(list(maps.values()), figures.CLIP)
    marked = [bool(done[0].per_image["out_of_distribution"].loc[image]) for image in chosen]
    heads = [f"#{image}" + (" OOD" if mark else "") for image, mark in zip(chosen, marked, strict=True)]
    parts = math.ceil(len(done) / ROWS)
    blocks: list[Block] = []
    for number in range(parts):
        part = done[len(done) * number // parts : len(done) * (number + 1) // parts]
        rows, name = [], f"errors-{domain}-{number + 1}"
        for run in part:
            rows.append((run.method, maps[run.name].mean(axis=0), run.outputs[_places(run, chosen)]))
        inputs = part[0].inputs[_places(part[0], chosen)]
        figures.error_maps(rows, inputs, heads, marked, top, folder, name, width)
        words = f", part {number + 1} of {parts}" if parts > 1 else ""
        blocks.append(Figure(
            identifier=name,
            caption=text(
                f"Where does each method err on **{domain}**{words}? Distance of colours between input and "
                "reconstruction, root mean square over the channels, dark for none; first the mean over all "
                f"{_count(done)} test images of a run, then some images, spread evenly and not chosen, "
                "out-of-distribution ones last, each with its mean. One scale for all methods of the domain; it ends "
                f"at the value that {figures.CLIP:.1%} of all pixels stay below. Look for: edges, hair and background "
                "that a method gives up."
            ),
            alternative=f"Error heat maps of every method on {domain}",
        ))  # fmt: skip
    return blocks


def _count(runs: Sequence[Run]) -> str:
    counts = sorted({len(run.inputs) for run in runs})
    return " to ".join(f"{count:,}" for count in dict.fromkeys((counts[0], counts[-1])))

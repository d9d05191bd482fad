"""The figures of inspections: where and how much every step changes the image, which styles and weights it moves, what
a second phase does, where methods err, and what a layer of insertion costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.drawing import DASHES, MARKERS, PALETTE, STYLE, save
from reports.heat import MAGNITUDE, SIGNED, Bar, Line, Panel, grid, top_of
from reports.read import Pixels
from reports.read_inspection import Inspected

Map = NDArray[np.float64]
GROUP_LOOKS = {"coarse": 0, "medium": 1, "fine": 2}
"""Numbers in the palette."""
LAYERS = {"convolution": ("convolution", PALETTE[0], ""), "torgb": ("toRGB", PALETTE[1], "////")}
UNIT = "0: equal, 1: from black to white"
CLIP = 0.995
"""Share of the pixels that a scale covers; the rest is drawn like its end, lest one pixel darken a map."""
FEWEST = 8
"""Of fewer images neither a mean map nor a bootstrap interval says anything."""


@dataclass(frozen=True)
class Transition:
    """What comes before and after a phase of a method.

    Attributes:
        name: of the method and the phase; a line break makes two lines.
        n: images in the means.
        change: (H, W) mean colour distance from before to after.
        error_change: (H, W) by how much the mean distance to the image grows; below 0 is better.
        inputs: (examples, H, W, 3).
        before: likewise.
        after: likewise.
    """

    name: str
    n: int
    change: Map
    error_change: Map
    inputs: Pixels
    before: Pixels
    after: Pixels


def distance(one: Pixels, other: Pixels) -> Map:
    """`metrics.change.colour_distance` of 8-bit pictures: (..., H, W, 3) -> (..., H, W) in [0, 1]."""
    moved = (one.astype(np.float64) - other.astype(np.float64)) / 255
    return np.asarray(np.sqrt((moved**2).mean(axis=-1)))


def step_maps(inspected: Sequence[Inspected], folder: Path, identifier: str, width: float, tallest: float) -> None:
    """ReStyle's Figures 6 and 7: for every method one row of maps scaled each by itself and one on a common scale."""
    numbers = sorted({step for one in inspected for step in one.steps[1:]})
    lines = []
    for position, one in enumerate(inspected):
        assert one.maps is not None
        maps = dict(zip(one.steps[1:], one.maps, strict=True))
        top = top_of(list(maps.values()), CLIP)
        own: list[Panel | None] = []
        common: list[Panel | None] = []
        for number in numbers:
            if number not in maps:
                own.append(None)
                common.append(None)
                continue
            highest = top_of([maps[number]], CLIP)
            own.append(Panel(maps[number], 0, highest, note=f"to {highest:.2g}"))
            common.append(Panel(maps[number], 0, top, note=f"{maps[number].mean():.2g}"))  # ten maps a row: no words
        lines.append(Line(f"{one.method}\neach by itself", own, new_group=position > 0))
        lines.append(Line(f"all together,\nto {top:.2g}", common))
    bars = [Bar("share of the end of the map's or the row's scale", 0, 1)]
    grid(lines, [f"step {number}" for number in numbers], folder, identifier, width, bars, tallest=tallest)


def latent_lines(inspected: Sequence[Inspected], folder: Path, identifier: str, width: float) -> None:
    """ReStyle's Figure 15: change of the coarse, medium and fine styles at every step, a panel per method."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, 2.5), layout="constrained")
        FigureCanvasAgg(figure)
        first = None
        for position, one in enumerate(inspected):
            axes = figure.add_subplot(1, len(inspected), position + 1, sharey=first)
            first = first or axes
            changes = one.measured["latent_change"]
            steps = [change["step"] for change in changes]
            for look, group in enumerate(one.groups):
                entries = [change["groups"][group] for change in changes]
                colour = PALETTE[GROUP_LOOKS.get(group, look)]
                axes.fill_between(steps, [entry["low"] for entry in entries], [entry["high"] for entry in entries],
                                  color=colour, alpha=0.18, linewidth=0)  # fmt: skip
                axes.plot(steps, [entry["value"] for entry in entries], color=colour, label=group, linewidth=1.4,
                          marker=MARKERS[look], markersize=3.2, linestyle=DASHES[look])  # fmt: skip
            axes.set_title(f"{one.method} ({one.n} images)", fontsize=8)
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_xlabel("step")
            if position == 0:
                axes.set_ylabel("change of a style (W², log)")
            else:
                axes.tick_params(labelleft=False)
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
        save(figure, folder, identifier)


def weight_bars(inspected: Sequence[Inspected], folder: Path, identifier: str, width: float) -> None:
    """HyperInverter's Figures 8 and 11: mean absolute change of every convolution's weights, a panel per method."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style: dict[str, Any] = {**STYLE, "hatch.linewidth": 0.6}
    with matplotlib.rc_context(style):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, 2.6), layout="constrained")
        FigureCanvasAgg(figure)
        for position, one in enumerate(inspected):
            axes = figure.add_subplot(1, len(inspected), position + 1)
            layers = one.measured["weight_change"]["layers"]
            for kind, (label, colour, hatch) in LAYERS.items():
                own = [(place, layer) for place, layer in enumerate(layers) if layer["kind"] == kind]
                heights = [layer["mean"] for _, layer in own]
                ends = np.array([[layer["mean"] - layer["low"], layer["high"] - layer["mean"]] for _, layer in own]).T
                axes.bar([place for place, _ in own], heights, color=colour, hatch=hatch, edgecolor="white",
                         linewidth=0.4, label=label, yerr=ends.clip(0) if one.n >= FEWEST else None,
                         error_kw={"linewidth": 0.8})  # fmt: skip
            axes.set_xticks(range(len(layers)), [_layer_name(layer["layer"]) for layer in layers], rotation=90)
            axes.grid(axis="x", visible=False)
            images = "1 image" if one.n == 1 else f"{one.n} images"
            axes.set_title(f"{one.method} ({images})", fontsize=8)
            if position == 0:
                axes.set_ylabel("mean |change of a weight|")
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
        save(figure, folder, identifier)


def _layer_name(layer: str) -> str:
    side, part = layer.split("-")
    return f"{side.removesuffix('px')} px {'toRGB' if part == 'torgb' else part}"


def phase_maps(transitions: Sequence[Transition], folder: Path, identifier: str, width: float, tallest: float) -> None:
    """HyperInverter's Figures 12 and 13: what a phase changes and whether that helps, on average and on examples."""
    examples = min(len(one.inputs) for one in transitions)
    changes = [distance(one.before[:examples], one.after[:examples]) for one in transitions]
    top, example_top = top_of([one.change for one in transitions], CLIP), top_of(changes, CLIP)
    most = top_of([abs(one.error_change) for one in transitions], CLIP)
    several = len(transitions) > 1
    lines = []
    for one, moved in zip(transitions, changes, strict=True):
        own = top_of([one.change], CLIP)
        panels: list[Panel | None] = [
            Panel(one.change, 0, own, note=f"to {own:.2g}"),
            *([Panel(one.change, 0, top, note=f"mean {one.change.mean():.2g}")] if several else []),
            Panel(one.error_change, -most, most, SIGNED, note=f"mean {one.error_change.mean():+.3f}".replace("-", "−")),
        ]
        for number in range(examples):
            panels += [Panel(one.inputs[number]), Panel(one.before[number]), Panel(one.after[number]),
                       Panel(moved[number], 0, example_top)]  # fmt: skip
        lines.append(Line(one.name, panels))
    heads = ["change,\nown scale", *(["change,\none scale"] if several else []), "error,\nafter − before"]
    first = len(heads)
    heads += [head for _ in range(examples) for head in ("input", "before", "after", "change")]
    bars = [
        Bar(f"mean change{', on one scale' if several else ''}", 0, top),
        Bar("error, after − before; purple: better", -most, most, SIGNED),
        Bar("change of an example, clipped above", 0, example_top),
    ]
    grid(lines, heads, folder, identifier, width, bars, [first + 4 * number for number in range(examples)],
         tallest=tallest)  # fmt: skip


def error_maps(
    rows: Sequence[tuple[str, Map, Pixels]], inputs: Pixels, heads: Sequence[str], marked: Sequence[bool], top: float,
    folder: Path, identifier: str, width: float,
) -> None:  # fmt: skip
    """Where methods err: for every method the mean map over all images and the maps of some images, on one scale.

    Args:
        rows: method, its (H, W) mean map, its reconstructions (images, H, W, 3).
        inputs: (images, H, W, 3).
        heads: of the images' columns.
        marked: which of them are out of distribution.
        top: end of the scale; what is above is drawn like it.
        folder: where the files go.
        identifier: their stem.
        width: in inches.
    """
    lines = [Line("input", [None, *(Panel(image) for image in inputs)])]
    for method, mean, outputs in rows:
        maps = distance(inputs, outputs)
        lines.append(Line(method, [Panel(mean, 0, top, note=f"mean {mean.mean():.3f}"),
                                   *(Panel(one, 0, top, note=f"{one.mean():.3f}") for one in maps)]))  # fmt: skip
    bars = [Bar(f"colour distance to the input ({UNIT}), clipped above", 0, top)]
    grid(lines, ["all images", *heads], folder, identifier, width, bars, [1], [False, *marked])


def insertion_layer_grid(
    variants: Sequence[tuple[int, Pixels, Pixels]], folder: Path, identifier: str, width: float, images: int = 5
) -> None:
    """Feature-Style's Figure 22: what the layer K at which the feature code is inserted does to the reconstruction.

    Args:
        variants: for every K, in the order of the rows: K, reconstructions (N, H, W, 3) uint8 and originals likewise,
            the same images for all.
        folder: where the files go.
        identifier: their stem.
        width: of the figure, in inches.
        images: how many images are shown: the first ones.

    Raises:
        ValueError: no variants, or they are of different images.
    """
    if not variants:
        raise ValueError("no variants to draw")
    originals = variants[0][2]
    if any(one.shape != originals.shape or (one != originals).any() for _, _, one in variants):
        raise ValueError("the variants are of different images, so they cannot stand beside each other")
    shown = min(images, len(originals))
    errors = {layer: distance(outputs, originals) for layer, outputs, _ in variants}
    top = top_of([errors[layer][:shown] for layer in errors], CLIP)
    lines = [Line("input", [None, *(cell for image in originals[:shown] for cell in (Panel(image), None))])]
    for layer, outputs, _ in variants:
        mean = errors[layer].mean(axis=0)
        cells: list[Panel | None] = [Panel(mean, 0, top, note=f"mean {mean.mean():.3f}")]
        for number in range(shown):
            cells += [Panel(outputs[number]), Panel(errors[layer][number], 0, top)]
        lines.append(Line(f"K = {layer}", cells))
    heads = [f"error, all\n{len(originals)} images", *(head for _ in range(shown) for head in ("image", "error"))]
    bars = [Bar(f"colour distance to the input ({UNIT}), clipped above", 0, top, MAGNITUDE)]
    grid(lines, heads, folder, identifier, width, bars, [1 + 2 * number for number in range(shown)])

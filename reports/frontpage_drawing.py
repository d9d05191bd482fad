"""The pictures of the first page: quality against time with a name at every method, and a strip of reconstructions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reports.drawing import PANELS, STYLE, plain_ticks, save
from reports.read import Run
from reports.sheet import ENLARGEMENT, GAP, Sheet, width_of
from reports.tabulate import heading_of_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# ReStyle's Fig. 5: optimisation green, encoders as stars, hybrids dashed, iterating encoders as lines.
_LOOKS = {"optimization": ("#009E73", "-"), "encoder": ("#0072B2", "-"), "hybrid": ("#B2508A", "--")}
_LETTERS, _SLANT = 56, 45
_LEAST = 0.08
"""Distance of two names beside a panel, as a share of its height."""


def spaced(wanted: Sequence[float], least: float) -> list[float]:
    """Heights near the wanted ones, at least `least` apart and in their order, as far as possible within 0 to 1."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    least = min(least, 1 / max(1, len(wanted) - 1))
    placed: list[float] = []
    for index in order:
        placed.append(max(wanted[index], placed[-1] + least if placed else 0.0))
    for position in reversed(range(len(placed))):
        highest = 1.0 if position == len(placed) - 1 else placed[position + 1] - least
        placed[position] = min(placed[position], highest)
    heights = [0.0] * len(wanted)
    for index, height in zip(order, placed, strict=True):
        heights[index] = height
    return heights


def quality_time(panels: Sequence[tuple[str, Sequence[Run], str]], folder: Path, identifier: str, width: float) -> None:
    """Draw (domain, runs, metric) panels beside each other as figures/<identifier>.svg and .png, `width` inches wide.

    Names stand beside a panel in the order of the methods' last points, so that no colour has to be looked up.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style: dict[str, Any] = {**STYLE, "font.size": 7}
    with matplotlib.rc_context(style):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, 1.56))
        FigureCanvasAgg(figure)
        for position, (domain, runs, metric) in enumerate(panels):
            share = 1 / len(panels)
            axes = figure.add_axes((position * share + 0.035, 0.21, share - 0.22, 0.68))
            words = PANELS[metric][0].format(heading_of_name(metric))
            axes.set_title(f"{domain}: {words}", fontsize=7.2, loc="left", pad=4)
            _panel(axes, runs, metric)
        save(figure, folder, identifier)


def _panel(axes: Axes, runs: Sequence[Run], metric: str) -> None:
    _, transform, logarithmic = PANELS[metric]
    ends: list[tuple[str, float, float, str]] = []
    drawn: list[tuple[float, float]] = []
    for run in runs:
        points = [(x, transform(y)) for x, y in zip(run.curve["seconds"], run.curve.get(metric, []), strict=False)]
        good = [(x, y) for x, y in points if x > 0 and math.isfinite(y) and (y > 0 or not logarithmic)]
        if not good:
            continue
        colour, dashes = _LOOKS[run.group]
        if len(points) == 1:
            axes.plot(*good[0], marker="*", markersize=8, color=colour, markeredgecolor="white", markeredgewidth=0.4,
                      linestyle="none", zorder=3, clip_on=False)  # fmt: skip
        else:
            axes.plot(*zip(*good, strict=True), color=colour, linestyle=dashes, linewidth=1.0)
            axes.plot(*good[-1], marker="o", markersize=3, color=colour, clip_on=False)
        drawn += good
        ends.append((run.method, *good[-1], colour))
    axes.set_xlabel("seconds per image, batch 1")
    axes.set_xscale("log")
    if logarithmic:
        axes.set_yscale("log")
    if not drawn:
        axes.text(0.5, 0.5, "no points", transform=axes.transAxes, ha="center")
        return
    plain_ticks(axes.xaxis, [x for x, _ in drawn])
    if logarithmic:
        plain_ticks(axes.yaxis, [y for _, y in drawn])
    low, high = axes.get_ylim()
    if logarithmic:
        wanted = [math.log(y / low) / math.log(high / low) for _, _, y, _ in ends]
    else:
        wanted = [(y - low) / (high - low) for _, _, y, _ in ends]
    for (name, x, y, colour), height in zip(ends, spaced(wanted, _LEAST), strict=True):
        axes.annotate(name, xy=(x, y), xytext=(1.07, height), textcoords="axes fraction", va="center", ha="left",
                      fontsize=6.3, color=colour, annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "linewidth": 0.35, "color": "#a8a8a8", "shrinkA": 1, "shrinkB": 2,
                                  "relpos": (0, 0.5)})  # fmt: skip


def strip(parts: Sequence[tuple[Sequence[Run], Sequence[int]]], methods: Sequence[str]) -> Sheet:
    """Inputs and reconstructions, an image per row and a method per column, names slanted over the columns.

    Args:
        parts: of each domain its runs and the numbers of the images to show; framed where out-of-distribution.
        methods: the columns after the input; blank where a domain has no run of one.
    """
    side = parts[0][0][0].inputs.shape[1] * ENLARGEMENT
    turn = math.radians(_SLANT)
    heads = ["input", *methods]
    top = int(max(width_of(name, _LETTERS) for name in heads) * math.sin(turn) + _LETTERS * math.cos(turn)) + 8
    step = side + GAP
    right = max(int((column + 0.5) * step + width_of(name, _LETTERS) * math.cos(turn) + _LETTERS)
                for column, name in enumerate(heads))  # fmt: skip
    rows = sum(len(images) for _, images in parts)
    sheet = Sheet(max(len(heads) * step + GAP, right), top + rows * step + GAP)
    for column, name in enumerate(heads):
        sheet.words((column + 0.55) * step, top - 12, name, _LETTERS, "start", "baseline", slant=_SLANT)
    row = 0
    for runs, images in parts:
        by_method = {run.method: run for run in runs}
        outside = runs[0].per_image["out_of_distribution"].astype(bool)
        for image in images:
            y = top + GAP + row * step
            tiles = [runs[0].inputs[runs[0].per_image.index.get_loc(image)]]
            for method in methods:
                run = by_method.get(method)
                tiles.append(np.full_like(tiles[0], 235) if run is None else
                             run.outputs[run.per_image.index.get_loc(image)])  # fmt: skip
            for column, tile in enumerate(tiles):
                sheet.image(GAP + column * step, y, tile)
            if outside.loc[image]:
                sheet.frame(1, y - 5, len(heads) * step + 3, y + side + 4, 5)
            row += 1
    return sheet

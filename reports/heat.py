"""Grids of pictures and heat maps as one drawing: every cell in its place, every scale said.

Heat maps are drawn in `MAGNITUDE` (nothing is dark, much is bright) or, where the sign counts, in `SIGNED` (zero is
white); both read the same to colour-blind readers. A pixel is a square of whole size; nothing is smoothed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reports.drawing import STYLE, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAGNITUDE = "viridis"
SIGNED = "PuOr_r"
TIMES = 2
"""By how much pixels are enlarged inside the file, so that no viewer smooths them into each other."""
_GAP, _GROUP_GAP, _HEAD, _NOTE, _BAR = 0.04, 0.14, 0.17, 0.12, 0.42
_INK, _ACCENT = "#222222", "#D55E00"
_NAME_SIZE, _SMALL = 7.5, 5.8
_INCH_PER_LETTER = 0.0585


@dataclass(frozen=True)
class Panel:
    """One cell: a picture (H, W, 3) uint8, or a map (H, W) with the ends of its scale.

    Attributes:
        values: what is drawn.
        low: value of the scale's dark (or purple) end; of no meaning for pictures.
        high: value of its bright (or orange) end.
        colours: name of the scale.
        note: a few letters under the cell.
    """

    values: NDArray[Any]
    low: float = 0.0
    high: float = 1.0
    colours: str = MAGNITUDE
    note: str = ""


@dataclass(frozen=True)
class Line:
    """One row of a grid.

    Attributes:
        name: what stands before it; a line break makes two lines.
        panels: its cells; None leaves one empty.
        new_group: whether more room is left above.
    """

    name: str
    panels: Sequence[Panel | None]
    new_group: bool = False


@dataclass(frozen=True)
class Bar:
    """A colour scale under the grid."""

    label: str
    low: float
    high: float
    colours: str = MAGNITUDE


def top_of(values: Sequence[NDArray[Any]], share: float = 1.0) -> float:
    """The end of a scale that all `values` share: their greatest, or the quantile `share` of all their pixels."""
    flat = np.concatenate([np.asarray(one, dtype=np.float64).ravel() for one in values])
    top = float(np.quantile(flat, share)) if share < 1 else float(flat.max())
    return top if top > 0 else 1.0


def grid(
    lines: Sequence[Line],
    heads: Sequence[str],
    folder: Path,
    identifier: str,
    width: float,
    bars: Sequence[Bar] = (),
    gaps: Sequence[int] = (),
    marked: Sequence[bool] = (),
    tallest: float = 8.4,
) -> None:
    """Draw a grid as figures/<identifier>.svg and .png.

    Args:
        lines: the rows, equally long.
        heads: what stands over each column; empty for nothing.
        folder: where the files go.
        identifier: their stem.
        width: of the figure, in inches.
        bars: colour scales, side by side under the grid.
        gaps: columns before which more room is left.
        marked: columns whose head is in the accent colour (out-of-distribution images); empty for none.
        tallest: height that is not exceeded, in inches; cells shrink instead.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = len(heads)
    words = [part for line in lines for part in line.name.split("\n")]
    label = _INCH_PER_LETTER * max((len(part) for part in words), default=0) + 0.1
    notes = [_NOTE if any(panel and panel.note for panel in line.panels) else 0.0 for line in lines]
    room = sum(notes) + _GROUP_GAP * sum(line.new_group for line in lines) + _GAP * len(lines)
    head_lines = max((head.count("\n") + 1 for head in heads if head), default=0)
    fixed = _HEAD * 0.72 * head_lines + 0.06 + room + (_BAR if bars else 0.05)
    side = min((width - label - _GAP * columns - _GROUP_GAP * len(gaps)) / columns, (tallest - fixed) / len(lines))
    height = fixed + side * len(lines)
    lefts, x = [], label
    for column in range(columns):
        x += _GROUP_GAP if column in gaps else 0.0
        lefts.append(x)
        x += side + _GAP
    width = max(x, label + 3.0)
    style: dict[str, Any] = {**STYLE, "axes.grid": False}
    with matplotlib.rc_context(style):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        y = _HEAD * 0.72 * head_lines + 0.04
        for column, head in enumerate(heads):
            accent = bool(marked) and marked[column]
            _words(axes, lefts[column] + side / 2, y - 0.03, head, _SMALL + 0.7, "center", "bottom",
                   _ACCENT if accent else _INK)  # fmt: skip
        for line, note in zip(lines, notes, strict=True):
            y += _GROUP_GAP if line.new_group else 0.0
            _words(axes, label - 0.07, y + side / 2, line.name, _NAME_SIZE, "right", "center")
            for left, panel in zip(lefts, line.panels, strict=True):
                if panel is not None:
                    _panel(axes, panel, (left, left + side, y + side, y))
                    _words(axes, left + side / 2, y + side + 0.015, panel.note, _SMALL, "center", "top")
            y += side + note + _GAP
        for number, bar in enumerate(bars):
            share = (x - label) / len(bars)
            _bar(axes, bar, label + number * share, min(share * 0.8, 2.6), y + 0.06)
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        axes.set_aspect("auto")
        save(figure, folder, identifier)


def _words(axes: Axes, x: float, y: float, words: str, size: float, across: Any, along: Any, ink: str = _INK) -> None:
    if words:
        axes.text(x, y, words, fontsize=size, ha=across, va=along, color=ink, linespacing=1.05)


def _panel(axes: Axes, panel: Panel, extent: tuple[float, float, float, float]) -> None:
    large = panel.values.repeat(TIMES, axis=0).repeat(TIMES, axis=1)
    colours = {} if large.ndim == 3 else {"cmap": panel.colours, "vmin": panel.low, "vmax": panel.high}
    axes.imshow(large, extent=extent, interpolation="none", aspect="auto", **colours)  # type: ignore[arg-type]


def _bar(axes: Axes, bar: Bar, left: float, length: float, top: float) -> None:
    ramp = np.linspace(bar.low, bar.high, 256)[None]
    extent = (left, left + length, top + 0.09, top)
    axes.imshow(ramp, extent=extent, interpolation="none", aspect="auto", cmap=bar.colours)
    for share in (0.0, 0.5, 1.0):
        value = bar.low + share * (bar.high - bar.low)
        across = {0.0: "left", 0.5: "center", 1.0: "right"}[share]
        printed = f"{value:.2g}".replace("-", "−") if abs(value) > 1e-12 else "0"
        _words(axes, left + share * length, top + 0.1, printed, _SMALL, across, "top")
    _words(axes, left, top + 0.21, bar.label, _SMALL + 0.7, "left", "top")

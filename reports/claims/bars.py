"""How many claims came out how, one bar for every paper and source of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.claims.judge import VERDICTS, Verdict
from reports.drawing import STYLE, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours once more; hatched where the colours alone are close in grey.
LOOK: dict[Verdict, tuple[str, str]] = {
    "supported": ("#0072B2", ""),
    "contradicted": ("#D55E00", "////"),
    "inconclusive": ("#F0C75E", ""),
    "not measured": ("#E3E3E3", ""),
}
BAR = 0.17  # inches


def _stack(axes: Axes, places: Sequence[float], bars: Sequence[Mapping[Verdict, int]], fontsize: float,
           pad: float) -> int:  # fmt: skip
    """Draw a stacked bar at every place, its counts in it; on hatching in a box, `pad` points around them.

    Returns:
        The length of the longest, at least 1.
    """
    ends = [0] * len(bars)
    for verdict in VERDICTS:
        colour, hatch = LOOK[verdict]
        lengths = [bar.get(verdict, 0) for bar in bars]
        axes.barh(places, lengths, left=ends, height=0.8, color=colour, hatch=hatch, edgecolor="white", linewidth=0.5,
                  label=verdict)  # fmt: skip
        ink = "white" if verdict in ("supported", "contradicted") else "black"
        box = {"facecolor": colour, "edgecolor": "none", "pad": pad} if hatch else None
        for place, length, end in zip(places, lengths, ends, strict=True):
            if length:
                axes.text(end + length / 2, place, str(length), ha="center", va="center", color=ink,
                          fontsize=fontsize, bbox=box)  # fmt: skip
        ends = [end + length for end, length in zip(ends, lengths, strict=True)]
    return max([*ends, 1])


def draw(counts: Sequence[tuple[str, Mapping[str, Mapping[Verdict, int]]]], folder: Path, identifier: str,
         width: float) -> None:  # fmt: skip
    """Draw stacked bars as figures/<identifier>.svg and .png.

    Args:
        counts: for every paper its name, and by source of numbers how many claims have which verdict.
        folder: where the files go.
        identifier: their stem.
        width: of the figure, in inches.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    bars = [(paper, source, by_verdict) for paper, sources in counts for source, by_verdict in sources.items()]
    places, place = [], 0.0
    for index, (paper, _, _) in enumerate(bars):
        place += 0.0 if index == 0 else 1.0 if paper == bars[index - 1][0] else 1.7
        places.append(place)
    style: dict[str, Any] = {**STYLE, "axes.grid": False, "hatch.linewidth": 0.5}
    with matplotlib.rc_context(style):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, BAR * (place + 1.5) + 0.75), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        longest = _stack(axes, places, [by_verdict for _, _, by_verdict in bars], fontsize=7, pad=0.8)
        axes.set_yticks(places, [source for _, source, _ in bars])
        for paper in dict.fromkeys(paper for paper, _, _ in bars):
            own = [y for y, bar in zip(places, bars, strict=True) if bar[0] == paper]
            axes.text(-0.155, (own[0] + own[-1]) / 2, paper, transform=axes.get_yaxis_transform(), ha="right",
                      va="center", fontweight="bold")  # fmt: skip
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("claims")
        axes.set_xlim(0, longest)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
        save(figure, folder, identifier)


def draw_small(counts: Sequence[tuple[str, Mapping[str, Mapping[Verdict, int]]]], folder: Path, identifier: str,
               width: float) -> None:  # fmt: skip
    """As `draw`, for a narrow column: paper and source share a line, and there is no axis."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bars = [(paper, source, found) for paper, sources in counts for source, found in sources.items()]
    style: dict[str, Any] = {**STYLE, "axes.grid": False, "hatch.linewidth": 0.5, "font.size": 7}
    with matplotlib.rc_context(style):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, min(0.28 * len(bars), 1.4) + 0.45), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        longest = _stack(axes, range(len(bars)), [found for _, _, found in bars], fontsize=6, pad=0.6)
        axes.invert_yaxis()
        axes.set_xlim(0, longest)
        axes.set_yticks(range(len(bars)), [f"{paper}, {source}" for paper, source, _ in bars], fontsize=6)
        axes.tick_params(length=0, pad=2)
        axes.xaxis.set_visible(False)
        axes.spines[:].set_visible(False)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False,
                      fontsize=6.5, columnspacing=1.0, handlelength=1.4)  # fmt: skip
        save(figure, folder, identifier)

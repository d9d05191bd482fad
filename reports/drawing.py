"""Quality-time plots: one look for all, colours that colour-blind readers tell apart, the same bytes every time.

As in ReStyle's Figs. 5 and 18 encoders are stars, ReStyle is solid, hybrids are dashed and optimisation is green; a
colour is the encoder that a method is built on. Both axes are logarithmic, save PSNR's, because decibels are a
logarithm already, and KID's, which may be below zero. Similarities are drawn as 1 minus themselves, so that a logarithm
makes sense and, as with L2 and LPIPS, lower is better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.files import atomic_path
from metrics import registry
from reports.read import Run
from reports.tabulate import heading_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe & Ito (2008), "Color universal design", without the yellow, which is too pale for a line on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
CHARACTERS_PER_INCH = 14  # of the legend's type
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLE = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so every machine draws the same letters
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "axes.linewidth": 0.7,
    "svg.fonttype": "path",
    "svg.hashsalt": "reinvert",
    "path.simplify": False,
}
PANELS: dict[str, tuple[str, Callable[[float], float], bool]] = {
    "l2": ("{} (lower is better)", lambda score: score, True),
    "lpips": ("{} (lower is better)", lambda score: score, True),
    "id": ("1 − {} (lower is better)", lambda score: 1 - score, True),
    "ssim": ("1 − {} (lower is better)", lambda score: 1 - score, True),
    "ms_ssim": ("1 − {} (lower is better)", lambda score: 1 - score, True),
    "psnr": ("{} in dB (higher is better)", lambda score: score, False),
    "fid": ("{} (lower is better)", lambda score: score, True),
    "kid": ("{} (lower is better)", lambda score: score, False),
}
"""By metric, in the order of the panels: what stands at the axis, what is drawn, and whether on a logarithmic axis."""
OPTIMISATION = "#009E73"
FAMILIES = {
    "e4e": "#D55E00", "psp": "#0072B2", "e2style": "#CC79A7", "hyperinverter": "#E69F00", "hfgi": "#56B4E9",
    "feature-style": "#000000", "idinvert": "#7A7A7A",
}  # fmt: skip
"""Colours by what a method's name, or that of its start, contains; the first that fits."""
STARS = ((5, 1, 0), (4, 1, 0), (6, 1, 0), (8, 1, 0), (3, 1, 0))
"""Stars of different numbers of points, for encoders of one family."""
FEW = 2
"""An encoder with at most so many yields answers once: what comes before is its start or its first phase."""


def quality_time(runs: Sequence[Run], names: Sequence[str], folder: Path, identifier: str, width: float) -> int:
    """Draw quality over seconds per image, one panel per metric, as figures/<identifier>.svg and .png.

    Methods that may be stopped are lines through the mean quality at each yield, encoders that answer once are stars.

    Args:
        runs: runs of one domain; failed ones are left to the tables.
        names: metrics out of `PANELS`.
        folder: where the files go.
        identifier: their stem.
        width: of the figure, in inches.

    Returns:
        How many points could not be drawn, because they are not finite or have no place on a logarithmic axis.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lost = 0
    columns = min(2 if len(names) <= 4 else 3, len(names))
    lines = math.ceil(len(names) / columns)
    shown = looks(runs)
    longest = max((len(run.method) for run in runs), default=0)
    legend_columns = max(1, int(width * CHARACTERS_PER_INCH / (longest + 8)))
    legend_rows = math.ceil(len(shown) / legend_columns)
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, 0.25 + (2.45 if columns < 3 else 2.1) * lines + 0.18 * legend_rows),
                        layout="constrained")  # fmt: skip
        FigureCanvasAgg(figure)
        for position, name in enumerate(names):
            axes = figure.add_subplot(lines, columns, position + 1)
            lost += _panel(axes, runs, name, shown)
            if position >= len(names) - columns:
                axes.set_xlabel("seconds per image, batch 1")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside upper center", ncols=min(legend_columns, len(labels)),
                          frameon=False, handlelength=2.6)  # fmt: skip
        save(figure, folder, identifier)
    return lost


def looks(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """What the lines and stars of runs look like, by name of the run; failed runs have none.

    Args:
        runs: of one domain.
    """
    found: dict[str, dict[str, Any]] = {}
    seen: dict[tuple[str, str], int] = {}
    for run in runs:
        if run.failed:
            continue
        kind = run.group if run.group != "encoder" else "star" if len(run.curve.get("steps", [])) <= FEW else "line"
        kind = "naive" if "naive-iteration" in run.method else kind
        start = str(run.record.get("arguments", {}).get("start", ""))
        words = (start, run.method) if run.group == "hybrid" else (run.method, start)
        matches = [colour for word in words for part, colour in FAMILIES.items() if part in word]
        colour = OPTIMISATION if run.group == "optimization" else (matches or ["#7A7A7A"])[0]
        number = seen[colour, kind] = seen.get((colour, kind), -1) + 1
        look: dict[str, Any] = {"color": colour, "label": run.method, "clip_on": False}
        if kind == "star":
            look |= {"marker": STARS[number % len(STARS)], "markersize": 9.5, "linestyle": "none", "zorder": 3,
                     "markeredgecolor": "white", "markeredgewidth": 0.5}  # fmt: skip
        else:
            style = {"hybrid": "--", "naive": ":"}.get(kind, "-")
            look |= {"marker": MARKERS[number % len(MARKERS)], "markersize": 3.2, "linewidth": 1.4, "linestyle": style}
        found[run.name] = look
    return found


def training_curve(points: Sequence[tuple[int, float]], folder: Path, identifier: str, width: float) -> bool:
    """Draw FID over images seen in training, as figures/<identifier>.svg and .png.

    Args:
        points: images seen and FID.
        folder: where the files go.
        identifier: their stem.
        width: of the figure, in inches.

    Returns:
        Whether there was anything to draw: points that are finite and above 0, as a logarithm needs them.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    good = [(images, fid) for images, fid in points if math.isfinite(fid) and fid > 0]
    if not good:
        return False
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, 2.45), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.plot(*zip(*good, strict=True), marker=MARKERS[0], markersize=3.2, linewidth=1.4, color=PALETTE[0])
        axes.set_yscale("log")
        plain_ticks(axes.yaxis, [fid for _, fid in good])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_xlabel("images seen")
        axes.set_ylabel(f"{heading_of(registry.get('fid'))}† (lower is better)")
        save(figure, folder, identifier)
    return True


def save(figure: Figure, folder: Path, identifier: str) -> None:
    """Write a drawing as SVG and as PNG of 300 dots per inch, without dates or versions inside."""
    with atomic_path(folder / f"{identifier}.svg") as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
    with atomic_path(folder / f"{identifier}.png") as temporary:
        figure.savefig(temporary, format="png", dpi=300, metadata={"Software": None})


def _panel(axes: Axes, runs: Sequence[Run], name: str, shown: Mapping[str, Mapping[str, Any]]) -> int:
    template, transform, logarithmic = PANELS[name]
    lost = 0
    drawn: list[tuple[float, float]] = []
    for run in (run for run in runs if not run.failed):
        seconds, scores = run.curve.get("seconds", []), run.curve.get(name, [])
        points = [(second, transform(score)) for second, score in zip(seconds, scores, strict=True)]
        good = [(x, y) for x, y in points if x > 0 and math.isfinite(y) and (y > 0 or not logarithmic)]
        lost += len(points) - len(good)
        if not good:
            continue
        drawn += good
        look = shown[run.name]
        if look["linestyle"] == "none":
            # What an encoder refines in its second phase is where a thin line to the star begins.
            axes.plot(*zip(*good, strict=True), color=look["color"], linewidth=0.7, marker=".", markersize=2.5)
            good = good[-1:]
        axes.plot(*zip(*good, strict=True), **look)
    axes.set_ylabel(template.format(heading_of(registry.get(name)) + ("†" if registry.get(name).embedded else "")))
    axes.set_xscale("log")
    if logarithmic:
        axes.set_yscale("log")
    if not drawn:
        axes.text(0.5, 0.5, "no points", transform=axes.transAxes, ha="center")
        return lost
    for axis, values in ((axes.xaxis, [x for x, _ in drawn]), (axes.yaxis, [y for _, y in drawn])):
        if axis is axes.yaxis and not logarithmic:
            continue
        plain_ticks(axis, values)
    return lost


def plain_ticks(axis: Axis, values: Sequence[float]) -> None:
    """Ticks of a logarithmic axis that reads well over `values`: plain numbers, neither too many nor too few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    # The more decades, the fewer labels in each.
    decades = math.log10(max(values) / min(values))
    few, some, many = (1.0,), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    subdivisions = few if decades > 2.5 else some if decades > 1.2 else many
    axis.set_major_locator(LogLocator(subs=subdivisions, numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())

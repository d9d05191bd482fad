"""What applications add to the chapters of the papers: E2Style's deep hiding and face swapping, Feature-Style's videos.

Each has one table with the numbers that the claims are judged by, and pictures of the first images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reports.drawing import PALETTE, STYLE
from reports.drawing import save as save_drawing
from reports.model import Block, Cell, Column, Figure, Heading, Pair, Row, Table, text
from reports.pictures import arrange
from reports.read_applications import Applied
from reports.tabulate import plain

LETTERS = 30
SOURCE = "source"
"""Stands for a method in the numbers of the videos themselves."""
EMBEDDED = "† Measured with judges trained on the embedded domain; not comparable with published numbers."


def chapters(applied: Sequence[Applied], folder: Path, width: float) -> dict[str, list[Block]]:
    """Draw what applications made, and what to put into the chapter of each paper.

    Args:
        applied: of all domains.
        folder: where pictures and drawings go.
        width: of the drawing of videos, in inches.

    Returns:
        By paper the blocks for the end of its chapter; papers without any are left out.
    """
    of = {name: [one for one in applied if one.application == name] for one in applied for name in [one.application]}
    hiding, swapping, videos = (of.get(name, []) for name in ("deep-hiding", "face-swapping", "videos"))
    found: dict[str, list[Block]] = {"e2style": [], "feature-style-encoder": []}
    if hiding:
        found["e2style"] += [Heading(title="Secure deep hiding (section V-A)"), hiding_table(hiding)]
        found["e2style"] += _beside(_pictures(hiding, folder, (
            ("inputs", "photo"), ("whole", "whole code"), ("rounded", "rounded code")),
            "Deep hiding on **{}**: test images, what their codes draw, and what the receiver draws from the hidden, "
            "rounded codes.", "Grid: photos of {}, drawings of whole and of rounded codes"))  # fmt: skip
    if swapping:
        found["e2style"] += [Heading(title="Semantic face swapping (section V-B)"), swapping_table(swapping[0])]
        found["e2style"] += _beside(_pictures(swapping, folder, (
            ("sources", "source"), ("targets", "target"), ("pasted", "pasted"), ("results", "result")),
            "Face swapping on **{}**: the middle of the source in the target, and what the inversion of that draws; "
            f"box `{swapping[0].record['shown_box']}`.",
            "Grid: source, target, pasted image and result of swaps on {}"))  # fmt: skip
    for one in videos:
        found["feature-style-encoder"] += [
            Heading(title="Identity along videos (appendix C)"), video_table(one),
            *_beside([video_plot(one, folder, width), *_frames(one, folder)]),
        ]  # fmt: skip
    return {paper: blocks for paper, blocks in found.items() if blocks}


def together(first: Mapping[str, Sequence[Block]], second: Mapping[str, Sequence[Block]]) -> dict[str, list[Block]]:
    """The blocks of both for every paper, in order."""
    return {paper: [*first.get(paper, ()), *second.get(paper, ())] for paper in dict.fromkeys([*first, *second])}


def _beside(figures: Sequence[Figure]) -> list[Block]:
    if len(figures) == 2:
        return [Pair(left=figures[0], right=figures[1])]
    return [figure.model_copy(update={"width": 0.6}) for figure in figures]


def _pictures(
    applied: Sequence[Applied], folder: Path, rows: Sequence[tuple[str, str]], caption: str, alternative: str
) -> list[Figure]:
    figures = []
    for one in applied:
        if not all(name in one.pictures for name, _ in rows):
            continue
        name = f"{one.application}-{one.domain}-pictures"
        count = len(one.pictures[rows[0][0]])
        grid = [(words, list(one.pictures[key])) for key, words in rows]
        arrange(grid, [[]] * count, LETTERS).save(folder, name)
        figures.append(Figure(identifier=name, caption=text(caption.format(one.domain)),
                              alternative=alternative.format(one.domain)))  # fmt: skip
    return figures


def _columns(key: str, label: str, direction: Any = "", dagger: bool = False) -> list[Column]:
    """A number for readers with its interval, and the three apart for the CSV file."""
    return [
        Column(key=f"{key}_interval", label=label, direction=direction, dagger=dagger, only="report"),
        *(Column(key=f"{key}{end}", label=f"{label}{end}", only="csv") for end in ("", "_low", "_high")),
    ]


def _cells(entry: Mapping[str, Any] | None, decimals: int) -> list[Cell]:
    if entry is None:
        return [Cell(text="–")] * 4
    ends = [float(entry[name]) for name in ("value", "low", "high")]
    words = [f"{value:.{decimals}f}".replace("-", "−") for value in ends]
    return [Cell(text=f"{words[0]} [{words[1]}, {words[2]}]")] + [
        Cell(text=word, value=value) for word, value in zip(words, ends, strict=True)
    ]


def _number(value: float | None, decimals: int) -> Cell:
    return Cell(text="–") if value is None else Cell(text=f"{value:.{decimals}f}", value=value)


def hiding_table(applied: Sequence[Applied]) -> Table:
    """One line per domain: are codes revealed exactly, and what does rounding them cost?"""
    columns = [
        Column(key="domain", label="Domain", align="left"),
        *_columns("share_of_codes_exact", "Codes revealed exactly", "↑"), Column(key="hidden", label="of codes"),
        *_columns("rounding_share", "Rounding / inversion", "↓", dagger=True),
        Column(key="lpips_of_rounding", label="LPIPS of rounding", dagger=True),
        Column(key="lpips_of_inversion", label="LPIPS of inversion", dagger=True),
        Column(key="n", label="n"), Column(key="n_failed", label="Failed"),
        Column(key="stego_psnr", label="PSNR of stego (dB)"),
        Column(key="carrier_values_changed", label="Values changed (%)"),
    ]  # fmt: skip
    rows = []
    for one in applied:
        exact = one.cell("share_of_codes_exact", "deep-hiding")
        share, record = one.cell("rounding_share", "deep-hiding"), one.record
        changed = record["carrier_values_changed"]
        rows.append(Row(cells=[
            plain(one.domain), *_cells(exact, 3), plain(int(exact["n"])), *_cells(share, 3),
            _number(record["lpips_of_rounding"], 3), _number(record["lpips_of_inversion"], 3), plain(int(share["n"])),
            plain(int(share["n_failed"])), _number(record["stego_psnr"], 1),
            _number(None if changed is None else 100 * changed, 2),
        ]))  # fmt: skip
    record = applied[0].record
    rate = f", {record['rate']:.3f} for each lowest bit" if record["rate"] else ""
    return Table(
        identifier="deep-hiding",
        caption=text(f"Deep hiding with {record['methods'][0]}: the rounded code of a test image, hidden in a montage "
                     f"of other test images of {record['carrier_side']} px by syndrome-trellis codes, and revealed."),
        columns=columns, rows=rows, small=True,
        notes=[
            text(f"A code is {record['message_bits']:,} bits{rate}; the paper hides 82,944 bits in 1024 px, 0.026. "
                 "Rounding / inversion: mean LPIPS between what the code and what the rounded code draw, over mean "
                 "LPIPS between the photo and what the code draws; below 1, rounding does less than inversion, "
                 "which is the easier the worse the inversion is: read the LPIPS of rounding itself, too. "
                 "Intervals are 95 % bootstrap intervals over images."),
            text(f"{EMBEDDED} Protocols: {_protocols(applied[0], 'rounding_share', 'lpips', 'psnr')}."),
        ],
    )  # fmt: skip


def _protocols(one: Applied, *metrics: str) -> str:
    return ", ".join(f"`{one.record['protocols'][name]}`" for name in metrics)


def swapping_table(one: Applied) -> Table:
    """Whom the result resembles, and how much of the seam is left, for every box."""
    lines = [
        ("result", "source", "target", "result"),
        ("pasted image, not inverted", "pasted-source", "pasted-target", "pasted"),
        ("target's photo", "source-target", "", "photo"),
    ]
    columns = [
        Column(key="box", label="Box", align="left"), Column(key="image", label="Image", align="left"),
        *_columns("id_source", "ID with the source", "↑", dagger=True),
        *_columns("id_target", "ID with the target", dagger=True), *_columns("seam", "Seam", "↓"),
        Column(key="n", label="n"), Column(key="n_failed", label="Failed"),
    ]  # fmt: skip
    rows = []
    settings = one.record["settings"]
    order = sorted(settings["boxes"], key=lambda name: _area(settings["boxes"][name]), reverse=True)
    for box in order:
        for words, source, target, border in lines:
            alike = one.cell("swap_identity", f"swap={source},box={box}")
            other = one.cell("swap_identity", f"swap={target},box={box}") if target else None
            rows.append(Row(cells=[
                Cell(text=box if words == "result" else "", value=box), plain(words), *_cells(alike, 3),
                *_cells(other, 3), *_cells(one.cell("seam", f"swap={border},box={box}"), 4), plain(int(alike["n"])),
                plain(int(alike["n_failed"])),
            ]))  # fmt: skip
    boxes = "; ".join(f"{box}: {', '.join(f'{share:g}' for share in settings['boxes'][box])}" for box in order)
    return Table(
        identifier="face-swapping",
        caption=text(f"Face swapping with {one.record['methods'][0]} on **{one.domain}**: the middle of a source, "
                     "pasted into the target of another person and nearest yaw, and inverted."),
        columns=columns, rows=rows, small=True,
        notes=[
            text(f"Boxes, as top, bottom, left and right in shares of the side: {boxes}. The paper gives no size, and "
                 "whom the pasted image resembles is what inversion starts from: hair, outline and what else lies "
                 "outside the box are the target's. So the claim is judged by the box `face`, whose pasted image "
                 "resembles the source; it was chosen, by pasted images alone, after the inversions of `features` "
                 "had been measured."),
            text(f"Sources look at most {settings['largest_yaw']:g} degrees to the side. Seam: mean difference of "
                 "colours between neighbouring pixels across the box's border, 0 to 1. Intervals are 95 % bootstrap "
                 "intervals over pairs."),
            text(f"{EMBEDDED} Protocols: {_protocols(one, 'swap_identity', 'seam')}."),
        ],
    )  # fmt: skip


def _area(shares: Sequence[float]) -> float:
    top, bottom, left, right = shares
    return (bottom - top) * (right - left)


def video_table(one: Applied) -> Table:
    """Identity consistency of the source and of every method, and each gap to the source."""
    columns = [
        Column(key="method", label="Method", align="left"),
        *_columns("identity_consistency", "Identity consistency", dagger=True),
        *_columns("identity_consistency_gap", "Gap to the source", "↓", dagger=True),
        Column(key="n", label="Videos"), Column(key="n_failed", label="Failed"),
    ]  # fmt: skip
    rows = []
    for method in (SOURCE, *one.record["methods"]):
        own = one.cell("identity_consistency", method=method)
        gap = None if method == SOURCE else one.cell("identity_consistency_gap", method=method)
        counts = [plain(int(own[name])) for name in ("n", "n_failed")]
        rows.append(Row(cells=[plain(method), *_cells(own, 3), *_cells(gap, 4), *counts]))
    settings = one.record["settings"]
    return Table(
        identifier="videos",
        caption=text(f"Identity along videos on **{one.domain}**, inverted frame by frame (Feature-Style's Eq. 9 and "
                     f"Figure 9): {settings['videos']} videos of {settings['frames']} frames drawn by the renderer."),
        columns=columns, rows=rows, small=True,
        notes=[
            text("Identity consistency: mean cosine between the first frame and those that follow. Gap: mean over "
                 "videos of the absolute difference from the source's. In a video "
                 f"{', '.join(settings['amplitudes'])} move; person, age, light and background stay. A method that "
                 "draws much the same for every frame is consistent without being right; see [[videos-plot]] and the "
                 "frames. Intervals are 95 % bootstrap intervals over videos."),
            text(f"{EMBEDDED} Protocols: {_protocols(one, 'identity_consistency', 'identity_consistency_gap')}."),
        ],
    )  # fmt: skip


def video_plot(one: Applied, folder: Path, width: float) -> Figure:
    """Feature-Style's Figure 9: a box of the videos' identity consistency for each method, with the source's mean."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    per_video: Mapping[str, Sequence[float]] = one.record["per_video"]
    order = [SOURCE, *one.record["methods"]]
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        drawing = Drawing(figsize=(width, 0.6 + 0.5 * len(order)), layout="constrained")
        FigureCanvasAgg(drawing)
        axes = drawing.add_subplot()
        places = np.arange(len(order))[::-1]
        axes.axvline(float(np.mean(per_video[SOURCE])), color=PALETTE[1], linewidth=1, linestyle="--")
        axes.boxplot([list(per_video[name]) for name in order], positions=places, orientation="horizontal", widths=0.6,
                     whis=(0, 100), medianprops={"color": PALETTE[0]}, boxprops={"linewidth": 0.8},
                     whiskerprops={"linewidth": 0.8}, capprops={"linewidth": 0.8})  # fmt: skip
        for place, name in zip(places, order, strict=True):
            axes.plot(per_video[name], [place] * len(per_video[name]), linestyle="none", marker="o", markersize=2,
                      color=PALETTE[0], alpha=0.5)  # fmt: skip
            axes.plot([np.mean(per_video[name])], [place], linestyle="none", marker="D", markersize=4, color=PALETTE[1])
        axes.set_yticks(places, order)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("identity consistency of a video†")
        save_drawing(drawing, folder, "videos-plot")
    return Figure(
        identifier="videos-plot",
        caption=text(
            f"How consistent is identity along inverted videos, on **{one.domain}** (Feature-Style's Figure 9)? Each "
            "point is a video, a box holds the middle half, whiskers reach to the ends, the diamond is the mean; the "
            "dashed line is the source's mean. Look for: Feature-Style's diamond nearest to the line."
        ),
        alternative="Horizontal box plots of identity consistency, the source on top, then one method per line",
    )  # fmt: skip


def _frames(one: Applied, folder: Path) -> list[Figure]:
    order = [(name.replace("/", "-"), name) for name in (SOURCE, *one.record["methods"])]
    if not all(key in one.pictures for key, _ in order):
        return []
    grid = [(words, list(one.pictures[key][0])) for key, words in order]
    count = len(grid[0][1])
    captions = [[f"frame {number}"] for number in range(count)]
    arrange(grid, captions, LETTERS).save(folder, "videos-frames")
    return [Figure(
        identifier="videos-frames",
        caption=text(f"The first video on **{one.domain}** and what each method makes of it, frame by frame."),
        alternative="Grid: frames of a video, the source on top, then one method per row",
    )]  # fmt: skip

"""Sheets made of the images themselves: comparison grid and failure gallery."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.errors import ReinvertError
from metrics import registry
from reports.read import Pixels, Run
from reports.sheet import ACCENT, ENLARGEMENT, GAP, INK, Sheet, width_of
from reports.tabulate import heading_of


def arrange(
    rows: Sequence[tuple[str, Sequence[Pixels]]],
    captions: Sequence[Sequence[str]],
    letters: int = 26,
    marked: Sequence[bool] = (),
    enlargement: int = ENLARGEMENT,
) -> Sheet:
    """A sheet of rows of images with a name before each row and lines of words under each column.

    Args:
        rows: name and images (H, W, 3) of each row; all rows have the same number of images.
        captions: per column, the lines under it.
        letters: size of the names in pixels.
        marked: per column, whether it gets a frame (out-of-distribution images); empty for none.
        enlargement: side of the square a pixel becomes.
    """
    small = letters * 4 // 5
    side = rows[0][1][0].shape[0] * enlargement
    named = max(width_of(name, letters) for name, _ in rows)
    label = 24 + named if named else 0
    lines = max(len(caption) for caption in captions)
    line_height = letters + 1
    height = len(rows) * (side + GAP) + GAP
    foot = lines * line_height + 4 if lines else 0
    sheet = Sheet(label + len(captions) * (side + GAP) + GAP, height + foot, enlargement)
    for line, (name, images) in enumerate(rows):
        top = GAP + line * (side + GAP)
        sheet.words(label - 16, top + side // 2, name, letters, "end", "middle")
        for column, image in enumerate(images):
            sheet.image(label + GAP + column * (side + GAP), top, image)
    for column, caption in enumerate(captions):
        left, mark = label + GAP + column * (side + GAP), bool(marked) and marked[column]
        if mark:
            sheet.frame(left - 4, 1, left + side + 3, height - 2, 4)
        for line, words in enumerate(caption):
            ink = ACCENT if mark and line == 0 else INK
            sheet.words(left + side // 2, height + 4 + line * line_height, words, small, ink=ink)
    return sheet


def _spread(candidates: Sequence[int], count: int) -> list[int]:
    """`count` of the candidates, evenly spread, without choosing by result."""
    if len(candidates) <= count:
        return list(candidates)
    return [candidates[round(position)] for position in np.linspace(0, len(candidates) - 1, count)]


def chosen_images(runs: Sequence[Run], inside: int, outside: int) -> list[int]:
    """Numbers of the images to show: evenly spread over those that every run has, in- and out-of-distribution.

    Raises:
        ReinvertError: the runs have no image in common.
    """
    common = set(runs[0].per_image.index)
    for run in runs[1:]:
        common &= set(run.per_image.index)
    if not common:
        raise ReinvertError("the runs of a domain have no image in common; evaluate all of them again")
    marks = runs[0].per_image["out_of_distribution"].astype(bool)
    ordered = sorted(common)
    return _spread([image for image in ordered if not marks.loc[image]], inside) + _spread(
        [image for image in ordered if marks.loc[image]], outside
    )


def comparison(runs: Sequence[Run], images: Sequence[int], letters: int) -> Sheet:
    """Input and every method's reconstruction, one column per image; names are `letters` pixels high."""
    positions = [[run.per_image.index.get_loc(image) for image in images] for run in runs]
    rows = [("input", [runs[0].inputs[position] for position in positions[0]])]
    for run, where in zip(runs, positions, strict=True):
        rows.append((run.method, [run.outputs[position] for position in where]))
    marked = [bool(runs[0].per_image["out_of_distribution"].loc[image]) for image in images]
    captions = [[f"#{image}" + (" OOD" if mark else "")] for image, mark in zip(images, marked, strict=True)]
    return arrange(rows, captions, letters, marked)


def worst_images(run: Run, by: str, count: int) -> list[int]:
    """Numbers of the run's worst images: failed ones first, then by the metric; ties in order of number."""
    table = run.per_image.copy()
    table["_image"] = table.index
    table["_fail"] = ~table["failed"].astype(bool)
    ascending = registry.get(by).direction == "higher"
    ordered = table.sort_values(["_fail", by, "_image"], ascending=[True, ascending, True], na_position="first")
    return [int(image) for image in ordered["_image"].head(count)]


def failures(runs: Sequence[Run], by: str, shown: Sequence[str], count: int) -> Sheet:
    """Each run's worst images, one run per row: every input beside its reconstruction, scores below."""
    side = runs[0].inputs.shape[1] * ENLARGEMENT
    pair, foot = 2 * side + 4 * GAP, 66
    label = 24 + max(width_of(run.method, 30) for run in runs)
    sheet = Sheet(label + count * pair, len(runs) * (side + foot) + GAP)
    for line, run in enumerate(runs):
        top = GAP + line * (side + foot)
        sheet.words(label - 14, top + side // 2, run.method, 30, "end", "middle")
        for column, image in enumerate(worst_images(run, by, count)):
            position, left = run.per_image.index.get_loc(image), label + column * pair
            for index, tile in enumerate((run.inputs[position], run.outputs[position])):
                sheet.image(left + index * side, top, tile)
            mark = bool(run.per_image["out_of_distribution"].loc[image])
            if mark:
                sheet.frame(left - 4, top - 4, left + 2 * side + 3, top + side + 3, 4)
            head, words = f"#{image}" + (" OOD" if mark else ""), []
            if bool(run.per_image["failed"].loc[image]):
                head += ", failed"
            for name in shown:
                if name in run.per_image:
                    metric, score = registry.get(name), float(run.per_image[name].loc[image])
                    printed = f"{score:.{min(metric.decimals, 2)}f}" if np.isfinite(score) else "failed"
                    words.append(f"{heading_of(metric)} {printed}")
            for lines, said in enumerate((head, "  ".join(words))):
                ink = ACCENT if mark and lines == 0 else INK
                sheet.words(left + side, top + side + 7 + 25 * lines, said, 21, ink=ink)
    return sheet

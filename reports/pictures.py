"""Pictures made of the images themselves: comparison grid and failure gallery.

Every pixel is enlarged to a square of whole size (nearest neighbour), so nothing is smoothed away or made up.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.errors import ReinvertError
from core.files import atomic_path
from metrics import registry
from reports.read import Pixels, Run
from reports.tabulate import heading_of

ENLARGEMENT = 3
GAP = 6
INK = (20, 20, 20)
ACCENT = (213, 94, 0)  # the palette's vermilion


def font_of(size: int) -> ImageFont.FreeTypeFont:
    """The letters of all pictures, `size` pixels high."""
    import matplotlib

    # The same letters as in the plots, from a file that is there wherever matplotlib is.
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)


def enlarged(image: Pixels, times: int = ENLARGEMENT) -> Pixels:
    """(H, W, 3) -> (times H, times W, 3), each pixel a square."""
    return image.repeat(times, axis=0).repeat(times, axis=1)


def save(canvas: Image.Image, path: Path) -> None:
    """Write a PNG file, whole or not at all."""
    with atomic_path(path) as temporary:
        canvas.save(temporary, format="PNG", optimize=False, compress_level=9)


def arrange(
    rows: Sequence[tuple[str, Sequence[Pixels]]],
    marked: Sequence[bool],
    captions: Sequence[Sequence[str]],
    letters: int = 26,
    enlargement: int = ENLARGEMENT,
) -> Image.Image:
    """A picture of rows of images with a name before each row and lines of words under each column.

    Args:
        rows: name and images (H, W, 3) of each row; all rows have the same number of images.
        marked: per column, whether it gets a frame (out-of-distribution images).
        captions: per column, the lines under it.
        letters: size of the names in pixels.
        enlargement: side of the square a pixel becomes.
    """
    font, small = font_of(letters), font_of(letters * 4 // 5)
    side = rows[0][1][0].shape[0] * enlargement
    named = max(int(font.getlength(name)) for name, _ in rows)
    label = 24 + named if named else 0
    lines = max(len(caption) for caption in captions)
    line_height = letters + 1
    height = len(rows) * (side + GAP) + GAP
    foot = lines * line_height + 4 if lines else 0
    canvas = Image.new("RGB", (label + len(marked) * (side + GAP) + GAP, height + foot), "white")
    draw = ImageDraw.Draw(canvas)
    for line, (name, images) in enumerate(rows):
        top = GAP + line * (side + GAP)
        draw.text((label - 16, top + side // 2), name, font=font, fill=INK, anchor="rm")
        for column, image in enumerate(images):
            canvas.paste(Image.fromarray(enlarged(image, enlargement)), (label + GAP + column * (side + GAP), top))
    for column, mark in enumerate(marked):
        left = label + GAP + column * (side + GAP)
        if mark:
            draw.rectangle((left - 4, 1, left + side + 3, height - 2), outline=ACCENT, width=4)
        for line, words in enumerate(captions[column]):
            place = (left + side // 2, height + 4 + line * line_height)
            draw.text(place, words, font=small, fill=ACCENT if mark and line == 0 else INK, anchor="ma")
    return canvas


def tiles(
    path: Path,
    rows: Sequence[tuple[str, Sequence[Pixels]]],
    marked: Sequence[bool],
    captions: Sequence[Sequence[str]],
    letters: int = 26,
) -> None:
    """Write what `arrange` makes of the rest to the PNG file `path`."""
    save(arrange(rows, marked, captions, letters), path)


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


def comparison(runs: Sequence[Run], images: Sequence[int], path: Path, letters: int) -> None:
    """Write input and every method's reconstruction, one column per image; names are `letters` pixels high."""
    positions = [[run.per_image.index.get_loc(image) for image in images] for run in runs]
    rows = [("input", [runs[0].inputs[position] for position in positions[0]])]
    for run, where in zip(runs, positions, strict=True):
        rows.append((run.method, [run.outputs[position] for position in where]))
    marked = [bool(runs[0].per_image["out_of_distribution"].loc[image]) for image in images]
    captions = [[f"#{image}" + (" OOD" if mark else "")] for image, mark in zip(images, marked, strict=True)]
    tiles(path, rows, marked, captions, letters)


def worst_images(run: Run, by: str, count: int) -> list[int]:
    """Numbers of the run's worst images: failed ones first, then by the metric; ties in order of number."""
    table = run.per_image.copy()
    table["_image"] = table.index
    table["_fail"] = ~table["failed"].astype(bool)
    ascending = registry.get(by).direction == "higher"
    ordered = table.sort_values(["_fail", by, "_image"], ascending=[True, ascending, True], na_position="first")
    return [int(image) for image in ordered["_image"].head(count)]


def failures(runs: Sequence[Run], by: str, shown: Sequence[str], count: int, path: Path) -> None:
    """Write each run's worst images, one run per row: every input beside its reconstruction, scores below."""
    font, small = font_of(30), font_of(21)
    side = runs[0].inputs.shape[1] * ENLARGEMENT
    pair, foot = 2 * side + 4 * GAP, 66
    label = 24 + max(int(font.getlength(run.method)) for run in runs)
    canvas = Image.new("RGB", (label + count * pair, len(runs) * (side + foot) + GAP), "white")
    draw = ImageDraw.Draw(canvas)
    for line, run in enumerate(runs):
        top = GAP + line * (side + foot)
        draw.text((label - 14, top + side // 2), run.method, font=font, fill=INK, anchor="rm")
        for column, image in enumerate(worst_images(run, by, count)):
            position, left = run.per_image.index.get_loc(image), label + column * pair
            for index, tile in enumerate((run.inputs[position], run.outputs[position])):
                canvas.paste(Image.fromarray(enlarged(tile)), (left + index * side, top))
            mark = bool(run.per_image["out_of_distribution"].loc[image])
            if mark:
                draw.rectangle((left - 4, top - 4, left + 2 * side + 3, top + side + 3), outline=ACCENT, width=4)
            head, words = f"#{image}" + (" OOD" if mark else ""), []
            if bool(run.per_image["failed"].loc[image]):
                head += ", failed"
            for name in shown:
                if name in run.per_image:
                    metric, score = registry.get(name), float(run.per_image[name].loc[image])
                    printed = f"{score:.{min(metric.decimals, 2)}f}" if np.isfinite(score) else "failed"
                    words.append(f"{heading_of(metric)} {printed}")
            for lines, said in enumerate((head, "  ".join(words))):
                draw.text((left + side, top + side + 7 + 25 * lines), said, font=small,
                          fill=ACCENT if mark and lines == 0 else INK, anchor="ma")  # fmt: skip
    save(canvas, path)

"""A sheet with images, frames and words on it, written as SVG and as PNG that look the same.

In the SVG file, and so in the PDF, an image has its own size and is a JPEG of quality 95 with full colour, about 42 dB
from the pixels and a fourth of their size; viewers are told to enlarge it without smoothing. The PNG file holds the
pixels themselves, each enlarged to a square of whole size, so nothing is smoothed away or made up.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from core.files import atomic_path, atomic_write_text
from reports.pdf import fonts_folder
from reports.read import Pixels

ENLARGEMENT = 3
"""Units that a side of an image's pixel takes, unless a sheet has another number."""
GAP = 6
"""Room between images, in the sheet's units; an image's pixel is a square of `Sheet.enlargement` of them."""
INK = (20, 20, 20)
ACCENT = (213, 94, 0)  # the palette's vermilion
_JPEG_QUALITY = 95
_FONT = "DejaVu Sans"
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


@cache
def font_of(size: int) -> ImageFont.FreeTypeFont:
    """The letters of all sheets, `size` units high."""
    # The same letters as in the plots and the PDF.
    return ImageFont.truetype(str(fonts_folder() / "DejaVuSans.ttf"), size)


def width_of(words: str, size: int) -> int:
    """How much room `words` take."""
    return int(font_of(size).getlength(words))


def enlarged(image: Pixels, times: int) -> Pixels:
    """(H, W, 3) -> (times H, times W, 3), each pixel a square."""
    return image.repeat(times, axis=0).repeat(times, axis=1)


@dataclass(frozen=True)
class _Words:
    x: float
    baseline: float
    words: str
    size: int
    anchor: Literal["start", "middle", "end"]
    ink: tuple[int, int, int]
    slant: float


class Sheet:
    """What is put on it, in the order of kinds: images, patches, frames, words."""

    def __init__(self, width: int, height: int, enlargement: int = ENLARGEMENT) -> None:
        """An empty white sheet.

        Args:
            width: in units; a pixel of the PNG file is one.
            height: likewise.
            enlargement: units that a side of an image's pixel takes.
        """
        self.width, self.height, self.enlargement = width, height, enlargement
        self._images: list[tuple[int, int, Pixels]] = []
        self._frames: list[tuple[tuple[int, int, int, int], int]] = []
        self._patches: list[tuple[tuple[int, int, int, int], tuple[int, int, int]]] = []
        self._words: list[_Words] = []

    def image(self, left: int, top: int, pixels: Pixels) -> None:
        """Put an image (H, W, 3) uint8 with its corner there."""
        self._images.append((left, top, pixels))

    def frame(self, left: int, top: int, right: int, bottom: int, width: int) -> None:
        """Draw a frame in the accent colour; its line lies within the corners, which belong to it."""
        self._frames.append(((left, top, right, bottom), width))

    def patch(self, left: int, top: int, right: int, bottom: int, colour: tuple[int, int, int]) -> None:
        """Fill a rectangle, corners included."""
        self._patches.append(((left, top, right, bottom), colour))

    def words(
        self,
        x: float,
        y: float,
        words: str,
        size: int,
        anchor: Literal["start", "middle", "end"] = "middle",
        along: Literal["top", "middle", "baseline"] = "top",
        ink: tuple[int, int, int] = INK,
        slant: float = 0.0,
    ) -> None:
        """Write a line.

        Args:
            x: where it starts, has its middle or ends, by `anchor`.
            y: where its top, middle or baseline is, by `along`.
            words: what is written.
            size: of the letters.
            anchor: which end `x` is of.
            along: which height `y` is of.
            ink: colour.
            slant: degrees by which it rises, about (x, baseline).
        """
        ascent, descent = font_of(size).getmetrics()
        baseline = y + {"top": ascent, "middle": (ascent - descent) / 2, "baseline": 0}[along]
        self._words.append(_Words(x, baseline, words, size, anchor, ink, slant))

    def save(self, folder: Path, identifier: str) -> None:
        """Write `<identifier>.svg` and `<identifier>.png`, each whole or not at all."""
        atomic_write_text(folder / f"{identifier}.svg", self.svg())
        self.save_png(folder / f"{identifier}.png")

    def save_png(self, path: Path) -> None:
        """Write the PNG file alone, whole or not at all."""
        with atomic_path(path) as temporary:
            self.raster().save(temporary, format="PNG", compress_level=6)  # 9 takes ten times as long for 2 %

    def raster(self) -> Image.Image:
        """The sheet as pixels."""
        canvas = Image.new("RGB", (self.width, self.height), "white")
        draw = ImageDraw.Draw(canvas)
        for left, top, pixels in self._images:
            canvas.paste(Image.fromarray(enlarged(pixels, self.enlargement)), (left, top))
        for corners, colour in self._patches:
            draw.rectangle(corners, fill=colour)
        for corners, width in self._frames:
            draw.rectangle(corners, outline=ACCENT, width=width)
        for line in self._words:
            if line.slant:
                _slanted(canvas, line)
            else:
                place = (line.x, line.baseline)
                draw.text(place, line.words, font=font_of(line.size), fill=line.ink, anchor=_ANCHORS[line.anchor])
        return canvas

    def svg(self) -> str:
        """The sheet as SVG, the images inside."""
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}">',
            f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>',
        ]
        for left, top, pixels in self._images:
            height, width = (side * self.enlargement for side in pixels.shape[:2])
            parts.append(
                f'<image x="{left}" y="{top}" width="{width}" height="{height}" style="image-rendering:pixelated" '
                f'href="data:image/jpeg;base64,{_jpeg(pixels)}"/>'
            )
        for (left, top, right, bottom), colour in self._patches:
            parts.append(
                f'<rect x="{left}" y="{top}" width="{right - left + 1}" height="{bottom - top + 1}" '
                f'fill="{_hex(colour)}"/>'
            )
        for (left, top, right, bottom), line_width in self._frames:
            # SVG draws a line on both sides of its path, Pillow inside the corners.
            inset = line_width / 2
            parts.append(
                f'<rect x="{left + inset:g}" y="{top + inset:g}" width="{right - left + 1 - line_width}" '
                f'height="{bottom - top + 1 - line_width}" fill="none" stroke="{_hex(ACCENT)}" '
                f'stroke-width="{line_width}"/>'
            )
        for line in self._words:
            turned = f' transform="rotate({-line.slant:g} {line.x:g} {line.baseline:g})"' if line.slant else ""
            parts.append(
                f'<text x="{line.x:g}" y="{line.baseline:g}" font-family="{_FONT}, Verdana, sans-serif" '
                f'font-size="{line.size}" text-anchor="{line.anchor}" fill="{_hex(line.ink)}"{turned}>'
                f"{escape(line.words)}</text>"
            )
        return "\n".join([*parts, "</svg>", ""])


def _slanted(canvas: Image.Image, line: _Words) -> None:
    # The words on a square around their anchor, turned about its middle.
    half = math.ceil(font_of(line.size).getlength(line.words)) + 2 * line.size
    mask = Image.new("L", (2 * half, 2 * half), 0)
    ImageDraw.Draw(mask).text((half, half), line.words, font=font_of(line.size), fill=255, anchor=_ANCHORS[line.anchor])
    turned = mask.rotate(line.slant, resample=Image.Resampling.BICUBIC)
    canvas.paste(line.ink, (round(line.x) - half, round(line.baseline) - half), turned)


def _jpeg(pixels: Pixels) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=_JPEG_QUALITY, subsampling=0, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _hex(colour: Sequence[int]) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)

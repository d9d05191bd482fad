import base64
import io
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import typst
from PIL import Image

from reports.pdf import fonts_folder
from reports.read import Pixels
from reports.sheet import ACCENT, Sheet, enlarged

SVG = "{http://www.w3.org/2000/svg}"


def _picture(size: int = 64) -> Pixels:
    down, across = np.mgrid[:size, :size] / (size - 1)
    channels = [128 + 100 * np.sin(12 * down), 255 * across, 128 + 120 * np.cos(4 * across * down)]
    return np.stack(channels, axis=2).astype(np.uint8)


def _sheet() -> Sheet:
    sheet = Sheet(260, 260)
    sheet.image(12, 20, _picture())
    sheet.frame(8, 16, 207, 215, 4)
    sheet.patch(220, 20, 239, 39, (0, 114, 178))
    sheet.words(108, 222, "e4e & <hybrid>", 20)
    sheet.words(225, 120, "slanted", 18, "start", "baseline", slant=45)
    return sheet


def test_the_png_file_holds_the_pixels_as_squares() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert enlarged(image, 3).shape == (6, 6, 3)
    assert (enlarged(image, 3)[::3, 2::3] == image).all()
    shown = np.asarray(_sheet().raster())
    assert np.array_equal(shown[20 : 20 + 192, 12 : 12 + 192], enlarged(_picture(), 3))
    assert (shown[16:20, 8:208] == ACCENT).all()
    assert (shown[15, 8:208] == 255).all()  # the line lies within its corners
    assert (shown[20:40, 220:240] == (0, 114, 178)).all()


def test_the_svg_file_holds_the_image_at_its_own_size() -> None:
    root = ElementTree.fromstring(_sheet().svg())
    (image,) = root.iter(f"{SVG}image")
    assert (image.get("x"), image.get("y"), image.get("width"), image.get("height")) == ("12", "20", "192", "192")
    stored = Image.open(io.BytesIO(base64.b64decode(image.attrib["href"].split(",")[1])))
    assert stored.size == (64, 64)
    error = np.square(np.asarray(stored, dtype=float) - _picture()).mean()
    assert 10 * math.log10(255**2 / error) > 40  # quality 95: nothing that an eye could see
    assert [text.text for text in root.iter(f"{SVG}text")] == ["e4e & <hybrid>", "slanted"]


def _box(pixels: Pixels) -> tuple[int, ...]:
    """Left, top, right and bottom of what is clearly not white."""
    return Image.fromarray((pixels.min(axis=2) < 170).astype(np.uint8)).getbbox() or ()


def test_both_files_look_the_same(tmp_path: Path) -> None:
    """Another program, typst's, draws the SVG file; a point of it is a pixel."""
    _sheet().save(tmp_path, "sheet")
    source = '#set page(width: 260pt, height: 260pt, margin: 0pt)\n#image("/sheet.svg", width: 260pt)'
    png = typst.compile(source.encode(), root=str(tmp_path), font_paths=[str(fonts_folder())],  # type: ignore[call-overload]
                        ignore_system_fonts=True, format="png", ppi=72.0)  # fmt: skip
    other = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    own = np.asarray(Image.open(tmp_path / "sheet.png"))
    parts = {"framed": (0, 0, 218, 218), "patch": (215, 0, 260, 50), "words": (0, 218, 218, 260),
             "slanted": (218, 50, 260, 260)}  # fmt: skip
    for name, (left, top, right, bottom) in parts.items():
        boxes = [_box(drawn[top:bottom, left:right]) for drawn in (own, other)]
        assert np.abs(np.subtract(*boxes)).max() <= 1, name  # letters are smoothed in different ways
    inside = np.abs(own[24:208, 16:200].astype(float) - other[24:208, 16:200])
    assert inside.mean() < 3  # of 255; a picture moved by one of its pixels differs by more
    assert np.abs(own[24:208, 16:200].astype(float) - other[27:211, 16:200]).mean() > 3


def test_a_sheet_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _sheet().save(tmp_path, name)
    for suffix in ("svg", "png"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()

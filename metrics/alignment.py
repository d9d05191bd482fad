"""FFHQ's alignment: from 68 facial landmarks to a square picture of the face.

Paper: Karras et al., "Progressive Growing of GANs" (arXiv 1710.10196), appendix C; the tool of the FFHQ dataset. The
crop is an upright or turned square around the eyes and the mouth. Large pictures are shrunk first; near faces' borders
pictures are continued by reflection, blurred and faded to the median.

Two settings are in use and must never be mixed: the dataset's own (`DATASET`: 1024 px, sampled at 4096, HyperInverter
too) and that of pSp, e4e, HFGI and E2Style (`PSP`: 256 px sampled at 256, so large faces are aliased, and landmarks in
whole pixels). Deviation: `PIL.Image.ANTIALIAS` is named LANCZOS today; the bytes are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from core.errors import ReinvertError

Points = NDArray[np.float64]
LANDMARKS = 68
LEFT_EYE, RIGHT_EYE, LEFT_MOUTH, RIGHT_MOUTH = slice(36, 42), slice(42, 48), 48, 54


@dataclass(frozen=True)
class Setting:
    """Side of the aligned picture, and of the picture that is sampled before it is reduced to that."""

    output_size: int
    transform_size: int


DATASET = Setting(1024, 4096)
PSP = Setting(256, 256)


@dataclass(frozen=True)
class Placement:
    """Where the square lies, and what is done to the picture before it is sampled. Boxes are left, top, right, bottom.

    Attributes:
        quad: (4, 2) corners in the picture given: top left, bottom left, bottom right, top right.
        side: of the square, in pixels of the picture given.
        shrink: the picture is made smaller by this factor; 1 and less leave it.
        shrunk_size: width and height after that.
        border: pixels kept around the square.
        crop: box kept of the shrunk picture.
        pad_needed: pixels by which the square and its border leave the picture.
        pad: pixels added by reflection on each side; zeros for none.
        quad_final: (4, 2) corners in the picture that is sampled.
    """

    quad: Points
    side: float
    shrink: int
    shrunk_size: tuple[int, int]
    border: int
    crop: tuple[int, int, int, int]
    pad_needed: tuple[int, int, int, int]
    pad: tuple[int, int, int, int]
    quad_final: Points

    @property
    def final_side(self) -> float:
        """Side of the square in pixels of the shrunk picture."""
        return self.side / self.shrink if self.shrink > 1 else self.side


def face_square(landmarks: Points) -> tuple[Points, float]:
    """Corners (4, 2) and side in pixels of the square that FFHQ cuts around a face.

    Args:
        landmarks: (68, 2) x and y in the order of dlib's predictor.

    Raises:
        ReinvertError: another number of landmarks, or eyes and mouth in one point.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (LANDMARKS, 2):
        raise ReinvertError(f"{points.shape} is not the shape of 68 landmarks; give (68, 2) x and y")
    left_eye, right_eye = points[LEFT_EYE].mean(axis=0), points[RIGHT_EYE].mean(axis=0)
    eyes = (left_eye + right_eye) * 0.5
    between_eyes = right_eye - left_eye
    to_mouth = (points[LEFT_MOUTH] + points[RIGHT_MOUTH]) * 0.5 - eyes
    across = between_eyes - np.flipud(to_mouth) * (-1, 1)
    length = np.hypot(*across)
    if length == 0:
        raise ReinvertError("the landmarks have no direction (eyes and mouth coincide); give a face's landmarks")
    across = across / length * max(np.hypot(*between_eyes) * 2.0, np.hypot(*to_mouth) * 1.8)
    down = np.flipud(across) * (-1, 1)
    centre = eyes + to_mouth * 0.1
    quad = np.stack([centre - across - down, centre - across + down, centre + across + down, centre + across - down])
    return quad, float(np.hypot(*across) * 2)


def _bounds(quad: Points) -> tuple[int, int, int, int]:
    low, high = np.floor(quad.min(axis=0)), np.ceil(quad.max(axis=0))
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def place(landmarks: Points, size: tuple[int, int], output_size: int) -> Placement:
    """Where a face's square lies in a picture of ``size`` (width, height), and how the picture is prepared.

    Raises:
        ReinvertError: see `face_square`.
    """
    quad, side = face_square(landmarks)
    shrink = int(np.floor(side / output_size * 0.5))
    width, height = size
    final, final_side = quad.copy(), side
    if shrink > 1:
        width, height = round(width / shrink), round(height / shrink)
        final, final_side = final / shrink, side / shrink
    shrunk = width, height
    border = max(round(final_side * 0.1), 3)
    box = _bounds(final)
    crop = (
        max(box[0] - border, 0),
        max(box[1] - border, 0),
        min(box[2] + border, width),
        min(box[3] + border, height),
    )
    if crop[2] - crop[0] < width or crop[3] - crop[1] < height:
        final = final - crop[:2]
        width, height = crop[2] - crop[0], crop[3] - crop[1]
    box = _bounds(final)
    needed = (
        max(-box[0] + border, 0),
        max(-box[1] + border, 0),
        max(box[2] - width + border, 0),
        max(box[3] - height + border, 0),
    )
    pad = (0, 0, 0, 0)
    if max(needed) > border - 4:
        least = round(final_side * 0.3)
        pad = (max(needed[0], least), max(needed[1], least), max(needed[2], least), max(needed[3], least))
        final = final + pad[:2]
    return Placement(quad, side, shrink, shrunk, border, crop, needed, pad, final)


def _padded(picture: Image.Image, pad: tuple[int, int, int, int], side: float) -> Image.Image:
    """Continue a picture by reflection, increasingly blurred and faded to the median colour away from it."""
    left, top, right, bottom = pad
    pixels = np.pad(np.asarray(picture, np.float32), ((top, bottom), (left, right), (0, 0)), "reflect")
    height, width, _ = pixels.shape
    y, x = np.ogrid[:height, :width]
    across = np.minimum(np.float32(x) / left, np.float32(width - 1 - x) / right)
    down = np.minimum(np.float32(y) / top, np.float32(height - 1 - y) / bottom)
    mask = np.maximum(1.0 - across, 1.0 - down)[..., None]
    blur = side * 0.02
    pixels += (ndimage.gaussian_filter(pixels, [blur, blur, 0]) - pixels) * np.clip(mask * 3.0 + 1.0, 0.0, 1.0)
    pixels += (np.median(pixels, axis=(0, 1)) - pixels) * np.clip(mask, 0.0, 1.0)
    return Image.fromarray(np.uint8(np.clip(np.rint(pixels), 0, 255)))


def align(picture: Image.Image, landmarks: Points, setting: Setting = DATASET) -> Image.Image:
    """The aligned face.

    Args:
        picture: RGB.
        landmarks: (68, 2) x and y in pixels, in the order of dlib's predictor.
        setting: sizes; published numbers hold for one of them.

    Raises:
        ReinvertError: see `face_square`; or the face lies so far outside that the picture cannot be continued.
    """
    placement = place(landmarks, picture.size, setting.output_size)
    if placement.crop[2] <= placement.crop[0] or placement.crop[3] <= placement.crop[1]:
        raise ReinvertError("the face lies outside the picture; check which picture its landmarks belong to")
    if placement.shrink > 1:
        picture = picture.resize(placement.shrunk_size, Image.Resampling.LANCZOS)
    if placement.crop != (0, 0, *picture.size):
        picture = picture.crop(placement.crop)
    if any(placement.pad):
        picture = _padded(picture, placement.pad, placement.final_side)
    corners = tuple((placement.quad_final + 0.5).flatten().tolist())
    square = (setting.transform_size, setting.transform_size)
    aligned = picture.transform(square, Image.Transform.QUAD, corners, Image.Resampling.BILINEAR)
    if setting.output_size < setting.transform_size:
        aligned = aligned.resize((setting.output_size, setting.output_size), Image.Resampling.LANCZOS)
    return aligned

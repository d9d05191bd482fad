"""A real photo through the geometry of faces: the astronaut that ships with scikit-image, landmarks set by hand.

The detector's weights are not ours to ship, so the landmarks stand here; they were read off the enlarged photo, to
about half a pixel. What is compared does not depend on how well: both sides use the same ones.
"""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage import data

from metrics.alignment import PSP, align, face_square
from metrics.five_point import TEMPLATE, crop_face, similarity

PUPILS_NOSE_MOUTH = np.array([[204.2, 101.2], [246.3, 103.2], [225.0, 126.7], [204.2, 140.0], [243.8, 140.8]])
LEFT_EYE = [[193.0, 100.8], [199.2, 97.0], [207.5, 97.5], [214.2, 102.0], [207.5, 104.7], [199.2, 104.2]]
RIGHT_EYE = [[236.7, 104.7], [241.7, 100.3], [251.7, 100.0], [259.7, 104.2], [251.7, 107.0], [241.7, 106.3]]
CENTRE = (225.0, 110.0)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(data.astronaut())


@pytest.fixture(scope="module")
def landmarks() -> NDArray[np.float64]:
    """Only eyes and mouth corners decide; the others stand anywhere."""
    points = np.full((68, 2), CENTRE)
    points[36:42], points[42:48] = LEFT_EYE, RIGHT_EYE
    points[48], points[54] = PUPILS_NOSE_MOUTH[3], PUPILS_NOSE_MOUTH[4]
    return points


def sampled(photo: Image.Image, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bilinear by scipy, black outside; positions of pixel centres are whole numbers."""
    pixels = np.asarray(photo).astype(float)
    return np.stack([ndimage.map_coordinates(pixels[..., c], [y, x], order=1) for c in range(3)], axis=-1)


def rotated(photo: Image.Image, points: NDArray[np.float64], degrees: float) -> tuple[Image.Image, NDArray[np.float64]]:
    """Photo and points turned about the face, counter-clockwise as one sees it."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = photo.rotate(degrees, Image.Resampling.BICUBIC, center=(CENTRE[0] + 0.5, CENTRE[1] + 0.5))
    return turned, (points - CENTRE) @ turn.T + CENTRE


def brightness(crop: NDArray[np.uint8], x: float, y: float) -> float:
    column, row = round(x), round(y)
    return float(crop[row - 1 : row + 2, column - 1 : column + 2].mean())


def test_the_five_point_crop_is_that_of_an_independent_warp(photo: Image.Image) -> None:
    crop = crop_face(np.asarray(photo), PUPILS_NOSE_MOUTH.T.flatten())
    affine = np.vstack([similarity(PUPILS_NOSE_MOUTH), (0, 0, 1)])
    x, y = np.meshgrid(np.arange(112.0), np.arange(112.0))
    back = np.linalg.inv(affine) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    wanted = sampled(photo, back[0].reshape(x.shape), back[1].reshape(x.shape))
    # Positions are rounded to 1/32 px as OpenCV does: half a step times a steep edge is some levels, on average few.
    assert np.abs(crop - wanted).mean() < 0.5
    exact = crop_face(np.asarray(photo), PUPILS_NOSE_MOUTH.T.flatten(), exact=True)
    assert np.abs(exact - wanted).max() <= 0.501  # rounding to whole levels


def test_the_crop_shows_the_face_where_the_template_has_it(photo: Image.Image) -> None:
    crop = crop_face(np.asarray(photo), PUPILS_NOSE_MOUTH.T.flatten())
    fit = similarity(PUPILS_NOSE_MOUTH)
    residual = np.linalg.norm(PUPILS_NOSE_MOUTH @ fit[:, :2].T + fit[:, 2] - TEMPLATE, axis=1)
    assert residual.max() < 7  # a face that smiles is not the template
    one_side = PUPILS_NOSE_MOUTH[[0, 1, 2, 4, 3]]  # the corners of the mouth alone, right before left
    fit = similarity(one_side)
    assert np.linalg.norm(one_side @ fit[:, :2].T + fit[:, 2] - TEMPLATE, axis=1).max() > 40
    for eye in TEMPLATE[:2]:
        around = [brightness(crop, eye[0] + step, eye[1] + 16) for step in (-4, 0, 4)]  # the cheek below
        near = [brightness(crop, eye[0] + dx, eye[1] + dy) for dx in range(-3, 4) for dy in range(-3, 4)]
        assert min(near) < min(around) / 2


def test_ffhq_alignment_is_that_of_an_independent_sampling(photo: Image.Image, landmarks: NDArray[np.float64]) -> None:
    aligned = np.asarray(align(photo, landmarks, PSP)).astype(float)
    quad, side = face_square(landmarks)
    assert 160 < side < 180
    top_left, bottom_left, _, top_right = quad
    across, down = np.meshgrid((np.arange(256) + 0.5) / 256, (np.arange(256) + 0.5) / 256)
    position = top_left + across[..., None] * (top_right - top_left) + down[..., None] * (bottom_left - top_left)
    wanted = sampled(photo, position[..., 0], position[..., 1])
    assert np.abs(aligned - wanted).mean() < 0.6  # PIL cuts off to whole levels: half a level on average
    assert np.abs(aligned - wanted).max() < 2


@pytest.mark.parametrize("degrees", [25, -40])
def test_a_turned_photo_gives_the_same_face(photo: Image.Image, landmarks: NDArray[np.float64], degrees: float) -> None:
    turned, points = rotated(photo, landmarks, degrees)
    one, other = (np.asarray(align(*pair, PSP)).astype(float) for pair in ((photo, landmarks), (turned, points)))
    inner = np.s_[64:192, 64:192]
    # The turned photo is resampled once more, which softens it by some levels; unaligned, they differ by dozens.
    assert np.abs(one - other)[inner].mean() < 4
    assert np.abs(one - np.asarray(align(turned, landmarks, PSP)).astype(float))[inner].mean() > 15
    turned, five = rotated(photo, PUPILS_NOSE_MOUTH, degrees)
    crops = [
        crop_face(np.asarray(picture), points.T.flatten()).astype(float)
        for picture, points in ((photo, PUPILS_NOSE_MOUTH), (turned, five))
    ]
    assert np.abs(crops[0] - crops[1])[20:92, 20:92].mean() < 4


def test_a_face_at_the_border_is_continued_and_stays_where_it_is(
    photo: Image.Image, landmarks: NDArray[np.float64]
) -> None:
    left, top = 150, 60
    cut = photo.crop((left, top, 512, 512))
    one, other = (
        np.asarray(align(*pair, PSP)).astype(float) for pair in ((photo, landmarks), (cut, landmarks - (left, top)))
    )
    assert other.shape == (256, 256, 3)
    # The middle does not touch what was added by reflection and blurred into the picture.
    assert np.abs(one - other)[110:200, 110:200].mean() < 1
    assert np.abs(one - other)[:30].mean() > 5

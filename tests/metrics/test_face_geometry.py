"""Alignment and five-point crops against closed forms."""

import numpy as np
import pytest
from PIL import Image

from core.errors import ReinvertError
from metrics.alignment import PSP, align, face_square, place
from metrics.five_point import TEMPLATE, crop_face, similarity, warp


def face(x: float, y: float, eyes: float, mouth: float) -> np.ndarray:
    """Landmarks of an upright face whose eyes' centre is (x, y)."""
    points = np.full((68, 2), (x, y), float)
    points[36:42, 0] -= eyes / 2
    points[42:48, 0] += eyes / 2
    points[[48, 54], 1] += mouth
    return points


def turned(points: np.ndarray, degrees: float, scale: float = 1.0, move: tuple[float, float] = (0, 0)) -> np.ndarray:
    angle = np.radians(degrees)
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ rotation.T + move


@pytest.mark.parametrize(("eyes", "mouth", "half"), [(64, 64, 128), (50, 100, 180)])
def test_an_upright_square_is_twice_the_eyes_or_nine_fifths_of_the_mouth(
    eyes: float, mouth: float, half: float
) -> None:
    quad, side = face_square(face(500, 400, eyes, mouth))
    assert side == pytest.approx(2 * half, abs=1e-9)
    top, bottom = 400 + 0.1 * mouth - half, 400 + 0.1 * mouth + half
    wanted = [[500 - half, top], [500 - half, bottom], [500 + half, bottom], [500 + half, top]]
    np.testing.assert_allclose(quad, wanted, atol=1e-9)


def test_the_square_moves_with_the_face() -> None:
    points = face(10, 20, 60, 70)
    quad, side = face_square(points)
    moved, moved_side = face_square(turned(points, 30, 1.5, (300, 200)))
    np.testing.assert_allclose(moved, turned(quad, 30, 1.5, (300, 200)), atol=1e-9)
    assert moved_side == pytest.approx(1.5 * side)


def test_an_inner_face_is_cropped_and_a_border_face_is_continued() -> None:
    inner = place(face(500, 400, 64, 64), (1000, 800), 256)
    assert inner.pad == (0, 0, 0, 0)
    assert (inner.border, inner.shrink) == (26, 0)
    assert inner.crop == (346, 252, 654, 561)
    np.testing.assert_allclose(inner.quad_final + inner.crop[:2], inner.quad, atol=1e-9)
    corner = place(face(40, 40, 64, 64), (1000, 800), 256)
    assert corner.pad_needed == (114, 108, 0, 0)
    assert corner.pad == (114, 108, 77, 77)
    large = place(face(2000, 2000, 512, 512), (4000, 4000), 256)
    assert large.shrink == 4
    assert large.shrunk_size == (1000, 1000)


def test_an_aligned_face_shows_what_lies_in_its_square() -> None:
    x, y = np.meshgrid(np.arange(400), np.arange(400))
    picture = Image.fromarray(np.stack([x // 2, y // 2, 0 * x], axis=2).astype(np.uint8))
    pixels = np.asarray(align(picture, face(200, 193.6, 64, 64), PSP)).astype(float)
    positions = np.arange(256)
    np.testing.assert_allclose(pixels[128, :, 0], (72 + positions) / 2, atol=1.1)
    np.testing.assert_allclose(pixels[:, 128, 1], (72 + positions) / 2, atol=1.1)


def test_wrong_landmarks_are_refused() -> None:
    with pytest.raises(ReinvertError, match="68"):
        face_square(np.zeros((5, 2)))
    with pytest.raises(ReinvertError, match="no direction"):
        face_square(np.zeros((68, 2)))
    with pytest.raises(ReinvertError, match="outside"):
        align(Image.new("RGB", (100, 100)), face(900, 900, 20, 20), PSP)


def test_a_similarity_of_the_template_is_undone() -> None:
    points = turned(TEMPLATE, -20, 2.5, (37, 11))
    fit = similarity(points)
    # The points are rounded to single precision first.
    np.testing.assert_allclose(points @ fit[:, :2].T + fit[:, 2], TEMPLATE, atol=1e-4)
    mirrored = similarity(points * (-1, 1))
    np.testing.assert_allclose((points * (-1, 1)) @ mirrored[:, :2].T + mirrored[:, 2], TEMPLATE, atol=1e-4)
    with pytest.raises(ReinvertError, match="similarity"):
        similarity(np.zeros((5, 2)))


@pytest.mark.parametrize("exact", [True, False])
def test_a_warp_by_whole_pixels_copies_and_is_black_outside(exact: bool) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    moved = warp(picture, np.array([[1.0, 0, 3], [0, 1, -2]]), size=40, exact=exact)
    assert np.array_equal(moved[:18, 3:33], picture[2:])
    assert not moved[18:].any()
    assert not moved[:, :3].any()


def test_a_warp_between_pixels_averages_and_rounds_half_up() -> None:
    picture = np.array([[[10], [13]]], np.uint8)
    assert warp(picture, np.array([[1.0, 0, -0.5], [0, 1, 0]]), size=1)[0, 0, 0] == 12


def test_a_crop_puts_the_landmarks_where_the_template_has_them() -> None:
    picture = np.zeros((300, 300, 3), np.uint8)
    points = turned(TEMPLATE, 10, 2, (40, 20))
    x, y = np.rint(points[2]).astype(int)
    picture[y - 4 : y + 5, x - 4 : x + 5] = 255
    crop = crop_face(picture, points.T.flatten())
    rows, columns = np.nonzero(crop[..., 0] > 127)
    np.testing.assert_allclose((columns.mean(), rows.mean()), TEMPLATE[2], atol=0.5)

"""What MTCNN does with boxes between its networks: scales, suppression, calibration, squares, patches.

Paper: Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks" (IEEE SPL
2016, arXiv 1604.02878), in the form that pSp, ReStyle, E2Style and HyperInverter measure identity with. Boxes are rows
of x1, y1, x2, y2, score in pixels whose last column and row belong to the box, so a width is x2 - x1 + 1.

Oddities kept, since published ID scores depend on them: squares lose their score until the next network gives one, and
boxes are clipped to the picture when patches are cut, so that later calibration works on the clipped ones.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Boxes = NDArray[np.float64]
CELL = 12
"""Side of the patch that one output of the proposal network judges."""
STRIDE = 2
PYRAMID_FACTOR = 0.707


def pyramid_scales(width: int, height: int, min_face: float) -> list[float]:
    """Scales at which the picture is searched; the first turns ``min_face`` px into a cell."""
    scale = CELL / min_face
    shortest = min(width, height) * scale
    scales: list[float] = []
    while shortest > CELL:
        scales.append(scale * PYRAMID_FACTOR ** len(scales))
        shortest *= PYRAMID_FACTOR
    return scales


def proposals(scores: NDArray[np.floating], offsets: NDArray[np.floating], scale: float, threshold: float) -> Boxes:
    """Cells whose score is above the threshold, as boxes in the full picture.

    Args:
        scores: (H, W).
        offsets: (4, H, W) in units of the cell.
        scale: of the searched picture.
        threshold: least score, exclusive.

    Returns:
        (n, 9): x1, y1, x2, y2, score, four offsets; in reading order.
    """
    rows, columns = np.nonzero(scores > threshold)
    corners = [np.round((STRIDE * at + 1 + side) / scale) for side in (0, CELL) for at in (columns, rows)]
    return np.column_stack([*corners, scores[rows, columns], offsets[:, rows, columns].T]).astype(np.float64)


def suppress(boxes: Boxes, threshold: float, mode: Literal["union", "min"] = "union") -> NDArray[np.int64]:
    """Indices of the boxes (n, 5) that no kept box of higher score overlaps by more than the threshold, best first.

    Overlap is the intersection over the union, or with "min" over the smaller area.
    """
    x1, y1, x2, y2, scores = boxes[:, :5].T
    areas = (x2 - x1 + 1) * (y2 - y1 + 1)
    left = np.argsort(scores)
    kept: list[int] = []
    while len(left):
        best, left = left[-1], left[:-1]
        kept.append(int(best))
        width = np.minimum(x2[best], x2[left]) - np.maximum(x1[best], x1[left]) + 1
        height = np.minimum(y2[best], y2[left]) - np.maximum(y1[best], y1[left]) + 1
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        if mode == "min":
            overlap = shared / np.minimum(areas[best], areas[left])
        else:
            overlap = shared / (areas[best] + areas[left] - shared)
        left = left[overlap <= threshold]
    return np.array(kept, dtype=np.int64)


def sizes_of(boxes: Boxes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Widths and heights (n,)."""
    return boxes[:, 2] - boxes[:, 0] + 1, boxes[:, 3] - boxes[:, 1] + 1


def calibrate(boxes: Boxes, offsets: NDArray[np.floating]) -> Boxes:
    """Move the corners by ``offsets`` (n, 4), which are in units of the box's width and height."""
    width, height = sizes_of(boxes)
    moved = boxes.copy()
    moved[:, :4] += np.column_stack([width, height, width, height]) * offsets
    return moved


def squares(boxes: Boxes) -> Boxes:
    """The squares with the same centres and the longer sides; their scores are 0."""
    width, height = sizes_of(boxes)
    side = np.maximum(width, height)
    x1 = boxes[:, 0] + width * 0.5 - side * 0.5
    y1 = boxes[:, 1] + height * 0.5 - side * 0.5
    return np.column_stack([x1, y1, x1 + side - 1, y1 + side - 1, np.zeros(len(boxes))])


def rounded(boxes: Boxes) -> Boxes:
    """Corners at whole pixels, halves to even."""
    whole = boxes.copy()
    whole[:, :4] = np.round(whole[:, :4])
    return whole


def clipped(boxes: Boxes, width: int, height: int) -> tuple[Boxes, NDArray[np.int32]]:
    """Boxes cut to a picture, and where what is left of them lies.

    Args:
        boxes: (n, 5) at whole pixels.
        width: of the picture.
        height: of the picture.

    Returns:
        The boxes (n, 5), and rows (10, n): the part of the patch inside the picture, top, bottom, left, right; the same
        part in the picture, top, bottom, left, right; width and height of the patch. All are inclusive.
    """
    patch_width, patch_height = sizes_of(boxes)
    cut = boxes.copy()
    right, bottom = patch_width - 1, patch_height - 1
    over = cut[:, 2] > width - 1
    right[over] += (width - 1) - cut[over, 2]
    over = cut[:, 3] > height - 1
    bottom[over] += (height - 1) - cut[over, 3]
    left, top = np.maximum(-cut[:, 0], 0), np.maximum(-cut[:, 1], 0)
    cut[:, :2] = np.maximum(cut[:, :2], 0)
    cut[:, 2] = np.minimum(cut[:, 2], width - 1)
    cut[:, 3] = np.minimum(cut[:, 3], height - 1)
    x1, y1, x2, y2 = cut[:, :4].T
    parts = np.stack([top, bottom, left, right, y1, y2, x1, x2, patch_width, patch_height])
    return cut, parts.astype(np.int32)


def patches(boxes: Boxes, picture: NDArray[np.uint8], size: int) -> tuple[Boxes, NDArray[np.float32] | None]:
    """Cut the boxes out of a picture (H, W, 3), black outside it, and resize them (Pillow, bilinear).

    Returns:
        The clipped boxes and the patches (n, 3, size, size) as `network_input` has them; None for the patches where a
        box lies wholly outside the picture or has no area, which the published code does not survive.
    """
    cut, parts = clipped(boxes, picture.shape[1], picture.shape[0])
    inputs = np.zeros((len(boxes), 3, size, size), np.float32)
    for index, (top, bottom, left, right, y1, y2, x1, x2, width, height) in enumerate(parts.T):
        if min(width, height) < 1 or bottom < top or right < left:
            return cut, None
        patch = np.zeros((height, width, 3), np.uint8)
        patch[top : bottom + 1, left : right + 1] = picture[y1 : y2 + 1, x1 : x2 + 1]
        resized = Image.fromarray(patch).resize((size, size), Image.Resampling.BILINEAR)
        inputs[index] = network_input(np.asarray(resized))
    return cut, inputs


def network_input(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, 3) in 0 ... 255 -> (3, H, W) in about [-1, 1]."""
    return ((picture.astype(np.float32) - 127.5) * 0.0078125).transpose(2, 0, 1)


def landmarks_in_picture(boxes: Boxes, relative: NDArray[np.floating]) -> Boxes:
    """Five points relative to boxes, (n, 10) x0 ... x4, y0 ... y4 in units of width and height -> pixels."""
    width, height = sizes_of(boxes)
    x = boxes[:, :1] + width[:, None] * relative[:, :5]
    y = boxes[:, 1:2] + height[:, None] * relative[:, 5:]
    return np.concatenate([x, y], axis=1)

"""Faces brought to the 112 px crop of identity networks by five landmarks: a similarity and a bilinear warp.

As in the code that pSp and its successors measure ID with (ArcFace's template, Deng et al., arXiv 1801.07698). The
similarity is the least-squares fit of the *inverse* map, template to picture, so residuals are measured in pixels of
the picture: not Umeyama's. A mirrored fit is taken where it fits better, which no upright face makes happen.

The warp is OpenCV's, without OpenCV: up to its version 4 sample positions are rounded to 1/32 px, from version 5 they
are exact. Both round half up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.errors import ReinvertError

Matrix = NDArray[np.float64]
SIZE = 112
TEMPLATE: Matrix = np.array(
    [
        [38.29459953, 51.69630051],
        [73.53179932, 51.50139999],
        [56.02519989, 71.73660278],
        [41.54930115, 92.36550140],
        [70.72990036, 92.20410156],
    ]
)
"""Eyes, nose and mouth corners (x, y) in the 112 px crop: ArcFace's points for 112 x 96, centred."""
_STEPS = 32
_COORDINATE_BITS = 10


def _fit(points: Matrix, template: Matrix) -> Matrix:
    """The similarity template -> points (2, 3) without mirroring that fits best in the points' plane."""
    x, y = template.T
    one, zero = np.ones(len(x)), np.zeros(len(x))
    equations = np.concatenate([np.stack([x, y, one, zero], axis=1), np.stack([y, -x, zero, one], axis=1)])
    (cosine, sine, right, down), _, rank, _ = np.linalg.lstsq(equations, points.T.flatten(), rcond=-1)
    if rank < 4 or cosine == sine == 0:
        raise ReinvertError("the five landmarks determine no similarity; give five different points")
    return np.array([[cosine, sine, right], [-sine, cosine, down]])


def _inverse(affine: Matrix) -> Matrix:
    return np.linalg.inv(np.vstack([affine, (0.0, 0.0, 1.0)]))[:2]


def similarity(points: Matrix, template: Matrix = TEMPLATE) -> Matrix:
    """The similarity (2, 3), picture -> crop, that brings five points to the template's.

    Args:
        points: (5, 2) x and y in the picture.
        template: (5, 2) x and y in the crop.

    Raises:
        ReinvertError: the points determine none.
    """
    # The published code holds both in single precision.
    points, template = (np.asarray(values, np.float32).astype(np.float64) for values in (points, template))
    mirror = np.array([-1.0, 1.0])
    upright = _inverse(_fit(points, template))
    mirrored = _inverse(_fit(points, template * mirror)) * mirror[:, None]

    def residual(affine: Matrix) -> float:
        return float(np.linalg.norm(points @ affine[:, :2].T + affine[:, 2] - template))

    return upright if residual(upright) <= residual(mirrored) else mirrored


def warp(picture: NDArray[np.uint8], affine: Matrix, size: int = SIZE, exact: bool = False) -> NDArray[np.uint8]:
    """Sample a picture (H, W, 3) bilinearly, black outside, as ``cv2.warpAffine`` does.

    Args:
        picture: uint8.
        affine: (2, 3) picture -> result.
        size: side of the result.
        exact: as OpenCV 5 does, without rounding positions to 1/32 px.

    Returns:
        (size, size, 3) uint8.
    """
    inverse = _inverse(affine)
    along = np.arange(size, dtype=np.float64)
    if exact:
        position = inverse[:, 0, None, None] * along + (inverse[:, 1, None] * along + inverse[:, 2, None])[..., None]
        whole = np.floor(position).astype(np.int64)
        fraction = position - whole
    else:
        unit = float(1 << _COORDINATE_BITS)
        across = np.rint(inverse[:, 0, None] * along * unit).astype(np.int64)
        offset = np.rint((inverse[:, 1, None] * along + inverse[:, 2, None]) * unit).astype(np.int64)
        half = (1 << _COORDINATE_BITS) // _STEPS // 2
        steps = (across[:, None, :] + offset[:, :, None] + half) >> (_COORDINATE_BITS - 5)
        whole, fraction = steps >> 5, (steps & (_STEPS - 1)) / _STEPS
    height, width, channels = picture.shape
    value = np.zeros((size, size, channels))
    for down in (0, 1):
        for right in (0, 1):
            x, y = whole[0] + right, whole[1] + down
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            pixels = picture[y.clip(0, height - 1), x.clip(0, width - 1)]
            share = np.abs(1 - right - fraction[0]) * np.abs(1 - down - fraction[1]) * inside
            value += share[..., None] * pixels
    return np.floor(value + 0.5).clip(0, 255).astype(np.uint8)


def crop_face(picture: NDArray[np.uint8], landmarks: NDArray[np.floating], exact: bool = False) -> NDArray[np.uint8]:
    """The 112 px crop of a face.

    Args:
        picture: (H, W, 3) uint8.
        landmarks: (10,) x0 ... x4, y0 ... y4, as `metrics.judges.mtcnn` gives them.
        exact: see `warp`.

    Raises:
        ReinvertError: see `similarity`.
    """
    return warp(picture, similarity(np.asarray(landmarks, np.float64).reshape(2, 5).T), exact=exact)

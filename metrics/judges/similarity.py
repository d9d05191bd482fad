"""What the published similarity losses do around their networks: crop or shrink the images, compare the features.

- pSp (arXiv 2008.00951, section 3.3) and its successors cut the face out of an aligned FFHQ image and compare unit
  identity vectors; e4e (arXiv 2102.02766, section 3.2) compares those of MoCo where there are no faces.
- E2Style (arXiv 2104.07661) and the Feature-Style encoder (arXiv 2202.02183) sum the distances of several layers, each
  taken as one long vector.

Kept oddities: MoCo's and the Feature-Style encoder's inputs are shrunk by taking the nearest pixel, so that most pixels
have no gradient. Cosines are float32, whatever the length: over the five million logits of BiSeNet's maps that is off
by 1.4e-4 here as in the official code. Deviation: E2Style writes its cosine as torch's cosine embedding loss, which
differs from the one here in rounding (2e-6) and for vectors shorter than 1e-6 only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

FACE_CROP = (35, 223, 32, 220)
"""Top, bottom, left and right of the face in an aligned FFHQ image of 256 px."""

_CROP_FRAME = 256
_COSINE_EPSILON = 1e-6


def cropped_faces(images: Tensor, size: int) -> Tensor:
    """The face of aligned images (B, 3, S, S) -> (B, 3, size, size), averaged over bins that may overlap.

    At 256 px the box is `FACE_CROP`; at other sizes it scales with the image.
    """
    height, width = images.shape[2:]
    top, bottom = (round(row * height / _CROP_FRAME) for row in FACE_CROP[:2])
    left, right = (round(column * width / _CROP_FRAME) for column in FACE_CROP[2:])
    return F.adaptive_avg_pool2d(images[:, :, top:bottom, left:right], size)


def nearest_pixels(images: Tensor, size: int) -> Tensor:
    """(B, 3, H, W) -> (B, 3, size, size): pixel i is that at floor(i H / size); other shapes are squashed."""
    return F.interpolate(images, size=(size, size), mode="nearest")


def unit_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean over the batch of one minus the dot product of unit vectors (B, d); no gradient into ``theirs``."""
    return 1.0 - (ours * theirs.detach()).sum(dim=1).mean()


def layer_cosines(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    """The cosine between equal layers of two batches, each image's layer one vector: (layers, B), float32."""
    pairs = zip(ours, theirs, strict=True)
    return torch.stack(
        [
            F.cosine_similarity(mine.flatten(1).float(), wanted.flatten(1).float(), dim=1, eps=_COSINE_EPSILON)
            for mine, wanted in pairs
        ]
    )


def layer_distance(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    """Sum over layers of the batch's mean of one minus the cosine; no gradient into ``theirs``."""
    return (1.0 - layer_cosines(ours, [layer.detach() for layer in theirs])).mean(dim=1).sum()

"""MTCNN, the face detector in front of published ID scores: three small networks in a cascade, five landmarks per face.

Paper: Zhang et al. (IEEE SPL 2016, arXiv 1604.02878), in the form that pSp, ReStyle, E2Style and HyperInverter ship:
they align every image by `detect` and `metrics.five_point.crop_face` and drop the pair where no face is found. Layer
names are those of the published weights.

Oddities kept, since ID scores depend on them:
- The proposal network's softmax runs over the width of the picture instead of over the two classes, which is why the
  published thresholds are as low as 0.15, 0.25, 0.35.
- Maps are flattened with height and width swapped (the weights come from Matlab).
- The landmarks come from the box before its last calibration.

Deviation: where the published code fails with an exception (no proposal at all, or a box wholly outside the picture),
no face is found here.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from core.errors import ReinvertError
from metrics.judges import mtcnn_boxes as boxes_

PROPOSAL_PATCH, REFINEMENT_PATCH, OUTPUT_PATCH = 12, 24, 48
SUPPRESS_IN_SCALE = 0.5
SUPPRESS = 0.7


class SwappedFlatten(nn.Module):
    """(B, C, H, W) -> (B, C W H), columns before rows."""

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        return maps.transpose(2, 3).flatten(1)


def _layers(*blocks: tuple[nn.Module, ...]) -> nn.Sequential:
    """Weighted layers, maybe with a pooling each: conv1, prelu1, pool1, conv2, ...; flattened before the linear one."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, (weighted, *rest) in enumerate(blocks, start=1):
        if isinstance(weighted, nn.Linear) and "flatten" not in layers:
            layers["flatten"] = SwappedFlatten()
        layers[f"conv{index}"] = weighted
        outputs = len(weighted.get_parameter("weight"))
        layers[f"prelu{index}"] = nn.PReLU(outputs)
        for pooling in rest:
            layers[f"pool{index}"] = pooling
    return nn.Sequential(layers)


def _pool(size: int) -> nn.MaxPool2d:
    return nn.MaxPool2d(size, 2, ceil_mode=True)


class ProposalNetwork(nn.Module):
    """(B, 3, H, W) -> offsets (B, 4, h, w), scores (B, 2, h, w): a judgement of every 12 px patch, every 2 px."""

    def __init__(self) -> None:
        super().__init__()
        self.features = _layers((nn.Conv2d(3, 10, 3), _pool(2)), (nn.Conv2d(10, 16, 3),), (nn.Conv2d(16, 32, 3),))
        self.conv4_1 = nn.Conv2d(32, 2, 1)
        self.conv4_2 = nn.Conv2d(32, 4, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        maps = self.features(images)
        return self.conv4_2(maps), self.conv4_1(maps).softmax(dim=-1)


class RefinementNetwork(nn.Module):
    """Patches (B, 3, 24, 24) -> offsets (B, 4), scores (B, 2): no face, face."""

    def __init__(self) -> None:
        super().__init__()
        self.features = _layers(
            (nn.Conv2d(3, 28, 3), _pool(3)),
            (nn.Conv2d(28, 48, 3), _pool(3)),
            (nn.Conv2d(48, 64, 2),),
            (nn.Linear(576, 128),),
        )
        self.conv5_1 = nn.Linear(128, 2)
        self.conv5_2 = nn.Linear(128, 4)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        features = self.features(patches)
        return self.conv5_2(features), self.conv5_1(features).softmax(dim=-1)


class OutputNetwork(nn.Module):
    """Patches (B, 3, 48, 48) -> landmarks (B, 10), offsets (B, 4), scores (B, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = _layers(
            (nn.Conv2d(3, 32, 3), _pool(3)),
            (nn.Conv2d(32, 64, 3), _pool(3)),
            (nn.Conv2d(64, 64, 3), _pool(2)),
            (nn.Conv2d(64, 128, 2),),
            (nn.Linear(1152, 256),),
        )
        self.conv6_1 = nn.Linear(256, 2)
        self.conv6_2 = nn.Linear(256, 4)
        self.conv6_3 = nn.Linear(256, 10)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        features = self.features(patches)
        return self.conv6_3(features), self.conv6_2(features), self.conv6_1(features).softmax(dim=-1)


@dataclass(frozen=True)
class Faces:
    """Detected faces, best first: boxes (n, 5) with their scores, landmarks (n, 10) x0 ... x4, y0 ... y4 in pixels.

    The landmarks are the eyes, the nose and the corners of the mouth, left before right as the picture shows them.
    """

    boxes: NDArray[np.float64]
    landmarks: NDArray[np.float32]

    @classmethod
    def none(cls) -> Faces:
        """No face."""
        return cls(np.zeros((0, 5)), np.zeros((0, 10), np.float32))


class FaceDetector(nn.Module):
    """The cascade.

    Args:
        min_face: side in pixels of the smallest face looked for.
        thresholds: least scores after the three networks.
    """

    def __init__(self, min_face: float = 20.0, thresholds: Sequence[float] = (0.15, 0.25, 0.35)) -> None:
        super().__init__()
        if len(thresholds) != 3 or min_face < 1:
            raise ReinvertError("MTCNN has three thresholds and faces from 1 px; give three numbers and a min_face")
        self.min_face = min_face
        self.thresholds = tuple(thresholds)
        self.pnet = ProposalNetwork()
        self.rnet = RefinementNetwork()
        self.onet = OutputNetwork()

    def _run(self, network: nn.Module, inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        parameter = next(network.parameters())
        found = network(torch.from_numpy(inputs).to(parameter.device, parameter.dtype))
        return [output.float().cpu().numpy() for output in found]

    @torch.no_grad()
    def proposals(self, picture: Image.Image, scale: float) -> NDArray[np.float64]:
        """What the first network finds at one scale, (n, 9) as `mtcnn_boxes.proposals`, after suppression."""
        width, height = (math.ceil(side * scale) for side in picture.size)
        small = picture.resize((width, height), Image.Resampling.BILINEAR)
        offsets, scores = self._run(self.pnet, boxes_.network_input(np.asarray(small))[None])
        found = boxes_.proposals(scores[0, 1], offsets[0], scale, self.thresholds[0])
        return found[boxes_.suppress(found, SUPPRESS_IN_SCALE)]

    @torch.no_grad()
    def detect(self, picture: Image.Image) -> Faces:
        """The faces of an RGB picture, best first."""
        pixels = np.asarray(picture)
        scales = boxes_.pyramid_scales(*picture.size, self.min_face)
        found = np.concatenate([np.zeros((0, 9)), *(self.proposals(picture, scale) for scale in scales)])
        found = found[boxes_.suppress(found, SUPPRESS)]
        boxes = boxes_.rounded(boxes_.squares(boxes_.calibrate(found[:, :5], found[:, 5:])))
        boxes, inputs = boxes_.patches(boxes, pixels, REFINEMENT_PATCH)
        if inputs is None or not len(inputs):
            return Faces.none()
        offsets, scores = self._run(self.rnet, inputs)
        boxes, (offsets,) = self._above(boxes, scores, self.thresholds[1], offsets)
        kept = boxes_.suppress(boxes, SUPPRESS)
        boxes = boxes_.rounded(boxes_.squares(boxes_.calibrate(boxes[kept], offsets[kept])))
        boxes, inputs = boxes_.patches(boxes, pixels, OUTPUT_PATCH)
        if inputs is None or not len(inputs):
            return Faces.none()
        relative, offsets, scores = self._run(self.onet, inputs)
        boxes, (relative, offsets) = self._above(boxes, scores, self.thresholds[2], relative, offsets)
        landmarks = boxes_.landmarks_in_picture(boxes, relative).astype(np.float32)
        boxes = boxes_.calibrate(boxes, offsets)
        kept = boxes_.suppress(boxes, SUPPRESS, "min")
        return Faces(boxes[kept], landmarks[kept])

    @staticmethod
    def _above(
        boxes: NDArray[np.float64], scores: NDArray[np.float32], threshold: float, *others: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], list[NDArray[np.float32]]]:
        """Boxes whose score for a face is above the threshold, with that score, and the rows of what goes with them."""
        kept = scores[:, 1] > threshold
        scored = boxes[kept]
        scored[:, 4] = scores[kept, 1]
        return scored, [rows[kept] for rows in others]

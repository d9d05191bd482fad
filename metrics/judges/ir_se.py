"""ArcFace's residual networks, with and without squeeze and excitation: from faces to identity vectors.

Papers: Deng et al., "ArcFace" (arXiv 1801.07698), section 3.1; Hu et al., "Squeeze-and-Excitation Networks" (arXiv
1709.01507). One class is every published face network of this family, by arguments:

====================  ==================================  ===========================================================
arguments             checkpoint                          used for
====================  ==================================  ===========================================================
``ARCFACE_IR_SE_50``  model_ir_se50.pth                   the identity loss of pSp and its successors
``CURRICULAR_101``    CurricularFace_Backbone.pth         the identity metric of pSp and ReStyle (arXiv 2004.00288)
``INSIGHTFACE_50``    backbone.pth (iresnet50)            the Feature-Style encoder's loss and backbone
``identity-train``    ours: narrow, three stages, 64 px   the embedded domains' identity loss; see params.yaml
====================  ==================================  ===========================================================

Parameter names are those of the first two; `insightface_names` renames the third. Oddities kept: a shortcut that
strides without changing its width subsamples (in insightface's form it projects), nothing follows the sum, and the last
normalisation of CurricularFace has no weights. The pSp, ReStyle and E2Style encoders are built from the same parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ReinvertError
from metrics.judges.registry import ARCHITECTURES

EXCITATION_REDUCTION = 16
FACE_SIZE = 112
"""Pixels per side of the faces these networks were trained on."""

ARCFACE_IR_SE_50: dict[str, Any] = {"dropout": 0.6}
CURRICULAR_101: dict[str, Any] = {"units": (3, 13, 30, 3), "excite": False, "dropout": 0.4, "affine": False}
INSIGHTFACE_50: dict[str, Any] = {"excite": False, "insightface": True}

_INSIGHTFACE_TOP = {
    "conv1": "input_layer.0",
    "bn1": "input_layer.1",
    "prelu": "input_layer.2",
    "bn2": "output_layer.0",
    "fc": "output_layer.3",
    "features": "output_layer.4",
}
_INSIGHTFACE_UNIT = {
    "bn1": "res_layer.0",
    "conv1": "res_layer.1",
    "bn2": "res_layer.2",
    "prelu": "res_layer.3",
    "conv2": "res_layer.4",
    "bn3": "res_layer.5",
    "downsample": "shortcut_layer",
}


class SqueezeExcitation(nn.Module):
    """Scale each channel by a factor in (0, 1) computed from the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // EXCITATION_REDUCTION, 1)
        self.fc1 = nn.Conv2d(channels, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        means = features.mean(dim=(2, 3), keepdim=True)
        return features * torch.sigmoid(self.fc2(F.relu(self.fc1(means))))


class ResidualUnit(nn.Module):
    """Normalise, 3x3 convolution, PReLU, 3x3 convolution with the stride, normalise, excite; plus shortcut.

    The shortcut subsamples where the width stays and projects where it changes. Nothing follows the sum.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        stride: 1 or 2.
        excite: end the branch with squeeze and excitation.
        insightface: the form of insightface's iresnets: normalised after the first convolution too, and a shortcut
            that projects wherever it strides.
    """

    def __init__(
        self, in_channels: int, channels: int, stride: int, excite: bool = True, insightface: bool = False
    ) -> None:
        super().__init__()
        self.stride = stride
        projects = in_channels != channels or (insightface and stride != 1)
        self.shortcut_layer = (
            nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels))
            if projects
            else None
        )
        layers: list[nn.Module] = [
            nn.BatchNorm2d(in_channels),
            nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
        ]
        if insightface:
            layers.append(nn.BatchNorm2d(channels))
        layers += [
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        ]
        if excite:
            layers.append(SqueezeExcitation(channels))
        self.res_layer = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, C, H/stride, W/stride)."""
        if self.shortcut_layer is None:
            shortcut = features[:, :, :: self.stride, :: self.stride]
        else:
            shortcut = self.shortcut_layer(features)
        return self.res_layer(features) + shortcut


def input_layer(in_channels: int, width: int, stride: int = 1) -> nn.Sequential:
    """The stem, in all published networks at full size: 3x3 convolution, batch norm, PReLU with a slope per channel."""
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.PReLU(width)
    )


def residual_body(
    widths: Sequence[int], units: Sequence[int], excite: bool = True, insightface: bool = False
) -> nn.Sequential:
    """Stages of residual units after a stem of ``widths[0]``; each stage's first unit halves the size."""
    body: list[nn.Module] = []
    before = widths[0]
    for width, count in zip(widths, units, strict=True):
        for index in range(count):
            body.append(ResidualUnit(before, width, 2 if index == 0 else 1, excite, insightface))
            before = width
    return nn.Sequential(*body)


def stage_ends(units: Sequence[int]) -> list[int]:
    """Index of each stage's last unit: (3, 4, 14, 3) -> [2, 6, 20, 23]."""
    return [sum(units[: stage + 1]) - 1 for stage in range(len(units))]


def outputs_of(body: nn.Sequential, features: Tensor, wanted: Iterable[int]) -> list[Tensor]:
    """Run ``body`` as far as the last wanted unit and return the outputs of the wanted ones, in rising order."""
    indices = set(wanted)
    outputs: list[Tensor] = []
    for index, unit in enumerate(list(body)[: max(indices) + 1]):
        features = unit(features)
        if index in indices:
            outputs.append(features)
    return outputs


@ARCHITECTURES.register("ir-se")
class FaceNetwork(nn.Module):
    """Faces (B, 3, size, size) in [-1, 1] -> unit identity vectors (B, embedding).

    Args:
        size: pixels per side, a multiple of 16 where there are four stages.
        widths: channels of the stages.
        units: residual units of the stages.
        embedding: length of the identity vector.
        excite: squeeze and excitation in every unit.
        insightface: units in the form of insightface's iresnets.
        dropout: before the linear layer, in training only.
        affine: whether the last normalisation has a weight and a bias.
        stem_stride: 2 halves the image in the stem too, which no published network does; it is four times cheaper.

    Raises:
        ReinvertError: ``size`` does not halve once per stage.
    """

    def __init__(
        self,
        size: int = FACE_SIZE,
        widths: Sequence[int] = (64, 128, 256, 512),
        units: Sequence[int] = (3, 4, 14, 3),
        embedding: int = 512,
        excite: bool = True,
        insightface: bool = False,
        dropout: float = 0.0,
        affine: bool = True,
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        shrunk = stem_stride * 2 ** len(units)
        if size % shrunk:
            raise ReinvertError(f"a face of {size} px does not shrink {shrunk} times; use a multiple of {shrunk}")
        grid = size // shrunk
        self.size = size
        self.ends = stage_ends(units)
        self.input_layer = input_layer(3, widths[0], stem_stride)
        self.body = residual_body(widths, units, excite, insightface)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(widths[-1]),
            nn.Dropout(dropout),
            nn.Flatten(),
            nn.Linear(widths[-1] * grid * grid, embedding),
            nn.BatchNorm1d(embedding, affine=affine),
        )

    def features(self, faces: Tensor) -> list[Tensor]:
        """The output of every stage (B, C, H, W), then the identity vector (B, embedding) before normalisation."""
        if faces.shape[2:] != (self.size, self.size):
            raise ReinvertError(f"the face network reads {self.size} px, not {tuple(faces.shape[2:])}; crop first")
        # Not channels-last: no faster at 112 px, and over 49 units it doubles the rounding error.
        stages = outputs_of(self.body, self.input_layer(faces), self.ends)
        return [*stages, self.output_layer(stages[-1])]

    def forward(self, faces: Tensor) -> Tensor:
        """See the class."""
        return F.normalize(self.features(faces)[-1].float(), dim=1)


def insightface_names(state: Mapping[str, Tensor], units: Sequence[int] = (3, 4, 14, 3)) -> dict[str, Tensor]:
    """An iresnet's state dict in insightface's names -> in those of `FaceNetwork`.

    Args:
        state: ``conv1.weight``, ``layer1.0.bn1.weight``, ... ``features.running_var``; names of neither kind are kept,
            so that a strict load reports them.
        units: residual units of the four stages.
    """
    firsts = [0, *(end + 1 for end in stage_ends(units))]
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0].removeprefix("layer") in ("1", "2", "3", "4") and len(parts) > 3 and parts[2] in _INSIGHTFACE_UNIT:
            unit = firsts[int(parts[0][-1]) - 1] + int(parts[1])
            parts = ["body", str(unit), _INSIGHTFACE_UNIT[parts[2]], *parts[3:]]
        elif parts[0] in _INSIGHTFACE_TOP:
            parts[0] = _INSIGHTFACE_TOP[parts[0]]
        renamed[".".join(parts)] = value
    return renamed

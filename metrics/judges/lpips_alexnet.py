"""LPIPS with its calibration layers, on AlexNet: the perceptual loss of the official inversion code.

Paper: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (arXiv 1801.03924),
equation 1: features of five layers are normalised over channels, their squared differences weighted per channel
(the "lin" layers), averaged over positions and added.

Kept oddity: copies of the code differ in the number that keeps a norm from being zero. The Feature-Style encoder's adds
1e-8 to every squared channel before the root; that matters where a feature vector is nearly zero. The constants are
arguments. The trunk is that of the embedded judge (`metrics.judges.perceptual`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ReinvertError
from metrics.judges.perceptual import AlexNetFeatures

FEATURE_STYLE_EPSILON = 1e-8
"""What the Feature-Style encoder's copy adds to every squared channel."""

CHANNELS = (64, 192, 384, 256, 256)
_SCALING = ("scaling_layer.shift", "scaling_layer.scale")


class CalibratedPerceptual(nn.Module):
    """LPIPS of paired images: (B, 3, H, W) in [-1, 1] twice, 31 px or larger -> (B,).

    Args:
        channel_epsilon: added to every squared channel before the root of their sum.
        norm_epsilon: added to that root.
    """

    def __init__(self, channel_epsilon: float = 0.0, norm_epsilon: float = 1e-10) -> None:
        super().__init__()
        self.channel_epsilon = channel_epsilon
        self.norm_epsilon = norm_epsilon
        self.trunk = AlexNetFeatures()
        self.lin = nn.ParameterList(nn.Parameter(torch.ones(channels)) for channels in CHANNELS)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """See the class."""
        total = first.new_zeros(len(first))
        for weight, one, other in zip(self.lin, self.trunk(first), self.trunk(second), strict=True):
            difference = (self._normalised(one) - self._normalised(other)).square()
            total = total + (difference * weight[:, None, None]).sum(dim=1).mean(dim=(1, 2))
        return total

    def _normalised(self, features: Tensor) -> Tensor:
        norm = (features.square() + self.channel_epsilon).sum(dim=1, keepdim=True).sqrt()
        return features / (norm + self.norm_epsilon)


def per_scale(network: CalibratedPerceptual, first: Tensor, second: Tensor, scales: int = 3) -> Tensor:
    """LPIPS of images (B, 3, H, W) halved 0, 1, ... times by bilinear interpolation: (scales, B).

    The Feature-Style encoder's loss (Yao et al., arXiv 2202.02183) is the sum over scales of the batch means.
    """
    distances = []
    for scale in range(scales):
        if scale:
            first, second = (F.interpolate(images, scale_factor=0.5, mode="bilinear") for images in (first, second))
        distances.append(network(first, second))
    return torch.stack(distances)


def published_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict in the names of the official LPIPS modules -> in those of `CalibratedPerceptual`.

    Args:
        state: ``net.slice1.0.weight``, ..., ``lin0.model.1.weight``, ..., ``scaling_layer.shift`` and ``.scale``; other
            names are kept, so that a strict load reports them.

    Raises:
        ReinvertError: the scaling of the images is not that of ImageNet.
    """
    scaling = dict(zip(_SCALING, (buffer.flatten() for buffer in AlexNetFeatures().buffers()), strict=True))
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        parts = name.split(".")
        if name in scaling:
            if not torch.allclose(value.flatten(), scaling[name]):
                raise ReinvertError(f"{name} of this LPIPS network is not ImageNet's; give an official one")
        elif parts[0] == "net":
            renamed[".".join(["trunk.features", *parts[2:]])] = value
        elif parts[0].startswith("lin") and parts[1:] == ["model", "1", "weight"]:
            renamed[f"lin.{parts[0].removeprefix('lin')}"] = value.flatten()
        else:
            renamed[name] = value
    return renamed

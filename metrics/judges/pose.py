"""HopeNet: yaw, pitch and roll of a head, from a ResNet-50 over bins of three degrees.

Paper: Ruiz et al., "Fine-Grained Head Pose Estimation Without Keypoints" (CVPR workshops 2018, arXiv 1710.00925). An
angle is the expectation of the softmax over 66 bins. Signs: yaw > 0 is the nose towards the left of the picture, pitch
> 0 is up, roll > 0 is clockwise in the picture; mirroring negates yaw and roll.

Oddities kept: the expectation sits at the lower edges of the bins, and the layer ``fc_finetune`` is in every checkpoint
though nothing uses it. The network was trained on crops normalised with ImageNet's mean and deviation
(`imagenet_input`); StyleGAN3-editing (Alaluf et al., arXiv 2201.13433) gives it images in [-1, 1] as they are
(`plain_input`), and whether its resize antialiases depends on its torchvision's version. Published angles were measured
either way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from metrics.judges.resnet import RESNET_50, ResNet

SIZE = 224
ANGLES = ("yaw", "pitch", "roll")
DEGREES_PER_BIN = 3.0
FIRST_DEGREES = -99.0
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


class PoseNetwork(ResNet):
    """Heads (B, 3, 224, 224) -> angles (B, 3): yaw, pitch, roll in degrees.

    Args:
        bins: bins of three degrees, from -99.
        widths: channels of the four stages, before the expansion of the bottleneck.
        units: units of the four stages.
    """

    def __init__(
        self,
        bins: int = 66,
        widths: Sequence[int] = (64, 128, 256, 512),
        units: Sequence[int] = RESNET_50["units"],
    ) -> None:
        super().__init__(units=units, bottleneck=True, widths=widths)
        features = 4 * widths[-1]
        self.fc_yaw = nn.Linear(features, bins)
        self.fc_pitch = nn.Linear(features, bins)
        self.fc_roll = nn.Linear(features, bins)
        self.fc_finetune = nn.Linear(features + 3, 3)

    def logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3, bins): yaw, pitch, roll."""
        features = super().forward(images)
        return torch.stack([head(features) for head in (self.fc_yaw, self.fc_pitch, self.fc_roll)], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return expected_angles(self.logits(images))


def expected_angles(logits: Tensor) -> Tensor:
    """The expectation of the bins' lower edges under the softmax: (..., bins) -> (...) degrees."""
    indices = torch.arange(logits.shape[-1], dtype=logits.dtype, device=logits.device)
    return (logits.softmax(dim=-1) @ indices) * DEGREES_PER_BIN + FIRST_DEGREES


def plain_input(images: Tensor, antialias: bool = True) -> Tensor:
    """Square images (B, 3, H, H) in [-1, 1] resized to 224 px, bilinear: what StyleGAN3-editing gives the network."""
    return F.interpolate(images, size=(SIZE, SIZE), mode="bilinear", align_corners=False, antialias=antialias)


def imagenet_input(pictures: np.ndarray) -> Tensor:
    """Pictures (B, H, H, 3) uint8 resized to 224 px by Pillow and normalised as in training: (B, 3, 224, 224)."""
    resized = [np.asarray(Image.fromarray(one).resize((SIZE, SIZE), Image.Resampling.BILINEAR)) for one in pictures]
    values = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float() / 255
    mean, deviation = (torch.tensor(three)[:, None, None] for three in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    return (values - mean) / deviation

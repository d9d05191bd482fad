"""HyperInverter: a W code, then residual weights of the generator predicted from what that code could not draw.

Paper: Dinh, Tran, Nguyen and Hua, "HyperInverter: Improving StyleGAN Inversion via Hypernetwork" (arXiv 2112.00719),
section 3 and figure 2. Phase one: an encoder gives one w, the generator draws a first image. Phase two: a second
encoder turns the image and the first image into codes that keep 8x8 pixels; from both, the hypernetwork predicts a
residual for every convolution weight. Edits change w alone and keep the residuals.

Parameter names equal those of the published checkpoints (``w_encoder.*``, ``w_bar_encoder.*``, ``hypernet.*``); the
generator is not among them. Kept oddity: images are resized for the encoders without antialiasing, so that from 1024 px
only the central 2x2 of every 4x4 pixels are seen.

Published networks: faces have the IR-SE-50 body in both encoders, churches ResNet-34 without max-pooling.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from .encoders import PUBLISHED, PUBLISHED_RESNET, GradualStyleEncoder
from .hypernetwork import HyperNetwork
from .last_layer_encoders import LastLayerEncoder
from .stylegan2 import Generator

ENCODER_SIZE = 256
STYLE_DIM = 512
CODE_SIZE = 8
"""Pixels per side of the published second encoder's codes."""


@dataclass(frozen=True)
class HyperInversion:
    """What HyperInverter finds.

    Attributes:
        styles: W+ with equal rows, (B, L, D).
        weight_residuals: by the name of the generator's weight, (B, out, in, k, k).
        first_image: what the unchanged generator draws, (B, 3, G, G).
    """

    styles: Tensor
    weight_residuals: dict[str, Tensor]
    first_image: Tensor


class HyperInverter(nn.Module):
    """The trained parts and what is done with them.

    Args:
        w_encoder: images (B, 3, S, S) -> offsets of w from its mean (B, D).
        w_bar_encoder: images (B, 3, S, S) -> codes (B, L, C, s, s).
        hypernet: the hypernetwork that reads those codes.
        size: S, pixels per side the encoders read.
    """

    def __init__(
        self, w_encoder: nn.Module, w_bar_encoder: nn.Module, hypernet: HyperNetwork, size: int = ENCODER_SIZE
    ) -> None:
        super().__init__()
        self.w_encoder = w_encoder
        self.w_bar_encoder = w_bar_encoder
        self.hypernet = hypernet
        self.size = size

    def forward(self, images: Tensor, generator: Generator, latent_mean: Tensor) -> HyperInversion:
        """Invert images.

        Args:
            images: (B, 3, H, W) in [-1, 1].
            generator: the unchanged generator.
            latent_mean: (D,), the mean of its w.
        """
        small = resized(images, self.size)
        styles = generator.repeat(self.w_encoder(small) + latent_mean)
        first = generator.synthesis(styles)
        residuals = weight_residuals(self.w_bar_encoder, self.hypernet, resized(first, self.size), small)
        return HyperInversion(styles, residuals, first)


def weight_residuals(
    w_bar_encoder: nn.Module, hypernet: nn.Module, first_image: Tensor, image: Tensor
) -> dict[str, Tensor]:
    """Phase two: residuals by the name of the generator's weight, (B, out, in, k, k).

    Args:
        w_bar_encoder: see `HyperInverter`.
        hypernet: see `HyperInverter`.
        first_image: what the unchanged generator draws, (B, 3, S, S), as the encoder reads it.
        image: the image to invert, likewise.
    """
    first_codes = w_bar_encoder(first_image) if hypernet.sees_first_image else None
    residuals: dict[str, Tensor] = hypernet(first_codes, w_bar_encoder(image))
    return residuals


def resized(images: Tensor, size: int) -> Tensor:
    """(B, 3, H, W) -> (B, 3, size, size), bilinear without antialiasing."""
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)


def published(size: int, body: str = "ir_se", hidden: int = 128) -> HyperInverter:
    """The published networks.

    Args:
        size: of the generator: 1024 for faces, 256 for churches.
        body: of both encoders: "ir_se" for faces, "resnet" for churches.
        hidden: D of the hypernetwork, 128 ("light") or 256 ("large").
    """
    arguments = PUBLISHED_RESNET if body == "resnet" else PUBLISHED
    hypernet = HyperNetwork(size, code_size=CODE_SIZE, hidden=hidden)
    rows = max(layer.code for layer in hypernet.predicted) + 1
    return HyperInverter(
        LastLayerEncoder(ENCODER_SIZE, STYLE_DIM, arguments["widths"], arguments["units"], body=body),
        GradualStyleEncoder(ENCODER_SIZE, rows, None, **arguments, code_size=CODE_SIZE),
        hypernet,
    )

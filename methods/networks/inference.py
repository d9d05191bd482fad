"""What surrounds the encoders at inference: reading codes off images as the published scripts of pSp and ReStyle do.

Papers: Richardson et al., "Encoding in Style" (pSp, arXiv 2008.00951), for style mixing section 4; Alaluf et al.,
"ReStyle" (arXiv 2104.02699), section 3 and figure 2.

Oddities kept: the image that ReStyle feeds back is neither clamped nor quantised, only averaged down to the encoder's
size; noise is the generator's stored one; ReStyle's encoder always predicts an offset from the code before, in the
first step from the mean latent, whatever the checkpoint's option ``start_from_latent_avg`` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .stylegan2 import Generator

ENCODER_SIZE = 256
"""Pixels per side of what the published encoders read."""


def pooled(images: Tensor, height: int = ENCODER_SIZE, width: int | None = None) -> Tensor:
    """(B, C, H, W) averaged down to (B, C, height, width or height); the same images where they have that size."""
    return F.adaptive_avg_pool2d(images, (height, height if width is None else width))


def mixed(styles: Tensor, injected: Tensor, layers: Sequence[int], share: float) -> Tensor:
    """Style mixing: ``share`` of the injected style in some layers.

    Args:
        styles: (B, L, D).
        injected: w (B or 1, D).
        layers: rows of ``styles`` to mix into.
        share: 1 replaces the rows, 0 leaves them.
    """
    out = styles.clone()
    rows = torch.as_tensor(list(layers), device=styles.device)
    out[:, rows] = share * injected[:, None] + (1.0 - share) * styles[:, rows]
    return out


def restyle(
    encoder: nn.Module, generator: Generator, images: Tensor, latent_mean: Tensor, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """ReStyle's loop: the encoder sees the image beside its reconstruction so far and predicts an offset.

    Args:
        encoder: (B, 6, H, W) -> offsets (B, L, D).
        generator: what the codes are for.
        images: (B, 3, H, W) in [-1, 1] at the encoder's size.
        latent_mean: (D,) or (L, D), where the loop starts.
        steps: how many offsets to add up.

    Yields:
        After every step the styles (B, L, D) and the image (B, 3, H, W) they give, averaged down.
    """
    height, width = images.shape[2:]
    styles = latent_mean.expand(len(images), generator.style_count, generator.style_dim)
    drawn = pooled(generator.synthesis(styles[:1]), height, width).expand_as(images)  # the mean face serves them all
    for _ in range(steps):
        styles = styles + encoder(torch.cat([images, drawn], dim=1))
        drawn = pooled(generator.synthesis(styles), height, width)
        yield styles, drawn

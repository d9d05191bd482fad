"""Photometric augmentation: light, colour, blur and noise, per image, leaving geometry alone."""

from __future__ import annotations

import torch
from torch import Tensor

from metrics.judges.config import Augmentation


def binomial_blur(images: Tensor) -> Tensor:
    """(B, C, H, W) convolved with the 3x3 binomial kernel [1 2 1]^T [1 2 1] / 16, edges repeated."""
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]) / 4
    return (across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]) / 4


def augment(images: Tensor, amounts: Augmentation, generator: torch.Generator) -> Tensor:
    """Images (B, 3, H, W) in [-1, 1] with each one's own light, colour, blur and noise, clipped to [-1, 1].

    Args:
        generator: on the images' device; the same state gives the same result.
    """

    def draw(channels: int) -> Tensor:
        """Uniform in [-1, 1], one number per image and channel."""
        shape = (len(images), channels, 1, 1)
        return torch.rand(shape, generator=generator, device=images.device) * 2 - 1

    images = images * (1 + amounts.contrast * draw(1)) * (1 + amounts.colour * draw(3)) + amounts.brightness * draw(1)
    images = torch.lerp(images, binomial_blur(images), (amounts.blur * draw(1)).clamp(min=0))
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    return (images + (amounts.noise * draw(1)).clamp(min=0) * noise).clamp(-1, 1)

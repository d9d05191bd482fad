"""Augmentation: light, colour, blur and noise, per image; and views for self-supervised training, cropped and mirrored.

The views are those of MoCo v2 (arXiv 2003.04297, section 3), after SimCLR (arXiv 2002.05709, appendix A). Deviations:
crops keep the image's shape, contrast and colour are factors around middle grey, and the hue is not turned.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metrics.judges.config import Augmentation, Views


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


def crop_and_flip(images: Tensor, smallest: float, flip: float, generator: torch.Generator) -> Tensor:
    """(B, C, S, S): each image's own square part, enlarged to S by bilinear interpolation; some are mirrored.

    Args:
        images: square images.
        smallest: share of the area that a part keeps at least; uniform up to 1.
        flip: share that is mirrored.
        generator: on the images' device.
    """
    area, across, down, mirrored = torch.rand((4, len(images)), generator=generator, device=images.device)
    side = (smallest + (1 - smallest) * area).sqrt()
    # Coordinates run from -1 to 1 from edge to edge, so a part of this side has its centre within 1 - side.
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0] = torch.where(mirrored < flip, -side, side)
    theta[:, 1, 1] = side
    theta[:, 0, 2], theta[:, 1, 2] = (2 * across - 1) * (1 - side), (2 * down - 1) * (1 - side)
    grid = torch.nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def view(images: Tensor, amounts: Views, generator: torch.Generator) -> Tensor:
    """One random view of each image (B, 3, S, S) in [-1, 1]; the same state of `generator` gives the same views."""
    images = crop_and_flip(images, amounts.crop, amounts.flip, generator)
    grey = torch.rand((len(images), 1, 1, 1), generator=generator, device=images.device) < amounts.grey
    # The luma weights of ITU-R BT.601.
    luma = torch.tensor([0.299, 0.587, 0.114], device=images.device)[:, None, None]
    images = torch.where(grey, (images * luma).sum(1, keepdim=True), images)
    return augment(images, amounts, generator)

"""Pixel metrics: L2 (mean squared error) and PSNR, on images in [0, 1].

The inversion papers differ here by constants: L2 on [-1, 1] images is 4 times the [0, 1] value, and PSNR with a peak
of sqrt(2) on [-1, 1] images is 3.01 dB low. Ours: images are converted to [0, 1] explicitly and the peak is 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

HIGHEST_PSNR = 100.0
"""dB given to equal images; two different 8-bit images of 64 px reach 89 dB at most, so the cap touches no others."""


def to_unit_range(images: Tensor) -> Tensor:
    """Images (B, 3, H, W) in [-1, 1] as float64 in [0, 1].

    Raises:
        ValueError: a value outside [-1, 1] by more than rounding, or not finite: such an image has no PSNR.
    """
    if images.ndim != 4:
        raise ValueError(f"images must be (B, C, H, W), got {tuple(images.shape)}")
    if not bool(((images >= -1 - 1e-6) & (images <= 1 + 1e-6)).all()):
        raise ValueError("images must be finite and in [-1, 1]")
    return (images.double() + 1) / 2


def unit_pair(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Both images of the pairs in [0, 1] (`to_unit_range`); a difference in shape raises ValueError."""
    if real.shape != fake.shape:
        raise ValueError(f"real and fake must have one shape, got {tuple(real.shape)} and {tuple(fake.shape)}")
    return to_unit_range(real), to_unit_range(fake)


def l2(real: Tensor, fake: Tensor) -> Tensor:
    """Mean squared error of each pair: (B, 3, H, W) in [-1, 1] twice -> (B,) float64 in [0, 1]."""
    first, second = unit_pair(real, fake)
    return (first - second).square().mean(dim=(1, 2, 3))


def psnr(real: Tensor, fake: Tensor) -> Tensor:
    """10 log10(1 / L2) of each pair in dB: (B, 3, H, W) in [-1, 1] twice -> (B,) float64 in [0, HIGHEST_PSNR]."""
    error = l2(real, fake).clamp_min(10 ** (-HIGHEST_PSNR / 10))
    return -10 * torch.log10(error)


def l2_doubled_range(real: Tensor, fake: Tensor) -> Tensor:
    """Mean squared error on [-1, 1] images, as the pSp family prints it: four times `l2`, in [0, 4]."""
    return 4 * l2(real, fake)


def psnr_of_piq(real: Tensor, fake: Tensor) -> Tensor:
    """`psnr` as the piq package computes it: 1e-8 is added to the error, so that equal images have 80 dB."""
    return -10 * torch.log10(l2(real, fake) + 1e-8)

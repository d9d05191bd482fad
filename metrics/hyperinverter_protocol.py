"""How the quantitative table of HyperInverter scores reconstructions, as its evaluation scripts are written.

Paper: Dinh et al., arXiv 2112.00719, table 1. Differences between its columns that are easily overlooked, all kept:

- images are truncated to 8 bits before anything is measured;
- L2 is taken at 256 px (PIL's antialiased bilinear filter) on [-1, 1] images, four times the value on [0, 1];
- PSNR and MS-SSIM are taken at the *full* size on [0, 1] images, and L2 and PSNR can therefore not be converted into
  one another; where sizes differ, PIL's bicubic filter makes them equal;
- KID is the mean over 100 subsets of 1000 images (100 for churches), times 1000.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from metrics.pixel import l2, psnr
from metrics.structure import ms_ssim

L2_SIZE = 256
KID_SUBSETS = 100
KID_SUBSET_SIZE = 1000
KID_SEED = 2020

Pictures = NDArray[np.uint8]


def to_eight_bits(images: Tensor) -> Pictures:
    """Images (B, 3, H, W) in [-1, 1] -> (B, H, W, 3), truncated, not rounded."""
    values = ((images + 1) * 127.5).clamp(0, 255)
    return values.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def from_eight_bits(pictures: Pictures) -> Tensor:
    """(B, H, W, 3) -> images (B, 3, H, W) in [-1, 1], float32."""
    unit = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
    return (unit - 0.5) / 0.5


def resized(pictures: Pictures, size: int, bicubic: bool = False) -> Pictures:
    """(B, H, W, 3) -> (B, size, size, 3) with PIL's antialiased bilinear or bicubic filter."""
    kind = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(picture).resize((size, size), kind)) for picture in pictures])


def l2_of_table(real: Pictures, fake: Pictures) -> Tensor:
    """Mean squared error of each pair (B,) at 256 px on [-1, 1] images."""
    first, second = (from_eight_bits(resized(pictures, L2_SIZE)) for pictures in (real, fake))
    return 4 * l2(first, second)


def psnr_of_table(real: Pictures, fake: Pictures) -> Tensor:
    """PSNR of each pair (B,) in dB at the size given."""
    return psnr(from_eight_bits(real), from_eight_bits(fake))


def ms_ssim_of_table(real: Pictures, fake: Pictures) -> Tensor:
    """MS-SSIM of each pair (B,) at the size given, five scales from 176 px."""
    return ms_ssim(from_eight_bits(real), from_eight_bits(fake))

"""SSIM (Wang, Bovik, Sheikh, Simoncelli 2004) and MS-SSIM (Wang, Simoncelli, Bovik 2003), in float64.

As published: an 11x11 Gaussian window with sigma 1.5, K1 = 0.01, K2 = 0.03, population (not sample) covariance, only
windows that lie inside the image, data range 1. Colour channels are scored one by one and averaged.

MS-SSIM has five scales, each half the size of the one before, but the window fits only those of at least 11 pixels:
three at 64 px (64, 32, 16), five from 176 px. All five have the published weights (0.0448, 0.2856, 0.3001, 0.2363,
0.1333), which add up to 1.0001; where fewer fit, the first ones are divided by their sum, so that the exponents add up
to 1 and scores stay on the scale of five.
A negative term has no real power; it is set to 0 (so does pytorch-msssim), which makes the channel's product 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from metrics.pixel import unit_pair

WINDOW = 11
SIGMA = 1.5
C1 = 0.01**2
C2 = 0.03**2
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def gaussian_window(device: torch.device) -> Tensor:
    """The window in one dimension: (WINDOW,) float64, sum 1."""
    offset = torch.arange(WINDOW, dtype=torch.float64, device=device) - WINDOW // 2
    weight = torch.exp(-offset.square() / (2 * SIGMA**2))
    return weight / weight.sum()


def smooth(images: Tensor, window: Tensor) -> Tensor:
    """Windowed mean of every channel: (B, C, H, W) -> (B, C, H - 10, W - 10).

    By shifted sums: torch's convolution of double precision has no fast path and takes four times as long.
    """
    return _smooth_rows(_smooth_rows(images, window).transpose(2, 3), window).transpose(2, 3)


def _smooth_rows(images: Tensor, window: Tensor) -> Tensor:
    inside = images.shape[2] - len(window) + 1
    weights = window.tolist()
    total = images[:, :, :inside] * weights[0]
    for offset, weight in enumerate(weights[1:], start=1):
        total.add_(images[:, :, offset : offset + inside], alpha=weight)
    return total


def similarity_terms(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM and its contrast-structure part, averaged over positions: [0, 1] images (B, C, H, W) -> two (B, C)."""
    window = gaussian_window(real.device)
    mean_real, mean_fake = smooth(real, window), smooth(fake, window)
    product, squares = mean_real * mean_fake, mean_real.square() + mean_fake.square()
    # Only the sum of the two variances is asked for, so their smoothing is one.
    variances = smooth(real.square() + fake.square(), window) - squares
    covariance = smooth(real * fake, window) - product
    contrast = (2 * covariance + C2) / (variances + C2)
    luminance = (2 * product + C1) / (squares + C1)
    return (luminance * contrast).mean(dim=(2, 3)), contrast.mean(dim=(2, 3))


def scales_that_fit(size: int) -> int:
    """How many of the five scales an image whose shorter side is `size` pixels has room for (0 below 11)."""
    return sum(size >> scale >= WINDOW for scale in range(len(SCALE_WEIGHTS)))


@dataclass(frozen=True)
class FirstScale:
    """Both images in [0, 1] (B, C, H, W) with their `similarity_terms`, where SSIM ends and MS-SSIM begins."""

    real: Tensor
    fake: Tensor
    whole: Tensor
    contrast: Tensor

    @classmethod
    def of(cls, real: Tensor, fake: Tensor) -> FirstScale:
        """(B, 3, H, W) in [-1, 1] twice, sides of at least 11."""
        first, second = unit_pair(real, fake)
        require_room(first)
        return cls(first, second, *similarity_terms(first, second))

    def ssim(self) -> Tensor:
        """(B,) float64."""
        return self.whole.mean(dim=1)

    def ms_ssim(self) -> Tensor:
        """(B,) float64."""
        first, second = self.real, self.fake
        count = require_room(first)
        weights = torch.tensor(SCALE_WEIGHTS[:count], dtype=torch.float64, device=first.device)
        if count < len(SCALE_WEIGHTS):
            weights = weights / weights.sum()
        product = torch.ones(first.shape[:2], dtype=torch.float64, device=first.device)
        for scale in range(count):
            whole, contrast = self.whole, self.contrast
            if scale:
                first, second = F.avg_pool2d(first, 2), F.avg_pool2d(second, 2)
                whole, contrast = similarity_terms(first, second)
            term = whole if scale == count - 1 else contrast
            product = product * term.clamp_min(0) ** weights[scale]
        return product.mean(dim=1)


def ssim(real: Tensor, fake: Tensor) -> Tensor:
    """SSIM of each pair: (B, 3, H, W) in [-1, 1] twice, sides of at least 11 -> (B,) float64 in [-1, 1]."""
    return FirstScale.of(real, fake).ssim()


def ms_ssim(real: Tensor, fake: Tensor) -> Tensor:
    """MS-SSIM over the scales that fit: (B, 3, H, W) in [-1, 1] twice, sides of at least 11 -> (B,) float64 in [0, 1].

    Odd sides lose their last row or column when halved.
    """
    return FirstScale.of(real, fake).ms_ssim()


class SharedScale:
    """`ssim` and `ms_ssim` of the same images one after the other: what they have in common is computed once."""

    def __init__(self) -> None:
        self._last: tuple[Tensor, Tensor, FirstScale] | None = None

    def _of(self, real: Tensor, fake: Tensor) -> FirstScale:
        if self._last is None or not (torch.equal(real, self._last[0]) and torch.equal(fake, self._last[1])):
            self._last = real, fake, FirstScale.of(real, fake)
        return self._last[2]

    def ssim(self, real: Tensor, fake: Tensor) -> Tensor:
        """As the function `ssim`."""
        return self._of(real, fake).ssim()

    def ms_ssim(self, real: Tensor, fake: Tensor) -> Tensor:
        """As the function `ms_ssim`."""
        return self._of(real, fake).ms_ssim()


def require_room(images: Tensor) -> int:
    """`scales_that_fit` of the images; ValueError where not even one does."""
    size = min(images.shape[-2:])
    if size < WINDOW:
        raise ValueError(f"SSIM's window of {WINDOW} pixels does not fit an image of {size}")
    return scales_that_fit(size)

"""StyleGAN3's filters: low-pass design, resampling along both axes, leaky ReLU between two sampling rates.

Paper: Karras et al., "Alias-Free Generative Adversarial Networks" (arXiv 2106.12423), section 3 and appendix C: a
pointwise nonlinearity makes frequencies that a sampling grid cannot hold, so the map is upsampled before it and
low-pass filtered and downsampled after it, with Kaiser-windowed sinc filters; the rotation-equivariant networks
downsample with radially symmetric ones (a jinc).

Resampling along one axis is a product with a banded matrix whose bands repeat: it is done as a product of windows of
the map with one small matrix, several times faster on CPUs than depthwise convolutions of maps filled with zeros.
Channels are worked on in portions, since the maps between the filters have four to sixteen times the input's values.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import j1
from torch import Tensor

PORTION = 2**20
"""Values of the upsampled maps worked on at once: 4 MiB in float32, which stay in a core's cache."""
LEAST_RADIAL_MAPS = 16
"""Maps filtered at once by a radial filter, at least: CPU convolutions work on vectors of channels."""
BLOCK = 32
"""Outputs per window when resampling (per value of ``up``): the product with a small matrix costs little then."""


def kaiser_beta(taps: int, half_width: float, rate: float) -> float:
    """Shape of the Kaiser window whose transition band is ``2 half_width`` wide (Kaiser 1974)."""
    attenuation = 2.285 * (taps - 1) * math.pi * (2 * half_width / (rate / 2)) + 7.95
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0


def low_pass_filter(taps: int, cutoff: float, half_width: float, rate: float, radial: bool = False) -> Tensor | None:
    """Kaiser-windowed low-pass filter that sums to one.

    Args:
        taps: number of taps along each axis, even; 1 for no filter.
        cutoff: frequency that passes by half, in the unit of ``rate``.
        half_width: half the width of the transition band.
        rate: sampling rate.
        radial: a jinc of the distance, (taps, taps), instead of a sinc, (taps,).

    Returns:
        The filter in float32, or None for a single tap.
    """
    if taps == 1:
        return None
    seconds = (np.arange(taps) - (taps - 1) / 2) / rate
    window = np.kaiser(taps, kaiser_beta(taps, half_width, rate))
    values: NDArray[np.float64]
    if radial:
        distance = np.hypot(seconds[:, None], seconds[None, :])
        values = j1(2 * math.pi * cutoff * distance) / (math.pi * distance) * np.outer(window, window)
    else:
        values = np.sinc(2 * cutoff * seconds) * window
    return torch.tensor(values / values.sum(), dtype=torch.float32)


def resample(maps: Tensor, taps: Tensor, up: int, down: int, before: int, size: int, columns: bool = False) -> Tensor:
    """Upsample, filter and downsample along one axis: ``y[n] = sum_k taps[k] z[n down + k - before]``.

    Here z is the input with ``up - 1`` zeros after every value, and zero outside.

    Args:
        maps: (..., H, W).
        taps: (k,).
        up: values per input value before filtering.
        down: every ``down``-th value is kept.
        before: zeros in front of z; negative cuts.
        size: values to return.
        columns: along H instead of W.

    Returns:
        (..., H, size), or (..., size, W).
    """
    block = min(BLOCK * up, -(-size // up) * up)
    windows = -(-size // block)
    step = block * down // up
    # Inputs that the first block reads: j up = n down + k - before, for 0 <= n < block and all taps.
    first = -(before // up)
    last = ((block - 1) * down + len(taps) - 1 - before) // up
    inputs = torch.arange(first, last + 1, device=taps.device)
    outputs = torch.arange(block, device=taps.device)
    tap = inputs[:, None] * up - outputs * down + before
    inside = (tap >= 0) & (tap < len(taps))
    matrix = torch.where(inside, taps[tap.clamp(0, len(taps) - 1)], 0.0).to(maps.dtype)
    needed = first + (windows - 1) * step + len(matrix)
    if columns:
        padded = F.pad(maps, (0, 0, -first, needed - maps.shape[-2]))
        found = matrix.t() @ padded.unfold(-2, len(matrix), step).mT
        return found.flatten(-3, -2)[..., :size, :]
    padded = F.pad(maps, (-first, needed - maps.shape[-1]))
    found = padded.unfold(-1, len(matrix), step) @ matrix
    return found.flatten(-2)[..., :size]


def filtered_leaky_relu(
    maps: Tensor,
    up_taps: Tensor,
    down_taps: Tensor,
    up: int,
    down: int,
    before: int,
    size: int,
    slope: float,
    gain: float,
    clamp: float,
) -> Tensor:
    """Upsample, leaky ReLU times ``gain``, clamp, low-pass filter, downsample: the nonlinearity of StyleGAN3.

    Args:
        maps: (B, C, H, H) with the bias added.
        up_taps: separable filter (k,), summing to one.
        down_taps: separable (k,) or radial (k, k) filter, summing to one.
        up: factor of upsampling, before the nonlinearity.
        down: factor of downsampling, after it.
        before: zeros in front of the zero-filled map on both axes; negative cuts.
        size: side of the result.
        slope: of the leaky ReLU for negative values.
        gain: factor after the leaky ReLU.
        clamp: largest magnitude before the second filter.

    Returns:
        (B, C, size, size).
    """
    between = (size - 1) * down + len(down_taps)
    # The gain passes through the leaky ReLU, which is positively homogeneous.
    first, second = up_taps * up, up_taps * (up * gain)
    flat = maps.flatten(0, 1)
    portions = []
    least = LEAST_RADIAL_MAPS if down_taps.ndim == 2 else 1
    for portion in flat.split(max(least, PORTION // between**2)):
        wide = resample(resample(portion, first, up, 1, before, between), second, up, 1, before, between, True)
        wide = F.leaky_relu(wide, slope).clamp(-clamp, clamp)
        if down_taps.ndim == 1:
            narrow = resample(wide, down_taps, 1, down, 0, size, True)
            portions.append(resample(narrow, down_taps, 1, down, 0, size))
        else:
            weight = down_taps.to(wide.dtype).expand(len(wide), 1, *down_taps.shape)
            portions.append(F.conv2d(wide[None], weight, stride=down, groups=len(wide))[0])
    return torch.cat(portions).unflatten(0, maps.shape[:2])

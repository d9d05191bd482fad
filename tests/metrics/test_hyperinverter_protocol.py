"""The quantitative table's scores: truncation, ranges and sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metrics.distribution import kid, kid_over_subsets
from metrics.hyperinverter_protocol import (
    from_eight_bits,
    l2_of_table,
    ms_ssim_of_table,
    psnr_of_table,
    resized,
    to_eight_bits,
)


def test_eight_bits_truncate_and_clip() -> None:
    values = torch.tensor([-2.0, -1.0, 0.0, 0.999, 1.0, 3.0]).reshape(1, 1, 1, 6).expand(1, 3, 1, 6)
    assert to_eight_bits(values)[0, 0, :, 0].tolist() == [0, 0, 127, 254, 255, 255]


def test_l2_is_on_doubled_range_and_psnr_on_unit_range() -> None:
    real = np.full((1, 256, 256, 3), 100, np.uint8)
    fake = np.full((1, 256, 256, 3), 151, np.uint8)  # a fifth of the range away
    assert l2_of_table(real, fake).item() == pytest.approx(0.16, rel=1e-5)
    assert psnr_of_table(real, fake).item() == pytest.approx(-20 * np.log10(0.2), rel=1e-5)
    assert ms_ssim_of_table(real, real).item() == pytest.approx(1.0, abs=1e-9)


def test_filters_differ_and_keep_equal_colours() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    assert (resized(pictures, 32) != resized(pictures, 32, bicubic=True)).any()
    flat = np.full((1, 64, 64, 3), 77, np.uint8)
    assert (resized(flat, 32) == 77).all()
    assert from_eight_bits(flat)[0, 0, 0, 0].item() == pytest.approx(77 / 255 * 2 - 1, abs=1e-6)


def test_kid_is_a_thousand_times_the_mean_over_subsets() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(40, 4), torch.randn(40, 4) + 1
    mean, deviation = kid_over_subsets(first, second, 5, 20, 3)
    assert deviation > 0
    assert kid(first, second, 5, 20, 3) == pytest.approx(1000 * mean)

"""Seams, consistency and ratios against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from metrics.applications import Box, identity_consistency, ratio_of_means, seam

BOX = Box(2, 5, 3, 7)


def test_a_pasted_box_has_the_seam_of_its_step_in_colour() -> None:
    pixels = np.full((2, 10, 12, 3), 51, np.uint8)
    pixels[0, 2:5, 3:7] = (51, 51 + 102, 51)  # one channel by 0.4
    assert seam(pixels, BOX) == pytest.approx([0.4 / 3**0.5, 0])
    black = np.zeros((1, 10, 12, 3), np.uint8)
    black[:, 2:5, 3:7] = 255
    assert seam(black, BOX) == pytest.approx([1])


def test_only_pairs_across_the_border_count() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 10, 12, 3)).astype(np.uint8)
    jumps = []
    for y in range(10):
        for x in range(12):
            for dy, dx in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                if 2 <= y < 5 and 3 <= x < 7 and not (2 <= y + dy < 5 and 3 <= x + dx < 7):
                    difference = (pixels[:, y, x].astype(float) - pixels[:, y + dy, x + dx]) / 255
                    jumps.append(np.sqrt((difference**2).mean(axis=-1)))
    assert len(jumps) == 2 * (3 + 4)
    assert seam(pixels, BOX) == pytest.approx(np.mean(jumps, axis=0))
    pixels[:, 3:4, 4:6] = 0  # the inside
    pixels[:, 0] = 0
    assert seam(pixels, BOX) == pytest.approx(np.mean(jumps, axis=0))


def test_a_ramp_has_its_slope_as_seam_along_it() -> None:
    ramp = np.broadcast_to(np.arange(12, dtype=np.uint8)[None, None, :, None] * 10, (1, 10, 12, 3))
    # 4 + 4 pairs up and down without a jump, 3 + 3 to the sides with one of 10 levels
    assert seam(ramp, BOX) == pytest.approx([10 / 255 * 6 / 14])


def test_boxes_without_neighbours_are_refused() -> None:
    with pytest.raises(ValueError, match="no box"):
        Box(5, 5, 0, 3)
    for box in (Box(0, 3, 2, 4), Box(1, 10, 2, 4), Box(1, 3, 2, 12)):
        with pytest.raises(ValueError, match="on every side"):
            seam(np.zeros((1, 10, 12, 3), np.uint8), box)


def test_consistency_is_the_mean_cosine_with_the_first_frame() -> None:
    angles = np.array([[0.3, 0.3 + np.pi / 3, 0.3 - np.pi / 2, 0.3], [1.0, 1.0, 1.0, 1.0]])
    lengths = np.array([[1.0, 5.0, 0.1, 2.0]] * 2)
    embeddings = (lengths * np.stack([np.cos(angles), np.sin(angles)])).transpose(1, 2, 0)
    assert identity_consistency(embeddings) == pytest.approx([(0.5 + 0 + 1) / 3, 1])
    with pytest.raises(ValueError, match="two frames"):
        identity_consistency(embeddings[:, :1])


def test_a_ratio_is_that_of_means_and_its_interval_that_of_pairs() -> None:
    below = np.array([1.0, 2.0, 3.0, 6.0])
    assert ratio_of_means(below / 4, below, 200, 0) == pytest.approx((0.25, 0.25, 0.25))
    ratio, low, high = ratio_of_means(np.array([4.0, 0, 0, 2]), below, 2000, 0)
    assert ratio == pytest.approx(0.5)
    assert low < ratio < high
    # Of 4 images 0.4 % of the resamples are the first image alone: more than the ratio's own maximum there cannot be.
    assert 0 <= low and high <= 4
    with pytest.raises(ValueError, match="above 0"):
        ratio_of_means(below, np.zeros(4), 100, 0)

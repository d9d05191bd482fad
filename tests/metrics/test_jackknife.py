"""The jackknife of FID and KID against leaving images out by hand, and against how distances really scatter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from metrics.distribution import fid, kid
from metrics.jackknife import Scores, fid_shares, kid_shares
from metrics.panel import sampled_distances

WIDTH = 16


def kid_of_whole_sets(real: torch.Tensor, fake: torch.Tensor) -> float:
    return kid(real, fake, 1, 10_000, 0)


def pair(seed: int, count: int, error: float = 0.5) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of images and of their reconstructions."""
    mixed = np.random.default_rng(99).normal(size=(WIDTH, WIDTH)) / 4
    source = np.random.default_rng(seed)
    real = source.normal(size=(count, WIDTH)) @ mixed + 3
    fake = real + error * source.normal(size=real.shape) @ mixed + 0.1
    return torch.from_numpy(real).float(), torch.from_numpy(fake).float()


@pytest.mark.parametrize(("shares", "distance"), [(fid_shares, fid), (kid_shares, kid_of_whole_sets)])
def test_shares_are_those_of_distances_without_each_image(
    shares: Callable[..., Scores], distance: Callable[..., float]
) -> None:
    real, fake = pair(0, 40)
    own = np.arange(40)
    without = np.array([distance(real[own != image], fake[own != image]) for image in own])
    # pytorch-fid takes the root of a matrix that is not symmetric, in another way: 1e-6 of its size.
    np.testing.assert_allclose(shares(real, fake, own, own), 39 * (without.mean() - without), rtol=1e-4, atol=1e-4)

    # Several pictures of each image beside a reference that stays; KID's subsets are whole sets only of equal ones.
    reference, owners = pair(1, 38)[0], np.tile(np.arange(20), 2)
    without = np.array([distance(reference, fake[owners != image]) for image in range(20)])
    found = shares(reference, fake, owners, None)
    np.testing.assert_allclose(found, 19 * (without.mean() - without), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("shares", "distance"), [(fid_shares, fid), (kid_shares, kid_of_whole_sets)])
def test_their_spread_is_that_of_other_images(shares: Callable[..., Scores], distance: Callable[..., float]) -> None:
    """Also for the difference of two methods on the same images, which is what claims are judged by."""
    count, draws = 64, 60
    values, errors, differences, their_errors = [], [], [], []
    own = np.arange(count)
    for seed in range(draws):
        real, fake = pair(seed, count)
        other = fake * 0.97
        one, two = shares(real, fake, own, own), shares(real, other, own, own)
        values.append(distance(real, fake))
        errors.append(one.std(ddof=1) / count**0.5)
        differences.append(distance(real, fake) - distance(real, other))
        their_errors.append((one - two).std(ddof=1) / count**0.5)
    # The deviation of 60 draws is itself uncertain by 9 %, and the jackknife errs on the large side.
    assert 0.8 < np.mean(errors) / np.std(values, ddof=1) < 1.4
    assert 0.8 < np.mean(their_errors) / np.std(differences, ddof=1) < 1.4


def test_intervals_hold_the_value_and_scores_average_to_it() -> None:
    real, fake = pair(0, 40)
    own = np.arange(40)
    entries, scores = sampled_distances(real, fake, own, own, 10, 20, 500, 0)
    for name, entry in entries.items():
        assert entry["low"] < entry["value"] < entry["high"]  # type: ignore[operator]
        assert scores[name].mean() == pytest.approx(entry["value"])
    assert entries["fid"]["value"] == fid(real, fake)
    # A shuffled sample is the same sample.
    order = np.random.default_rng(1).permutation(40)
    again, _ = sampled_distances(real[order], fake[order], own, own, 1, 40, 500, 0)
    assert again["fid"]["low"] == pytest.approx(entries["fid"]["low"], rel=1e-6)


def test_two_images_have_a_distance_and_no_interval() -> None:
    real, fake = pair(0, 2)
    entries, scores = sampled_distances(real, fake, np.arange(2), np.arange(2), 1, 2, 100, 0)
    assert entries["fid"]["value"] is not None and entries["fid"]["low"] is None and not scores
    with pytest.raises(ValueError, match="at least 3 images"):
        fid_shares(real, fake, np.arange(2), np.arange(2))


def test_an_image_without_features_is_refused() -> None:
    real, fake = pair(0, 6)
    with pytest.raises(ValueError, match="every row needs the image"):
        kid_shares(real, fake, np.array([0, 1, 2, 3, 5, 5]), None)

"""Photometric augmentation: what it leaves alone, what it changes, and that it can be repeated."""

import pytest
import torch

from metrics.judges.augment import augment, binomial_blur
from metrics.judges.config import Augmentation

_NONE = {"brightness": 0.0, "contrast": 0.0, "colour": 0.0, "blur": 0.0, "noise": 0.0}


def _images() -> torch.Tensor:
    return torch.rand(16, 3, 12, 12, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.6


def _augmented(seed: int = 1, **amounts: float) -> torch.Tensor:
    return augment(_images(), Augmentation(**{**_NONE, **amounts}), torch.Generator().manual_seed(seed))


def test_nothing_asked_for_is_nothing_done() -> None:
    assert torch.equal(_augmented(), _images())


def test_the_same_seed_gives_the_same_images() -> None:
    amounts = {"brightness": 0.1, "contrast": 0.1, "colour": 0.1, "blur": 0.5, "noise": 0.1}
    assert torch.equal(_augmented(3, **amounts), _augmented(3, **amounts))
    assert not torch.equal(_augmented(3, **amounts), _augmented(4, **amounts))


def test_blur_is_a_convolution_with_the_binomial_kernel() -> None:
    row = torch.tensor([1.0, 2.0, 1.0])
    kernel = (row[:, None] * row[None] / 16).expand(3, 1, 3, 3)
    padded = torch.nn.functional.pad(_images(), (1, 1, 1, 1), mode="replicate")
    expected = torch.nn.functional.conv2d(padded, kernel, groups=3)
    # Sums of nine float32 products in another order.
    torch.testing.assert_close(binomial_blur(_images()), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["blur", "noise"])
def test_about_half_of_the_images_get_no_blur_or_noise(kind: str) -> None:
    untouched = (_augmented(**{kind: 0.5}) == _images()).flatten(1).all(1)
    assert 3 <= int(untouched.sum()) <= 13


def test_brightness_adds_one_number_per_image_within_its_bound() -> None:
    change = _augmented(brightness=0.2) - _images()
    assert float(change.flatten(1).std(1).max()) < 1e-6
    means = change.mean((1, 2, 3))
    assert float(means.abs().max()) <= 0.2
    assert float(means.std()) > 0.05


def test_colour_scales_channels_apart_and_contrast_together() -> None:
    by_channel = (_augmented(colour=0.2) / _images()).mean((2, 3))
    assert float((by_channel[:, 0] - by_channel[:, 1]).abs().mean()) > 0.02
    together = (_augmented(contrast=0.2) / _images()).mean((2, 3))
    torch.testing.assert_close(together[:, 0], together[:, 1], rtol=0, atol=1e-4)


def test_the_result_stays_in_range() -> None:
    assert float(_augmented(brightness=1.0, noise=1.0).abs().max()) <= 1.0

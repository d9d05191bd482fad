"""Photometric augmentation: what it leaves alone, what it changes, and that it can be repeated."""

import pytest
import torch

from metrics.judges.augment import augment, binomial_blur, crop_and_flip, view
from metrics.judges.config import Augmentation, Views

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


def _ramp(count: int, size: int = 16) -> torch.Tensor:
    """Images whose channels are their own coordinates, -1 to 1 from edge to edge."""
    places = (torch.arange(size) * 2 + 1) / size - 1
    row, column = torch.meshgrid(places, places, indexing="ij")
    return torch.stack([column, row, torch.zeros_like(row)]).expand(count, 3, size, size)


def test_a_crop_is_a_part_of_the_image_of_the_size_drawn() -> None:
    parts = crop_and_flip(_ramp(200), 0.25, 0.5, torch.Generator().manual_seed(0))
    steps = (parts[:, 0, :, 1:] - parts[:, 0, :, :-1])[:, 8, 3:-3] * 8  # in the middle no edge is repeated
    down = (parts[:, 1, 1:] - parts[:, 1, :-1])[:, 3:-3, 8] * 8
    side = steps.abs().mean(1)
    # A ramp survives bilinear interpolation: the slope is the part's side, the same both ways.
    torch.testing.assert_close(side[:, None].expand_as(steps), steps.abs(), rtol=0, atol=1e-5)
    torch.testing.assert_close(down.mean(1), side, rtol=0, atol=1e-5)
    assert float(side.min()) >= 0.5
    assert float(side.max()) <= 1
    # The area is uniform in (0.25, 1) and half of the views are mirrored: three standard errors of 200 draws.
    assert float(side.square().mean()) == pytest.approx(0.625, abs=0.046)
    assert float((steps.mean(1) < 0).float().mean()) == pytest.approx(0.5, abs=0.11)
    centre = parts[:, :2, 7:9, 7:9].mean((2, 3))
    assert bool((centre.abs() <= 1 - side[:, None] + 1e-5).all())
    assert float(centre.abs().max()) > 0.2


def test_the_whole_image_is_the_image() -> None:
    torch.testing.assert_close(crop_and_flip(_images(), 1.0, 0.0, torch.Generator()), _images())
    torch.testing.assert_close(crop_and_flip(_images(), 1.0, 1.0, torch.Generator()), _images().flip(3))


def test_views_may_lose_their_colour() -> None:
    amounts = Views(**_NONE, crop=1.0, flip=0.0, grey=1.0)
    found = view(_images(), amounts, torch.Generator())
    expected = (_images() * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    torch.testing.assert_close(found, expected.expand_as(found))

"""Crops, cosines and distances of the similarity losses against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from metrics.judges.similarity import cropped_faces, layer_cosines, layer_distance, nearest_pixels, unit_distance


def test_the_crop_averages_bins_inside_the_published_box() -> None:
    row, column = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    faces = cropped_faces(torch.stack([row, column, row])[None], 112)[0]

    def mean_of_bin(index: int) -> float:
        """Of the numbers floor(i 188 / 112) ... ceil((i + 1) 188 / 112) - 1."""
        first, end = math.floor(index * 188 / 112), math.ceil((index + 1) * 188 / 112)
        return (first + end - 1) / 2

    for index in (0, 1, 50, 111):
        assert faces[0, index, 3].item() == pytest.approx(35 + mean_of_bin(index))
        assert faces[1, 3, index].item() == pytest.approx(32 + mean_of_bin(index))


def test_the_crop_scales_with_the_image() -> None:
    images = torch.zeros(1, 3, 64, 64)
    images[:, :, 9:56, 8:55] = 1.0  # a quarter of 35:223 and 32:220, rounded
    assert torch.equal(cropped_faces(images, 8), torch.ones(1, 3, 8, 8))
    images[:, :, 8] = images[:, :, 56] = images[:, :, :, 7] = images[:, :, :, 55] = 5.0
    assert torch.equal(cropped_faces(images, 8), torch.ones(1, 3, 8, 8))


def test_nearest_pixels_floors() -> None:
    ramp = torch.arange(256.0).expand(1, 1, 192, 256)
    assert nearest_pixels(ramp, 224)[0, 0, 0].tolist() == [math.floor(i * 256 / 224) for i in range(224)]


def test_cosines_and_distances_in_the_plane() -> None:
    angles = torch.tensor([0.3, 1.2])
    ours = torch.stack([angles.cos(), angles.sin()], dim=1)
    theirs = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert unit_distance(ours, theirs).item() == pytest.approx(1 - angles.cos().mean().item(), abs=1e-7)
    layers = [3 * ours[:, :, None, None], ours]
    cosines = layer_cosines(layers, [theirs[:, :, None, None], theirs])
    assert cosines.shape == (2, 2)
    assert torch.allclose(cosines, angles.cos().expand(2, 2), atol=1e-7)
    expected = 2 * (1 - angles.cos().mean().item())
    assert layer_distance(layers, [theirs[:, :, None, None], theirs]).item() == pytest.approx(expected, abs=1e-6)


def test_the_target_has_no_gradient() -> None:
    ours, theirs = (torch.randn(2, 4, requires_grad=True) for _ in range(2))
    (layer_distance([ours], [theirs]) + unit_distance(ours, theirs)).backward()
    assert ours.grad is not None
    assert theirs.grad is None


def test_nothing_at_all_has_a_finite_cosine() -> None:
    zeros = torch.zeros(1, 4, requires_grad=True)
    layer_cosines([zeros], [torch.ones(1, 4)]).sum().backward()
    assert zeros.grad is not None
    assert torch.isfinite(zeros.grad).all()

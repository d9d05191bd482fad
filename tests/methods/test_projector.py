"""The projector at tiny sizes: regulariser and schedules in closed form, searches that arrive."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from methods import projector
from methods.networks.stylegan2 import Generator
from methods.optimization_loop import optimize

SIZE = 16


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(SIZE, 8, 2, channels={4: 6, 8: 6, 16: 6}).eval().requires_grad_(False)


def pixels(images: Tensor) -> Tensor:
    return images.flatten(1) / 127.5 / images[0].numel() ** 0.5


def test_regularisation_by_hand() -> None:
    noise = torch.randn(2, 1, 16, 16, dtype=torch.float64)
    expected = np.zeros(2)
    for image, one in enumerate(noise[:, 0].numpy()):
        pooled = one.reshape(8, 2, 8, 2).mean(axis=(1, 3))
        for level in (one, pooled):
            size = len(level)
            for right in (True, False):
                shifted = sum(
                    level[y, x] * (level[y, x - 1] if right else level[y - 1, x])
                    for y in range(size)
                    for x in range(size)
                )
                expected[image] += (shifted / size**2) ** 2
    np.testing.assert_allclose(projector.noise_regularization([noise]), expected, rtol=1e-10)


def test_latent_statistics_are_those_of_numpys_draws() -> None:
    mean, spread = projector.latent_statistics(lambda z: 2 * z + 1, 5, 400)
    w = 2 * np.random.RandomState(123).randn(400, 5) + 1
    np.testing.assert_allclose(mean, w.mean(axis=0), atol=1e-6)
    assert spread == pytest.approx(np.sqrt(((w - w.mean(axis=0)) ** 2).sum() / 400), rel=1e-6)


def test_noise_on_w_falls_as_a_parabola() -> None:
    factors = [projector.latent_noise_factor(t, 0.05, 0.75) for t in (0, 0.375, 0.75, 0.9)]
    assert factors == pytest.approx([0.05, 0.0125, 0, 0])


def test_large_images_are_averaged_before_they_are_compared() -> None:
    images = torch.rand(1, 3, 512, 512) * 2 - 1
    expected = (images.reshape(1, 3, 256, 2, 256, 2).mean(dim=(3, 5)) + 1) / 2 * 255
    torch.testing.assert_close(projector.compared(images), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("space", ["w", "w+"])
def test_projection_comes_nearer_and_keeps_noise_normal(generator: Generator, space: str) -> None:
    protocol = replace(projector.NVIDIA_W, steps=60, space=space, regularization=1.0)
    statistics = projector.latent_statistics(generator.mapping, 8, 200)
    with torch.no_grad():
        targets = generator(torch.randn(2, 8))
    before = copy.deepcopy(generator.state_dict())
    draws = projector.random_draws(generator, 2, protocol.space, seed=3)
    path = list(projector.project(generator, targets, pixels, protocol, statistics, *draws))
    assert path[0].learning_rate == 0
    torch.testing.assert_close(path[0].styles, statistics[0].expand_as(path[0].styles))
    assert path[-1].styles.shape == (2, 1 if space == "w" else generator.style_count, 8)
    assert (path[-1].distance < 0.5 * path[0].distance).all()
    for one in path[-1].noise:
        torch.testing.assert_close(one.mean(dim=(1, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
        torch.testing.assert_close(one.square().mean(dim=(1, 2, 3)), torch.ones(2), atol=1e-5, rtol=0)
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())


def test_images_are_projected_alone(generator: Generator) -> None:
    protocol = replace(projector.NVIDIA_W, steps=4)
    statistics = projector.latent_statistics(generator.mapping, 8, 50)
    targets = torch.rand(2, 3, SIZE, SIZE) * 2 - 1
    noise, latent_noise = projector.random_draws(generator, 2, protocol.space, seed=1)
    both = list(projector.project(generator, targets, pixels, protocol, statistics, noise, latent_noise))[-1]
    second = list(
        projector.project(
            generator,
            targets[1:],
            pixels,
            protocol,
            statistics,
            [one[1:] for one in noise],
            lambda step: latent_noise(step)[1:],
        )
    )[-1]
    torch.testing.assert_close(both.styles[1:], second.styles, atol=1e-4, rtol=0)


def test_a_search_may_end_itself() -> None:
    x = torch.zeros(1, requires_grad=True)
    loop = optimize(
        [x],
        lambda step: None if step == 4 else (x - 1) ** 2,
        steps=9,
        learning_rate=0.1,
        schedule=lambda _: 1.0,
        yield_every=3,
    )
    assert list(loop) == [0, 3, 4]

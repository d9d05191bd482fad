"""Measures of a generator against closed forms, independent implementations and hand-made images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from methods.networks.stylegan2 import Generator
from pipelines import generator_quality as quality
from pipelines.domains.shards import to_float


def tiny_generator() -> Generator:
    torch.manual_seed(0)
    return Generator(size=8, style_dim=16, mapping_layers=2, channels={4: 8, 8: 8})


def colours(images: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 6): means and deviations of the channels, a feature network without weights."""
    return torch.cat([images.mean((2, 3)), images.std((2, 3))], 1)


@torch.no_grad()
def test_samples_are_of_seeded_latents_whatever_their_number() -> None:
    generator = tiny_generator()
    pixels = quality.draw_samples(generator, 70, seed=3)
    assert pixels.shape == (70, 8, 8, 3)
    w = generator.mapping(torch.randn(70, 16, generator=torch.Generator().manual_seed(3)))
    expected = generator.synthesis(w[:, None].expand(-1, generator.style_count, -1)).clamp(-1, 1)
    # 8 bits: half a step of 2 / 255
    torch.testing.assert_close(to_float(torch.from_numpy(pixels)), expected, atol=1 / 255 + 1e-6, rtol=0)
    np.testing.assert_array_equal(quality.draw_samples(generator, 40, seed=3), pixels[:40])
    assert not np.array_equal(quality.draw_samples(generator, 70, seed=4), pixels)


def test_features_do_not_depend_on_batches() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (70, 8, 8, 3), dtype=np.uint8)
    together = colours(to_float(torch.from_numpy(pixels)))
    torch.testing.assert_close(quality.features_of(colours, pixels), together)


def test_fid_of_generator_is_the_frechet_distance_of_its_samples() -> None:
    generator = tiny_generator()
    real = torch.randn(100, 6, generator=torch.Generator().manual_seed(5)) * 0.3
    measured = quality.fid_of_generator(generator, colours, real, 64, seed=1)
    fake = quality.features_of(colours, quality.draw_samples(generator, 64, seed=1)).double().numpy()
    first, second = real.double().numpy(), fake
    # The trace of the root of a product of covariances is the sum of the roots of its eigenvalues.
    product = np.cov(first.T) @ np.cov(second.T)
    roots = np.sqrt(np.clip(np.linalg.eigvals(product).real, 0, None)).sum()
    mean = ((first.mean(0) - second.mean(0)) ** 2).sum()
    expected = mean + np.trace(np.cov(first.T)) + np.trace(np.cov(second.T)) - 2 * roots
    np.testing.assert_allclose(measured, expected, rtol=1e-5)  # a square root of a matrix, in float64
    own = torch.from_numpy(second).float()
    assert quality.fid_of_generator(generator, colours, own, 64, seed=1) < 1e-6 * measured + 1e-9

"""The generator and discriminator against the golden outputs of the published 256 px networks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from methods.networks.discriminator import Discriminator
from methods.networks.stylegan2 import Generator
from tests.conformance.golden import assert_golden, seeded_input, seeded_network

GENERATOR = "stylegan2_rosinality_g256"
DISCRIMINATOR = "stylegan2_rosinality_d256"


@pytest.fixture(scope="module")
def generator() -> Generator:
    return seeded_network(GENERATOR, lambda: Generator(256))


def crop(images: Tensor) -> Tensor:
    return images[:, :, 112:144, 112:144]


def statistics(images: Tensor) -> Tensor:
    """Mean and population deviation per image and channel (B, 3, 2)."""
    flat = images.double().flatten(2)
    return torch.stack([flat.mean(dim=2), flat.std(dim=2, unbiased=False)], dim=2)


@torch.no_grad()
def test_generator_draws_the_golden_images_of_z(generator: Generator) -> None:
    w = generator.mapping(seeded_input("z", (2, 512)))
    images = generator.synthesis(generator.repeat(w))
    answers = {"w": w, "img_z_crop32": crop(images), "img_z_stats": statistics(images)}
    assert_golden(GENERATOR, answers | {"img_z_area64": F.avg_pool2d(images[:1], 4)})


@torch.no_grad()
def test_generator_draws_the_golden_images_of_w_plus(generator: Generator) -> None:
    styles = seeded_input("wplus", (1, 14, 512))
    images = generator.synthesis(styles)
    silent = generator.synthesis(styles, noise=[torch.zeros_like(noise) for noise in generator.stored_noise()])
    answers = {
        "img_wplus_area64": F.avg_pool2d(images, 4),
        "img_wplus_crop32": crop(images),
        "img_wplus_stats": statistics(images),
        "img_wplus_nonoise_stats": statistics(silent),
    }
    assert_golden(GENERATOR, answers)


@torch.no_grad()
def test_generator_draws_the_golden_truncated_image(generator: Generator) -> None:
    mean = generator.mapping(seeded_input("mean_z", (64, 512))).mean(dim=0, keepdim=True)
    w = mean + 0.7 * (generator.mapping(seeded_input("z", (2, 512))[:1]) - mean)
    images = generator.synthesis(generator.repeat(w))
    answers = {"mean_latent": mean, "w_trunc07": w, "img_trunc07_crop32": crop(images)}
    assert_golden(GENERATOR, answers | {"img_trunc07_stats": statistics(images)})


@torch.no_grad()
def test_discriminator_gives_the_golden_logits() -> None:
    network = seeded_network(DISCRIMINATOR, lambda: Discriminator(256))
    four = seeded_input("images4", (4, 3, 256, 256), clip=True)
    eight = seeded_input("images8", (8, 3, 256, 256), clip=True)
    answers = {"logits4": network(four), "logits8": network(eight)}
    assert_golden(DISCRIMINATOR, answers | {"logits_1_and_2": torch.cat([network(four[:1]), network(four[:2])])})

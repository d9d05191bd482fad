"""Measures of a generator against closed forms, independent implementations and hand-made images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from core.errors import ReinvertError
from methods import generators
from methods.losses import ReconstructionLoss
from methods.networks.stylegan2 import Generator
from pipelines import domains
from pipelines import generator_quality as quality
from pipelines.domains.shards import to_float
from pipelines.samples_config import GeneratorQuality
from tests.methods.tiny import write_generator


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


LABELS = ("skin", "brows", "eyes", "nose")
CONTENT = quality.Content(parts=("brows", "nose"), on_both_sides=(("eyes", "nose"),))


def mask(*pixels: tuple[int, int, str]) -> np.ndarray:
    picture = np.zeros((8, 8), np.uint8)
    for row, column, name in pixels:
        picture[row, column] = LABELS.index(name)
    return picture


def test_parts_are_found_by_pixels_and_sides() -> None:
    whole = [(1, 2, "brows"), (1, 5, "brows"), (3, 2, "eyes"), (3, 3, "eyes"), (3, 5, "eyes"), (2, 6, "eyes"),
             (4, 4, "nose"), (5, 4, "nose")]  # fmt: skip
    one_eye = [pixel for pixel in whole if pixel not in ((3, 5, "eyes"), (2, 6, "eyes"))]
    # Two regions, but both to the left of the nose: an eye cut by the frame of glasses is no second eye.
    cut_eye = [*one_eye, (6, 1, "eyes"), (6, 2, "eyes")]
    noseless = [pixel for pixel in whole if pixel[2] != "nose"]
    half_a_brow = whole[1:]
    masks = np.stack([mask(*pixels) for pixels in (whole, one_eye, cut_eye, noseless, half_a_brow)])
    found = quality.found_parts(masks, LABELS, CONTENT, minimum_pixels=2)
    assert {name: there.tolist() for name, there in found.items()} == {
        "brows": [True, True, True, True, False],
        "nose": [True, True, True, False, True],
        "eyes": [True, False, False, False, True],
        "complete": [True, False, False, False, False],
    }
    assert quality.found_parts(masks, LABELS, CONTENT, minimum_pixels=1)["brows"].all()


def test_the_content_of_every_domain_is_in_its_own_words() -> None:
    for name in domains.names():
        content, domain = quality.content_of(name), domains.get(name)
        classes = {*content.parts, *content.shares, *(word for pair in content.on_both_sides for word in pair)}
        assert classes <= set(domain.label_names)
        assert set(content.attributes) <= set(domain.attributes("test", torch.arange(2)))
    with pytest.raises(ReinvertError, match="domain cars .*; add it"):
        quality.content_of("cars")


def test_real_faces_are_complete_by_their_true_labels() -> None:
    """Otherwise a perfect generator would miss the bar."""
    faces = domains.get("faces")
    batch = faces.render_split("test", torch.tensor([1, 2, 4, 5, 7, 8, 10, 11]))
    found = quality.found_parts(batch.labels.numpy(), faces.label_names, quality.content_of("faces"), 4)
    assert found["complete"].all()


def test_masks_are_the_likeliest_classes() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), dtype=np.uint8)
    # Channels as logits: the class is the strongest colour.
    masks = quality.read_masks(lambda images: images, pixels)
    np.testing.assert_array_equal(masks, pixels.argmax(3))


def test_the_bar_of_fid() -> None:
    assert quality.fid_bar(train_train=0.2, train_test=0.7, factor=5.0) == pytest.approx(5 * 0.2 + 0.5)
    # Chance may make the gap negative; it lowers no bar.
    assert quality.fid_bar(train_train=0.2, train_test=0.1, factor=5.0) == pytest.approx(1.0)


def settings(**changes: object) -> GeneratorQuality:
    arguments: dict[str, object] = {
        "samples": 64, "seed": 0, "minimum_pixels": 1, "kid_subsets": 3, "kid_subset_size": 20, "inversion_images": 3,
        "inversion_batch": 2, "inversion_steps": 40, "inversion_learning_rate": 0.1, "inversion_losses": {"l2": 1.0},
        "bars": {"completeness": 0.9, "fid_factor": 5.0, "coverage": 0.8, "psnr_w_plus": 27.0, "psnr_above_w": 1.0},
    }  # fmt: skip
    return GeneratorQuality.model_validate(arguments | changes)


def test_distances_are_between_the_named_sets() -> None:
    source = torch.Generator().manual_seed(0)
    samples, one, other, test = (torch.randn(400, 3, generator=source, dtype=torch.float64) for _ in range(4))
    # Moving a set by m moves its Frechet distance by |m|^2, but for the correlation of the means.
    moved = quality.set_distances(samples + 3, one, other, test, settings())
    fids = moved["fid"]
    assert fids["samples_test"] == pytest.approx(27, rel=0.05)  # means of 400: deviation 0.05 against 3
    assert fids["train_train"] < 0.1
    assert fids["train_test"] < 0.1
    assert moved["kid"]["samples_test"] > 1000 > abs(moved["kid"]["train_train"])
    assert quality.set_distances(samples, one, other, test + 3, settings())["fid"]["train_test"] > 20


def test_coverage_of_normal_values() -> None:
    low, high = quality.value_range(torch.randn(200_000, generator=torch.Generator().manual_seed(0)))
    # 1.95996 is the normal distribution's; the percentile of 200,000 has a standard error of 0.006.
    assert (low, high) == (pytest.approx(-1.96, abs=0.025), pytest.approx(1.96, abs=0.025))
    assert quality.coverage((-20, 20), (-40, 40)) == 0.5
    assert quality.coverage((-44, 44), (-40, 40)) == pytest.approx(1.1)


def test_inversion_finds_its_own_samples_and_w_plus_more_than_w(tmp_path: Path) -> None:
    write_generator(tmp_path, 8)
    loaded = generators.load("faces", tmp_path)
    pixels = quality.draw_samples(loaded.generator, 3, seed=0)
    loss = ReconstructionLoss(settings().inversion_losses)
    exact = quality.inversion_psnr(loaded, loss, "w", pixels, settings(inversion_steps=120))
    start = quality.mean_code_psnr(loaded, pixels)
    assert exact.shape == start.shape == (3,)
    assert (exact > start + 10).all()  # a code in W for each of these images is there to be found
    other = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    in_w, in_w_plus = (quality.inversion_psnr(loaded, loss, space, other, settings()) for space in ("w", "w+"))
    assert (in_w_plus > in_w).all()
    alone = quality.inversion_psnr(loaded, loss, "w+", other[2:], settings())
    torch.testing.assert_close(alone, in_w_plus[2:], atol=0.01, rtol=0)  # rounding, through forty steps of Adam

"""How good a generator is: the measures, each a plain function of images, features or codes.

- Completeness: the share of images in which the domain's parser finds every part that an image of the domain must
  have (`PARTS`). An eye behind sunglasses is not found in a real image either, so real images are counted the same way.
- FID (Heusel et al. 2017) and KID on the embedded feature network, against a bar that is made of real images only:
  five times the distance between two disjoint sets of training images, plus what the test images are farther away
  from training images than those are from each other. All sets have the sizes of the samples and the test images, so
  that the bias of FID by sample size (Chong & Forsyth 2020) is the same on both sides:

      bar = factor * FID(A, B) + max(0, FID(A, T) - FID(A, B)),   |A| = |samples|, |B| = |T|

  KID is unbiased: between two sets of one distribution it is zero on average, so it is measured alike but has no bar.
- Coverage: the range of an attribute, as a judge reads it off the samples, over its range on real images.
- PSNR of inverting real images by optimisation in W+ and in W: what the generator can draw at all.

Samples are drawn without truncation and with the generator's stored noise, as inversion uses it, and are compared as
8-bit pixels, as real images are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import ReinvertError
from methods.generators import LoadedGenerator
from methods.losses import ReconstructionLoss
from methods.networks.stylegan2 import Generator
from methods.optimization import Optimization, OptimizationArguments
from metrics.distribution import fid, kid
from metrics.pixel import psnr
from pipelines.domains.shards import to_bytes, to_float
from pipelines.samples_config import GeneratorQuality

Pixels = NDArray[np.uint8]
_BATCH = 32
"""Images that pass a network at once; small enough for the caches of a processor."""
_RANGE = (2.5, 97.5)
"""Percentiles between which 95 % of an attribute's values lie; single outliers of a judge do not widen it."""


@dataclass(frozen=True)
class Content:
    """What an image of a domain shows, in the words of its judges.

    Attributes:
        parts: classes of the parser that every image must have.
        on_both_sides: pairs of classes, the first of which must lie to the left and to the right of the second.
        attributes: what the judge `attributes` reads; empty where a domain has none.
        shares: classes of the parser whose size is an attribute worth editing.
    """

    parts: tuple[str, ...]
    on_both_sides: tuple[tuple[str, str], ...] = ()
    attributes: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()


CONTENTS = {
    "faces": Content(
        parts=("brows", "nose", "mouth"),
        on_both_sides=(("eyes", "nose"),),
        attributes=("yaw", "age"),
        shares=("hair", "brows", "eyes", "mouth", "glasses"),
    ),
    "churches": Content(
        parts=("sky", "wall", "roof", "opening"), shares=("sky", "vegetation", "wall", "roof", "opening")
    ),
}
"""By domain."""


def content_of(domain: str) -> Content:
    """What images of `domain` show; ReinvertError where nobody has said."""
    if domain not in CONTENTS:
        raise ReinvertError(
            f"nothing says what images of domain {domain} must show; add it to CONTENTS in pipelines/"
            "generator_quality.py"
        )
    return CONTENTS[domain]


@torch.no_grad()
def seeded_codes(generator: Generator, count: int, seed: int) -> Tensor:
    """(count, D) w codes on the generator's device, without truncation; z is drawn on the CPU for every device."""
    z = torch.randn(count, generator.style_dim, generator=torch.Generator().manual_seed(seed))
    device = generator.input.input.device
    return torch.cat([generator.mapping(part.to(device)) for part in z.split(_BATCH)])


def draw_samples(generator: Generator, count: int, seed: int) -> Pixels:
    """Uncurated samples, (count, H, W, 3) uint8, a function of the seed."""
    return draw_codes(generator, seeded_codes(generator, count, seed))


@torch.no_grad()
def draw_codes(generator: Generator, codes: Tensor) -> Pixels:
    """Images of w codes (n, D), one style for all layers: (n, H, W, 3) uint8."""
    return np.concatenate(
        [
            to_bytes(generator.synthesis(part[:, None].expand(-1, generator.style_count, -1))).cpu().numpy()
            for part in codes.split(_BATCH)
        ]
    )


@torch.no_grad()
def read_images(network: Callable[[Tensor], Any], pixels: Pixels, device: torch.device | str = "cpu") -> list[Any]:
    """What `network` says of images (n, H, W, 3) uint8, given to it in batches (b, 3, H, W) in [-1, 1]."""
    batches = np.array_split(pixels, range(_BATCH, len(pixels), _BATCH))
    return [network(to_float(torch.from_numpy(np.ascontiguousarray(batch)).to(device))) for batch in batches]


def features_of(network: Callable[[Tensor], Tensor], pixels: Pixels, device: torch.device | str = "cpu") -> Tensor:
    """Features (n, d) on the CPU of images (n, H, W, 3) uint8, as FID and KID compare them."""
    return torch.cat([features.float().cpu() for features in read_images(network, pixels, device)])


def fid_of_generator(
    generator: Generator, features: Callable[[Tensor], Tensor], real_features: Tensor, samples: int, seed: int
) -> float:
    """FID between `samples` uncurated samples and real images.

    Args:
        generator: on any device; `features` has to be there, too.
        features: the domain's feature judge, (B, 3, H, W) in [-1, 1] -> (B, d).
        real_features: (n, d) of the real images, by `features_of`.
        samples: how many to draw; FID falls as they grow, so compare numbers of one size only.
        seed: of the samples.
    """
    device = generator.input.input.device
    return fid(real_features, features_of(features, draw_samples(generator, samples, seed), device))


def read_masks(parser: Callable[[Tensor], Tensor], pixels: Pixels, device: torch.device | str = "cpu") -> Pixels:
    """The class of every pixel, (n, H, W) uint8, that `parser` gives the most weight."""

    def classes(images: Tensor) -> Tensor:
        return parser(images).argmax(1).to(torch.uint8).cpu()

    return torch.cat(read_images(classes, pixels, device)).numpy()


def found_parts(
    masks: Pixels, labels: Sequence[str], content: Content, minimum_pixels: int
) -> dict[str, NDArray[np.bool_]]:
    """Which parts are found in which image.

    Args:
        masks: (n, H, W) uint8 indices into `labels`.
        labels: names of the parser's classes.
        content: what to look for.
        minimum_pixels: as small a part counts as found.

    Returns:
        (n,) bool by class, and "complete": all of them.
    """
    found = {}
    for part in content.parts:
        found[part] = (masks == labels.index(part)).sum((1, 2)) >= minimum_pixels
    columns = np.arange(masks.shape[2])
    for part, middle in content.on_both_sides:
        there, centres = (masks == labels.index(part)).sum(1), (masks == labels.index(middle)).sum(1)
        # Where the middle is not found its column is none, and no pixel lies to the left of that.
        size = centres.sum(1)
        centre = np.where(size > 0, (centres * columns).sum(1) / np.maximum(size, 1), -1.0)[:, None]
        left, right = (there * (columns < centre)).sum(1), (there * (columns > centre)).sum(1)
        found[part] = (left >= minimum_pixels) & (right >= minimum_pixels)
    return found | {"complete": np.logical_and.reduce(list(found.values()))}


def set_distances(
    samples: Tensor, training: Tensor, other_training: Tensor, test: Tensor, settings: GeneratorQuality
) -> dict[str, dict[str, float]]:
    """FID and KID (x 1000) of the samples and of real images, see the module.

    Args:
        samples: (n, d) features of samples.
        training: (n, d) of as many training images.
        other_training: (m, d) of as many other training images as there are test images.
        test: (m, d) of test images.
        settings: how KID is averaged.

    Returns:
        "fid" and "kid", each with samples_test, train_train and train_test.
    """
    pairs = {"samples_test": (test, samples), "train_train": (other_training, training), "train_test": (test, training)}
    subsets, size, seed = settings.kid_subsets, settings.kid_subset_size, settings.seed
    return {
        "fid": {name: fid(*pair) for name, pair in pairs.items()},
        "kid": {name: kid(*pair, subsets, size, seed) for name, pair in pairs.items()},
    }


def fid_bar(train_train: float, train_test: float, factor: float) -> float:
    """The FID to test images that samples may have; see the module."""
    return factor * train_train + max(0.0, train_test - train_train)


def value_range(values: Tensor) -> tuple[float, float]:
    """The 2.5th and the 97.5th percentile of (n,) values, interpolated linearly."""
    low, high = np.percentile(values.double().cpu().numpy(), _RANGE)
    return float(low), float(high)


def coverage(samples: tuple[float, float], real: tuple[float, float]) -> float:
    """Width of the samples' range over that of real images; above 1 where samples reach farther."""
    return (samples[1] - samples[0]) / (real[1] - real[0])


def inversion_psnr(
    loaded: LoadedGenerator,
    loss: ReconstructionLoss,
    space: Literal["w", "w+"],
    pixels: Pixels,
    settings: GeneratorQuality,
) -> Tensor:
    """(n,) PSNR in dB of images (n, H, W, 3) uint8, inverted by optimisation from the mean code.

    Reconstructions are compared as 8-bit pixels. Images are independent of those they share a batch with.
    """  # fmt: skip
    arguments = OptimizationArguments(
        space=space,
        steps=settings.inversion_steps,
        learning_rate=settings.inversion_learning_rate,
        losses=settings.inversion_losses,
        yield_every=settings.inversion_steps,
    )
    inverter = Optimization(loaded, loss, arguments)
    scores = []
    for part in np.array_split(pixels, range(settings.inversion_batch, len(pixels), settings.inversion_batch)):
        real = to_float(torch.from_numpy(np.ascontiguousarray(part)))
        *_, last = inverter.invert(real, settings.seed)
        scores.append(psnr(real, to_float(to_bytes(inverter.draw(last.code)).cpu())))
    return torch.cat(scores)


def mean_code_psnr(loaded: LoadedGenerator, pixels: Pixels) -> Tensor:
    """(n,) PSNR in dB of taking the mean latent's image for every image (n, H, W, 3) uint8."""
    with torch.no_grad():
        mean = to_float(to_bytes(loaded.draw(loaded.mean_code(1))).cpu())
    real = to_float(torch.from_numpy(np.ascontiguousarray(pixels)))
    return psnr(real, mean.expand_as(real))

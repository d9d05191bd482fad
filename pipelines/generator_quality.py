"""How good a generator is: the measures, each a plain function of images, features or codes.

- Completeness: the share of images in which the domain's parser finds every part that an image of the domain must
  have (`PARTS`). An eye behind sunglasses is not found in a real image either, so real images are counted the same way.
- FID (Heusel et al. 2017) and KID on the embedded feature network, against a bar that is made of real images only:
  five times the distance between two disjoint sets of training images, plus what the test images are farther away
  from training images than those are from each other. All sets have the sizes of the samples and the test images, so
  that the bias of FID by sample size (Chong & Forsyth 2020) is the same on both sides:

      bar = factor * FID(A, B) + max(0, FID(A, T) - FID(A, B)),   |A| = |samples|, |B| = |T|

- Coverage: the range of an attribute, as a judge reads it off the samples, over its range on real images.

Samples are drawn without truncation and with the generator's stored noise, as inversion uses it, and are compared as
8-bit pixels, as real images are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from methods.networks.stylegan2 import Generator
from metrics.distribution import fid
from pipelines.domains.shards import to_bytes, to_float

Pixels = NDArray[np.uint8]
_BATCH = 32
"""Images that pass a network at once; small enough for the caches of a processor."""


@torch.no_grad()
def draw_samples(generator: Generator, count: int, seed: int) -> Pixels:
    """Uncurated samples, (count, H, W, 3) uint8, a function of the seed: z is drawn on the CPU for every device."""
    z = torch.randn(count, generator.style_dim, generator=torch.Generator().manual_seed(seed))
    device = generator.input.input.device
    return draw_codes(generator, torch.cat([generator.mapping(part.to(device)) for part in z.split(_BATCH)]))


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

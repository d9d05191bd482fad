"""The StyleGAN2 projector in W and W+, with noise maps optimised and regularised.

Papers: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (arXiv 1912.04958), appendix D; the same
loop is the pivot search of Roich et al., "Pivotal Tuning" (arXiv 2106.05744), and with one code per layer ("SG2Plus")
the W+ baseline that papers compare with (after Abdal et al., arXiv 1904.03189).

Kept from the official code:

- w's spread is sqrt(sum of squared deviations / samples): a single number, about sqrt(D) times the deviation of one
  coordinate, so that the noise on w is large at first.
- The learning rate is 0 in the first step, which only feeds Adam's statistics.
- Images are compared in [0, 255], after averaging down to 256 px where they are larger.
- PTI names a first learning rate (``constructor_rate``) that reaches Adam's constructor and is overwritten before the
  first step.

The optimised noise maps are part of a step; PTI throws them away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from methods.networks.stylegan2 import Generator
from methods.optimization_loop import optimize, ramps

COMPARED_SIZE = 256
"""Larger images are averaged down to this before they are compared."""
SMALLEST_MAP = 8
"""Noise maps are regularised on a pyramid down to this size."""
SAMPLING_SEED = 123


@dataclass(frozen=True)
class ProjectionProtocol:
    """A published projector.

    Attributes:
        learning_rate: of Adam at the top of its ramps.
        samples: draws of z that give the mean and spread of w.
        steps: updates.
        space: one style for all layers, or one per layer.
        constructor_rate: see the module's docstring; has no effect.
        noise_strength: of the noise on w at the start, in units of w's spread.
        noise_until: fraction of the steps after which w has no noise.
        regularization: weight of the noise maps' regulariser.
        rampup: fraction of the steps over which the learning rate rises.
        rampdown: fraction over which it falls.
    """

    learning_rate: float
    samples: int
    steps: int
    space: Literal["w", "w+"]
    constructor_rate: float
    noise_strength: float = 0.05
    noise_until: float = 0.75
    regularization: float = 1e5
    rampup: float = 0.05
    rampdown: float = 0.25


NVIDIA_W = ProjectionProtocol(0.1, 10_000, 1000, "w", constructor_rate=0.1)
"""projector.py of NVIDIA's stylegan2-ada-pytorch."""
PTI_PIVOT = ProjectionProtocol(0.01, 600, 450, "w", constructor_rate=5e-3)
"""First stage of pivotal tuning."""
BASELINE_W = ProjectionProtocol(0.01, 10_000, 600, "w", constructor_rate=5e-3)
"""The baseline "SG2 W" of the PTI and HyperInverter papers."""
BASELINE_W_PLUS = ProjectionProtocol(0.01, 10_000, 2000, "w+", constructor_rate=5e-3)
"""The baseline "SG2 W+" of the same."""


@torch.no_grad()
def latent_statistics(
    mapping: Callable[[Tensor], Tensor], style_dim: int, samples: int, seed: int = SAMPLING_SEED
) -> tuple[Tensor, float]:
    """Mean (D,) of w and its spread, over z from numpy's legacy generator, as published projectors draw it."""
    z = np.random.RandomState(seed).randn(samples, style_dim)
    w = mapping(torch.from_numpy(z).float()).double()
    mean = w.mean(dim=0)
    return mean.float(), float((w - mean).square().sum().div(samples).sqrt())


def latent_noise_factor(progress: float, strength: float, until: float) -> float:
    """Factor on w's spread by progress, step / steps: falls from `strength` as a parabola, to 0 at `until`."""
    return strength * max(0.0, 1 - progress / until) ** 2


def noise_regularization(maps: Sequence[Tensor]) -> Tensor:
    """(B,) squared correlations of noise maps (B, 1, R, R) with themselves shifted by one, on all scales.

    Scales are averages over 2x2 pixels, from each map's own size down to `SMALLEST_MAP`.
    """
    total = maps[0].new_zeros(len(maps[0]))
    for level in maps:
        while True:
            for axis in (3, 2):
                total = total + (level * torch.roll(level, 1, dims=axis)).mean(dim=(1, 2, 3)).square()
            if level.shape[-1] <= SMALLEST_MAP:
                break
            level = F.avg_pool2d(level, 2)
    return total


@torch.no_grad()
def normalize(maps: Sequence[Tensor]) -> None:
    """Give noise maps (B, 1, R, R) mean 0 and variance 1 each, in place."""
    for one in maps:
        one -= one.mean(dim=(2, 3), keepdim=True)
        one *= one.square().mean(dim=(2, 3), keepdim=True).rsqrt()


def compared(images: Tensor) -> Tensor:
    """Images (B, 3, H, W) in [-1, 1] -> [0, 255], averaged down to `COMPARED_SIZE` where larger."""
    scaled = (images + 1) * 127.5
    if images.shape[-1] <= COMPARED_SIZE:
        return scaled
    return F.interpolate(scaled, size=(COMPARED_SIZE, COMPARED_SIZE), mode="area")


@dataclass(frozen=True)
class Projection:
    """Where the projector stands after `step` updates.

    Attributes:
        step: updates done.
        styles: (B, 1, D) in W, (B, L, D) in W+.
        noise: (B, 1, R, R) maps, normalised.
        distance: (B,) of the images' features, before this update.
        regularization: (B,) of the noise maps before this update, unweighted.
        loss: (B,) what the update reduced.
        learning_rate: of the update.
    """

    step: int
    styles: Tensor
    noise: list[Tensor]
    distance: Tensor
    regularization: Tensor
    loss: Tensor
    learning_rate: float


def project(
    generator: Generator,
    targets: Tensor,
    features: Callable[[Tensor], Tensor],
    protocol: ProjectionProtocol,
    statistics: tuple[Tensor, float],
    noise: Sequence[Tensor],
    latent_noise: Callable[[int], Tensor],
) -> Iterator[Projection]:
    """Search the code and the noise maps whose image has the targets' features.

    Args:
        generator: draws the images; its own noise maps are neither used nor changed.
        targets: (B, 3, H, W) in [-1, 1] at the generator's size.
        features: (B, 3, h, w) in [0, 255] -> (B, d) features, whose squared distances are the loss.
        protocol: which projector.
        statistics: mean (D,) and spread of w, see `latent_statistics`.
        noise: L - 1 maps (B, 1, R, R) to start from, usually drawn from N(0, 1).
        latent_noise: step (0-based) -> N(0, 1) of the shape of the styles, (B, 1, D) or (B, L, D).

    Yields:
        After every update.
    """
    mean, spread = statistics
    count = len(targets)
    rows = 1 if protocol.space == "w" else generator.style_count
    styles = mean.expand(count, rows, -1).clone().requires_grad_(True)
    maps = [one.detach().clone().requires_grad_(True) for one in noise]
    schedule = ramps(protocol.rampup, protocol.rampdown)
    with torch.no_grad():
        wanted = features(compared(targets))
    seen: dict[str, Tensor] = {}

    def losses(step: int) -> Tensor:
        scale = spread * latent_noise_factor(step / protocol.steps, protocol.noise_strength, protocol.noise_until)
        noisy = (styles + latent_noise(step) * scale).expand(-1, generator.style_count, -1)
        drawn = generator.synthesis(noisy, noise=maps)
        seen["distance"] = (wanted - features(compared(drawn))).square().sum(dim=1)
        seen["regularization"] = noise_regularization(maps)
        seen["loss"] = seen["distance"] + seen["regularization"] * protocol.regularization
        return seen["loss"]

    updates = optimize(
        [styles, *maps],
        losses,
        steps=protocol.steps,
        learning_rate=protocol.learning_rate,
        schedule=schedule,
        yield_every=1,
    )
    for step in updates:
        if step == 0:
            continue
        normalize(maps)
        yield Projection(
            step,
            styles.detach().clone(),
            [one.detach().clone() for one in maps],
            learning_rate=protocol.learning_rate * schedule((step - 1) / protocol.steps),
            **{name: value.detach() for name, value in seen.items()},
        )


def random_draws(
    generator: Generator, count: int, space: Literal["w", "w+"], seed: int
) -> tuple[list[Tensor], Callable[[int], Tensor]]:
    """Initial noise maps and the noise on w for `project`, every step's its own function of `seed`."""
    rows = 1 if space == "w" else generator.style_count
    source = torch.Generator().manual_seed(seed)
    maps = [torch.randn(count, *one.shape[1:], generator=source).to(one) for one in generator.stored_noise()]
    device = maps[0].device

    def latent_noise(step: int) -> Tensor:
        # 2^20 steps apart from those of the next seed
        each = torch.Generator().manual_seed((seed << 20) + step + 1)
        return torch.randn(count, rows, generator.style_dim, generator=each).to(device)

    return maps, latent_noise

"""What keeps an encoder's codes near W, so that they can be edited: e4e's two regularisers.

Tov et al. 2021, "Designing an Encoder for StyleGAN Image Manipulation" (arXiv 2102.02766), Section 4; e4e and ReStyle
over e4e train with it. An encoder gives one style and offsets from it for the other layers:

- close to each other: offsets are released one after another (`offsets_at`) and their norms are a loss (`delta_norm`);
- each close to W: a discriminator tells the mapping network's styles from the encoder's (logistic loss, R1 on the
  former), one style at a time, and the encoder has to deceive it.

As in the official code: the discriminator moves first on each batch, with Adam at a fifth of the encoder's rate; it
sees one style of each code, drawn from those released so far, through pools of past ones; every released style of a
code enters the encoder's term; the norm is summed over offsets and averaged over images.

Deviations: the schedule is in fractions of the steps; R1's gradient (every 16 steps, times 16) is added to that of the
logistic loss and taken in the same Adam step, where the code takes a step of its own with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from core.config import Strict
from methods.generators import LoadedGenerator
from methods.networks.latent_discriminator import (
    LatentDiscriminator,
    LatentPool,
    discriminator_loss,
    encoder_loss,
    gradient_penalty,
)
from methods.networks.layers import without_autocast
from methods.training_task import Objective, Player


class AdversaryArguments(Strict):
    """Strength and schedule of the regularisers; the defaults are the paper's."""

    delta_norm: float = Field(default=2e-4, ge=0)
    """Weight of the sum of the offsets' Euclidean norms."""
    adversarial: float = Field(default=0.1, ge=0)
    """Weight of the encoder's adversarial term."""
    progressive_start: float = Field(default=0.1, ge=0, le=1)
    """Fraction of the steps before the first offset is released (published: 20,000 of 200,000)."""
    progressive_every: float = Field(default=0.02, ge=0, le=1)
    """Fraction of the steps between two offsets. All are there after a quarter of the steps, as with the published 0.01
    for nearly twice as many styles; 0 releases them all at once."""
    layers: int = Field(default=4, ge=1)
    """Linear layers of the discriminator."""
    rate: float = Field(default=0.2, gt=0)
    """The discriminator's learning rate as a multiple of the encoder's (published: 2e-5 beside 1e-4)."""
    r1: float = Field(default=10.0, ge=0)
    """Gamma of the penalty on the squared gradient at real styles: gamma / 2 times its mean."""
    r1_every: int = Field(default=16, ge=1)
    """Steps between two penalties, each weighed by this number."""
    pool: int = Field(default=50, ge=0)
    """Past styles kept of each kind."""


def offsets_at(progress: float, start: float, every: float, count: int) -> int:
    """How many of `count` offsets are released at `progress` in [0, 1): the first at `start`, then one per `every`."""
    if progress < start:
        return 0
    if every == 0:
        return count
    # A millionth of an interval forgives rounding where a step falls on the moment itself.
    return min(count, 1 + math.floor((progress - start) / every + 1e-6))


def delta_norm(styles: Tensor, offsets: int) -> Tensor:
    """Sum over the first `offsets` offsets of their mean Euclidean norm over the images; styles (B, L, D) -> scalar."""
    return (styles[:, 1 : 1 + offsets] - styles[:, :1]).norm(dim=2).mean(dim=0).sum()


class LatentAdversary:
    """The discriminator, its pools, and what encoder and discriminator minimise because of it.

    Args:
        arguments: strength and schedule.
        generator: its mapping network gives the real styles.
        steps: of the whole training.
        modules: the task's networks, to which discriminator and pools are added; they are called through it.
    """

    def __init__(
        self, arguments: AdversaryArguments, generator: LoadedGenerator, steps: int, modules: dict[str, nn.Module]
    ) -> None:
        self.arguments, self.generator, self.steps, self.modules = arguments, generator, steps, modules
        self.layers, dimensions = generator.style_shape
        self.discriminator = modules["discriminator"] = LatentDiscriminator(dimensions, arguments.layers)
        modules["real_pool"] = LatentPool(arguments.pool, dimensions)
        modules["fake_pool"] = LatentPool(arguments.pool, dimensions)

    def offsets(self, step: int) -> int:
        """How many offsets the encoder may use at `step`."""
        arguments = self.arguments
        return offsets_at(step / self.steps, arguments.progressive_start, arguments.progressive_every, self.layers - 1)

    def encoder_terms(self, styles: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """What the encoder minimises besides its reconstruction loss, and the terms for the log: scalars.

        Args:
            styles: (B, L, D) with gradients.
            step: of the training.
        """
        offsets = self.offsets(step)
        deceived = encoder_loss(self.modules["discriminator"](styles[:, : 1 + offsets].flatten(0, 1)))
        apart = delta_norm(styles, offsets)
        total = self.arguments.adversarial * deceived + self.arguments.delta_norm * apart
        return total, {"adversarial": deceived, "delta_norm": apart}

    def player(self, encode: Callable[[Tensor, int], Tensor]) -> Player:
        """The discriminator.

        Args:
            encode: (images, offsets) -> styles (B, L, D), what it has to tell from the mapping network's.
        """

        def objectives(images: Tensor, step: int) -> Iterator[Objective]:
            offsets = self.offsets(step)
            with torch.no_grad():
                styles = encode(images, offsets)
                count, _, dimensions = styles.shape
                shown = styles[torch.arange(count), torch.randint(1 + offsets, (count,))]
                with without_autocast(styles):
                    mapped = self.generator.generator.mapping(torch.randn(count, dimensions).to(styles.device))
            fake, real = self.modules["fake_pool"](shown), self.modules["real_pool"](mapped)
            discriminator = self.modules["discriminator"]
            loss = discriminator_loss(discriminator(real), discriminator(fake))
            yield Objective(loss, {"discriminator": loss})
            if self.arguments.r1 > 0 and step % self.arguments.r1_every == 0:
                with without_autocast(real):  # and not through the loop's wrapper, which would switch it on again
                    penalty = gradient_penalty(self.discriminator, real)
                yield Objective(self.arguments.r1 / 2 * self.arguments.r1_every * penalty, {"r1": penalty})

        parameters = list(self.modules["discriminator"].parameters())
        return Player("discriminator", parameters, objectives, optimizer="adam", rate=self.arguments.rate)

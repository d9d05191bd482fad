"""Pivotal tuning: a generator's weights adapted to one image at a fixed code.

Paper: Roich, Mokady, Bermano, Cohen-Or, "Pivotal Tuning for Latent-based Editing of Real Images" (arXiv 2106.05744),
sections 3.2 and 3.3. The pivot comes from `methods.projector` (PTI_PIVOT) or any encoder.

Kept from the official code:

- Adam gets all parameters, the mapping's too, which receive no gradient.
- The search ends when the perceptual distance has reached the threshold, tested before an update.
- Images are drawn with the generator's own noise maps, those of the locality term without noise.
- The locality term is off by default; its codes are drawn from the original mapping, truncated to half in all rows, and
  their distance to the pivot is measured over all rows together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from methods.losses import l2
from methods.networks.stylegan2 import Generator
from methods.optimization_loop import optimize

Perceptual = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Locality:
    """Keeps the generator as it was a little away from the pivot (section 3.3).

    Attributes:
        original: the generator before tuning.
        latent_mean: (D,) mean of w, for truncation.
        draw: step (0-based) -> z (n, Z).
        distance: of the codes from the pivot.
        truncation: of w.
        weight_l2: of the squared difference from the original's image.
        weight_perceptual: of the perceptual one.
    """

    original: Generator
    latent_mean: Tensor
    draw: Callable[[int], Tensor]
    distance: float = 30.0
    truncation: float = 0.5
    weight_l2: float = 0.1
    weight_perceptual: float = 0.1

    @torch.no_grad()
    def codes(self, pivot: Tensor, step: int) -> Tensor:
        """Codes (n, L, D) at `distance` from the pivot (1, L, D) towards random ones."""
        w = self.latent_mean + self.truncation * (self.original.mapping(self.draw(step)) - self.latent_mean)
        offset = self.original.repeat(w) - pivot
        return pivot + offset * (self.distance / offset.flatten(1).norm(dim=1))[:, None, None]

    def loss(self, tuned: Generator, pivot: Tensor, perceptual: Perceptual, step: int) -> Tensor:
        """Scalar: mean over the random codes."""
        codes = self.codes(pivot, step)
        silence = [torch.zeros_like(one) for one in tuned.stored_noise()]
        drawn = tuned.synthesis(codes, noise=silence)
        with torch.no_grad():
            wanted = self.original.synthesis(codes, noise=silence)
        terms = self.weight_l2 * l2(drawn, wanted) + self.weight_perceptual * perceptual(drawn, wanted)
        return terms.mean()


@dataclass(frozen=True)
class TuningProtocol:
    """The published arguments of tuning."""

    learning_rate: float = 3e-4
    steps: int = 350
    threshold: float = 0.06
    """Perceptual distance at which the search ends; below 0 for never."""
    weight_l2: float = 1.0
    weight_perceptual: float = 1.0


@dataclass(frozen=True)
class Tuning:
    """Losses (1,) before update number `step` (1-based)."""

    step: int
    l2: Tensor
    perceptual: Tensor
    total: Tensor


def tune(
    generator: Generator,
    pivot: Tensor,
    target: Tensor,
    perceptual: Perceptual,
    protocol: TuningProtocol | None = None,
    locality: Locality | None = None,
) -> Iterator[Tuning]:
    """Adapt `generator`, in place, until its image of the pivot is the target.

    Args:
        generator: a copy for this image alone; its parameters are changed and left without gradients.
        pivot: (1, L, D) code, fixed.
        target: (1, 3, H, W) image in [-1, 1].
        perceptual: (image, image) -> (B,) distances.
        protocol: None for the published arguments.
        locality: None for no such term.

    Yields:
        After every update.
    """
    protocol = protocol or TuningProtocol()
    parameters = list(generator.parameters())
    learned = [parameter.requires_grad for parameter in parameters]
    seen: dict[str, Tensor] = {}

    def losses(step: int) -> Tensor | None:
        drawn = generator.synthesis(pivot)
        seen["l2"], seen["perceptual"] = l2(drawn, target), perceptual(drawn, target)
        if seen["perceptual"].item() <= protocol.threshold:
            return None
        total = protocol.weight_l2 * seen["l2"] + protocol.weight_perceptual * seen["perceptual"]
        seen["total"] = total if locality is None else total + locality.loss(generator, pivot, perceptual, step)
        return seen["total"]

    updates = optimize(
        parameters,
        losses,
        steps=protocol.steps,
        learning_rate=protocol.learning_rate,
        schedule=lambda _: 1.0,
        yield_every=1,
    )
    generator.requires_grad_(True)
    try:
        for step in updates:
            if step > 0:
                yield Tuning(step, **{name: value.detach() for name, value in seen.items()})
    finally:
        for parameter, before in zip(parameters, learned, strict=True):
            parameter.requires_grad_(before)
            parameter.grad = None

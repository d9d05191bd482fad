"""Pivotal tuning: a generator's weights adapted to every image at a fixed code.

Paper: Roich, Mokady, Bermano, Cohen-Or, "Pivotal Tuning for Latent-based Editing of Real Images" (arXiv 2106.05744),
sections 3.2 and 3.3. The pivot comes from `methods.projector` (PTI_PIVOT) or any inversion.

A batch of generators is tuned at once: what is learned are residuals of the weights, one set for each image, so that
each image has its own generator and none has to be copied.

Kept from the official code:

- Adam gets all parameters of the synthesis network (there the mapping's too, which receive no gradient).
- The search of an image ends when its perceptual distance has reached the threshold, tested before an update.
- Images are drawn with the pivot's noise maps (the generator's own where it has none), those of the locality term
  without noise.
- The locality term is off by default; its codes are drawn from the original mapping, truncated to half in all rows, and
  their distance to the pivot is measured over all rows together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from methods.code import Code
from methods.generators import draw_code
from methods.losses import l2
from methods.networks.stylegan2 import Generator
from methods.optimization_loop import optimize

Perceptual = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Locality:
    """Keeps the generator as it was a little away from the pivot (section 3.3).

    Attributes:
        latent_mean: (D,) mean of w, for truncation.
        draw: step (0-based) -> z (1, Z), which serves all images, or (B, Z).
        distance: of the codes from the pivot.
        truncation: of w.
        weight_l2: of the squared difference from the original's image.
        weight_perceptual: of the perceptual one.
    """

    latent_mean: Tensor
    draw: Callable[[int], Tensor]
    distance: float = 30.0
    truncation: float = 0.5
    weight_l2: float = 0.1
    weight_perceptual: float = 0.1

    @torch.no_grad()
    def codes(self, generator: Generator, pivots: Tensor, step: int) -> Tensor:
        """Styles (B, L, D) at `distance` from the pivots' (B, L, D) towards random ones."""
        w = self.latent_mean + self.truncation * (generator.mapping(self.draw(step)) - self.latent_mean)
        offset = generator.repeat(w) - pivots
        return pivots + offset * (self.distance / offset.flatten(1).norm(dim=1))[:, None, None]

    def loss(self, generator: Generator, tuned: Code, pivot: Code, perceptual: Perceptual, step: int) -> Tensor:
        """(B,) difference between what the tuned generators and the pivots' own draw there, features left out."""
        styles = self.codes(generator, pivot.styles, step)
        silence = [torch.zeros(len(styles), *one.shape[1:]).to(one) for one in generator.stored_noise()]
        drawn = draw_code(generator, Code(styles, weight_residuals=tuned.weight_residuals, noise=silence))
        with torch.no_grad():
            wanted = draw_code(generator, Code(styles, weight_residuals=pivot.weight_residuals, noise=silence))
        return self.weight_l2 * l2(drawn, wanted) + self.weight_perceptual * perceptual(drawn, wanted)


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
    """The pivots with the weights found after `step` updates, and the (B,) losses before the last of these; an image
    that has reached the threshold keeps its weights, and its losses say so.
    """

    step: int
    code: Code
    l2: Tensor
    perceptual: Tensor
    total: Tensor


def _restore(parameters: list[Tensor], settled: dict[int, list[Tensor]]) -> None:
    """Take back what the optimiser's momentum did to images whose search has ended."""
    with torch.no_grad():
        for image, rows in settled.items():
            for parameter, row in zip(parameters, rows, strict=True):
                parameter[image] = row


def tune(
    generator: Generator,
    pivot: Code,
    targets: Tensor,
    perceptual: Perceptual,
    protocol: TuningProtocol | None = None,
    locality: Locality | None = None,
    yield_every: int = 1,
) -> Iterator[Tuning]:
    """Find for every image the change of weights with which `generator` draws it from its pivot.

    Args:
        generator: frozen; not changed.
        pivot: B codes, fixed; weight residuals that they have are where the search starts.
        targets: (B, 3, H, W) images in [-1, 1].
        perceptual: (image, image) -> (B,) distances.
        protocol: None for the published arguments.
        locality: None for no such term.
        yield_every: updates between two yields.

    Yields:
        After every `yield_every` updates, and after the last if there was one.
    """
    protocol = protocol or TuningProtocol()
    before = pivot.weight_residuals or {}
    residuals = {name: zero.requires_grad_(True) for name, zero in generator.zero_residuals(len(pivot)).items()}
    parameters = list(residuals.values())
    settled: dict[int, list[Tensor]] = {}
    seen: dict[str, Tensor] = {}

    def code_of(found: dict[str, Tensor]) -> Code:
        return replace(
            pivot, weight_residuals={name: own + before[name] if name in before else own for name, own in found.items()}
        )

    def losses(step: int) -> Tensor | None:
        code = code_of(residuals)
        drawn = draw_code(generator, code)
        seen["l2"], seen["perceptual"] = l2(drawn, targets), perceptual(drawn, targets)
        for image in (seen["perceptual"] <= protocol.threshold).nonzero().flatten().tolist():
            settled.setdefault(image, [parameter[image].detach().clone() for parameter in parameters])
        if len(settled) == len(pivot):
            return None
        total = protocol.weight_l2 * seen["l2"] + protocol.weight_perceptual * seen["perceptual"]
        seen["total"] = total if locality is None else total + locality.loss(generator, code, pivot, perceptual, step)
        return seen["total"]

    def found(step: int) -> Tuning:
        code = code_of({name: residual.detach().clone() for name, residual in residuals.items()})
        return Tuning(step, code, **{name: value.detach() for name, value in seen.items()})

    updates = optimize(
        parameters,
        losses,
        steps=protocol.steps,
        learning_rate=protocol.learning_rate,
        schedule=lambda _: 1.0,
        yield_every=1,
    )
    done = yielded = 0
    for done in updates:
        _restore(parameters, settled)
        if done > yielded and (done % yield_every == 0 or done == protocol.steps):
            yielded = done
            yield found(done)
    if done > yielded:
        yield found(done)

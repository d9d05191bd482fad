"""Pivotal tuning: a generator's weights adapted to every image at a fixed code.

Paper: Roich, Mokady, Bermano, Cohen-Or, "Pivotal Tuning for Latent-based Editing of Real Images" (arXiv 2106.05744),
sections 3.2 and 3.3. The pivot comes from `methods.projector` (PTI_PIVOT) or any inversion.

A batch of generators is tuned at once: what is learned are residuals of the weights, one set for each image, so that
each image has its own generator and none has to be copied.

Kept from the official code:

- Adam gets all parameters of the synthesis network (there the mapping's too, which receive no gradient).
- The search of an image ends when its perceptual distance has reached the threshold, tested before an update; it then
  leaves the batch, so it costs nothing more.
- Images are drawn with the pivot's noise maps (the generator's own where it has none), those of the locality term
  without noise.
- The locality term is off by default; its codes are drawn from the original mapping, truncated to half in all rows, and
  their distance to the pivot is measured over all rows together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
        draw: step (0-based) -> z (1, Z), which serves all images.
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
    found = generator.zero_residuals(len(pivot))
    # What is searched, in the order of `found`; images whose search has ended are in `found` alone.
    residuals = [zero.clone().requires_grad_(True) for zero in found.values()]
    going = torch.arange(len(pivot), device=targets.device)
    ended = torch.zeros(len(pivot), dtype=torch.bool, device=targets.device)
    seen = {name: torch.zeros(len(pivot), device=targets.device) for name in ("l2", "perceptual", "total")}

    def changed(part: Code, own: Sequence[Tensor]) -> Code:
        before, named = part.weight_residuals or {}, zip(found, own, strict=True)
        return replace(
            part, weight_residuals={name: one + before[name] if name in before else one for name, one in named}
        )

    def put() -> None:
        for whole, residual in zip(found.values(), residuals, strict=True):
            whole[going] = residual.detach()

    def losses(step: int) -> Tensor | None:
        nonlocal ended
        part = pivot[going]
        code = changed(part, residuals)
        drawn = draw_code(generator, code)
        squared, distance = l2(drawn, targets[going]), perceptual(drawn, targets[going])
        total = protocol.weight_l2 * squared + protocol.weight_perceptual * distance
        ended = distance.detach() <= protocol.threshold
        if ended.any():
            put()  # what the update below makes of their weights does not count
        if not ended.all() and locality is not None:
            total = total + locality.loss(generator, code, part, perceptual, step)
        for name, value in (("l2", squared), ("perceptual", distance), ("total", total)):
            seen[name][going] = value.detach()
        return None if ended.all() else total[~ended]

    def going_on() -> Tensor | None:
        nonlocal going
        if not ended.any():
            return None
        rows = (~ended).nonzero().flatten()
        going = going[rows]
        return rows

    def tuning(step: int) -> Tuning:
        put()
        code = changed(pivot, [one.clone() for one in found.values()])
        return Tuning(step, code, **{name: value.clone() for name, value in seen.items()})

    updates = optimize(
        residuals,
        losses,
        steps=protocol.steps,
        learning_rate=protocol.learning_rate,
        schedule=lambda _: 1.0,
        yield_every=1,
        going_on=going_on,
    )
    done = yielded = 0
    for done in updates:
        if done > yielded and (done % yield_every == 0 or done == protocol.steps):
            yielded = done
            yield tuning(done)
    if done > yielded:
        yield tuning(done)

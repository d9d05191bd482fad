"""In-domain inversion: an encoder's code, refined under the encoder's own eyes.

Paper: Zhu, Shen, Zhao, Zhou, "In-Domain GAN Inversion for Real Image Editing" (ECCV 2020, arXiv 2004.00049), equations
4 (refinement) and section 4.3 (semantic diffusion). The networks are `networks.stylegan1.Generator`,
`networks.idinvert.InDomainEncoder` and VGG-16 up to conv4_3 (`metrics.judges.vgg16`).

Kept from the official code:

- every term is a mean over all numbers of an image, so that weights depend on no size;
- gradients of the domain term flow through the encoder;
- diffusion composes target and context once, compares inside the mask only, still divides by all pixels, and has no
  domain term.

The official code shows the image drawn before the last update beside the code after it; here both are after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from methods.optimization_loop import optimize

Network = Callable[[Tensor], Tensor]
STEPS = 100
LEARNING_RATE = 0.01


@dataclass(frozen=True)
class InDomainWeights:
    """Weights of the terms; the published ones."""

    pixel: float = 1.0
    feature: float = 5e-5
    domain: float = 2.0


@dataclass(frozen=True)
class InDomainObjective:
    """How far a code is from an image and from the domain of the encoder.

    Attributes:
        synthesis: styles (B, L, D) -> images (B, 3, H, W) in [-1, 1].
        features: images -> feature maps.
        encoder: images -> styles; None for no domain term.
        weights: of the terms.
    """

    synthesis: Network
    features: Network
    encoder: Network | None
    weights: InDomainWeights = InDomainWeights()

    def terms(self, styles: Tensor, images: Tensor, wanted: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """The unweighted terms, each (B,).

        Args:
            styles: (B, L, D).
            images: (B, 3, H, W) targets.
            wanted: `features` of the targets (of the masked ones where there is a mask).
            mask: broadcasts to the images, 1 where they count; None for everywhere.
        """
        drawn = self.synthesis(styles)
        seen = drawn if mask is None else drawn * mask
        target = images if mask is None else images * mask
        terms = {
            "pixel": (target - seen).square().mean(dim=(1, 2, 3)),
            "feature": (wanted - self.features(seen)).square().flatten(1).mean(dim=1),
        }
        if self.encoder is not None:
            terms["domain"] = (styles - self.encoder(drawn)).square().mean(dim=(1, 2))
        return terms

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """(B,) weighted sum. Equation 4."""
        return torch.stack([getattr(self.weights, name) * term for name, term in terms.items()]).sum(dim=0)


@dataclass(frozen=True)
class Refinement:
    """The styles (B, L, D) after `step` updates, and the terms each update started from, (B,) by name."""

    step: int
    styles: Tensor
    terms: dict[str, Tensor]


def refine(
    images: Tensor,
    styles: Tensor,
    objective: InDomainObjective,
    mask: Tensor | None = None,
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
) -> Iterator[Refinement]:
    """Improve the codes of `images` step by step; the last is the answer.

    Args:
        images: (B, 3, H, W) in [-1, 1].
        styles: (B, L, D) to start from, usually the encoder's.
        objective: what is minimised.
        mask: broadcasts to the images, 1 where they count.
        steps: updates in all.
        learning_rate: of Adam.
    """
    latent = styles.detach().clone().requires_grad_(True)
    with torch.no_grad():
        wanted = objective.features(images if mask is None else images * mask)
    terms: dict[str, Tensor] = {}

    def losses(_: int) -> Tensor:
        terms.update(objective.terms(latent, images, wanted, mask))
        return objective.total(terms)

    updates = optimize(
        [latent], losses, steps=steps, learning_rate=learning_rate, schedule=lambda _: 1.0, yield_every=1
    )
    for step in updates:
        if step > 0:
            yield Refinement(step, latent.detach().clone(), {name: term.detach() for name, term in terms.items()})


def diffuse(
    target: Tensor,
    context: Tensor,
    mask: Tensor,
    encoder: Network,
    objective: InDomainObjective,
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
) -> Iterator[Refinement]:
    """Put the masked part of `target` into `context` and let the generator blend them (section 4.3).

    Args:
        target: (B, 3, H, W) images in [-1, 1] whose masked part is kept.
        context: images of the same shape around it.
        mask: broadcasts to the images, 1 on the part kept.
        encoder: gives the start, the code of the composed image.
        objective: usually without domain term.
        steps: updates in all.
        learning_rate: of Adam.
    """
    composed = target * mask + context * (1 - mask)
    with torch.no_grad():
        start = encoder(composed)
    yield from refine(composed, start, objective, mask, steps, learning_rate)


def crop_mask(size: int, center: tuple[int, int], width: int, height: int) -> Tensor:
    """(1, 1, size, size) mask, 1 on a rectangle of the given size around `center` (x, y), cut off at the borders."""
    left, top = center[0] - width // 2, center[1] - height // 2
    mask = torch.zeros(1, 1, size, size)
    mask[:, :, max(top, 0) : top + height, max(left, 0) : left + width] = 1
    return mask

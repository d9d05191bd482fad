"""In-domain inversion: an encoder's code, refined under the encoder's own eyes.

Paper: Zhu, Shen, Zhao, Zhou, "In-Domain GAN Inversion for Real Image Editing" (ECCV 2020, arXiv 2004.00049), equations
4 (refinement) and section 4.3 (semantic diffusion): pixels, features and the distance of the code from what the encoder
reads off its image, 100 steps of Adam. `refine` and `diffuse` are the published optimisations on any networks; in the
paper they are `networks.stylegan1.Generator`, `networks.idinvert.InDomainEncoder` and VGG-16 up to conv4_3
(`metrics.judges.vgg16`). The method refines the answer of an encoder of kind `idinvert_encoder` on the domain's
StyleGAN2.

Deviations of the method: the feature distance is LPIPS of the domain's perceptual network, with a weight on its scale,
because 5e-5 belongs to raw activations of VGG-16; StyleGAN2 in place of a StyleGAN whose mapping gives every layer a
style of its own.

Kept from the official code:

- every term is a mean over all numbers of an image, so that weights depend on no size;
- gradients of the domain term flow through the encoder;
- diffusion composes target and context once, compares inside the mask only, still divides by all pixels, and has no
  domain term.

The official code shows the image drawn before the last update beside the code after it; here both are after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from pydantic import Field
from torch import Tensor, nn

from core.config import Strict
from core.errors import ReinvertError
from methods.code import Code
from methods.generators import LoadedGenerator
from methods.idinvert_encoder import InDomainEncoding
from methods.inverter import Inverter, Step
from methods.losses import ReconstructionLoss, load_reconstruction_loss
from methods.optimization_loop import optimize
from methods.registry import KINDS, Context
from methods.training_config import LossWeights

Network = Callable[[Tensor], Tensor]
Distance = Callable[[Tensor, Tensor], Tensor]
STEPS = 100
LEARNING_RATE = 0.01


@dataclass(frozen=True)
class InDomainWeights:
    """Weights of the terms; the published ones."""

    pixel: float = 1.0
    feature: float = 5e-5
    domain: float = 2.0


def feature_distance(features: Network) -> Distance:
    """(image, target) -> (B,) mean squared difference of their feature maps, the last target's kept."""
    kept: list[Tensor] = []

    def distance(image: Tensor, target: Tensor) -> Tensor:
        if not kept or not torch.equal(kept[0], target):
            with torch.no_grad():
                kept[:] = [target, features(target)]
        return (kept[1] - features(image)).square().flatten(1).mean(dim=1)

    return distance


@dataclass(frozen=True)
class InDomainObjective:
    """How far a code is from an image and from the domain of the encoder.

    Attributes:
        synthesis: styles (B, L, D) -> images (B, 3, H, W) in [-1, 1].
        distance: (image, target) -> (B,), of their features.
        encoder: images -> styles; None for no domain term.
        weights: of the terms.
    """

    synthesis: Network
    distance: Distance
    encoder: Network | None
    weights: InDomainWeights = InDomainWeights()

    def terms(self, styles: Tensor, images: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """The unweighted terms, each (B,).

        Args:
            styles: (B, L, D).
            images: (B, 3, H, W) targets.
            mask: broadcasts to the images, 1 where they count; None for everywhere.
        """
        drawn = self.synthesis(styles)
        seen = drawn if mask is None else drawn * mask
        target = images if mask is None else images * mask
        terms = {
            "pixel": (target - seen).square().mean(dim=(1, 2, 3)),
            "feature": self.distance(seen, target),
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
    terms: dict[str, Tensor] = {}

    def losses(_: int) -> Tensor:
        terms.update(objective.terms(latent, images, mask))
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


class InDomainArguments(Strict):
    """An entry of kind `idinvert`."""

    start: str
    """Name of a method of kind `idinvert_encoder`: it gives the code and holds it in its domain."""
    steps: int = Field(default=STEPS, ge=0)
    learning_rate: float = Field(default=LEARNING_RATE, gt=0)
    """Of Adam, constant."""
    weight_pixel: float = Field(default=1.0, ge=0)
    weight_lpips: float = Field(gt=0)
    weight_domain: float = Field(default=2.0, ge=0)
    """0 for no domain term."""
    yield_every: int = Field(default=10, ge=1)
    """Steps between two yielded codes."""


@KINDS.register("idinvert")
class InDomain(Inverter):
    """Adam on the encoder's styles."""

    Arguments = InDomainArguments

    def __init__(
        self,
        generator: LoadedGenerator,
        loss: ReconstructionLoss,
        arguments: InDomainArguments,
        start: InDomainEncoding,
    ) -> None:
        super().__init__(generator)
        self.loss = loss
        self.arguments = arguments
        self.start = start

    @classmethod
    def from_arguments(cls, arguments: InDomainArguments, context: Context) -> InDomain:
        """See `Inverter.from_arguments`."""
        start = context.start(arguments.start)
        if not isinstance(start, InDomainEncoding):
            raise ReinvertError(
                f"method '{context.name}' starts from '{arguments.start}', which has no in-domain encoder; "
                "set 'start' to a method of kind idinvert_encoder"
            )
        weights = LossWeights(l2=arguments.weight_pixel, lpips=arguments.weight_lpips)
        loss = load_reconstruction_loss(weights, context.domain, context.weights_root, context.device)
        return cls(context.loaded_generator, loss, arguments, start)

    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        """See `Inverter.invert`. Yields the encoder's code as step 0; deterministic."""
        self.generator.check_images(images)
        arguments = self.arguments
        targets = images.detach().to(self.generator.device, torch.float32)
        start = self.start.answer_alone(targets, seed)
        yield Step(0, start)
        assert self.loss.perceptual is not None  # its weight is above 0
        objective = InDomainObjective(
            lambda styles: self.generator.draw(Code(styles)),
            self.loss.perceptual,
            self.start.encode if arguments.weight_domain > 0 else None,
            InDomainWeights(arguments.weight_pixel, arguments.weight_lpips, arguments.weight_domain),
        )
        path = refine(targets, start.styles, objective, steps=arguments.steps, learning_rate=arguments.learning_rate)
        for found in path:
            if found.step % arguments.yield_every == 0 or found.step == arguments.steps:
                yield Step(found.step, replace(start, styles=found.styles))

    def networks(self) -> list[nn.Module]:
        """The loss networks and the encoder."""
        return [self.loss, *self.start.networks()]

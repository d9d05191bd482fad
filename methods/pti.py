"""PTI: a pivot in W, then a generator tuned to the image around it.

Roich, Mokady, Bermano and Cohen-Or 2022, "Pivotal Tuning for Latent-based Editing of Real Images" (arXiv 2106.05744):
the pivot is the answer of the StyleGAN2 projector in W (Section 3.1); then the generator's weights are optimised with
L2 and LPIPS until the image of the pivot is near enough (Eqs. 2 and 3), optionally with a term that keeps the generator
as it was a little away from the pivot (Section 3.3, off in the official code, the entry `pti/locality` here). `start`
may name any method; whatever its code holds besides styles stays. The search is `methods.pivotal_tuning`, which keeps
the official code's quirks; edits move the styles and keep the tuned weights.

Deviations: LPIPS of the domain's perceptual network, its threshold and weights on that scale; the random codes of the
locality term are a function of the seed and the same for all images, where the official code draws them unseeded; their
distance from the pivot is given per number of a code, because 30 belongs to a code of 18 x 512. A batch is drawn until
its last image has reached the threshold, but no image is tuned beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from core.config import Strict
from methods.generators import LoadedGenerator
from methods.inverter import Inverter, Step
from methods.losses import ReconstructionLoss, load_reconstruction_loss
from methods.pivotal_tuning import Locality, TuningProtocol, tune
from methods.registry import KINDS, Context
from methods.training_config import LossWeights
from methods.training_data import seed_of


class LocalityArguments(Strict):
    """The term that keeps the generator as it was around the pivot."""

    distance: float = Field(default=0.3125, gt=0)
    """Root mean square by which the numbers of a code are moved; 30 / sqrt(18 x 512) in the official code."""
    truncation: float = Field(default=0.5, ge=0, le=1)
    """Of the random codes that say in which direction."""
    weight_l2: float = Field(default=0.1, ge=0)
    weight_lpips: float = Field(default=0.1, ge=0)


class PtiArguments(Strict):
    """An entry of kind `pti`."""

    start: str
    """Name of the method whose answer is the pivot."""
    steps: int = Field(ge=0)
    """Updates at most."""
    learning_rate: float = Field(default=3e-4, gt=0)
    """Of Adam, constant."""
    threshold: float = 0.06
    """LPIPS at which an image's search ends; below 0 for never."""
    weight_l2: float = Field(default=1.0, ge=0)
    weight_lpips: float = Field(default=1.0, gt=0)
    locality: LocalityArguments | None = None
    """None for no such term."""
    yield_every: int = Field(default=10, ge=1)
    """Updates between two yielded codes."""


@KINDS.register("pti")
class Pti(Inverter):
    """Adam on the weights of one generator per image, the start's code kept."""

    Arguments = PtiArguments

    def __init__(
        self, generator: LoadedGenerator, loss: ReconstructionLoss, arguments: PtiArguments, start: Inverter
    ) -> None:
        super().__init__(generator)
        self.loss = loss
        self.arguments = arguments
        self.start = start

    @classmethod
    def from_arguments(cls, arguments: PtiArguments, context: Context) -> Pti:
        """See `Inverter.from_arguments`."""
        weights = LossWeights(l2=arguments.weight_l2, lpips=arguments.weight_lpips)
        loss = load_reconstruction_loss(weights, context.domain, context.weights_root, context.device)
        return cls(context.loaded_generator, loss, arguments, context.start(arguments.start))

    def _locality(self, seed: int) -> Locality | None:
        locality = self.arguments.locality
        if locality is None:
            return None
        layers, dimensions = self.generator.style_shape

        def draw(step: int) -> Tensor:
            source = torch.Generator().manual_seed(seed_of(seed, "locality", step))
            return torch.randn(1, dimensions, generator=source).to(self.generator.device)

        return Locality(
            self.generator.latent_mean,
            draw,
            distance=locality.distance * math.sqrt(layers * dimensions),
            truncation=locality.truncation,
            weight_l2=locality.weight_l2,
            weight_perceptual=locality.weight_lpips,
        )

    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        """See `Inverter.invert`. Yields the pivot as step 0; the seed matters to the locality term and to the start."""
        self.generator.check_images(images)
        arguments = self.arguments
        targets = images.detach().to(self.generator.device, torch.float32)
        pivot = self.start.answer_alone(targets, seed)
        yield Step(0, pivot)
        assert self.loss.perceptual is not None  # its weight is above 0
        path = tune(
            self.generator.generator,
            pivot,
            targets,
            self.loss.perceptual,
            TuningProtocol(
                arguments.learning_rate,
                arguments.steps,
                arguments.threshold,
                arguments.weight_l2,
                arguments.weight_lpips,
            ),
            self._locality(seed),
            arguments.yield_every,
        )
        for found in path:
            yield Step(found.step, found.code)

    def networks(self) -> list[nn.Module]:
        """The loss networks and those of the start."""
        return [self.loss, *self.start.networks()]

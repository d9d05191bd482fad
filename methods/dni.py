"""DNI: an encoder's code, and noise maps searched for what the code leaves out.

Yang, Zheng, Zhou, Guo, Qi and Wang 2021, "A Domain-Guided Noise-Optimization-Based Inversion Method for Facial Image
Manipulation" (IEEE Transactions on Image Processing 30): a domain-guided encoder gives the code, which stays as it is;
then the noise maps of the synthesis network are optimised to take up high-frequency detail. E2Style (Wei et al. 2022,
Section IV-B) compares with 100 steps and names pSp as the encoder; that is the entry `dni`. Any method can be the
start.

There is no official code. What the paper leaves to it is chosen here: the search begins at the start's maps, which are
the generator's own where it has none, so that step 0 is the start; the losses are those of the other optimisations
(L2 and LPIPS of the domain's perceptual network); the rate is constant. The maps are not kept normal, as those of the
StyleGAN2 projector are: here they are to hold a part of the image. Edits move the styles and keep the maps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn

from core.config import Strict
from methods.code import Code
from methods.generators import LoadedGenerator
from methods.inverter import Inverter, Step
from methods.losses import ReconstructionLoss, load_reconstruction_loss
from methods.optimization_loop import optimize
from methods.registry import KINDS, Context
from methods.training_config import LossWeights


class DniArguments(Strict):
    """An entry of kind `dni`."""

    start: str
    """Name of the method that gives the code."""
    steps: int = Field(ge=0)
    learning_rate: float = Field(gt=0)
    """Of Adam, in units of the maps, which are drawn from N(0, 1)."""
    losses: LossWeights = LossWeights(l2=1.0, lpips=1.0)
    yield_every: int = Field(default=10, ge=1)
    """Steps between two yielded codes."""


@KINDS.register("dni")
class Dni(Inverter):
    """Adam on the noise maps, everything else of the start's code kept."""

    Arguments = DniArguments

    def __init__(
        self, generator: LoadedGenerator, loss: ReconstructionLoss, arguments: DniArguments, start: Inverter
    ) -> None:
        super().__init__(generator)
        self.loss = loss
        self.arguments = arguments
        self.start = start

    @classmethod
    def from_arguments(cls, arguments: DniArguments, context: Context) -> Dni:
        """See `Inverter.from_arguments`."""
        generator = context.loaded_generator
        loss = load_reconstruction_loss(
            arguments.losses, context.domain, context.weights_root, context.device, generator.latent_mean
        )
        return cls(generator, loss, arguments, context.start(arguments.start))

    def _maps(self, start: Code) -> list[Tensor]:
        """The maps that the start is drawn with, one for each image, (B, 1, R, R)."""
        maps = self.generator.generator.stored_noise() if start.noise is None else start.noise
        return [one.detach().expand(len(start), -1, -1, -1).clone() for one in maps]

    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        """See `Inverter.invert`. Yields the start with its maps as step 0; deterministic unless the start is not."""
        self.generator.check_images(images)
        targets = images.detach().to(self.generator.device, torch.float32)
        start = self.start.answer_alone(targets, seed)
        maps = [one.requires_grad_(True) for one in self._maps(start)]

        def losses(_: int) -> Tensor:
            code = replace(start, noise=maps)
            return self.loss.total(self.loss(self.generator.draw(code), targets, code.styles))

        steps = optimize(
            maps,
            losses,
            steps=self.arguments.steps,
            learning_rate=self.arguments.learning_rate,
            schedule=lambda _: 1.0,
            yield_every=self.arguments.yield_every,
        )
        for step in steps:
            yield Step(step, replace(start, noise=[one.detach().clone() for one in maps]))

    def networks(self) -> list[nn.Module]:
        """The loss networks and those of the start."""
        return [self.loss, *self.start.networks()]

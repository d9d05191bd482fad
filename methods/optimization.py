"""Latent optimisation: search W or W+ for the code whose image is nearest to the input.

Abdal et al. 2019, "Image2StyleGAN" (Eq. 1: perceptual + pixel loss in W+), with the learning-rate ramps of the
StyleGAN2 projector (Karras et al. 2020, Appendix D). With `start` naming an encoder it is the hybrid of Zhu et al. 2016
("Generative Visual Manipulation on the Natural Image Manifold"): the encoder's answer, refined.

Deviations: LPIPS of the domain's perceptual network instead of VGG-16 features; noise maps stay the generator's own and
are neither optimised nor regularised; no noise is added to the code while searching. The last step is the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from core.config import Strict
from core.errors import ReinvertError
from methods.code import Code
from methods.generators import LoadedGenerator
from methods.inverter import Inverter, Step
from methods.losses import ReconstructionLoss, load_reconstruction_loss
from methods.optimization_loop import optimize, ramps
from methods.registry import KINDS, Context
from methods.training_config import LossWeights


class OptimizationArguments(Strict):
    """An entry of kind `optimization`."""

    space: Literal["w", "w+"] = "w+"
    """One style for all layers, or one per layer."""
    start: str = "mean"
    """`mean` for the mean latent, else the name of the method whose answer is refined."""
    steps: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    """Of Adam, at the top of the ramps."""
    rampup: float = Field(default=0.05, ge=0, le=1)
    """Fraction of the steps over which the rate rises from 0."""
    rampdown: float = Field(default=0.25, ge=0, le=1)
    """Fraction of the steps over which the rate falls to 0."""
    losses: LossWeights = LossWeights(l2=1.0, lpips=1.0)
    yield_every: int = Field(default=10, ge=1)
    """Steps between two yielded codes."""


@KINDS.register("optimization")
class Optimization(Inverter):
    """Adam on the styles, everything else of the start's code kept."""

    Arguments = OptimizationArguments

    def __init__(
        self,
        generator: LoadedGenerator,
        loss: ReconstructionLoss,
        arguments: OptimizationArguments,
        start: Inverter | None = None,
    ) -> None:
        super().__init__(generator)
        self.loss = loss
        self.arguments = arguments
        self.start = start

    @classmethod
    def from_arguments(cls, arguments: OptimizationArguments, context: Context) -> Optimization:
        """See `Inverter.from_arguments`."""
        generator = context.loaded_generator
        start = None if arguments.start == "mean" else context.start(arguments.start)
        loss = load_reconstruction_loss(
            arguments.losses, context.domain, context.weights_root, context.device, generator.latent_mean
        )
        return cls(generator, loss, arguments, start)

    def _start_code(self, images: Tensor, seed: int) -> Code:
        if self.start is None:
            return self.generator.mean_code(len(images))
        # Image by image, so that the start does not depend on the batch in its last bits; see networks/layers.py.
        return Code.concatenate([self._started(self.start, image, seed) for image in images.split(1)])

    def _started(self, start: Inverter, images: Tensor, seed: int) -> Code:
        code: Code | None = None
        for step in start.invert(images, seed):
            code = step.code
        if code is None:
            raise ReinvertError(f"method '{self.arguments.start}' gave no code to start from; choose another 'start'")
        return code

    @staticmethod
    def _leaf(start: Code, space: str) -> Tensor:
        """The numbers to optimise: a copy of the styles, (B, L, D), or (B, 1, D) in W."""
        styles = start.styles.detach().clone()
        if space == "w+":
            return styles
        if not bool((styles == styles[:, :1]).all()):
            raise ReinvertError("space 'w' cannot start from a code in W+; set space to 'w+' or start to 'mean'")
        return styles[:, :1].clone()

    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        """See `Inverter.invert`. Yields the start as step 0; deterministic unless the start is not."""
        self.generator.check_images(images)
        targets = images.detach().to(self.generator.device, torch.float32)
        start = self._start_code(targets, seed)
        latent = self._leaf(start, self.arguments.space).requires_grad_(True)

        def code_of(styles: Tensor) -> Code:
            return replace(start, styles=styles.expand(-1, start.styles.shape[1], -1))

        def losses(_: int) -> Tensor:
            code = code_of(latent)
            return self.loss.total(self.loss(self.generator.draw(code), targets, code.styles))

        steps = optimize(
            [latent],
            losses,
            steps=self.arguments.steps,
            learning_rate=self.arguments.learning_rate,
            schedule=ramps(self.arguments.rampup, self.arguments.rampdown),
            yield_every=self.arguments.yield_every,
        )
        for step in steps:
            yield Step(step, code_of(latent.detach().clone()))

    def networks(self) -> list[nn.Module]:
        """The loss networks and those of the start."""
        return [self.loss, *(self.start.networks() if self.start is not None else [])]

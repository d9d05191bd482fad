"""Latent optimisation: search W or W+ for the code whose image is nearest to the input.

Abdal et al. 2019, "Image2StyleGAN" (Eq. 1: perceptual + pixel loss in W+), with the learning-rate ramps of the
StyleGAN2 projector (Karras et al. 2020, Appendix D). With `start` naming a method it is the hybrid of Zhu et al. 2016
("Generative Visual Manipulation on the Natural Image Manifold"): an encoder's answer, refined.

With `latent_noise` and `noise_regularization` it is that projector itself: noise on the code that fades away, and noise
maps that are searched with it, kept normal and free of correlations. As in its PyTorch release the maps found are
thrown away: they are there to take up what the code should not.

Deviations: LPIPS of the domain's perceptual network instead of VGG-16 features; mean and spread of w are those that the
generator was shipped with; all images are given the same random numbers, so that none depends on its neighbours. The
last step is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from methods.projector import latent_noise_factor, noise_regularization, normalize, random_draws
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
    latent_noise: float = Field(default=0.0, ge=0)
    """Deviation of the noise on the code at the start, in units of W's spread; it falls as a parabola (projector:
    0.05)."""
    latent_noise_until: float = Field(default=0.75, gt=0, le=1)
    """Fraction of the steps after which the code has no noise."""
    noise_regularization: float | None = Field(default=None, ge=0)
    """Weight of the regulariser of noise maps that are searched with the code, from random ones (projector: 100,000);
    None keeps the start's."""
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
        return self.start.answer_alone(images, seed)

    @staticmethod
    def _leaf(start: Code, space: str) -> Tensor:
        """The numbers to optimise: a copy of the styles, (B, L, D), or (B, 1, D) in W."""
        styles = start.styles.detach().clone()
        if space == "w+":
            return styles
        if not bool((styles == styles[:, :1]).all()):
            raise ReinvertError("space 'w' cannot start from a code in W+; set space to 'w+' or start to 'mean'")
        return styles[:, :1].clone()

    def _draws(self, count: int, seed: int) -> tuple[list[Tensor], Callable[[int], Tensor]]:
        """Noise maps to search, (B, 1, R, R), none where they stay the start's; step -> noise on the code (1, 1 or L,
        D).
        """
        arguments = self.arguments
        maps, draw = random_draws(self.generator.generator, 1, arguments.space, seed)

        def latent_noise(step: int) -> Tensor:
            factor = latent_noise_factor(step / arguments.steps, arguments.latent_noise, arguments.latent_noise_until)
            return draw(step) * (factor * self.generator.latent_std)

        if arguments.noise_regularization is None:
            return [], latent_noise
        return [one.repeat(count, 1, 1, 1).requires_grad_(True) for one in maps], latent_noise

    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        """See `Inverter.invert`. Yields the start as step 0; the seed matters to the noise only, and to the start."""
        self.generator.check_images(images)
        targets = images.detach().to(self.generator.device, torch.float32)
        start = self._start_code(targets, seed)
        latent = self._leaf(start, self.arguments.space).requires_grad_(True)
        maps, latent_noise = self._draws(len(targets), seed)

        def code_of(styles: Tensor) -> Code:
            return replace(start, styles=styles.expand(-1, start.styles.shape[1], -1))

        def losses(step: int) -> Tensor:
            code = code_of(latent + latent_noise(step) if self.arguments.latent_noise else latent)
            if maps and step:
                normalize(maps)
            drawn = self.generator.draw(replace(code, noise=maps) if maps else code)
            total = self.loss.total(self.loss(drawn, targets, code.styles))
            return total + (self.arguments.noise_regularization or 0.0) * noise_regularization(maps) if maps else total

        steps = optimize(
            [latent, *maps],
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

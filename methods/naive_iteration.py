"""Naive iteration: a plain encoder fed its own reconstruction, again and again.

Alaluf et al. 2021, "ReStyle" (arXiv 2104.02699), Appendix C, Figure 16: what an encoder that was trained for one pass
makes of w <- E(G(w)). It serves as an ablation: the paper finds that every step moves away from the image.

The image is seen in the first pass only. Deviation: what is fed back is clamped to [-1, 1], the range of images.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from core.config import Strict
from methods.generators import LoadedGenerator
from methods.inverter import Inverter, Step
from methods.registry import KINDS, Context


class NaiveIterationArguments(Strict):
    """An entry of kind `naive_iteration`."""

    start: str
    """The method that is fed its own reconstructions."""
    steps: int = Field(default=10, ge=1)
    """Passes, the first one included; each is yielded."""


@KINDS.register("naive_iteration")
class NaiveIteration(Inverter):
    """Another method, applied to what it draws."""

    Arguments = NaiveIterationArguments

    def __init__(self, generator: LoadedGenerator, start: Inverter, steps: int) -> None:
        super().__init__(generator)
        self.start = start
        self.steps = steps

    @classmethod
    def from_arguments(cls, arguments: NaiveIterationArguments, context: Context) -> NaiveIteration:
        """See `Inverter.from_arguments`."""
        return cls(context.loaded_generator, context.start(arguments.start), arguments.steps)

    @torch.no_grad()
    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        """See `Inverter.invert`. Yields every pass, counted from 1; deterministic unless the method it feeds is not."""
        self.generator.check_images(images)
        shown = images.to(self.generator.device, torch.float32)
        for step in range(1, self.steps + 1):
            code = self.start.answer(shown, seed)
            yield Step(step, code)
            if step < self.steps:
                shown = self.draw(code).clamp(-1, 1)

    def networks(self) -> list[nn.Module]:
        """Those of the method that is fed."""
        return self.start.networks()

"""The one interface of every inversion method.

`invert` yields improving codes and the last is the answer: an encoder yields once, an optimiser every few steps. The
harness times every yield, so quality-over-time curves need no special case. `edit` belongs to the interface because
methods that keep features or residual weights edit more than styles.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from core.config import Strict
from core.errors import ReinvertError
from methods.code import Code
from methods.generators import LoadedGenerator

if TYPE_CHECKING:
    from methods.registry import Context
    from methods.training_task import TrainingTask


@dataclass(frozen=True)
class Step:
    """One code on the way: the number of steps taken so far (0 = the start) and the code reached."""

    step: int
    code: Code


def alone(images: Tensor) -> tuple[Tensor, ...]:
    """(B, 3, H, W) images one by one on a CPU, elsewhere as one batch.

    On a CPU kernels round differently in batches of different size, and hundreds of optimisation steps turn a last bit
    into a visible difference; see `methods.networks.layers`. There is little to gain from a batch there.
    """
    return images.split(1) if images.device.type == "cpu" else (images,)


class Inverter(ABC):
    """Images in, codes out.

    A method is one module that registers one subclass (`methods.registry.KINDS`). It says which arguments its entry in
    params.yaml takes (`Arguments`) and how to build itself from them (`from_arguments`). A method with weights of its
    own also says what is to be trained (`training_task`).
    """

    Arguments: ClassVar[type[Strict]]

    def __init__(self, generator: LoadedGenerator) -> None:
        self.generator = generator

    @classmethod
    @abstractmethod
    def from_arguments(cls, arguments: Any, context: Context) -> Inverter:
        """The method, ready to invert, from its validated `Arguments`."""

    @classmethod
    def training_task(cls, arguments: Any, context: Context) -> TrainingTask:
        """What training has to learn.

        Raises:
            ReinvertError: the method has nothing to train.
        """
        raise ReinvertError(f"method '{context.name}' has nothing to train; train a method with weights of its own")

    @abstractmethod
    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        """Improving codes of `images`; the last is the answer.

        Every image's code is independent of the others in the batch, to rounding.

        Args:
            images: (B, 3, H, W) in [-1, 1] at the generator's size.
            seed: of whatever is random in the method; a deterministic method gives the same codes for all seeds.

        Raises:
            ReinvertError: images of a wrong shape, size or range.
        """

    def answer(self, images: Tensor, seed: int) -> Code:
        """The last code of `invert`: what a method that starts from this one begins with.

        Raises:
            ReinvertError: see `invert`.
        """
        last: Code | None = None
        for step in self.invert(images, seed):
            last = step.code
        if last is None:
            raise ReinvertError(f"{type(self).__name__} gave no code; start from another method")
        return last

    def answer_alone(self, images: Tensor, seed: int) -> Code:
        """`answer`, on a CPU image by image: for a method that goes on for hundreds of steps. See `alone`."""
        return Code.concatenate([self.answer(part, seed) for part in alone(images)])

    def edit(self, code: Code, direction: Tensor, strength: float) -> Code:
        """`code` moved by `strength` along `direction`, (D,), (L, D) or (B, L, D) in the units of W.

        Raises:
            ReinvertError: the direction is of another space than the code.
        """
        try:
            fits = torch.broadcast_shapes(direction.shape, code.styles.shape) == code.styles.shape
        except RuntimeError:
            fits = False
        if not fits or direction.shape[-1:] != code.styles.shape[-1:]:
            raise ReinvertError(
                f"a direction of shape {tuple(direction.shape)} does not fit styles of shape "
                f"{tuple(code.styles.shape)}; use a direction found with this generator"
            )
        return replace(code, styles=code.styles + strength * direction)

    @torch.no_grad()
    def draw(self, code: Code) -> Tensor:
        """(B, 3, H, W) images of `code`, nominally in [-1, 1], without gradients."""
        return self.generator.draw(code)

    def networks(self) -> list[nn.Module]:
        """The networks an inversion runs besides the generator."""
        return []

    def parameter_count(self) -> int:
        """Parameters of all networks an inversion runs, the generator's included."""
        modules: list[nn.Module] = [self.generator.generator, *self.networks()]
        return sum({id(p): p.numel() for module in modules for p in module.parameters()}.values())

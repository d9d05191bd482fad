"""What a method brings to the training loop, and how the weights it leaves are read back."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from core.errors import ReinvertError
from core.weights import WeightsCard, load_weights
from methods.training_config import TrainingConfig
from metrics.pixel import psnr


@dataclass(frozen=True)
class Objective:
    """What a player differentiates, and what the log shows of it."""

    total: Tensor
    """Scalar."""
    terms: dict[str, Tensor]
    """Scalars by column name."""


@dataclass(frozen=True)
class Player:
    """One optimiser and what it minimises: (images (B, 3, H, W) in [-1, 1], step) -> objectives, each differentiated
    as it is yielded, their gradients added up into one optimiser step.
    """

    name: str
    parameters: list[nn.Parameter]
    objectives: Callable[[Tensor, int], Iterator[Objective]]
    optimizer: Literal["ranger", "adam"] | None = None
    """None for the configuration's."""
    rate: float = 1.0
    """Learning rate as a multiple of the configuration's."""


class TrainingTask(ABC):
    """What a method brings to the loop.

    Attributes:
        name, domain: of the method; they name the weights.
        config: how to train.
        modules: trained networks by name. The loop replaces them by wrapped or averaged ones, so call them through
            this dictionary.
        shipped: names of the modules that become the method's weights.
        architecture, arguments: for the card of the weights.
        inputs: whatever else decides the result (hashes of other weights); part of the key of the work folder.
    """

    name: str
    domain: str
    config: TrainingConfig
    modules: dict[str, nn.Module]
    shipped: tuple[str, ...]
    architecture: str
    arguments: dict[str, Any]
    inputs: dict[str, str]

    @abstractmethod
    def players(self) -> list[Player]:
        """In the order in which they move on each batch."""

    @abstractmethod
    def reconstruct(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) reconstructions, as inversion would give them."""

    def score(self, images: Tensor, reconstructions: Tensor) -> dict[str, Tensor]:
        """(B,) scores by name on held-out images."""
        return {"psnr": psnr(images, reconstructions)}

    def key(self) -> str:
        """Hash of everything that decides the training, for the name of the work folder; not how it is stored."""
        config = self.config.model_dump(exclude={"weights_dtype"})
        parts = (self.domain, self.name, self.architecture, self.arguments, config, self.inputs)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def load_modules(folder: Path, domain: str, modules: dict[str, nn.Module]) -> WeightsCard:
    """Fill `modules` with the weights that `train` wrote, and put them in eval mode without gradients.

    Raises:
        ReinvertError: weights missing, altered, of another domain, or of networks with other arguments.
    """
    state, card = load_weights(folder)
    if card.domain != domain:
        raise ReinvertError(f"'{folder}' holds weights of domain {card.domain}; get {domain}'s with 'dvc pull'")
    for name, module in modules.items():
        prefix = f"{name}."
        try:
            module.load_state_dict({key[len(prefix) :]: v for key, v in state.items() if key.startswith(prefix)})
        except RuntimeError as error:
            raise ReinvertError(
                f"'{folder}' was trained with other arguments than params.yaml has now; train {card.name} again"
            ) from error
        module.eval().requires_grad_(False)
    return card

"""What a training objective is, and what it is given: the frame the tasks of `objectives` and others fill.

An objective owns what training needs beside the network (class centres, read-out layers) and the judge does not ship.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from core.errors import ReinvertError
from core.registry import Registry


@dataclass(frozen=True)
class GroundTruth:
    """What is known about a whole training set: attributes by name (N, ...), and pixels of each label (classes,)."""

    attributes: dict[str, Tensor]
    label_counts: Tensor


@dataclass(frozen=True)
class TestSet:
    """The test split: images in batches, in order (called anew for each pass), and their ground truth."""

    __test__ = False  # pytest would collect the name

    images: Callable[[], Iterator[Tensor]]
    lookalikes: Callable[[], Iterator[Tensor]]
    """The same scenes with another person of the same skin and hair."""
    labels: Tensor
    attributes: dict[str, Tensor]
    label_names: Sequence[str]

    @property
    def out_of_distribution(self) -> Tensor:
        """(N,) bool."""
        return self.attributes["out_of_distribution"].bool()


class Objective(nn.Module, ABC):
    """A training task.

    Constructors take the ground truth of the training set, the network's output for two images (its widths), then
    keyword arguments from the configuration.
    """

    reads_out: ClassVar[bool] = False
    """Whether the scores need what was trained beside the network, which does not ship."""

    def attach(self, network: nn.Module) -> None:
        """Called once, with the untrained network: for tasks that keep a copy of it."""

    @abstractmethod
    def loss(
        self, network: nn.Module, images: Tensor, labels: Tensor, attributes: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Scalars of one batch: "loss", which is minimised, and whatever is worth a column in the log."""

    @abstractmethod
    def scores(self, network: nn.Module, test: TestSet) -> dict[str, float]:
        """Scores on the test split, of the network in eval mode."""


OBJECTIVES: Registry[Callable[..., Objective]] = Registry("judge objective")


def attribute(attributes: dict[str, Tensor], name: str) -> Tensor:
    """The attribute of that name; ReinvertError where the domain has none."""
    if name not in attributes:
        raise ReinvertError(f"the domain has no attribute '{name}'; use one of {', '.join(sorted(attributes))}")
    return attributes[name]

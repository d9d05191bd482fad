"""What judges are trained on: rendered splits as one sequence, and the order in which steps go through it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Pixels(Protocol):
    """What training needs of a rendered split; `pipelines.domains.shards.Shards` is one."""

    def __len__(self) -> int: ...

    def images(self, indices: Any) -> NDArray[np.uint8]:
        """(n, H, W, 3) RGB."""

    def labels(self, indices: Any) -> NDArray[np.uint8]:
        """(n, H, W) label indices."""

    @property
    def attributes(self) -> dict[str, Tensor]:
        """Ground truth of the whole split, name -> (n, ...)."""


@dataclass
class TrainingSet:
    """Several splits as one sequence, each repeated as often as asked. Persons of different splits stay different."""

    splits: list[tuple[Pixels, int]]
    attributes: dict[str, Tensor] = field(init=False)
    _source: NDArray[np.int64] = field(init=False)
    _index: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        columns: dict[str, list[Tensor]] = {}
        source, index, persons = [], [], 0
        for number, (pixels, repeats) in enumerate(self.splits):
            rows = torch.arange(len(pixels)).repeat(repeats)
            source.append(np.full(len(rows), number))
            index.append(rows.numpy())
            for name, values in pixels.attributes.items():
                chosen = values[rows]
                columns.setdefault(name, []).append(chosen + persons if name == "identity" else chosen)
            if "identity" in pixels.attributes:
                persons += int(pixels.attributes["identity"].max()) + 1
        self.attributes = {name: torch.cat(parts) for name, parts in columns.items()}
        self._source, self._index = np.concatenate(source), np.concatenate(index)

    def __len__(self) -> int:
        return len(self._index)

    def pixels(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """(n, H, W, 3) and (n, H, W) uint8 images and labels of the given rows."""
        images: list[Any] = [None] * len(rows)
        labels: list[Any] = [None] * len(rows)
        for number, (split, _) in enumerate(self.splits):
            places = np.flatnonzero(self._source[rows] == number)
            if len(places):
                found = self._index[rows[places]]
                for place, image, label in zip(places, split.images(found), split.labels(found), strict=True):
                    images[place], labels[place] = image, label
        return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels))

    def label_counts(self, classes: int, sample: int) -> Tensor:
        """(classes,) pixels of each label in `sample` rows spread evenly over the set."""
        rows = np.unique(np.linspace(0, len(self) - 1, min(sample, len(self))).astype(np.int64))
        return torch.bincount(self.pixels(rows)[1].flatten().long(), minlength=classes)


def batch_rows(seed: int, step: int, batch: int, size: int) -> NDArray[np.int64]:
    """Rows of one step: every epoch is a new permutation, and batches run on over its end. A function of its arguments.

    Args:
        size: rows in an epoch.
    """
    rows: list[NDArray[np.int64]] = []
    position, wanted = step * batch, batch
    while wanted:
        epoch, start = divmod(position, size)
        order = np.random.default_rng([seed, epoch]).permutation(size)[start : start + wanted]
        rows.append(order)
        position, wanted = position + len(order), wanted - len(order)
    return np.concatenate(rows)

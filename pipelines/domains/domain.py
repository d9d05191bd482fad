"""What a domain is to the rest of the suite."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.errors import ReinvertError


@dataclass(frozen=True)
class Batch:
    """Rendered images with their ground truth.

    images: (B, 3, H, W) float32 in [-1, 1]. labels: (B, H, W) uint8 indices into the domain's label names.
    attributes: name -> (B, ...) tensors; degrees for angles, years for age.
    """

    images: Tensor
    labels: Tensor
    attributes: dict[str, Tensor]


@dataclass(frozen=True)
class Domain:
    """A named source of images: what to render, at which size, with which ground truth."""

    name: str
    resolution: int
    recipe: int  # version of the renderer; raised whenever pixels change
    label_names: tuple[str, ...]
    splits: dict[str, int]  # name -> number of images
    painter: Callable[..., Any]  # the inner drawing function, given to a compiler for bulk rendering
    render: Callable[..., Batch]  # (split, indices, painter) -> Batch
    attributes: Callable[[str, Tensor], dict[str, Tensor]]  # (split, indices) -> ground truth, without drawing
    hard_negatives: Callable[[str, Tensor], Batch] | None  # look-alike strangers, where the domain has identities
    uniforms_of_split: Callable[[str, Tensor], Tensor]  # (split, indices) -> (B, C) numbers in (0, 1) behind an image
    uniform_names: tuple[str, ...]  # what each of the C numbers decides
    draw: Callable[[Tensor], tuple[Tensor, Tensor]]  # (B, C) uniforms -> images and labels, as in `Batch`

    def render_split(self, split: str, indices: Tensor) -> Batch:
        """Images `indices` (B,) int64 of `split`.

        Raises:
            ReinvertError: unknown split or index out of range.
        """
        size = self.split_size(split)
        if indices.numel() and (int(indices.min()) < 0 or int(indices.max()) >= size):
            raise ReinvertError(f"{self.name}/{split} has images 0 to {size - 1}; asked for {indices.tolist()[:3]}")
        return self.render(split, indices)

    def split_size(self, split: str) -> int:
        """Number of images of a split; ReinvertError when there is no such split."""
        if split not in self.splits:
            raise ReinvertError(f"domain {self.name} has no split {split!r}; it has {', '.join(self.splits)}")
        return self.splits[split]


def to_draw(scene: dict[str, Tensor], split: str) -> dict[str, Tensor]:
    """The scene with the precision in which images of `split` are drawn: float64 for the test split, else float32.

    In float32 some bytes in a hundred thousand are one more or less on another kind of processor. Test images decide
    what is up to date, so theirs are to be the same everywhere; of training images there are too many for that.
    """
    dtype = torch.float64 if split == "test" else torch.float32
    return {name: value.to(dtype) for name, value in scene.items()}

"""What every kind of direction shares: its sign, and the move along it."""

from __future__ import annotations

import torch
from torch import Tensor


def with_fixed_sign(directions: Tensor) -> Tensor:
    """Directions (n, D) turned so that the largest entry of each is positive.

    Eigenvectors have no sign of their own; this one depends on no library.
    """
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    return directions * torch.where(largest < 0, -1.0, 1.0).to(directions.dtype)


def move(styles: Tensor, direction: Tensor, strength: float, rows: slice | list[int] | None = None) -> Tensor:
    """Styles (B, L, D) plus `strength` times a direction ((D,), (1, D) or one per row) on some rows; None for all."""
    chosen = slice(None) if rows is None else rows
    moved = styles.clone()
    moved[:, chosen] += strength * direction
    return moved

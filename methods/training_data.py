"""Batches of the training loop, each a function of (seed, step) alone, so that training resumes exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from methods.training_config import TrainingConfig


class Images(Protocol):
    """Training images: `images` gives (n, H, W, 3) uint8 RGB of the given indices."""

    def __len__(self) -> int: ...

    def images(self, indices: Any) -> NDArray[np.uint8]:
        """(n, H, W, 3) uint8 of the given indices."""
        ...


def seed_of(seed: int, purpose: str, step: int) -> int:
    """A seed for one purpose at one step, unrelated to its neighbours; 63 bits."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}/{step}".encode()).digest()[:8], "big") >> 1


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's global randomness on the CPU fixed inside, untouched outside: for initial weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@lru_cache(maxsize=2)
def _permutation(count: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed_of(seed, "epoch", epoch)))


def batch_indices(step: int, batch: int, count: int, seed: int) -> Tensor:
    """(batch,) image indices of a step: every image once per epoch, in an order that is a function of (seed, epoch)."""
    positions = torch.arange(step * batch, (step + 1) * batch)
    return torch.stack([_permutation(count, seed, int(p) // count)[int(p) % count] for p in positions])


def to_float(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """(n, H, W, 3) uint8 to (n, 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def training_batch(images: Images, count: int, step: int, config: TrainingConfig, device: torch.device) -> Tensor:
    """(batch, 3, H, W) images of a step in [-1, 1], mirrored at random when the configuration says so."""
    pixels = to_float(images.images(batch_indices(step, config.batch, count, config.seed).numpy()), device)
    if not config.flip:
        return pixels
    draw = torch.Generator().manual_seed(seed_of(config.seed, "flip", step))
    mirrored = (torch.rand(config.batch, generator=draw) < 0.5).to(device)
    return torch.where(mirrored[:, None, None, None], pixels.flip(3), pixels)

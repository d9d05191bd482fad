"""Builds a network of ours with a manifest's weights and compares its answers with the golden ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from tests.conformance import seeded

Network = TypeVar("Network", bound=nn.Module)
FOLDER = Path(__file__).parent
SALT = "public"
TOLERANCE = 1e-5
"""Of the largest golden value. The official code deviates by up to 5.3e-6 with another convolution algorithm and 4e-6
in float64; the mildest mistake tried on purpose (a wrong minibatch group) deviates by 5.7e-4."""


def seeded_network(name: str, build: Callable[[], Network]) -> Network:
    """The network, in eval mode, with the official key names loaded strictly."""
    state = seeded.fill(seeded.load_manifest(FOLDER / f"{name}.manifest.json"), SALT)
    with torch.device("meta"):  # no time spent on weights that are replaced at once
        network = build()
    network.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()}, strict=True, assign=True)
    return network.eval()


def seeded_input(name: str, shape: tuple[int, ...], clip: bool = False) -> Tensor:
    """The input every implementation draws under this name."""
    values = seeded.seeded_input(SALT, name, shape)
    return torch.from_numpy(values.clip(-1.0, 1.0) if clip else values)


def assert_golden(name: str, answers: dict[str, Tensor]) -> None:
    """Compare answers with the arrays of that name; report all that differ."""
    with np.load(FOLDER / f"{name}.npz") as golden:
        deviations = {}
        for key, answer in answers.items():
            assert tuple(answer.shape) == golden[key].shape, key
            deviations[key] = float(np.abs(answer.numpy() - golden[key]).max() / np.abs(golden[key]).max())
    assert max(deviations.values()) <= TOLERANCE, deviations

"""Train a method that has weights of its own: the stage `train-method` and `reinvert train method NAME`."""

from __future__ import annotations

from pathlib import Path

import torch

from core.config import Config
from core.weights import WeightsCard, weights_folder
from methods import training
from methods.registry import training_task
from pipelines.domains import shards


def train_method(
    name: str,
    config: Config,
    domain: str,
    weights_root: Path = Path("weights"),
    cache: Path = Path(".cache"),
    device: str | torch.device = "cpu",
) -> WeightsCard:
    """Train `name` on `domain`, going on from where an earlier call was stopped, and write its weights.

    Finished work found in `cache` is only moved into place.

    Args:
        name: of the method in params.yaml.
        config: all parameters.
        domain: whose training split, generator and judges are used.
        weights_root: weights are read from it and written to `weights_root/<domain>/<name>`, a slash in the name
            being a dash there.
        cache: resumable work, rendered images included.
        device: where to compute.

    Raises:
        ReinvertError: an unknown name, nothing to train, weights of generator or judges missing, or training diverged.
    """
    task = training_task(name, config, domain, weights_root, device)
    images = shards.ensure(domain, "train", cache)
    output = weights_folder(weights_root, domain, name)
    return training.train(task, images, cache / "training", output, torch.device(device))

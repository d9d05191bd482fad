"""The one encoder-training loop.

A method brings a `TrainingTask`: its networks, one or more players (an optimiser with what it minimises) and a way to
reconstruct images for evaluation. One player is a plain encoder (pSp); two are an encoder and its latent discriminator
(e4e); a player that yields several objectives per batch has each one differentiated as it comes, so that ReStyle's
refinement steps need the memory of one. Losses see the step, so stages and progressive schedules are theirs to decide.

Everything random is a function of (seed, step): the batch, the flips and what networks draw. So training N steps equals
training k, resuming from the checkpoint and training N - k, bit for bit on one machine.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from core.errors import ReinvertError
from core.files import atomic_path, atomic_write_csv
from core.precision import resolve
from core.weights import WeightsCard, code_version, decode, encode, save_weights
from methods.training_config import TrainingConfig
from methods.training_data import Images, seed_of, to_float, training_batch
from methods.training_task import Player, TrainingTask

CHECKPOINT_FILE = "checkpoint.pt"
LOG_FILE = "training.csv"
SAMPLES_FILE = "samples.png"
_SAMPLES = 10


def learning_rate_factor(progress: float, decay_from: float) -> float:
    """1 up to `decay_from`, then half a cosine down to 0 at progress 1."""
    if progress < decay_from or decay_from >= 1:
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (progress - decay_from) / (1 - decay_from)))


def _optimizer(player: Player, config: TrainingConfig) -> torch.optim.Optimizer:
    rate = config.learning_rate * player.rate
    if (player.optimizer or config.optimizer) == "adam":
        return torch.optim.Adam(player.parameters, lr=rate)
    import pytorch_optimizer

    # `degenerated_to_sgd` is what makes it the Ranger of pSp.
    ranger: torch.optim.Optimizer = pytorch_optimizer.Ranger(player.parameters, lr=rate, degenerated_to_sgd=True)
    return ranger


@torch.no_grad()
def _average(averaged: dict[str, nn.Module], modules: dict[str, nn.Module], decay: float) -> None:
    """Move the average towards the current parameters; buffers (batch-norm statistics) are taken as they are."""
    for name, average in averaged.items():
        for mean, parameter in zip(average.parameters(), modules[name].parameters(), strict=True):
            mean.lerp_(parameter, 1 - decay)
        for kept, buffer in zip(average.buffers(), modules[name].buffers(), strict=True):
            kept.copy_(buffer)


@contextmanager
def _evaluated(task: TrainingTask, averaged: dict[str, nn.Module]) -> Iterator[None]:
    """The task as it would ship: averaged modules where there are any, in eval mode and full precision."""
    trained = dict(task.modules)
    task.modules.update({name: _raw(module) for name, module in trained.items()} | averaged)
    modes = {name: module.training for name, module in task.modules.items()}
    for module in task.modules.values():
        module.eval()
    try:
        yield
    finally:
        for name, module in task.modules.items():
            module.train(modes[name])
        task.modules.update(trained)


def _write_samples(path: Path, real: Tensor, reconstructions: Tensor) -> None:
    """Inputs over reconstructions, one column per image, pixels enlarged twice."""
    rows = [torch.cat(list(images[:_SAMPLES]), dim=2) for images in (real, reconstructions)]
    grid = (torch.cat(rows, dim=1).clamp(-1, 1).add(1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    with atomic_path(path) as temporary:
        Image.fromarray(grid.repeat(2, axis=0).repeat(2, axis=1)).save(temporary)


@torch.no_grad()
def validate(task: TrainingTask, averaged: dict[str, nn.Module], held_out: Tensor, folder: Path) -> dict[str, float]:
    """Mean scores on the held-out images (B, 3, H, W); also writes the sample grid into `folder`."""
    batch = task.config.batch
    with _evaluated(task, averaged):
        pieces = [task.reconstruct(held_out[i : i + batch]) for i in range(0, len(held_out), batch)]
    reconstructions = torch.cat(pieces).float()
    if not bool(torch.isfinite(reconstructions).all()):
        raise ReinvertError(f"training of {task.name} diverged (reconstructions not finite); lower the learning rate")
    reconstructions = reconstructions.clamp(-1, 1)
    scores: dict[str, list[Tensor]] = {}
    for i in range(0, len(held_out), batch):
        for name, values in task.score(held_out[i : i + batch], reconstructions[i : i + batch]).items():
            scores.setdefault(name, []).append(values.double())
    _write_samples(folder / SAMPLES_FILE, held_out, reconstructions)
    return {name: float(torch.cat(values).mean()) for name, values in scores.items()}


def _raw(module: nn.Module) -> nn.Module:
    """The network inside Fabric's wrapper."""
    return getattr(module, "module", module) if type(module).__name__ == "_FabricModule" else module


def setup(task: TrainingTask, device: torch.device) -> dict[str, Any]:
    """Wrap networks and optimisers for the device and collect all that changes while training into one state."""
    from lightning_fabric import Fabric

    devices = [device.index] if device.type == "cuda" and device.index is not None else 1
    fabric = Fabric(accelerator=device.type, devices=devices, precision=resolve(task.config.precision, device))
    fabric.launch()
    for name, module in task.modules.items():
        task.modules[name] = fabric.setup_module(module.train())
    optimizers = {player.name: _optimizer(player, task.config) for player in task.players()}
    averaged = {}
    if task.config.ema_decay is not None:
        averaged = {name: copy.deepcopy(_raw(task.modules[name])).requires_grad_(False) for name in task.shipped}
    return {
        "fabric": fabric,
        "optimizers": optimizers,
        "stepping": {name: fabric.setup_optimizers(optimizer) for name, optimizer in optimizers.items()},
        "averaged": averaged,
        "step": 0,
        "seconds": 0.0,
        "sums": {},
        "log": [],
    }


def _save_checkpoint(path: Path, task: TrainingTask, state: dict[str, Any]) -> None:
    content = {
        "step": state["step"],
        "seconds": state["seconds"],
        "sums": state["sums"],
        "log": state["log"],
        "modules": {name: _raw(module).state_dict() for name, module in task.modules.items()},
        "optimizers": {name: optimizer.state_dict() for name, optimizer in state["optimizers"].items()},
        "averaged": {name: module.state_dict() for name, module in state["averaged"].items()},
    }
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def _load_checkpoint(path: Path, task: TrainingTask, state: dict[str, Any], device: torch.device) -> None:
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # whatever a damaged archive makes torch raise
        raise ReinvertError(f"checkpoint '{path}' is damaged; delete it and train again") from error
    for name, module in task.modules.items():
        _raw(module).load_state_dict(content["modules"][name])
    for name, optimizer in state["optimizers"].items():
        optimizer.load_state_dict(content["optimizers"][name])
    for name, module in state["averaged"].items():
        module.load_state_dict(content["averaged"][name])
    state.update(step=content["step"], seconds=content["seconds"], sums=content["sums"], log=content["log"])


def _move(task: TrainingTask, state: dict[str, Any], players: list[Player], images: Tensor) -> None:
    """One step of every player on one batch."""
    fabric, config, step = state["fabric"], task.config, state["step"]
    rate = config.learning_rate * learning_rate_factor(step / config.steps, config.decay_from)
    torch.manual_seed(seed_of(config.seed, "network", step))
    for player in players:
        optimizer = state["optimizers"][player.name]
        for group in optimizer.param_groups:
            group["lr"] = rate * player.rate
        optimizer.zero_grad(set_to_none=True)
        objectives = player.objectives(images, step)
        while True:
            with fabric.autocast():
                objective = next(objectives, None)
            if objective is None:
                break
            fabric.backward(objective.total)
            for name, value in objective.terms.items():
                total, count = state["sums"].get(name, (torch.zeros((), dtype=torch.float64, device=images.device), 0))
                state["sums"][name] = (total + value.detach().double(), count + 1)
        state["stepping"][player.name].step()


def fit(
    task: TrainingTask, images: Images, work_dir: Path, device: torch.device, stop_after: int | None = None
) -> dict[str, Any]:
    """Train to the last step, from the checkpoint in `work_dir` when there is one.

    Args:
        task: what to train; its modules are changed in place.
        images: the training split; its last `held_out` images are evaluated on and never trained on.
        work_dir: checkpoint, log and sample grid go here as training runs.
        device: where to compute.
        stop_after: stop at this step as a kill after its checkpoint would; for tests of resuming.

    Returns:
        The state, with "step", "log" (one dict per evaluation) and "averaged".

    Raises:
        ReinvertError: too few images, a damaged checkpoint, or losses that are no numbers any more.
    """
    config = task.config
    count = len(images) - config.held_out
    if count < config.batch:
        raise ReinvertError(
            f"{len(images)} training images, {config.held_out} of them held out, are fewer than one batch of "
            f"{config.batch}; lower 'held_out' or 'batch'"
        )
    state = setup(task, device)
    checkpoint = work_dir / CHECKPOINT_FILE
    if checkpoint.is_file():
        _load_checkpoint(checkpoint, task, state, device)
    held_out = _held_out(images, config, device)
    players = task.players()
    began = time.monotonic() - state["seconds"]
    last = config.steps if stop_after is None else min(stop_after, config.steps)
    with tqdm(total=config.steps, initial=state["step"], desc=f"train {task.name}", disable=None) as progress:
        while state["step"] < last:
            _move(task, state, players, training_batch(images, count, state["step"], config, device))
            if config.ema_decay is not None:
                _average(state["averaged"], {name: _raw(m) for name, m in task.modules.items()}, config.ema_decay)
            state["step"] += 1
            progress.update()
            finished = state["step"] == config.steps
            if finished or state["step"] % config.evaluate_every == 0:
                _evaluate(task, state, held_out, work_dir)
            if finished or state["step"] == last or state["step"] % config.checkpoint_every == 0:
                state["seconds"] = time.monotonic() - began
                _save_checkpoint(checkpoint, task, state)
    return state


def _held_out(images: Images, config: TrainingConfig, device: torch.device) -> Tensor:
    """The last `held_out` images as (held_out, 3, H, W) in [-1, 1]."""
    return to_float(images.images(np.arange(len(images) - config.held_out, len(images))), device)


def _evaluate(task: TrainingTask, state: dict[str, Any], held_out: Tensor, work_dir: Path) -> None:
    """Append a row to the log: mean losses since the last row, and scores on held-out images."""
    means = {name: float(total) / count for name, (total, count) in state["sums"].items()}
    broken = [name for name, value in means.items() if not math.isfinite(value)]
    if broken:
        raise ReinvertError(
            f"training of {task.name} diverged before step {state['step']} ({', '.join(broken)} is not finite); "
            "lower the learning rate"
        )
    scores = validate(task, state["averaged"], held_out, work_dir)
    row = {"step": float(state["step"]), "images_seen": float(state["step"] * task.config.batch), **means}
    state["log"].append(row | {f"held_out_{name}": value for name, value in scores.items()})
    state["sums"] = {}
    atomic_write_csv(work_dir / LOG_FILE, state["log"])


def train(
    task: TrainingTask,
    images: Images,
    work_root: Path,
    output_dir: Path,
    device: torch.device,
) -> WeightsCard:
    """Train `task` (or go on, or merely collect what is finished) and write its weights.

    Args:
        task: what to train.
        images: the training split.
        work_root: folder for resumable work; a folder in it is keyed by everything that decides the result.
        output_dir: receives weights, card, log and sample grid, each whole or absent.
        device: where to compute.

    Raises:
        ReinvertError: see `fit`.
    """
    config, precision = task.config, resolve(task.config.precision, device)
    work_dir = work_root / f"{task.domain}-{task.name.replace('/', '-')}-{task.key()}-{precision}"
    state = fit(task, images, work_dir, device)
    final = {name: state["averaged"].get(name, _raw(task.modules[name])) for name in task.shipped}
    weights = {f"{name}.{key}": value for name, module in final.items() for key, value in module.state_dict().items()}
    # What is shipped is what is scored: the values as they are stored.
    stored = decode(encode(weights, config.weights_dtype, task.name))
    for name, module in final.items():
        module.load_state_dict(
            {key.removeprefix(f"{name}."): v for key, v in stored.items() if key.startswith(f"{name}.")}
        )
    scores = validate(task, state["averaged"], _held_out(images, config, device), work_dir)
    card = WeightsCard(
        name=task.name,
        domain=task.domain,
        architecture=task.architecture,
        arguments=task.arguments,
        recipe=config.recipe,
        images_seen=config.steps * config.batch,
        seed=config.seed,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        precision=precision,
        training_seconds=round(state["seconds"], 1),
        code_version=code_version(),
        scores={f"held_out_{name}": value for name, value in scores.items()},
        dtype=config.weights_dtype,
    )
    for name in (LOG_FILE, SAMPLES_FILE):
        with atomic_path(output_dir / name) as temporary:
            temporary.write_bytes((work_dir / name).read_bytes())
    return save_weights(output_dir, weights, card)

"""Train one judge on a domain's ground truth: setup -> main -> fit -> validate, the same loop for all of them.

Resumable: whatever happens, the next call goes on from the last checkpoint, and N steps equal k steps, a resume and
N - k steps bit for bit, because everything random is a function of (seed, step).
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from core.config import validated
from core.errors import ReinvertError
from core.files import atomic_path, atomic_write_csv, atomic_write_json
from core.precision import resolve
from core.weights import CARD_FILE, WeightsCard, code_version, load_weights, save_weights
from metrics.judges import ARCHITECTURES, contrastive, identity_objectives, objectives
from metrics.judges.augment import augment
from metrics.judges.config import JudgeTraining
from metrics.judges.objective import OBJECTIVES, GroundTruth, Objective, TestSet
from metrics.judges.training_set import TrainingSet, batch_rows
from pipelines import domains
from pipelines.domains import shards

_VALIDATION_BATCH = 256
# Imported for what they register.
_TASKS = (contrastive, identity_objectives, objectives)


def learning_rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """One cycle (Smith & Topin 2018): a linear rise over `warmup` * `steps`, then half a cosine down towards zero."""
    rise = warmup * steps
    if step < rise:
        return peak * (step + 1) / (rise + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


def _step_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _call(where: str, build: Callable[..., Any], *positional: Any, arguments: Mapping[str, Any]) -> Any:
    """`build(*positional, **arguments)`, arguments that do not fit being the user's mistake."""
    try:
        inspect.signature(build).bind(*positional, **arguments)
    except TypeError as error:
        raise ReinvertError(f"{where}: {error}; correct it in params.yaml") from error
    return build(*positional, **arguments)


def setup(
    place: str, config: JudgeTraining, training: TrainingSet, classes: int, device: torch.device
) -> dict[str, Any]:
    """Everything that training changes, in one dict: network, objective, optimizer, step and log.

    Args:
        place: of the configuration, for messages: "judges.<domain>.<name>".
        config: how to train.
        training: what to train on.
        classes: of the domain's labels.
        device: where to train.

    Raises:
        ReinvertError: an unknown architecture or objective, or arguments that do not fit it.
    """
    torch.manual_seed(config.seed)
    network: nn.Module = _call(f"{place}.arguments", ARCHITECTURES.get(config.architecture), arguments=config.arguments)
    images, _ = training.pixels(np.arange(2))
    with torch.no_grad():
        output = network.eval()(shards.to_float(images))
    truth = GroundTruth(training.attributes, training.label_counts(classes, sample=2_000))
    objective: Objective = _call(
        f"{place}.objective_arguments",
        OBJECTIVES.get(config.objective), truth, output,
        arguments=config.objective_arguments,
    )  # fmt: skip
    objective.attach(network)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    objective.to(device)
    parameters = [*network.parameters(), *objective.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    return {"network": network, "objective": objective, "optimizer": optimizer, "step": 0, "log": []}


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """The whole of `state`, whole or not at all."""
    saved = {key: value.state_dict() if hasattr(value, "state_dict") else value for key, value in state.items()}
    with atomic_path(path) as temporary:
        torch.save(saved, temporary)


def load_checkpoint(path: Path, state: dict[str, Any], device: torch.device) -> None:
    """Put what `save_checkpoint` wrote back into `state`; nothing happens where there is no file."""
    if not path.exists():
        return
    for key, value in torch.load(path, map_location=device, weights_only=True).items():
        if hasattr(state[key], "load_state_dict"):
            state[key].load_state_dict(value)
        else:
            state[key] = value


def fit(
    name: str, config: JudgeTraining, training: TrainingSet, state: dict[str, Any], folder: Path, device: torch.device
) -> None:
    """Train until `config.steps`, logging to `folder/losses.csv` and saving to `folder/checkpoint.pt`.

    Raises:
        ReinvertError: the loss is no longer finite.
    """
    network, objective, optimizer = state["network"].train(), state["objective"].train(), state["optimizer"]
    mixed = resolve(config.precision, device) == "bf16-mixed"
    autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=mixed)
    bar = tqdm(total=config.steps, initial=state["step"], desc=f"train {name}", unit="step", disable=None)
    with bar:
        while state["step"] < config.steps:
            step = state["step"]
            torch.manual_seed(_step_seed(config.seed, step))
            generator = torch.Generator(device).manual_seed(_step_seed(config.seed + 1, step))
            rows = batch_rows(config.seed, step, config.batch, len(training))
            pixels, labels = (values.to(device) for values in training.pixels(rows))
            images = augment(shards.to_float(pixels), config.augmentation, generator)
            attributes = {key: values[rows].to(device) for key, values in training.attributes.items()}
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, config.steps, config.learning_rate, config.warmup)
            with autocast():
                losses = objective.loss(
                    network, images.contiguous(memory_format=torch.channels_last), labels, attributes
                )
            optimizer.zero_grad(set_to_none=True)
            losses["loss"].backward()
            optimizer.step()
            state["step"] = step + 1
            bar.update()
            last = state["step"] == config.steps
            if state["step"] % config.log_every == 0 or last:
                values = {key: float(value.detach()) for key, value in losses.items()}
                if not math.isfinite(values["loss"]):
                    raise ReinvertError(f"training of {name} diverged at step {step}; lower its learning_rate")
                state["log"].append({"step": step + 1, "images": (step + 1) * config.batch, **values})
                atomic_write_csv(folder / "losses.csv", state["log"])
                bar.set_postfix(loss=f"{values['loss']:.4f}")
            if state["step"] % config.checkpoint_every == 0 or last:
                save_checkpoint(folder / "checkpoint.pt", state)


@torch.inference_mode()
def validate(network: nn.Module, objective: Objective, test: TestSet) -> dict[str, float]:
    """Scores on the test split, in float32."""
    return objective.eval().scores(network.eval(), test)


def test_set(domain: domains.Domain, cache: Path, device: torch.device) -> TestSet:
    """The domain's test split; look-alikes are rendered anew in each pass (seconds)."""
    split = shards.ensure(domain, "test", cache)
    everything = torch.arange(len(split))

    def images() -> Iterator[Tensor]:
        for rows in everything.split(_VALIDATION_BATCH):
            yield split.tensors(rows, device)

    def lookalikes() -> Iterator[Tensor]:
        if domain.hard_negatives is None:
            raise ReinvertError(f"domain {domain.name} has no identities; remove its identity judges")
        for rows in everything.split(32):
            yield domain.hard_negatives("test", rows).images.to(device)

    labels = torch.from_numpy(split.labels(everything))
    return TestSet(images, lookalikes, labels, split.attributes, domain.label_names)


def main(
    domain: str,
    name: str,
    config: JudgeTraining,
    training: TrainingSet,
    test: TestSet,
    folder: Path,
    output_dir: Path,
    device: torch.device,
) -> WeightsCard:
    """Train, score the weights as they are stored, and write them with their card to `output_dir`.

    `folder` keeps unfinished work.
    """
    state = setup(f"judges.{domain}.{name}", config, training, len(test.label_names), device)
    load_checkpoint(folder / "checkpoint.pt", state, device)
    fit(name, config, training, state, folder, device)
    card = WeightsCard(
        name=name,
        domain=domain,
        architecture=config.architecture,
        arguments=config.arguments,
        recipe=config.recipe,
        images_seen=config.steps * config.batch,
        seed=config.seed,
        device=device.type,
        precision=resolve(config.precision, device),
        code_version=code_version(),
        dtype=config.stored,
    )
    trained = state["network"]
    # Scored after a round trip through the file, so that the card is about the weights that ship.
    rounded = folder / "rounded"
    save_weights(rounded, trained.state_dict(), card)
    trained.load_state_dict(load_weights(rounded)[0])
    scores = validate(trained, state["objective"], test)
    return save_weights(output_dir, trained.state_dict(), card.model_copy(update={"scores": scores}))


def rescore(
    domain: str,
    name: str,
    config: JudgeTraining,
    training: TrainingSet,
    test: TestSet,
    output_dir: Path,
    device: torch.device,
) -> WeightsCard:
    """Score the finished weights in `output_dir` again and write that on their card; the weights stay as they are.

    Raises:
        ReinvertError: no weights, weights of another network, or scores that need what does not ship.
    """
    stored, card = load_weights(output_dir)
    if (card.architecture, card.arguments) != (config.architecture, config.arguments):
        raise ReinvertError(f"'{output_dir}' holds another network than judges.{domain}.{name}; train it again")
    state = setup(f"judges.{domain}.{name}", config, training, len(test.label_names), device)
    if state["objective"].reads_out:
        raise ReinvertError(f"the scores of {name} need a layer that is only known while training; train it again")
    state["network"].load_state_dict(stored)
    card = card.model_copy(update={"scores": validate(state["network"], state["objective"], test)})
    atomic_write_json(output_dir / CARD_FILE, card.model_dump())
    return card


def _prepared(
    domain: str, name: str, config: JudgeTraining | Mapping[str, Any], cache: Path, device: torch.device
) -> tuple[domains.Domain, JudgeTraining, TrainingSet, TestSet]:
    """The domain, its checked configuration, and its rendered splits."""
    if not isinstance(config, JudgeTraining):
        config = validated(JudgeTraining, config, f"params.yaml: judges.{domain}.{name}")
    found = domains.get(domain)
    training = TrainingSet([(shards.ensure(found, split, cache), n) for split, n in config.splits.items()])
    return found, config, training, test_set(found, cache, device)


def train_judge(
    domain: str,
    name: str,
    config: JudgeTraining | Mapping[str, Any],
    work_dir: Path,
    output_dir: Path,
    device: str | torch.device,
    cache: Path = Path(".cache"),
) -> WeightsCard:
    """Train the judge `name` of `domain`, or go on with it.

    Args:
        config: how; a mapping as it stands in params.yaml is checked first.
        work_dir: checkpoints and losses go to a folder in here that is named by a hash of the inputs.
        output_dir: `weights/<domain>/<name>`.
        device: "cpu" or "cuda".
        cache: where rendered splits are.

    Returns:
        The card that was written, with scores on the test split.

    Raises:
        ReinvertError: a mistake in the configuration, a diverging run, a full disk.
    """
    found, config, training, test = _prepared(domain, name, config, cache, torch.device(device))
    inputs = json.dumps([domain, found.recipe, name, config.model_dump()], sort_keys=True)
    folder = work_dir / hashlib.sha256(inputs.encode()).hexdigest()[:12]
    return main(domain, name, config, training, test, folder, output_dir, torch.device(device))


def score_judge(
    domain: str,
    name: str,
    config: JudgeTraining | Mapping[str, Any],
    output_dir: Path,
    device: str | torch.device,
    cache: Path = Path(".cache"),
) -> WeightsCard:
    """Score a finished judge again, as when a score is new; see `rescore` and, for the arguments, `train_judge`."""
    _, config, training, test = _prepared(domain, name, config, cache, torch.device(device))
    return rescore(domain, name, config, training, test, output_dir, torch.device(device))

"""From the measured runs of a domain's ablations to the one file that is kept in git (`reports.read_ablations`)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from core.config import Config
from core.config_ablations import Ablations
from core.errors import ReinvertError
from core.files import atomic_path, atomic_write_json
from core.weights import load_card, weights_folder
from pipelines.ablations.describe import all_differences
from pipelines.ablations.run import chosen
from pipelines.train_methods import name_of
from reports.claims import edits
from reports.read import Run, read_run
from reports.read_ablations import Edit, Measured, Record, Row, Score, Training

FAMILY = "feature-style/insertion-layer-"
"""Variants whose reconstructions are kept as pictures."""
SHOWN = 12
"""Images of each."""


def _rounded(value: float | None) -> float | None:
    """Six digits, more than any table prints; None for what is no number."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _score(entry: dict[str, float]) -> Score:
    return Score(
        value=_rounded(entry["value"]), low=_rounded(entry["low"]), high=_rounded(entry["high"]),
        n=int(entry["n"]), n_failed=int(entry["n_failed"]),
    )  # fmt: skip


def _training(name: str, config: Config, domain: str, own_weights: Path) -> Training:
    card = load_card(weights_folder(own_weights, domain, name))
    settings = config.methods[name].arguments["training"]
    return Training(
        steps=settings["steps"], batch=settings["batch"], seconds=card.training_seconds, device=card.device,
        precision=card.precision, parameters=card.parameters,
    )  # fmt: skip


def _measured(run: Run, training: Training | None, runs_dir: Path) -> Measured:
    if run.failed:
        return Measured(reason=run.reason, training=training)
    read = edits.read_edits(runs_dir / run.name / edits.FILE, run.domain, run.method)
    found = []
    for cell, value in read.items():
        if cell.method == run.method:
            ends = _rounded(value.low), _rounded(value.high)
            score = Score(value=_rounded(value.value), low=ends[0], high=ends[1], n=value.n or 0)
            found.append(Edit(metric=cell.metric, setting=cell.setting, score=score))
    scores = [name for name in run.metrics if name in run.per_image]
    return Measured(
        training=training,
        parameters=run.timing.get("parameters"),
        seconds_per_image=_rounded(run.timing.get("seconds_per_image_batch_1")),
        metrics={name: _score(dict(entry)) for name, entry in run.metrics.items()},
        per_image={name: [_rounded(float(value)) for value in run.per_image[name]] for name in scores},
        edits=found,
    )


def collect(
    ablations: Ablations, base: Config, config: Config, domain: str, runs_dir: Path, own_weights: Path, output: Path
) -> Path | None:
    """Write <output>/<domain>.json, and <domain>-insertion-layers.npz with reconstructions for each K.

    The arrays are uint8 RGB: `inputs` (n, H, W, 3), `reconstructions` (K, n, H, W, 3), and `layers` (K,).

    Args:
        ablations: the file of ablations.
        base: the parameters it extends.
        config: those it amounts to.
        domain: whose runs are collected; those that have not been measured count as failed.
        runs_dir: a folder per domain and run.
        own_weights: of the variants.
        output: results/ablations.

    Returns:
        The path; None where nothing was measured.

    Raises:
        ReinvertError: runs of other images, or files of a run are missing or damaged.
    """
    names = chosen(ablations, None, domain)
    runs: dict[str, Run] = {}
    for method in dict.fromkeys(ablations.measured_as(name) for name in names):
        runs[method] = read_run(name_of((domain, method)), config, runs_dir / domain)
    done = [run for run in runs.values() if not run.failed]
    if not done:
        return None
    images = [int(index) for index in done[0].per_image.index]
    for run in done:
        if list(run.per_image.index) != images:
            raise ReinvertError(f"run '{run.name}' is of other images than '{done[0].name}'; measure all of them anew")
    measured = {}
    for method, run in runs.items():
        trained = method in ablations.variants and not run.failed
        training = _training(method, config, domain, own_weights) if trained else None
        measured[method] = _measured(run, training, runs_dir / domain)
    rows = [
        Row(
            variant=name,
            group=ablations.group_of(name),
            base=ablations.variants[name].base,
            says=ablations.variants[name].says,
            differs=all_differences(name, ablations, base),
            measured_as=ablations.measured_as(name),
        )
        for name in names
    ]
    budgets = {group: content.training["steps"] for group, content in ablations.groups.items()}
    record = Record(schema_version=1, domain=domain, images=images, budgets=budgets, rows=rows, measured=measured)
    path = output / f"{domain}.json"
    _keep_pictures(ablations, names, runs, output / f"{domain}-insertion-layers.npz")
    atomic_write_json(path, record.model_dump(mode="json"))
    return path


def _keep_pictures(ablations: Ablations, names: list[str], runs: dict[str, Run], path: Path) -> None:
    members = {int(name.removeprefix(FAMILY)): runs[ablations.measured_as(name)] for name in names if FAMILY in name}
    shown = {layer: run for layer, run in sorted(members.items()) if not run.failed}
    if not shown:
        return
    first = next(iter(shown.values()))
    rows = np.arange(SHOWN) * len(first.inputs) // SHOWN
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            layers=np.array(list(shown), np.int64),
            inputs=first.inputs[rows],
            reconstructions=np.stack([run.outputs[rows] for run in shown.values()]),
        )

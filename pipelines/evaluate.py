"""Evaluate one run: one method on one domain's test images.

Images are chosen evenly over the split, inverted and measured in resumable chunks (`evaluate_chunks`), then timed
alone (`evaluate_timing`). What a run leaves behind is listed in docs/architecture.md. A method that fails for reasons
of the data - all its reconstructions are not finite, or its arithmetic breaks down - is a result too: record.json says
`failed` and why, every score is null, and the other runs and the report go on. A mistake of the user or of a program
is an error.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from core.config import Config
from core.config_evaluation import EvaluationConfig
from core.errors import ReinvertError
from core.files import atomic_path, atomic_write_json, sha256_of
from core.pictures import write_pictures
from core.registry import unknown_name
from methods.inverter import Inverter
from metrics import registry
from metrics.panel import feature_distances, sampled_distances
from metrics.registry import Metric
from metrics.statistics import summarise
from pipelines.domains import shards
from pipelines.domains.shards import to_float
from pipelines.evaluate_chunks import Chunk, Session, Tools, measure_all, sensible_workers
from pipelines.evaluate_provenance import code_sha256, key_of, machine, method_chain, versions, weights_sha256
from pipelines.evaluate_timing import align, measure_timing

SCHEMA = 1
"""Version of the files a run leaves behind."""
BLANK = 128
"""The 8-bit value of the picture that stands in for a failed reconstruction."""


@dataclass(frozen=True)
class TestImages:
    """The images of a run.

    Attributes:
        indices: (n,) int64, rising, in the split.
        pixels: (n, H, W, 3) uint8.
        out_of_distribution: (n,) bool.
        sha256: of the manifest of the data they come from.
    """

    indices: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    out_of_distribution: NDArray[np.bool_]
    sha256: str


def choose_images(out_of_distribution: NDArray[np.bool_], count: int, seed: int) -> NDArray[np.int64]:
    """Indices of `count` images spread evenly over a split, in and out of distribution by their share in it.

    Args:
        out_of_distribution: (N,) bool for the whole split.
        count: how many, at most N.
        seed: moves the grid of chosen images by less than one spacing.

    Raises:
        ReinvertError: more images than there are.
    """
    if count > len(out_of_distribution):
        raise ReinvertError(
            f"evaluation.images is {count}, the split has {len(out_of_distribution)}; give at most that many"
        )
    offset = np.random.Generator(np.random.PCG64(seed)).random()
    outside = round(count * float(out_of_distribution.mean()))
    chosen = []
    for group, share in ((False, count - outside), (True, outside)):
        members = np.flatnonzero(out_of_distribution == group)
        chosen.append(members[((np.arange(share) + offset) * len(members) / max(share, 1)).astype(np.int64)])
    return np.sort(np.concatenate(chosen))


def required(config: Config) -> EvaluationConfig:
    """The section `evaluation`; ReinvertError where params.yaml has none."""
    if config.evaluation is None:
        raise ReinvertError("params.yaml has no section 'evaluation', which says how runs are measured; add it")
    return config.evaluation


def load_images(folder: Path, domain: str, settings: EvaluationConfig) -> TestImages:
    """The chosen images of a rendered test split; ReinvertError where `folder` holds none, or another domain's."""
    split = shards.load(folder)
    if (split.domain.name, split.split) != (domain, "test"):
        raise ReinvertError(
            f"{folder} holds {split.domain.name}/{split.split}, wanted {domain}/test; delete it and render again"
        )
    outside = split.attributes["out_of_distribution"].bool().numpy()
    indices = choose_images(outside, settings.images, settings.seed)
    return TestImages(indices, split.images(indices), outside[indices], sha256_of(folder / "manifest.json"))


def evaluate(
    run_name: str,
    config: Config,
    weights_root: Path,
    data_dir: Path,
    output_dir: Path,
    work_dir: Path,
    device: str = "cpu",
    workers: int | None = None,
    tools: Tools | None = None,
    processes: int = 1,
) -> None:
    """Measure run `run_name` of params.yaml.

    Args:
        run_name: name under `runs`.
        config: all parameters.
        weights_root: folder of the weights.
        data_dir: rendered images, in `<domain>/test`.
        output_dir: where the results go.
        work_dir: where finished chunks are kept, outside the DAG.
        device: where to compute.
        workers: processes; None takes one per core (one on a GPU). The numbers are the same for any.
        tools: how inverter and metrics come about; None for those of the project.
        processes: how many processes measure on this machine, this one included; goes into timing.json.

    Raises:
        ReinvertError: an unknown run, missing or altered weights or images, a full disk.
    """
    if run_name not in config.runs:
        raise unknown_name("run", run_name, config.runs)
    domain = config.runs[run_name].domain
    images = load_images(Path(data_dir) / domain / "test", domain, required(config))
    tools = tools or Tools()
    evaluate_images(run_name, config, images, weights_root, output_dir, work_dir, device, workers, tools, processes)


def evaluate_images(
    run_name: str,
    config: Config,
    images: TestImages,
    weights_root: Path,
    output_dir: Path,
    work_dir: Path,
    device: str,
    workers: int | None,
    tools: Tools,
    processes: int = 1,
) -> None:
    """`evaluate` on given images, with given ways to build the inverter and the metrics."""
    settings = required(config)
    run, place = config.runs[run_name], torch.device(device)
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "method": run.method,
        "domain": run.domain,
        "arguments": config.methods[run.method].model_dump(mode="json"),
        "scale": config.scale,
        "evaluation": settings.model_dump(mode="json"),
        "weights": weights_sha256(Path(weights_root), run.domain, run.method, config),
        "data_sha256": images.sha256,
        "seed": settings.seed,
        "device": place.type,
        "dtype": "float32",
        "versions": versions(),
        "machine": machine(place),
        "status": "ok",
    }
    key = key_of(
        {name: record[name] for name in ("schema", "domain", "weights", "data_sha256", "seed", "device", "versions")}
        | {
            "methods": method_chain(run.method, config),
            "batch": settings.batch,
            "images": hashlib.sha256(images.indices.tobytes() + images.pixels.tobytes()).hexdigest(),
            "code": code_sha256(),
        }
    )
    folder = Path(work_dir) / "evaluate" / f"{run_name}-{key}"
    session = Session(run.method, run.domain, config, Path(weights_root), place, settings.seed, folder, tools)
    opened = functools.cache(session.open)  # networks take seconds to load, and none where all was measured ahead
    try:
        chunks = measure_all(
            session, opened, images.pixels, settings.batch, workers or sensible_workers(place), f"evaluate {run_name}"
        )
        if all(chunk["failed"].all() for chunk in chunks):
            raise FloatingPointError("every reconstruction holds a value that is not finite")
        timing = _timing(session, lambda: opened()[0], images, settings, processes)
    except (ArithmeticError, torch.linalg.LinAlgError) as error:
        measured = opened()[1].metrics
        record["protocols"] = {metric.name: metric.protocol for metric in measured}
        _write(Path(output_dir), record | {"status": "failed", "reason": str(error)}, *_nothing(images, measured))
        return
    measured = [one for one in map(registry.get, registry.names())
                if not one.per_image or f"score_{one.name}" in chunks[0]]  # fmt: skip
    record["protocols"] = {metric.name: metric.protocol for metric in measured}
    _write(Path(output_dir), record, *_results(chunks, timing, images, settings, measured))


def _timing(
    session: Session, inverter: Callable[[], Inverter], images: TestImages, settings: EvaluationConfig, processes: int
) -> dict[str, Any]:
    asked = settings.model_dump(include={"timing_images", "timing_seconds", "timing_batches", "timing_steps"})
    path = (
        session.folder / f"timing-{key_of([asked, torch.get_num_threads(), processes, machine(session.device)])}.json"
    )
    if path.is_file():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    # The images that are timed are spread over the sample, too.
    count = min(len(images.indices), max(settings.timing_images, *settings.timing_batches))
    rows = np.arange(count) * len(images.indices) // count
    timing = measure_timing(
        inverter(),
        to_float(torch.from_numpy(images.pixels[rows]).to(session.device)),
        settings.seed,
        settings.timing_batches,
        settings.timing_images,
        settings.timing_seconds,
        settings.timing_steps,
    )
    timing["processes"] = processes
    atomic_write_json(path, timing)
    return timing


Results = tuple[dict[str, Any], dict[str, Any], dict[str, Any], pd.DataFrame, dict[str, NDArray[np.uint8]]]


def _results(
    chunks: list[Chunk], timing: dict[str, Any], images: TestImages, settings: EvaluationConfig, measured: list[Metric]
) -> Results:
    joined = {
        name: np.concatenate([chunk[name] for chunk in chunks])
        for name in chunks[0]
        if name != "steps" and not name.startswith("curve_")
    }
    failed, scores = joined["failed"], {m.name: joined[f"score_{m.name}"] for m in measured if m.per_image}
    metrics: dict[str, Any] = {
        name: summarise(score, failed, settings.bootstrap_resamples, settings.seed).as_dict()
        for name, score in scores.items()
    }
    real, taken = torch.from_numpy(joined["features_real"]), [chunk["steps"].tolist() for chunk in chunks]

    subsets = settings.kid_subsets, settings.kid_subset_size
    own = np.arange(len(failed))
    of_answer, shares = sampled_distances(
        real, torch.from_numpy(joined["features_fake"]), own, own, *subsets, settings.bootstrap_resamples, settings.seed
    )
    counts = {"n": len(failed), "n_failed": int(failed.sum())}
    metrics |= {name: entry | counts for name, entry in of_answer.items()}
    steps, series = align(taken, [chunk["curve_features"] for chunk in chunks])
    of_sets = [
        feature_distances(real, torch.from_numpy(features), *subsets, settings.seed)
        for features in np.concatenate(series, axis=1)
    ]
    curve: dict[str, Any] = {"steps": steps} | {name: [one[name] for one in of_sets] for name in of_sets[0]}
    for name in scores:
        _, series = align(taken, [chunk[f"curve_{name}"] for chunk in chunks])
        curve[name] = np.concatenate(series, axis=1).mean(axis=1).tolist()
    timed = timing["curve"]
    # Early answers may leave steps that no timed image took; time stands still there.
    union, (seconds, _) = align(
        [timed["steps"], curve["steps"]], [np.array(timed["seconds"]), np.zeros(len(curve["steps"]))]
    )
    curve["seconds"] = [second for step, second in zip(union, seconds.tolist(), strict=True) if step in curve["steps"]]
    pictures = {"reconstructions": joined["images"], "inputs": images.pixels}
    spent = {name: value for name, value in timing.items() if name != "curve"}
    return metrics, spent, curve, _per_image(images, scores | shares, failed), pictures


def _nothing(images: TestImages, measured: list[Metric]) -> Results:
    n = len(images.indices)
    counts = {"n": n, "n_failed": n}
    means = {m.name: {"mean": None, "low": None, "high": None} | counts for m in measured if m.per_image}
    of_sets = {m.name: {"value": None, "low": None, "high": None} | counts for m in measured if not m.per_image}
    scores = {name: np.full(n, np.nan) for name in means}
    pictures = {"reconstructions": np.full_like(images.pixels, BLANK), "inputs": images.pixels}
    return means | of_sets, {}, {}, _per_image(images, scores, np.ones(n, dtype=bool)), pictures


def _per_image(images: TestImages, scores: dict[str, NDArray[np.float64]], failed: NDArray[np.bool_]) -> pd.DataFrame:
    columns = {"image": images.indices, "out_of_distribution": images.out_of_distribution}
    return pd.DataFrame(columns | scores | {"failed": failed})


def _write(
    folder: Path,
    record: dict[str, Any],
    metrics: dict[str, Any],
    timing: dict[str, Any],
    curve: dict[str, Any],
    per_image: pd.DataFrame,
    pictures: dict[str, NDArray[np.uint8]],
) -> None:
    # A score in git says by which protocol it was measured; the record is not in git.
    metrics = {name: entry | {"protocol": record["protocols"][name]} for name, entry in metrics.items()}
    # The record goes first and comes last: where there is one, the other files belong to it.
    (folder / "record.json").unlink(missing_ok=True)
    for name, content in (("metrics", metrics), ("timing", timing), ("curve", curve)):
        atomic_write_json(folder / f"{name}.json", content)
    with atomic_path(folder / "per_image.parquet") as temporary:
        per_image.to_parquet(temporary, index=False)
    for name, shown in pictures.items():
        write_pictures(folder / f"{name}.webp", shown)
    atomic_write_json(folder / "record.json", record)

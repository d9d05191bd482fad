"""The stage `editability`: how well what one method left behind can be edited.

The same images, directions and strengths for every method of a domain (HyperInverter's Table 2); methods that search
for seconds get fewer images, the first of the others'. Beside the change of attributes stand the quality of edited
images (E2Style's Table II, Feature-Style's Table 2), latent editing consistency (e4e), style mixing and interpolation.

A method that fails for reasons of the data leaves a result that says so, as in the stage `evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.config import Config
from core.errors import ReinvertError
from core.files import atomic_write_json, atomic_write_npz, sha256_of
from core.registry import unknown_name
from methods import registry as methods_registry
from methods.editing.direction_set import DirectionSet
from methods.inverter import Inverter
from metrics import editing
from metrics.registry import get as metric
from pipelines import edit_measures as measures
from pipelines.domains import shards
from pipelines.domains.shards import Shards
from pipelines.edit_judges import EditJudges
from pipelines.editing_config import Editability
from pipelines.evaluate import choose_images
from pipelines.evaluate_chunks import one_thread
from pipelines.evaluate_provenance import method_chain, versions, weights_sha256
from pipelines.generator_quality import Pixels

SCHEMA = 1
"""Version of editability.json."""
PROTOCOLS = {
    "changes": editing.EDITABILITY_PROTOCOL,
    "consistency": editing.CONSISTENCY_PROTOCOL,
    **{f"edited_{name}": protocol for name, protocol in editing.EDITED_PROTOCOLS.items()},
    "follows_content": editing.MIXING_PROTOCOL,
    "endpoint_lpips": metric("lpips").protocol,
}
Pictures = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Edited:
    """What goes in, and how much of it."""

    pixels: Pixels
    indices: NDArray[np.int64]
    reference: Pixels
    """Real test images for FID and KID."""


def image_count(method: str, config: Config, settings: Editability) -> int:
    """How many images a method is given: the fewest that its name, its kind or those it starts from allow."""
    counts = [settings.images]
    for name, arguments in method_chain(method, config).items():
        counts += [settings.fewer_images[key] for key in (name, arguments["kind"]) if key in settings.fewer_images]
    return min(counts)


def images_of(split: Shards, count: int, settings: Editability) -> Edited:
    """The images of a run: the first `count` of one shuffled choice, so that methods with fewer share theirs.

    Raises:
        ReinvertError: the split has fewer images.
    """
    outside = split.attributes["out_of_distribution"].bool().numpy()
    chosen = choose_images(outside, settings.images, settings.seed)
    order = np.random.Generator(np.random.PCG64(settings.seed)).permutation(len(chosen))
    indices = chosen[order[:count]]
    reference = choose_images(outside, settings.reference_images, settings.seed)
    return Edited(split.images(indices), indices, split.images(reference))


def measure(
    inverter: Inverter, images: Edited, directions: DirectionSet, names: tuple[str, ...], judges: EditJudges,
    settings: Editability,
) -> tuple[dict[str, Any], Pictures]:  # fmt: skip
    """Everything measured of one method, and pictures of it.

    Raises:
        ReinvertError: an unknown direction, or one of another generator.
        ArithmeticError, torch.linalg.LinAlgError: the method failed on these images.
    """
    layers = inverter.generator.style_shape[0]
    offsets = {name: directions.get(name).of_styles(layers).to(inverter.generator.device) for name in names}
    inverted = measures.Inverted.by(inverter, images.pixels, judges, settings)
    if inverted.unedited.failed.all():
        raise FloatingPointError("every reconstruction holds a value that is not finite")
    pictures: Pictures = {
        "inputs": images.pixels[: settings.shown],
        "reconstructions": inverted.unedited.pixels[: settings.shown],
        "indices": images.indices[: settings.shown],
    }
    changes, outermost = {}, []
    for name in names:
        edits = measures.edited_at(inverted, offsets[name], settings.gammas, settings.batch)
        changes[name] = measures.change_along(
            inverted, directions.get(name), edits, judges, directions.spreads, settings
        )  # fmt: skip
        outermost += [edits[0], edits[-1]]
        pictures[f"edit_{name}"] = np.stack([edit.pixels[: settings.shown] for edit in edits], axis=1)
    reference = judges.features(images.reference)
    mixing, pictures["mixing"] = measures.style_mixing(inverted, judges, settings)
    interpolation, ways = measures.interpolation(inverted, judges, settings)
    pictures |= {f"interpolation_{name}": way for name, way in ways.items()}
    return {
        "n": len(images.pixels),
        "n_failed": int(inverted.unedited.failed.sum()),
        "directions": changes,
        "edited": measures.edited_quality(inverted, outermost, reference, judges, settings),
        "consistency": {
            "direction": names[0],
            "gamma": settings.consistency_gamma,
            **measures.consistency(inverted, offsets[names[0]], judges, settings),
        },
        "mixing": mixing,
        "interpolation": interpolation,
    }, pictures


def editability(
    run_name: str,
    config: Config,
    settings: Editability,
    weights: Path,
    data: Path,
    output_dir: Path,
    device: torch.device,
    build: Callable[..., Inverter] = methods_registry.build,
    load_judges: Callable[..., EditJudges] | None = None,
) -> dict[str, Any]:
    """Measure the edits of run `run_name` of params.yaml.

    Args:
        run_name: name under `runs`.
        config: all parameters.
        settings: the section `editability` of params.yaml.
        weights: folder of the trained networks.
        data: `<domain>/test` and `<domain>/directions.npz` are read.
        output_dir: gets editability.json and edits.npz.
        device: where to compute.
        build: how the method comes about.
        load_judges: how the judges do; None for `EditJudges.load`.

    Returns:
        What editability.json holds.

    Raises:
        ReinvertError: an unknown run, weights, images or directions missing or altered, or directions of another
            generator.
    """
    if run_name not in config.runs:
        raise unknown_name("run", run_name, config.runs)
    run = config.runs[run_name]
    if run.domain not in settings.directions:
        raise ReinvertError(f"params.yaml names no directions to edit {run.domain} along; add editability.directions")
    names = settings.directions[run.domain]
    found = DirectionSet.load(data / run.domain / "directions.npz")
    for name in names:
        found.get(name)
    split = shards.load(data / run.domain / "test")
    images = images_of(split, image_count(run.method, config, settings), settings)
    inverter = build(run.method, config, run.domain, weights, device)
    found.require_generator(str(inverter.generator.card.sha256))
    judges = (load_judges or EditJudges.load)(run.domain, weights, device, for_runs=True)
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "method": run.method,
        "domain": run.domain,
        "status": "ok",
        "reason": "",
        "gammas": list(settings.gammas),
        "n": len(images.pixels),
        "weights": weights_sha256(weights, run.domain, run.method, config),
        "directions_sha256": sha256_of(data / run.domain / "directions.npz"),
        "data_sha256": sha256_of(data / run.domain / "test" / "manifest.json"),
        "settings": settings.model_dump(mode="json"),
        "device": device.type,
        "versions": versions(),
        "protocols": PROTOCOLS,
    }
    pictures: Pictures = {"inputs": images.pixels[: settings.shown], "indices": images.indices[: settings.shown]}
    try:
        # One thread, so that sums do not depend on the machine.
        with one_thread():
            measured, pictures = measure(inverter, images, found, names, judges, settings)
        record |= measured
    except (ArithmeticError, torch.linalg.LinAlgError) as error:
        record |= {"status": "failed", "reason": str(error), "n_failed": len(images.pixels)}
    atomic_write_npz(output_dir / "edits.npz", pictures)
    atomic_write_json(output_dir / "editability.json", record)
    return record

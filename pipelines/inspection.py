"""The stage `inspection`: what a method changes on the way to its answer, for the papers' figures.

The images, codes and weights that one step of an inversion leaves to the next: where and how much each step changes the
image and which styles it moves (ReStyle's Figures 6, 7 and 15), where a second phase changes the image and which
convolutions it changes (HyperInverter's Figures 8, 11 and 12). Methods of few passes are looked at after each of them;
of the others, which yield after every so many updates, what they start from is compared with their answer.

A method that fails for reasons of the data leaves a result that says so, as in the stage `evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
from methods.inverter import Inverter, Step
from methods.networks.hypernetwork import predicted_weights
from metrics import change
from metrics.statistics import summarise
from pipelines.domains import shards
from pipelines.domains.shards import to_bytes, to_float
from pipelines.evaluate import choose_images
from pipelines.evaluate_chunks import one_thread
from pipelines.evaluate_provenance import method_chain, versions, weights_sha256
from pipelines.inspection_config import Inspection

SCHEMA = 1
"""Version of inspection.json."""
OF_PASSES = ("restyle", "naive_iteration", "e2style")
"""Kinds whose every yield is a pass of an encoder over the image; of the others the first and the last yield count."""
PROTOCOLS = {
    "image_change": change.IMAGE_PROTOCOL,
    "latent_change": change.LATENT_PROTOCOL,
    "weight_change": change.WEIGHT_PROTOCOL,
}
Arrays = dict[str, NDArray[Any]]


@dataclass
class Seen:
    """What was seen of the images so far: lists over the batches.

    Attributes:
        steps: numbers of the yields, S of them.
        drawn: (S, B, H, W, 3) uint8.
        maps: (S - 1, B, H, W) colour distance between neighbouring yields, NaN where one of them is not finite.
        errors: (S, B, H, W) colour distance of every yield to the image.
        squared: (S - 1, B, L, D) squared change of the styles.
        weights: by the generator's name of a convolution's weight (B,) mean absolute change, in the last yield.
    """

    steps: list[int] = field(default_factory=list)
    drawn: list[NDArray[np.uint8]] = field(default_factory=list)
    maps: list[NDArray[np.float64]] = field(default_factory=list)
    errors: list[NDArray[np.float64]] = field(default_factory=list)
    squared: list[NDArray[np.float64]] = field(default_factory=list)
    weights: list[dict[str, NDArray[np.float64]]] = field(default_factory=list)


def image_count(method: str, config: Config, settings: Inspection) -> int:
    """How many images a method is given: the fewest that its name, its kind or those it starts from allow."""
    chain = method_chain(method, config)
    limits = [settings.fewer_images.get(key) for name, entry in chain.items() for key in (name, entry["kind"])]
    return min([settings.images, *(limit for limit in limits if limit is not None)])


def layers_of(resolution: int) -> dict[str, tuple[str, str, int]]:
    """Name, kind (`convolution` or `torgb`) and resolution of every convolution of a StyleGAN2 generator, in order of
    execution, by the name of its weight.

    Args:
        resolution: of the generator's images, in pixels.
    """
    found = {}
    for layer in predicted_weights(resolution):
        block, part, _ = layer.regressor.split("_")
        kind = "torgb" if part == "torgb" else "convolution"
        found[layer.weight] = (f"{block[1:]}px-{part}", kind, int(block[1:]))
    return found


def look(inverter: Inverter, pixels: NDArray[np.uint8], batch: int, seed: int, every_yield: bool) -> Seen:
    """Invert the images and note what changes from yield to yield.

    Args:
        inverter: the method.
        pixels: (N, H, W, 3) uint8.
        batch: images inverted together.
        seed: of the method.
        every_yield: compare all neighbouring yields; False: the first with the last.

    Raises:
        ReinvertError: the method yields only once, so that there is nothing to look at, or not equally often for all.
    """
    seen = Seen()
    for start in range(0, len(pixels), batch):
        real = to_float(torch.from_numpy(pixels[start : start + batch]).to(inverter.generator.device))
        before: tuple[Step, torch.Tensor] | None = None
        steps: list[int] = []
        drawn_here, errors, maps, squared = [], [], [], []
        for step in _yields(inverter.invert(real, seed), every_yield):
            drawn = inverter.draw(step.code)
            steps.append(step.step)
            drawn_here.append(to_bytes(drawn.nan_to_num()).cpu().numpy())
            errors.append(change.colour_distance(real, drawn).double().cpu().numpy())
            if before is not None:
                maps.append(change.colour_distance(before[1], drawn).double().cpu().numpy())
                moved = (step.code.styles - before[0].code.styles).detach().double()
                squared.append(moved.square().cpu().numpy())
            before = step, drawn
        if before is None or len(steps) < 2:
            raise ReinvertError("the method yields only once, so there is no step to inspect; take it off the list")
        if not every_yield:
            steps = [0, 1]  # an image's search may end earlier than another's
        if seen.steps and steps != seen.steps:
            raise ReinvertError(f"the method yields {steps} for some images and {seen.steps} for others")
        seen.steps = steps
        seen.drawn.append(np.stack(drawn_here))
        seen.errors.append(np.stack(errors))
        seen.maps.append(np.stack(maps))
        seen.squared.append(np.stack(squared))
        residuals = before[0].code.weight_residuals or {}
        seen.weights.append(
            {name: change.weight_change(residual).cpu().numpy() for name, residual in residuals.items()}
        )
    return seen


def _yields(steps: Iterator[Step], every: bool) -> Iterator[Step]:
    if every:
        yield from steps
        return
    last = None
    for number, step in enumerate(steps):
        if number == 0:
            yield step
        else:
            last = step
    if last is not None:
        yield last


def measure(inverter: Inverter, pixels: NDArray[np.uint8], settings: Inspection, every_yield: bool) -> tuple[
    dict[str, Any], Arrays
]:  # fmt: skip
    """Everything measured of one method, and the maps and pictures of it.

    Args:
        inverter: the method.
        pixels: (N, H, W, 3) uint8.
        settings: which styles belong together, and so on.
        every_yield: see `look`.

    Returns:
        What inspection.json says of it, and the arrays of inspection.npz: `change_maps` (S - 1, H, W) and `error_maps`
        (S, H, W) float32, means over the images; `inputs` (shown, H, W, 3) and `drawn` (S, shown, H, W, 3) uint8. An
        image that is not finite at one of the steps is in no mean and counted in `n_failed`.

    Raises:
        ReinvertError: see `look`; a group of styles that the generator has not.
        FloatingPointError: no image has finite reconstructions.
    """
    layers = inverter.generator.style_shape[0]
    if max(end for _, end in settings.groups.values()) > layers:
        raise ReinvertError(f"params.yaml: inspection.groups names more than the generator's {layers} styles")
    seen = look(inverter, pixels, settings.batch, settings.seed, every_yield)
    maps, squared = np.concatenate(seen.maps, axis=1), np.concatenate(seen.squared, axis=1)
    finite = np.isfinite(maps).all(axis=(0, 2, 3)) & np.isfinite(squared).all(axis=(0, 2, 3))
    good: NDArray[np.bool_] = np.asarray(finite)
    if not good.any():
        raise FloatingPointError("every reconstruction holds a value that is not finite")
    counts = {"n": int(good.sum()), "n_failed": int((~good).sum())}
    record: dict[str, Any] = counts | {"steps": seen.steps, "image_change": [], "latent_change": []}
    for number in range(len(seen.steps) - 1):
        record["image_change"].append(
            _summary(maps[number].mean(axis=(1, 2)), good, settings) | {"step": seen.steps[number + 1]}
        )
        record["latent_change"].append(_latents(squared[number][good], settings, seen.steps[number + 1], counts))
    record["weight_change"] = _weights(seen, inverter.generator.resolution, good, settings)
    shown = slice(0, settings.shown)
    return record, {
        "change_maps": maps[:, good].mean(axis=1).astype(np.float32),
        "error_maps": np.concatenate(seen.errors, axis=1)[:, good].mean(axis=1).astype(np.float32),
        "inputs": pixels[shown],
        "drawn": np.concatenate(seen.drawn, axis=1)[:, shown],
    }


def _summary(scores: NDArray[np.float64], good: NDArray[np.bool_], settings: Inspection) -> dict[str, Any]:
    kept = scores[good]
    summary = summarise(kept, np.zeros(len(kept), bool), settings.bootstrap_resamples, settings.seed).as_dict()
    # The scores too, so that two steps can be compared image by image; NaN has no place in JSON.
    listed = [float(f"{score:.6g}") if fine else None for score, fine in zip(scores, good, strict=True)]
    return summary | {"n_failed": int((~good).sum()), "per_image": listed}


def _latents(squared: NDArray[np.float64], settings: Inspection, step: int, counts: dict[str, int]) -> dict[str, Any]:
    values = change.latent_change(squared, settings.groups)
    ends = change.latent_intervals(squared, settings.groups, settings.bootstrap_resamples, settings.seed)
    groups = {
        name: {"value": value, "low": min(ends[name][0], value), "high": max(ends[name][1], value)} | counts
        for name, value in values.items()
    }
    return {"step": step, "groups": groups}


def _weights(seen: Seen, resolution: int, good: NDArray[np.bool_], settings: Inspection) -> dict[str, Any] | None:
    known = layers_of(resolution)
    names = [name for name in known if all(name in part for part in seen.weights)]
    if not names:
        return None
    scores = {name: np.concatenate([part[name] for part in seen.weights]) for name in names}

    def mean_over(members: list[str]) -> dict[str, Any]:
        return _summary(np.mean([scores[name] for name in members], axis=0), good, settings)

    kinds = dict.fromkeys(known[name][1] for name in names)
    sides = dict.fromkeys(known[name][2] for name in names)
    return {
        "layers": [
            {"layer": known[name][0], "kind": known[name][1], "resolution": known[name][2], **mean_over([name])}
            for name in names
        ],
        "kinds": {kind: mean_over([name for name in names if known[name][1] == kind]) for kind in kinds},
        "resolutions": {str(side): mean_over([name for name in names if known[name][2] == side]) for side in sides},
    }


def inspection(
    run_name: str,
    config: Config,
    settings: Inspection,
    weights: Path,
    data: Path,
    output_dir: Path,
    device: torch.device,
    build: Callable[..., Inverter] = methods_registry.build,
) -> dict[str, Any]:
    """Look at the steps of run `run_name` of params.yaml.

    Args:
        run_name: name under `runs`.
        config: all parameters.
        settings: the section `inspection` of params.yaml.
        weights: folder of the trained networks.
        data: `<domain>/test` is read.
        output_dir: gets inspection.json and inspection.npz.
        device: where to compute.
        build: how the method comes about.

    Returns:
        What inspection.json holds.

    Raises:
        ReinvertError: an unknown run, weights or images missing or altered, or a method that has no steps.
    """
    if run_name not in config.runs:
        raise unknown_name("run", run_name, config.runs)
    run = config.runs[run_name]
    split = shards.load(data / run.domain / "test")
    count = image_count(run.method, config, settings)
    indices = choose_images(split.attributes["out_of_distribution"].bool().numpy(), count, settings.seed)
    pixels = split.images(indices)
    inverter = build(run.method, config, run.domain, weights, device)
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "method": run.method,
        "domain": run.domain,
        "status": "ok",
        "reason": "",
        "n": 0,
        "n_failed": len(pixels),
        "weights": weights_sha256(weights, run.domain, run.method, config),
        "data_sha256": sha256_of(data / run.domain / "test" / "manifest.json"),
        "settings": settings.model_dump(mode="json"),
        "device": device.type,
        "versions": versions(),
        "protocols": PROTOCOLS,
    }
    arrays: Arrays = {"inputs": pixels[: settings.shown]}
    try:
        # One thread, so that sums do not depend on the machine.
        with one_thread():
            measured, arrays = measure(inverter, pixels, settings, config.methods[run.method].kind in OF_PASSES)
        record |= measured
    except (ArithmeticError, torch.linalg.LinAlgError) as error:
        record |= {"status": "failed", "reason": str(error)}
    atomic_write_npz(output_dir / "inspection.npz", arrays | {"indices": indices[: settings.shown]})
    atomic_write_json(output_dir / "inspection.json", record)
    return record

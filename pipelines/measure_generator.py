"""The stage `measure-generator`: a domain's generator against its bars, in numbers and in an uncurated picture.

What is measured and how is in `generator_quality`. Everything is a function of the weights, the test images and the
section `generator_quality` of params.yaml.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import nn

from core.errors import ReinvertError
from core.files import atomic_path, atomic_write_json
from methods import generators
from methods.generators import LoadedGenerator
from methods.losses import load_reconstruction_loss
from metrics import judges
from pipelines import domains
from pipelines import generator_quality as quality
from pipelines.domains import shards
from pipelines.domains.domain import Domain
from pipelines.domains.shards import Shards, to_bytes
from pipelines.generator_quality import Content, Pixels
from pipelines.samples_config import GeneratorQuality

SCHEMA = 1
"""Version of metrics.json."""
GRID = (5, 12)
"""Rows and columns of a picture of samples or of real images."""
_RENDER_BATCH = 8


def write_grid(pixels: Pixels, path: Path) -> None:
    """The first images of (n, H, W, 3) uint8 as one PNG, row by row; ReinvertError where they are too few."""
    rows, columns = GRID
    if len(pixels) < rows * columns:
        raise ReinvertError(f"a picture shows {rows * columns} images, there are {len(pixels)}; raise 'samples'")
    side = pixels.shape[1]
    grid = pixels[: rows * columns].reshape(rows, columns, side, side, 3).transpose(0, 2, 1, 3, 4)
    with atomic_path(path) as temporary:
        Image.fromarray(grid.reshape(rows * side, columns * side, 3)).save(temporary, format="PNG", optimize=True)


def training_images(domain: Domain, count: int, cache: Path) -> Pixels:
    """`count` training images (count, H, W, 3) uint8 spread evenly over the split.

    Taken from the rendered split where there is one, else drawn here: a few thousand take about a minute. Both ways
    give the same pixels but for rounding in the last of eight bits.
    """
    size = domain.split_size("train")
    indices = torch.arange(count) * size // count
    folder = shards.folder_of(domain, "train", cache)
    if (folder / "manifest.json").exists():
        return shards.load(folder, domain, "train").images(indices)
    parts = [to_bytes(domain.render_split("train", part).images).cpu() for part in indices.split(_RENDER_BATCH)]
    return torch.cat(parts).numpy()


def spread(members: Any, count: int) -> Any:
    """`count` of the members, evenly spread, without choosing by result."""
    if count > len(members):
        raise ReinvertError(f"{count} images asked for, there are {len(members)}; lower generator_quality")
    return members[np.arange(count) * len(members) // count]


def _entry(value: float, bar: float, direction: Literal["at least", "at most"]) -> dict[str, Any]:
    met = value >= bar if direction == "at least" else value <= bar
    return {"value": value, "bar": bar, "direction": direction, "met": bool(met)}


def _completeness(
    domain: Domain, content: Content, parser: nn.Module, sets: dict[str, Pixels], settings: GeneratorQuality,
    device: torch.device,
) -> dict[str, dict[str, float]]:  # fmt: skip
    shares = {}
    for name, pixels in sets.items():
        masks = quality.read_masks(parser, pixels, device)
        found = quality.found_parts(masks, domain.label_names, content, settings.minimum_pixels)
        shares[name] = {part: float(there.mean()) for part, there in found.items()}
    return shares


def _coverage(
    network: nn.Module, names: tuple[str, ...], samples: Pixels, real: Pixels, device: torch.device
) -> dict[str, dict[str, float]]:
    drawn, seen = (quality.read_images(network, pixels, device) for pixels in (samples, real))
    covered = {}
    for name in names:
        ours, theirs = (quality.value_range(torch.cat([batch[name] for batch in said])) for said in (drawn, seen))
        covered[name] = {
            "samples_low": ours[0],
            "samples_high": ours[1],
            "real_low": theirs[0],
            "real_high": theirs[1],
            "coverage": quality.coverage(ours, theirs),
        }
    return covered


def _inversion(
    loaded: LoadedGenerator, domain: str, weights: Path, pixels: Pixels, settings: GeneratorQuality
) -> dict[str, float]:
    loss = load_reconstruction_loss(settings.inversion_losses, domain, weights, loaded.device, loaded.latent_mean)
    return {
        "w_plus": float(quality.inversion_psnr(loaded, loss, "w+", pixels, settings).mean()),
        "w": float(quality.inversion_psnr(loaded, loss, "w", pixels, settings).mean()),
        "mean_code": float(quality.mean_code_psnr(loaded, pixels).mean()),
        "n": len(pixels),
    }


def measure(
    domain: Domain, settings: GeneratorQuality, weights: Path, test: Shards, cache: Path, samples: Pixels,
    loaded: LoadedGenerator,
) -> dict[str, Any]:  # fmt: skip
    """Everything measured, as metrics.json holds it.

    Args:
        domain: of the generator.
        settings: the section of params.yaml.
        weights: folder of the trained networks.
        test: the rendered test images.
        cache: where rendered training images may be.
        samples: (n, H, W, 3) uint8 of the generator.
        loaded: the generator.

    Raises:
        ReinvertError: a judge is missing or altered, or more images are asked for than there are.
    """
    device, content = loaded.device, quality.content_of(domain.name)
    network = {
        name: judges.load(domain.name, name, weights).to(device)
        for name in ("features", "parser", *(("attributes",) if content.attributes else ()))
    }
    outside = test.attributes["out_of_distribution"].bool().numpy()
    real = {"test": test.images(np.arange(len(test)))}
    real |= {"test_in_distribution": real["test"][~outside], "test_out_of_distribution": real["test"][outside]}
    training = training_images(domain, 2 * max(len(samples), len(test)), cache)
    features = {
        name: quality.features_of(network["features"], pixels, device)
        for name, pixels in {"samples": samples, "one": training[::2][: len(samples)], "other": training[1::2]}.items()
    }
    distances, bars = {}, settings.bars
    for name in ("test_in_distribution", "test"):
        tested = quality.features_of(network["features"], real[name], device)
        distances[name] = quality.set_distances(
            features["samples"], features["one"], features["other"][: len(tested)], tested, settings
        )
    completeness = _completeness(
        domain, content, network["parser"], {"samples": samples, **real}, settings, device
    )  # fmt: skip
    covered = {}
    if content.attributes:
        covered = _coverage(network["attributes"], content.attributes, samples, real["test_in_distribution"], device)
    inverted = test.images(spread(np.flatnonzero(~outside), settings.inversion_images))
    inversion = _inversion(loaded, domain.name, weights, inverted, settings)

    against = {"completeness": _entry(completeness["samples"]["complete"], bars.completeness, "at least")}
    for name, measured in distances.items():
        fids = measured["fid"]
        allowed = quality.fid_bar(fids["train_train"], fids["train_test"], bars.fid_factor)
        against[f"fid_{name}"] = _entry(fids["samples_test"], allowed, "at most")
    for name, entry in covered.items():
        against[f"coverage_{name}"] = _entry(entry["coverage"], bars.coverage, "at least")
    against["psnr_w_plus"] = _entry(inversion["w_plus"], bars.psnr_w_plus, "at least")
    against["psnr_above_w"] = _entry(inversion["w_plus"] - inversion["w"], bars.psnr_above_w, "at least")
    return {
        "schema": SCHEMA,
        "domain": domain.name,
        "images_seen": loaded.card.images_seen,
        "sha256": loaded.card.sha256,
        "samples": len(samples),
        "bars": against,
        "completeness": completeness,
        "distances": distances,
        "coverage": covered,
        "psnr": inversion,
    }


def measure_generator(
    domain_name: str,
    settings: GeneratorQuality,
    weights: Path,
    data: Path,
    output_dir: Path,
    picture: Path,
    cache: Path,
    device: torch.device,
) -> dict[str, Any]:
    """Measure a domain's generator.

    Args:
        domain_name: a registered domain.
        settings: the section `generator_quality` of params.yaml.
        weights: folder of the trained networks.
        data: rendered images, in `<domain>/test`.
        output_dir: gets metrics.json, samples.png (the first samples drawn, uncurated) and real.png, test images
            beside them in a grid of the same shape.
        picture: a copy of samples.png for the docs.
        cache: folder of unfinished work, for the training images.
        device: where to compute.

    Returns:
        What metrics.json holds.

    Raises:
        ReinvertError: an unknown domain, weights or images missing or altered.
    """
    domain = domains.get(domain_name)
    quality.content_of(domain.name)
    loaded = generators.load(domain.name, weights, device)
    test = shards.load(data / domain.name / "test", domain, "test")
    samples = quality.draw_samples(loaded.generator, settings.samples, settings.seed)
    rows, columns = GRID
    likely = np.flatnonzero(~test.attributes["out_of_distribution"].bool().numpy())
    for path in (picture, output_dir / "samples.png"):
        write_grid(samples, path)
    write_grid(test.images(spread(likely, rows * columns)), output_dir / "real.png")
    measured = measure(domain, settings, weights, test, cache, samples, loaded)
    atomic_write_json(output_dir / "metrics.json", measured)
    return measured

"""The stage `directions`: find a domain's editing directions, show them, and check that they do what they are called.

Finding is in `methods.editing.discovery`. The check draws fresh codes, moves each along every direction and reads the
domain's judges: the attribute a direction is named after has to rise at every step of gamma (mean over samples), and
no other attribute may change as much, in units of its own spread over the generator's samples. Beside that stand the
perceptual distance and the share of pixels that the parser gives another class, for what no attribute measures.

Everything is a function of the generator, the judges, the labelled samples and the section `directions` of params.yaml.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import ReinvertError
from core.files import atomic_write_json, atomic_write_npz
from methods import generators
from methods.editing import discovery
from methods.editing.direction_set import Direction, DirectionSet
from methods.editing.labelled_samples import LabelledSamples
from methods.generators import LoadedGenerator
from methods.networks.stylegan2 import Generator
from metrics import editing
from metrics.statistics import summarise
from pipelines import generator_quality as quality
from pipelines.domains.shards import to_bytes
from pipelines.edit_judges import EditJudges
from pipelines.editing_config import DirectionFinding
from pipelines.generator_quality import Pixels

SCHEMA = 1
"""Version of metrics.json."""
_BATCH = 32


@torch.no_grad()
def draw_styles(generator: Generator, styles: Tensor) -> Pixels:
    """Images of W+ styles (..., L, D): (..., H, W, 3) uint8."""
    flat = styles.flatten(0, -3)
    drawn = np.concatenate([to_bytes(generator.synthesis(part)).cpu().numpy() for part in flat.split(_BATCH)])
    return drawn.reshape(*styles.shape[:-2], *drawn.shape[1:])


def effects_of(
    generator: Generator, directions: Sequence[Direction], codes: Tensor, gammas: tuple[float, float],
    judges: EditJudges, spreads: Mapping[str, float],
) -> list[dict[str, float]]:  # fmt: skip
    """Of each direction, the standardised mean change of every attribute from the first gamma to the second."""
    found = []
    for direction in directions:
        pixels = draw_styles(generator, discovery.moved_styles(codes, direction, gammas, generator.style_count))
        low, high = (judges.attributes(one, judges.masks(one)) for one in pixels)
        found.append(editing.standardised({name: float((high[name] - low[name]).mean()) for name in high}, spreads))
    return found


@dataclass(frozen=True)
class Checked:
    """What moving along a direction did.

    Attributes:
        entry: as metrics.json holds it.
        strip: (shown, gammas, H, W, 3) uint8, the first samples at every gamma.
    """

    entry: dict[str, Any]
    strip: Pixels


def check(
    generator: Generator, direction: Direction, codes: Tensor, judges: EditJudges, spreads: Mapping[str, float],
    settings: DirectionFinding,
) -> Checked:  # fmt: skip
    """Move fresh W codes (n, D) along a direction and measure what changes."""
    gammas, origin = settings.gammas, settings.gammas.index(0.0)
    pixels = draw_styles(generator, discovery.moved_styles(codes, direction, gammas, generator.style_count))
    masks = [judges.masks(one) for one in pixels]
    read = [judges.attributes(one, mask) for one, mask in zip(pixels, masks, strict=True)]
    values = {name: np.stack([one[name] for one in read]) for name in read[0]}
    changes = {name: value - value[origin] for name, value in values.items()}
    own = changes[direction.attribute]
    nobody = np.zeros(len(codes), dtype=bool)
    effects = editing.standardised(
        {name: float(change[-1].mean() - change[0].mean()) for name, change in changes.items()}, spreads
    )
    selectivity = editing.selectivity(effects, direction.attribute)
    monotone = editing.is_monotone(own.mean(axis=1).tolist())
    others_less = selectivity > 1
    entry = {
        "finder": direction.finder,
        "attribute": direction.attribute,
        "component": direction.component,
        "rows": list(direction.rows),
        "unit": direction.unit,
        "changes": [
            summarise(one, nobody, settings.bootstrap_resamples, settings.seed).as_dict() for one in own
        ],
        "effects": effects,
        "selectivity": selectivity if np.isfinite(selectivity) else None,
        "rising_share": editing.rising_share(values[direction.attribute]),
        "perceptual": [float(judges.perceptual(pixels[origin], pixels[end]).mean()) for end in (0, -1)],
        "changed_pixels": [float(editing.changed_pixels(masks[origin], masks[end]).mean()) for end in (0, -1)],
        "monotone": monotone,
        "others_less": others_less,
        "holds": monotone and others_less,
    }  # fmt: skip
    return Checked(entry, pixels.swapaxes(0, 1)[: settings.shown])


def spreads_of(samples: LabelledSamples, wanted: Collection[str]) -> dict[str, float]:
    """Deviation of every attribute over labelled samples, the unit in which changes of different ones are compared.

    An attribute that more than half of the samples lack (faces without glasses) has no such unit: a single image that
    has it would outweigh everything else. It takes part only where it is `wanted` as a direction.
    """
    scores = samples.scores.items()
    return {name: float(score.double().std()) for name, score in scores if name in wanted or float(score.median()) != 0}


def find(
    domain: str, generator: Generator, samples: LabelledSamples, judges: EditJudges, settings: DirectionFinding
) -> tuple[DirectionSet, dict[str, float | None]]:
    """All directions of a domain's generator, and the validation accuracy of those that are boundaries."""
    spreads = spreads_of(samples, settings.domains[domain].interfacegan)
    styles, device = generator.style_count, generator.input.input.device
    over = {name: span for name, span in settings.rows.items() if span[1] > styles}
    if over:
        raise ReinvertError(f"directions.rows.{next(iter(over))} ends after style {styles}, the generator's last")
    found = discovery.boundaries(
        samples, settings.domains[domain].interfacegan, settings.chosen, settings.seed, settings.deviations_per_gamma,
        styles,
    )  # fmt: skip
    directions = list(found.directions)
    codes = quality.seeded_codes(generator, settings.naming_samples, settings.seed).to(device)
    ends = (settings.gammas[0], settings.gammas[-1])
    count, deviations = settings.components, settings.deviations_per_gamma
    for prefix, candidates in (
        ("ganspace", discovery.components(samples.codes, count, settings.rows, deviations)),
        ("sefa", discovery.eigenvectors(generator, samples.codes, count, settings.rows, deviations)),
    ):
        effects = effects_of(generator, candidates, codes, ends, judges, spreads)
        directions += discovery.named(candidates, effects, settings.minimum_effect, settings.kept, prefix)
    return DirectionSet(tuple(directions), spreads, samples.generator_sha256), found.accuracies


def labelled_samples(loaded: LoadedGenerator, path: Path) -> LabelledSamples:
    """The labelled samples of a generator; ReinvertError where there are none, or another generator's."""
    return LabelledSamples.load(
        path, str(loaded.card.sha256), lambda count, seed: quality.seeded_codes(loaded.generator, count, seed)
    )


def find_directions(
    domain: str, settings: DirectionFinding, weights: Path, data: Path, output_dir: Path, device: torch.device
) -> dict[str, Any]:
    """Find, check and picture the directions of a domain's generator.

    Args:
        domain: a registered domain.
        settings: the section `directions` of params.yaml.
        weights: folder of the trained networks.
        data: `<domain>/labelled-samples.npz` is read, `<domain>/directions.npz` written there.
        output_dir: gets metrics.json and strips.npz, by direction uint8 (shown, gammas, H, W, 3).
        device: where to compute.

    Returns:
        What metrics.json holds.

    Raises:
        ReinvertError: an unknown domain, weights or labelled samples missing or altered, samples of another generator.
    """
    if domain not in settings.domains:
        raise ReinvertError(f"params.yaml says nothing of directions in {domain}; add it to directions.domains")
    loaded = generators.load(domain, weights, device)
    samples = labelled_samples(loaded, data / domain / "labelled-samples.npz")
    judges = EditJudges.load(domain, weights, device)
    found, accuracies = find(domain, loaded.generator, samples, judges, settings)
    codes = quality.seeded_codes(loaded.generator, settings.checking_samples, settings.seed + 1)
    checked = {
        direction.name: check(loaded.generator, direction, codes, judges, found.spreads, settings)
        for direction in found.directions
    }
    for name, accuracy in accuracies.items():
        checked[name].entry["accuracy"] = accuracy
    metrics = {
        "schema": SCHEMA,
        "domain": domain,
        "generator_sha256": found.generator_sha256,
        "samples": settings.checking_samples,
        "labelled_samples": len(samples.codes),
        "gammas": list(settings.gammas),
        "deviations_per_gamma": settings.deviations_per_gamma,
        "spreads": found.spreads,
        "protocol": editing.EDITABILITY_PROTOCOL,
        "directions": {name: one.entry for name, one in checked.items()},
    }
    found.save(data / domain / "directions.npz")
    strips: dict[str, NDArray[Any]] = {name: one.strip for name, one in checked.items()}
    atomic_write_npz(output_dir / "strips.npz", strips)
    atomic_write_json(output_dir / "metrics.json", metrics)
    return metrics

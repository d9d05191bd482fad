"""What is measured of the edits of one run, each a plain function of an inverter, codes, judges and settings.

Every method edits in its own way, through `Inverter.edit`: HFGI realigns its distortion map, Feature-Style moves its
feature, PTI and HyperInverter keep their weights. Images are compared as 8-bit pixels, as an image file holds them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from methods.code import Code
from methods.editing import mixing
from methods.editing.direction_set import Direction
from methods.inverter import Inverter
from metrics import editing
from metrics.panel import blank_where_failed, sampled_distances
from metrics.statistics import summarise
from pipelines.domains.shards import to_bytes, to_float
from pipelines.edit_judges import EditJudges
from pipelines.editing_config import Editability
from pipelines.generator_quality import Pixels

Flags = NDArray[np.bool_]
Scores = NDArray[np.float64]
Entry = dict[str, Any]
FAILED_IDENTITY = -1.0


@dataclass(frozen=True)
class Drawn:
    """Images (n, H, W, 3) uint8, blank where they failed, and which did (n,)."""

    pixels: Pixels
    failed: Flags


@dataclass(frozen=True)
class Inverted:
    """A run's images and what its method made of them.

    Attributes:
        inverter: the method.
        inputs: (n, H, W, 3) uint8.
        code: of all images.
        unedited: what the code draws.
        masks: what the parser sees in it.
        attributes: what the judges read off it.
    """

    inverter: Inverter
    inputs: Pixels
    code: Code
    unedited: Drawn
    masks: Pixels
    attributes: dict[str, Scores]

    @classmethod
    def by(cls, inverter: Inverter, inputs: Pixels, judges: EditJudges, settings: Editability) -> Inverted:
        """Invert images with a method."""
        code = invert(inverter, inputs, settings.batch, settings.seed)
        unedited = draw(inverter, code, settings.batch)
        masks = judges.masks(unedited.pixels)
        return cls(inverter, inputs, code, unedited, masks, judges.attributes(unedited.pixels, masks))


def invert(inverter: Inverter, pixels: Pixels, batch: int, seed: int) -> Code:
    """The code of images (n, H, W, 3) uint8."""
    images = to_float(torch.from_numpy(np.ascontiguousarray(pixels)).to(inverter.generator.device))
    return Code.concatenate([inverter.answer(part, seed) for part in images.split(batch)])


def draw(inverter: Inverter, code: Code, batch: int, change: Callable[[Code, slice], Code] | None = None) -> Drawn:
    """The images of a code, in batches, each changed first by `change(part, its place)` where there is one."""
    pixels, failed = [], []
    for start in range(0, len(code), batch):
        place = slice(start, start + batch)
        part = code[place] if change is None else change(code[place], place)
        images, broken = blank_where_failed(inverter.draw(part))
        pixels.append(to_bytes(images).cpu().numpy())
        failed.append(broken.cpu().numpy())
    return Drawn(np.concatenate(pixels), np.concatenate(failed))


def edited_at(inverted: Inverted, offsets: Tensor, gammas: Sequence[float], batch: int) -> list[Drawn]:
    """The images edited along `offsets` (L, D), in the method's own way, at every gamma; at 0 the unedited ones."""

    def at(gamma: float) -> Drawn:
        if gamma == 0:
            return inverted.unedited
        return draw(
            inverted.inverter, inverted.code, batch,
            lambda part, _: inverted.inverter.edit(part, offsets, gamma),
        )  # fmt: skip

    return [at(gamma) for gamma in gammas]


def _mean(scores: Scores, failed: Flags, settings: Editability) -> Entry:
    return summarise(scores, failed, settings.bootstrap_resamples, settings.seed).as_dict()


def change_along(
    inverted: Inverted, direction: Direction, edits: Sequence[Drawn], judges: EditJudges, spreads: dict[str, float],
    settings: Editability,
) -> Entry:  # fmt: skip
    """How the attributes change along a direction: HyperInverter's Table 2, and what else changes.

    An edit that failed counts as no change, in the attributes and in the pictures; that is the most modest thing to say
    of it, and it is counted.
    """
    gammas, origin = settings.gammas, settings.gammas.index(0.0)
    # The unedited images are read once for all directions.
    masks = [inverted.masks if gamma == 0 else judges.masks(edit.pixels)
             for gamma, edit in zip(gammas, edits, strict=True)]  # fmt: skip
    read = [inverted.attributes if gamma == 0 else judges.attributes(edit.pixels, mask)
            for gamma, edit, mask in zip(gammas, edits, masks, strict=True)]  # fmt: skip
    broken = np.stack([edit.failed | edits[origin].failed for edit in edits])
    changes = {
        name: np.where(broken, 0.0, np.stack([one[name] - read[origin][name] for one in read])) for name in read[0]
    }
    own = changes[direction.attribute]
    ends = {name: float(change[-1].mean() - change[0].mean()) for name, change in changes.items()}
    effects = editing.standardised(ends, spreads)
    selectivity = editing.selectivity(effects, direction.attribute)
    beside: dict[str, list[Entry]] = {"perceptual": [], "changed_pixels": []}
    for end in (0, -1):
        far = judges.perceptual(edits[origin].pixels, edits[end].pixels)
        other = editing.changed_pixels(masks[origin], masks[end])
        for name, score in (("perceptual", far), ("changed_pixels", other)):
            beside[name].append(_mean(np.where(broken[end], 0.0, score), broken[end], settings))
    return {
        "finder": direction.finder,
        "attribute": direction.attribute,
        "changes": [_mean(change, flags, settings) for change, flags in zip(own, broken, strict=True)],
        "per_gamma": _mean(editing.slopes(gammas, own), np.asarray(broken.any(axis=0)), settings),
        "monotone": editing.is_monotone(own.mean(axis=1).tolist()),
        "effects": effects,
        "selectivity": selectivity if np.isfinite(selectivity) else None,
        **beside,
    }


def edited_quality(
    inverted: Inverted, edits: Sequence[Drawn], reference: Tensor, judges: EditJudges, settings: Editability
) -> Entry:
    """FID and KID of all edited images, with intervals, and how much of the input's identity they keep.

    Args:
        inverted: the run's images.
        edits: each of all its images, in order.
        reference: (m, d) features of real test images.
        judges: of the domain.
        settings: how FID, KID and intervals are taken.
    """
    pixels, failed = np.concatenate([edit.pixels for edit in edits]), np.stack([edit.failed for edit in edits])
    counts = {"n": int(failed.size), "n_failed": int(failed.sum())}
    # The edits of one image go together, and the real images are the same whatever is edited.
    owners = np.tile(np.arange(failed.shape[1]), len(edits))
    distances, _ = sampled_distances(
        reference, judges.features(pixels), owners, None, settings.kid_subsets, settings.kid_subset_size,
        settings.bootstrap_resamples, settings.seed,
    )  # fmt: skip
    if failed.size < settings.fid_images:
        distances["fid"] = dict.fromkeys(("value", "low", "high"))
    entry: Entry = {name: distance | counts for name, distance in distances.items()}
    kept = [judges.identities(inverted.inputs, edit.pixels) for edit in edits]
    scores = [np.where(edit.failed, FAILED_IDENTITY, one) for edit, one in zip(edits, kept, strict=True)
              if one is not None]  # fmt: skip
    entry["id"] = _mean(np.mean(scores, axis=0), np.asarray(failed.any(axis=0)), settings) if scores else None
    return entry


def consistency(inverted: Inverted, direction: Tensor, judges: EditJudges, settings: Editability) -> Entry:
    """Edit, draw, invert again, edit back: the distance from the first code, and that of the pictures.

    An image for which a code or a picture is not finite counts with the largest distance of the others.
    """
    count = max(1, min(settings.consistency_images, len(inverted.inputs) // 2))
    inverter, code, gamma = inverted.inverter, inverted.code[:count], settings.consistency_gamma

    def moved(strength: float) -> Callable[[Code, slice], Code]:
        return lambda part, _: inverter.edit(part, direction, strength)

    there = draw(inverter, code, settings.batch, moved(gamma))
    again = invert(inverter, there.pixels, settings.batch, settings.seed)
    back = draw(inverter, again, settings.batch, moved(-gamma))
    offsets = (-gamma * direction).to(again.styles)
    distance = editing.code_distance(again.styles + offsets, code.styles, inverter.generator.latent_std)
    failed = there.failed | back.failed | inverted.unedited.failed[:count] | ~np.isfinite(distance.cpu().numpy())
    scores = {
        "code": distance.cpu().numpy(),
        "perceptual": judges.perceptual(inverted.unedited.pixels[:count], back.pixels),
    }
    if failed.all():
        nothing = {"mean": None, "low": None, "high": None, "n": count, "n_failed": count}
        return {name: dict(nothing) for name in scores}
    return {
        name: _mean(np.where(failed, score[~failed].max(), score), failed, settings) for name, score in scores.items()
    }


def _neighbours(inverted: Inverted) -> tuple[slice, slice]:
    # Neighbours make pairs, so that methods with fewer images share theirs with the others.
    end = len(inverted.inputs) // 2 * 2
    return slice(0, end, 2), slice(1, end, 2)


def style_mixing(inverted: Inverted, judges: EditJudges, settings: Editability) -> tuple[Entry, Pixels]:
    """What each of two images decides when the styles of one meet what is left of the other.

    Returns:
        By attribute, which share of it follows the content image (its coarse styles, or its feature) over the pairs
        that did not fail, and pictures (pairs, 4, H, W, 3): the first image, it with the looks of the second, the
        second with the looks of the first, the second.
    """
    first, second = _neighbours(inverted)
    inverter, code = inverted.inverter, inverted.code

    def mixing_of(content: Code, looks: Code) -> Drawn:
        return draw(
            inverter, content, settings.batch,
            lambda part, place: mixing.mixed(inverter, part, looks[place], settings.mixing_row),
        )  # fmt: skip

    one, other = mixing_of(code[first], code[second]), mixing_of(code[second], code[first])
    plain = inverted.unedited
    broken = one.failed | other.failed | plain.failed[first] | plain.failed[second]
    read = [judges.attributes(drawn.pixels, judges.masks(drawn.pixels)) for drawn in (one, other)]
    read += [{name: values[pair] for name, values in inverted.attributes.items()} for pair in (first, second)]
    followed: Entry = {}
    good, counts = ~broken, {"n": 2 * len(broken), "n_failed": 2 * int(broken.sum())}
    for name in read[0]:
        mixed, swapped, a, b = (values[name][good] for values in read)
        share, low, high = editing.followed_share_with_interval(
            np.concatenate([mixed, swapped]), np.concatenate([a, b]), np.concatenate([b, a]),
            settings.bootstrap_resamples, settings.seed,
        )  # fmt: skip
        followed[name] = {"mean": share, "low": low, "high": high, **counts}
    kind = "feature" if code.feature is not None and code.distortion is None else "styles"
    pictures = np.stack([plain.pixels[first], one.pixels, other.pixels, plain.pixels[second]], axis=1)
    return {"content_from": kind, "follows_content": followed}, pictures[: settings.shown]


def interpolation(inverted: Inverted, judges: EditJudges, settings: Editability) -> tuple[Entry, dict[str, Pixels]]:
    """Interpolation of pairs of images by codes and, where a method has more than codes, by codes and the rest.

    Returns:
        LPIPS between the inputs and the end points (HyperInverter, section 4.6), and pictures (pairs, steps, H, W, 3)
        of the way between by what is interpolated.
    """
    first, second = _neighbours(inverted)
    ways = {"code": mixing.styles_alone(inverted.code)}
    if mixing.has_more_than_styles(inverted.code):
        ways["code_and_weights"] = inverted.code
    entry: Entry = {"code": None, "code_and_weights": None}
    pictures: dict[str, Pixels] = {}
    shares = np.linspace(0, 1, settings.interpolation_steps)
    for name, code in ways.items():
        start, end = code[first], code[second]

        def between(share: float, start: Code, end: Code) -> Drawn:
            return draw(
                inverted.inverter, start, settings.batch,
                lambda part, place: mixing.interpolated(part, end[place], share),
            )  # fmt: skip

        drawn = [between(share, start, end) for share in (0.0, 1.0)]
        inputs = np.concatenate([inverted.inputs[first], inverted.inputs[second]])
        failed = np.concatenate([one.failed for one in drawn])
        distance = judges.perceptual(inputs, np.concatenate([one.pixels for one in drawn]))
        entry[name] = {"endpoint_lpips": _mean(distance, failed, settings)}
        few = slice(0, settings.shown)
        steps = [between(float(share), start[few], end[few]).pixels for share in shares]
        pictures[name] = np.stack(steps, axis=1)
    return entry, pictures

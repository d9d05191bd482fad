"""The stage `face-swapping`: the middle of one face in another, made whole by inverting it.

Paper: Wei et al., "E2Style" (arXiv 2104.07661), section V-B and algorithm 2: the centre of the source is pasted onto
the same place of the target, and what the inversion of that draws is the result. What is asked: whose identity does the
result have, and is the seam gone? The paper shows pictures and prints no number.

Deviations:

- The paper does not say how large the centre is, and a small one leaves most of what an identity is to the target. So
  params.yaml has several boxes, and the record says of each whom the pasted image resembles before it is inverted.
- The algorithm turns no heads. The paper's examples are photos that happen to fit; here every source, which looks to
  the front up to some degrees, meets the target of nearest yaw among other persons. Yaws are the renderer's own.
- Only faces without hat, earrings or unusual background, so that what fails is the swap.

A drawing that is not finite is counted: its identity is -1, and its seam that of what was pasted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from core.errors import ReinvertError
from core.files import sha256_of
from methods.inverter import Inverter
from metrics.applications import SEAM_PROTOCOL, SWAP_PROTOCOL, Box, seam
from metrics.identity import IdentitySimilarity
from pipelines.applications import (
    Bench,
    Flags,
    Measured,
    Scores,
    mean_of,
    record_of,
    require_known,
    write,
)
from pipelines.applications_config import FaceSwapping
from pipelines.domains import shards
from pipelines.edit_judges import of_pairs
from pipelines.edit_measures import FAILED_IDENTITY, draw, invert
from pipelines.evaluate_chunks import one_thread
from pipelines.generator_quality import Pixels

NAME = "face-swapping"
DOMAIN = "faces"
PROTOCOLS = {"swap_identity": SWAP_PROTOCOL, "seam": SEAM_PROTOCOL}
Indices = NDArray[np.int64]


def box_of(side: int, shares: Sequence[float]) -> Box:
    """The box of shares top, bottom, left and right in whole pixels of a picture of `side` x `side`.

    Raises:
        ReinvertError: at this size it is empty or touches the picture's edge.
    """
    top, bottom, left, right = (round(share * side) for share in shares)
    if not (1 <= top < bottom < side and 1 <= left < right < side):
        raise ReinvertError(f"params.yaml: applications.swapping: no such box in {side} px; choose another")
    return Box(top, bottom, left, right)


def pairs_of(
    identities: Indices, yaws: NDArray[np.floating], usable: NDArray[np.bool_], count: int, largest_yaw: float
) -> tuple[Indices, Indices]:
    """Sources, evenly spread over the usable images that look to the front, and their targets.

    Args:
        identities: (N,) who is shown.
        yaws: (N,) degrees.
        usable: (N,) which images may take part.
        count: pairs.
        largest_yaw: of a source, to either side.

    Returns:
        Two times (count,): a target is the usable image of another identity of nearest yaw, the first of equal ones.

    Raises:
        ReinvertError: there are fewer sources, or no other identity.
    """
    frontal = np.flatnonzero(usable & (np.abs(yaws) <= largest_yaw))
    if count > len(frontal):
        raise ReinvertError(f"applications.swapping.images is {count}, {len(frontal)} images fit; give at most that")
    sources = frontal[np.linspace(0, len(frontal) - 1, count).round().astype(np.int64)]
    targets = []
    for source in sources:
        others = np.flatnonzero(usable & (identities != identities[source]))
        if not len(others):
            raise ReinvertError("all images show one identity; there is nobody to swap with")
        targets.append(others[np.argmin(np.abs(yaws[others] - yaws[source]))])
    return sources, np.array(targets)


def pasted(sources: Pixels, targets: Pixels, box: Box) -> Pixels:
    """Algorithm 2's first step: targets (n, H, W, 3) with the sources' pixels inside the box."""
    result = targets.copy()
    place = (slice(None), slice(box.top, box.bottom), slice(box.left, box.right))
    result[place] = sources[place]
    return result


def measure(
    inverter: Inverter, sources: Pixels, targets: Pixels, identity: nn.Module, settings: FaceSwapping
) -> tuple[list[Measured], dict[str, NDArray[Any]]]:
    """Everything measured of one method.

    Args:
        inverter: the method.
        sources: (n, H, W, 3) uint8.
        targets: likewise.
        identity: cosine of what the judge sees in two batches of images in [-1, 1].
        settings: how.

    Returns:
        The cells of every box: `swap_identity` of the result with the source and the target and, for comparison, of the
        pasted image with both and of the source with the target; `seam` of the result, the pasted image and the
        target's own photo. Pictures of the first pairs with the first box.
    """
    device, never = inverter.generator.device, np.zeros(len(sources), bool)
    lines: list[Measured] = []
    pictures: dict[str, NDArray[Any]] = {}
    few = slice(0, settings.shown)
    strangers = of_pairs(identity, sources, targets, device)
    for name, shares in settings.boxes.items():

        def line(metric: str, swap: str, scores: Scores, failed: Flags, box_name: str = name) -> Measured:
            setting = f"swap={swap},box={box_name}"
            return mean_of(
                settings.method, metric, setting, scores, failed, settings.bootstrap_resamples, settings.seed
            )

        box = box_of(sources.shape[1], shares)
        together = pasted(sources, targets, box)
        code = invert(inverter, together, settings.batch, settings.seed)
        result = draw(inverter, code, settings.batch)
        for swap, photos in (("source", sources), ("target", targets)):
            alike = np.where(result.failed, FAILED_IDENTITY, of_pairs(identity, result.pixels, photos, device))
            lines.append(line("swap_identity", swap, alike, result.failed))
            lines.append(line("swap_identity", f"pasted-{swap}", of_pairs(identity, together, photos, device), never))
        lines.append(line("swap_identity", "source-target", strangers, never))
        before = seam(together, box)
        # A mid-grey picture in place of one that failed has no seam, and nothing was mended.
        after = np.where(result.failed, before, seam(result.pixels, box))
        lines.append(line("seam", "result", after, result.failed))
        lines.append(line("seam", "pasted", before, never))
        lines.append(line("seam", "photo", seam(targets, box), never))
        pictures = pictures or {
            "sources": sources[few], "targets": targets[few], "pasted": together[few], "results": result.pixels[few],
        }  # fmt: skip
    return lines, pictures


def swap_faces(settings: FaceSwapping, output: Path, bench: Bench) -> list[Measured]:
    """Measure face swapping.

    Args:
        settings: the section `applications.swapping` of params.yaml.
        output: gets cells.csv, face-swapping.json and face-swapping.npz.
        bench: what to measure with.

    Returns:
        The cells.

    Raises:
        ReinvertError: an unknown method, weights or images missing or altered, or too few images that fit.
    """
    require_known([settings.method], bench.config)
    split = shards.load(bench.data / DOMAIN / "test")
    attributes = split.attributes
    yaws, identities = attributes["yaw"].numpy(), attributes["identity"].numpy()
    usable = ~attributes["out_of_distribution"].bool().numpy()
    sources, targets = pairs_of(identities, yaws, usable, settings.images, settings.largest_yaw)
    inverter = bench.inverter(settings.method, DOMAIN)
    identity = IdentitySimilarity(bench.judge_of(DOMAIN, "identity-judge")).eval()
    record = record_of(NAME, DOMAIN, [settings.method], settings, bench, PROTOCOLS)
    record["data_sha256"] = sha256_of(bench.data / DOMAIN / "test" / "manifest.json")
    record["shown_box"] = next(iter(settings.boxes))
    record["yaw_difference"] = float(np.abs(yaws[sources] - yaws[targets]).mean())
    with one_thread():
        lines, pictures = measure(inverter, split.images(sources), split.images(targets), identity, settings)
    shown = {"source_indices": sources[: settings.shown], "target_indices": targets[: settings.shown]}
    write(output, record, lines, pictures | shown)
    return lines

"""The stage `videos`: does a person stay the same person when a video is inverted frame by frame?

Paper: Yao et al., "Feature-Style Encoder" (arXiv 2202.02183), appendix C: identity consistency (Eq. 9,
`metrics.applications.identity_consistency`) of inverted videos, and Fig. 9: that of their own method is the closest to
the source's. What is asked: how far is each method's from the source's?

Deviations:

- The paper takes 120 videos of RAVDESS, of actors who speak and sing. Here a video is drawn by the renderer: a test
  image without hat, earrings or unusual background, whose pose, mouth, gaze, lids and brows move in sinusoids of their
  own, with seeded phases and periods, while identity, age, glasses, light and background stay.
- The paper's text does not say which methods Fig. 9 shows. Ours are those of its table 3, on the same videos.
- Fig. 9 is read off averages over videos. The gap to the source is taken video by video and then averaged, so that a
  method that is too consistent in one video and too little in another gains nothing by it; means are there as well.

A video with a frame that is not finite counts as -1, the least there is, and is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import ReinvertError
from methods.inverter import Inverter
from metrics.applications import CONSISTENCY_PROTOCOL, GAP_PROTOCOL, identity_consistency
from pipelines import domains
from pipelines.applications import Bench, Measured, Scores, mean_of, record_of, require_known, write
from pipelines.applications_config import Videos
from pipelines.domains.domain import Domain
from pipelines.domains.shards import to_bytes
from pipelines.edit_measures import FAILED_IDENTITY, draw, invert
from pipelines.evaluate_chunks import one_thread
from pipelines.generator_quality import Pixels, features_of

NAME = "videos"
DOMAIN = "faces"
SOURCE = "source"
"""Stands for a method in the cells of the videos themselves."""
PROTOCOLS = {"identity_consistency": CONSISTENCY_PROTOCOL, "identity_consistency_gap": GAP_PROTOCOL}
EDGE = 1e-4
"""Uniforms stay so far inside (0, 1)."""


def first_frames(attributes: dict[str, Tensor], count: int) -> NDArray[np.int64]:
    """Indices of `count` in-distribution images of as many persons, evenly spread over the persons.

    Raises:
        ReinvertError: there are fewer persons.
    """
    usable = np.flatnonzero(~attributes["out_of_distribution"].bool().numpy())
    _, firsts = np.unique(attributes["identity"].numpy()[usable], return_index=True)
    if count > len(firsts):
        raise ReinvertError(f"applications.videos.videos is {count}, there are {len(firsts)} persons; give fewer")
    found: NDArray[np.int64] = usable[firsts[np.linspace(0, len(firsts) - 1, count).round().astype(np.int64)]]
    return found


def moving(
    uniforms: Tensor, names: Sequence[str], amplitudes: dict[str, float], frames: int, cycles: tuple[float, float],
    seed: int,
) -> Tensor:  # fmt: skip
    """Uniforms (V, C) -> (V, F, C): the columns named in `amplitudes` swing, all others stay.

    A column goes through amplitude * sin(2 pi (c t / F + phase)) about its own value, which is first moved into
    [amplitude, 1 - amplitude], lest the swing leave (0, 1); c and phase are seeded, for each video and column.

    Args:
        uniforms: in (0, 1).
        names: of the C columns.
        amplitudes: by column.
        frames: F.
        cycles: the least and the largest c.
        seed: of c and phase.

    Raises:
        ReinvertError: no such column.
    """
    unknown = [name for name in amplitudes if name not in names]
    if unknown:
        raise ReinvertError(f"params.yaml: applications.videos.amplitudes: an image has no {unknown[0]}; remove it")
    random = np.random.Generator(np.random.PCG64(seed))
    result = uniforms[:, None].repeat(1, frames, 1)
    time = torch.arange(frames) / frames
    for name, amplitude in amplitudes.items():
        column = list(names).index(name)
        periods = torch.from_numpy(random.uniform(*cycles, len(uniforms))).float()[:, None]
        phases = torch.from_numpy(random.uniform(0, 1, len(uniforms))).float()[:, None]
        centre = uniforms[:, column, None].clamp(amplitude, 1 - amplitude)
        swing = amplitude * torch.sin(2 * torch.pi * (periods * time + phases))
        result[:, :, column] = (centre + swing).clamp(EDGE, 1 - EDGE)
    return result


def drawn_by(domain: Domain, uniforms: Tensor) -> Pixels:
    """(V, F, C) uniforms -> (V, F, H, W, 3) uint8."""
    videos, frames = uniforms.shape[:2]
    images = [to_bytes(domain.draw(rows)[0]) for rows in uniforms.flatten(0, 1).split(8)]
    return np.asarray(torch.cat(images).unflatten(0, (videos, frames)).numpy())


def consistency_of(pixels: Pixels, network: nn.Module, device: torch.device) -> Scores:
    """(V,) identity consistency of videos (V, F, H, W, 3) uint8, by a network that embeds images in [-1, 1]."""
    embeddings = features_of(network, pixels.reshape(-1, *pixels.shape[2:]), device)
    return identity_consistency(embeddings.reshape(*pixels.shape[:2], -1).double().numpy())


def measure(inverter: Inverter, pixels: Pixels, network: nn.Module, settings: Videos) -> tuple[
    Scores, NDArray[np.bool_], Pixels
]:  # fmt: skip
    """What one method makes of the videos.

    Args:
        inverter: the method.
        pixels: (V, F, H, W, 3) uint8; every frame is inverted by itself.
        network: embeds images in [-1, 1] as identities.
        settings: how.

    Returns:
        (V,) identity consistency, (V,) which videos have a frame that failed, and what was drawn.
    """
    shape = pixels.shape
    code = invert(inverter, pixels.reshape(-1, *shape[2:]), settings.batch, settings.seed)
    drawn = draw(inverter, code, settings.batch)
    failed = np.asarray(drawn.failed.reshape(shape[:2]).any(axis=1))
    found = consistency_of(drawn.pixels.reshape(shape), network, inverter.generator.device)
    return np.where(failed, FAILED_IDENTITY, found), failed, drawn.pixels.reshape(shape)


def invert_videos(settings: Videos, output: Path, bench: Bench) -> list[Measured]:
    """Measure the identity consistency of inverted videos.

    Args:
        settings: the section `applications.videos` of params.yaml.
        output: gets cells.csv, videos.json (with the consistency of every video) and videos.npz.
        bench: what to measure with; its data are not read.

    Returns:
        The cells: `identity_consistency` of the source and of every method, and each method's gap to the source.

    Raises:
        ReinvertError: an unknown method or movement, weights missing or altered, too few persons.
    """
    require_known(settings.methods, bench.config)
    domain = domains.get(DOMAIN)
    everything = domain.attributes("test", torch.arange(domain.split_size("test")))
    indices = first_frames(everything, settings.videos)
    rows = domain.uniforms_of_split("test", torch.from_numpy(indices))
    moved = moving(rows, domain.uniform_names, settings.amplitudes, settings.frames, settings.cycles, settings.seed)
    network = bench.judge_of(DOMAIN, "identity-judge")
    record = record_of(NAME, DOMAIN, settings.methods, settings, bench, PROTOCOLS)
    resamples, seed, never = settings.bootstrap_resamples, settings.seed, np.zeros(settings.videos, bool)
    with one_thread():
        pixels = drawn_by(domain, moved)
        own = consistency_of(pixels, network, bench.device)
        lines = [mean_of(SOURCE, "identity_consistency", "", own, never, resamples, seed)]
        per_video = {SOURCE: own.tolist()}
        pictures: dict[str, NDArray[Any]] = {SOURCE: pixels[: settings.shown]}
        for method in settings.methods:
            inverter = bench.inverter(method, DOMAIN)
            found, failed, drawn = measure(inverter, pixels, network, settings)
            gap = np.abs(found - own)
            lines.append(mean_of(method, "identity_consistency", "", found, failed, resamples, seed))
            lines.append(mean_of(method, "identity_consistency_gap", "", gap, failed, resamples, seed))
            per_video[method] = found.tolist()
            pictures[method.replace("/", "-")] = drawn[: settings.shown]
    rounded = {name: [float(f"{value:.6g}") for value in values] for name, values in per_video.items()}
    write(output, record | {"per_video": rounded}, lines, pictures | {"indices": indices})
    return lines

"""The streaming evaluator: every number of many image pairs in one pass, in memory that does not grow with them.

Threads decode a few chunks ahead while the networks compute, so each image is decoded once, for all protocols. Each
finished chunk is a file (`evaluate_chunks.write_chunk`) in a folder keyed by everything its numbers depend on: a killed
run goes on where it was. Features of FID and KID go to a file that is mapped into memory, not into memory; what remains
are a few numbers per image.
"""

from __future__ import annotations

import sys
import typing
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from core.errors import ReinvertError
from core.files import atomic_path
from metrics.measure import Networks, Scorer, blank_where_failed, distance, entering, feature_extractor, scorer
from metrics.protocols import Protocol
from metrics.structure import SharedScale
from pipelines.evaluate_chunks import Chunk, read_chunk, write_chunk
from pipelines.evaluate_provenance import code_sha256, key_of, versions
from pipelines.worker_processes import cores

CHUNKS_AHEAD = 2
"""Chunks that are decoded while one is measured: enough to hide decoding, and all the images there are in memory."""
Picture = NDArray[Any]
"""(H, W, 3): uint8 as a file holds it, or float32 in [-1, 1], where NaN means that the method failed."""


def as_picture(array: NDArray[Any]) -> Picture:
    """An array as networks take it: bytes as they are, numbers in single precision."""
    return np.ascontiguousarray(array, np.uint8 if array.dtype == np.uint8 else np.float32)


class Pairs(typing.Protocol):
    """Image pairs that are read one at a time, from any thread."""

    def __len__(self) -> int:
        """How many."""

    def read(self, index: int) -> tuple[Picture, Picture | None]:
        """The real image and its reconstruction; None where the latter cannot be read, which counts as failed."""

    def fingerprint(self) -> Any:
        """JSON-like content that differs when the images do."""


@dataclass(frozen=True)
class Arrays:
    """Pairs of two arrays or memory-mapped files, (n, H, W, 3) each; see `Picture`."""

    real: NDArray[Any]
    fake: NDArray[Any]
    identity: str
    """What tells these images from others, such as a hash of the file they are in."""

    def __len__(self) -> int:
        if self.real.shape != self.fake.shape:
            raise ValueError(f"arrays of one shape make pairs, got {self.real.shape} and {self.fake.shape}")
        return len(self.real)

    def read(self, index: int) -> tuple[Picture, Picture | None]:
        """See `Pairs`."""
        return as_picture(self.real[index]), as_picture(self.fake[index])

    def fingerprint(self) -> Any:
        """See `Pairs`."""
        return [self.identity, list(self.real.shape), str(self.fake.dtype)]


class _Structure:
    """`ssim` and `ms_ssim` of the same batches one after the other; what they have in common is computed once.

    Picture by picture on a processor: the arrays of one stay in its cache, which takes a third off the time at 256 px.
    """

    def __init__(self) -> None:
        self._shared: list[SharedScale] = []

    def _joined(self, score: Callable[[SharedScale, Tensor, Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
        rows = 1 if real.device.type == "cpu" else len(real)
        pairs = list(zip(real.split(rows), fake.split(rows), strict=True))
        self._shared += [SharedScale() for _ in range(len(pairs) - len(self._shared))]
        return torch.cat([score(one, *pair) for one, pair in zip(self._shared, pairs, strict=False)])

    def ssim(self, real: Tensor, fake: Tensor) -> Tensor:
        """As `metrics.structure.ssim`."""
        return self._joined(SharedScale.ssim, real, fake)

    def ms_ssim(self, real: Tensor, fake: Tensor) -> Tensor:
        """As `metrics.structure.ms_ssim`."""
        return self._joined(SharedScale.ms_ssim, real, fake)


@dataclass(frozen=True)
class Measures:
    """All protocols of a pass with what they share: each set of features is computed once.

    Attributes:
        protocols: in the order of the tables.
        scorers: by protocol id, of those with one number per image.
        extractors: by name of a set of features.
        features_of: the set of features that a distance compares, by protocol id.
        device: where the networks are.
        identity: JSON-like content that differs when the networks do, such as their hashes.
    """

    protocols: Sequence[Protocol]
    scorers: Mapping[str, Scorer]
    extractors: Mapping[str, Callable[[Tensor, bool], Tensor]]
    features_of: Mapping[str, str]
    device: torch.device
    identity: Any

    @classmethod
    def of(cls, wanted: Sequence[Protocol], networks: Networks, device: torch.device, identity: Any) -> Measures:
        """The measures of protocols with given networks (see `metrics.measure.networks_of`)."""
        shared = _Structure()
        faster = {"metrics.structure:ssim": shared.ssim, "metrics.structure:ms_ssim": shared.ms_ssim}
        scorers = {one.id: scorer(one, networks, faster.get(one.function)) for one in wanted if one.per_image}
        extractors: dict[str, Callable[[Tensor, bool], Tensor]] = {}
        features_of: dict[str, str] = {}
        seen: dict[tuple[Any, ...], str] = {}
        for one in wanted:
            if not one.per_image:
                inputs = (one.network, one.size, one.quantisation, one.reduction, one.resize, one.value_range)
                features_of[one.id] = seen.setdefault(inputs, f"features{len(seen)}")
                if features_of[one.id] not in extractors:
                    extractors[features_of[one.id]] = feature_extractor(one, networks)
        return cls(wanted, scorers, extractors, features_of, device, identity)


@dataclass(frozen=True)
class Results:
    """What a pass gives; arrays are (n,) in the order of the pairs.

    Attributes:
        scores: by id of the protocols with one number per image; a failure holds what it counts as, NaN if dropped.
        failed: by protocol id: not finite or not readable, or (where faces are looked for) without a face.
        unreadable: which reconstructions could not be read.
        distances: FID and KID by protocol id; None where fewer than two images enter.
        entering: by protocol id: which images enter the mean or distance (`metrics.measure.entering`).
    """

    scores: Mapping[str, NDArray[np.float64]]
    failed: Mapping[str, NDArray[np.bool_]]
    unreadable: NDArray[np.bool_]
    distances: Mapping[str, float | None]
    entering: Mapping[str, NDArray[np.bool_]]


@torch.no_grad()
def measure_chunk(measures: Measures, images: Sequence[tuple[Picture, Picture | None]]) -> Chunk:
    """All numbers of a few pairs, which may differ in size.

    Returns:
        `unreadable`, `failed` (B,) bool; by protocol id `score <id>` (B,) float64 and `failed <id>` (B,) bool; by
        set of features `real <set>` and `fake <set>` (B, d) float32.
    """
    unreadable = np.array([fake is None for _, fake in images])
    pairs = [(real, np.full(real.shape, np.nan, np.float32) if fake is None else fake) for real, fake in images]
    groups: dict[Any, list[int]] = {}
    for position, (real, fake) in enumerate(pairs):
        groups.setdefault((real.shape, real.dtype, fake.shape, fake.dtype), []).append(position)
    parts = []
    for members in groups.values():
        sides = [_batch([pairs[member][side] for member in members], measures.device) for side in (0, 1)]
        parts.append(_measure_batch(measures, sides[0], sides[1]))
    order = np.argsort(np.concatenate(list(groups.values())))
    return {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]} | {
        "unreadable": unreadable
    }


def _batch(pictures: Sequence[Picture], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).to(device).permute(0, 3, 1, 2)


def _measure_batch(measures: Measures, real: Tensor, fake: Tensor) -> Chunk:
    shown, failed = blank_where_failed(fake)
    chunk: Chunk = {"failed": failed.cpu().numpy()}
    for name, score in measures.scorers.items():
        with _refused_by(name):
            found = score(real, fake)
        chunk[f"score {name}"], chunk[f"failed {name}"] = found.values.numpy(), found.failed.numpy()
    for name, extract in measures.extractors.items():
        chunk[f"real {name}"], chunk[f"fake {name}"] = extract(real, True).numpy(), extract(shown, False).numpy()
    return chunk


def evaluate_pairs(
    pairs: Pairs, measures: Measures, batch: int, work_dir: Path, threads: int | None = None, title: str = "score"
) -> Results:
    """Measure all pairs, going on from the chunks of an earlier, killed run.

    Args:
        pairs: the images.
        measures: the protocols, with their networks.
        batch: images in a chunk. Numbers depend on it by rounding in networks only (1e-6).
        work_dir: where finished chunks are kept.
        threads: that decode; None: one per core. The numbers are the same for any.
        title: of the progress bar.

    Raises:
        ReinvertError: images of a size that a protocol does not measure; a full disk.
        ValueError: no pairs.
    """
    if not len(pairs):
        raise ValueError("no pairs to measure")
    folder = work_dir / key_of(
        {
            "protocols": [{"id": one.id, **asdict(one)} for one in measures.protocols],
            "networks": measures.identity,
            "device": measures.device.type,
            "batch": batch,
            "pairs": pairs.fingerprint(),
            "code": code_sha256(),
            "versions": versions(),
        }
    )
    starts = range(0, len(pairs), batch)
    files = [folder / f"chunk-{number:05d}.npz" for number in range(len(starts))]
    missing = [number for number, file in enumerate(files) if read_chunk(file) is None]
    with tqdm(total=len(pairs), desc=title, unit="img", disable=None) as bar:
        sizes = [min(batch, len(pairs) - start) for start in starts]
        bar.update(len(pairs) - sum(sizes[number] for number in missing))
        jobs = [range(starts[number], starts[number] + sizes[number]) for number in missing]
        for number, images in zip(missing, _decoded(pairs, jobs, threads or cores()), strict=True):
            write_chunk(files[number], measure_chunk(measures, images))
            bar.update(len(images))
    return _joined(measures, files, len(pairs))


def _decoded(pairs: Pairs, jobs: Sequence[range], threads: int) -> Iterator[list[tuple[Picture, Picture | None]]]:
    """The images of each job in turn; those of the next `CHUNKS_AHEAD` jobs are being decoded meanwhile."""
    waiting: deque[list[Future[tuple[Picture, Picture | None]]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    try:
        for job in jobs:
            waiting.append([pool.submit(pairs.read, index) for index in job])
            if len(waiting) > CHUNKS_AHEAD:
                yield [future.result() for future in waiting.popleft()]
        while waiting:
            yield [future.result() for future in waiting.popleft()]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _joined(measures: Measures, files: Sequence[Path], n: int) -> Results:
    chunks = [_small(file) for file in files]
    joined = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    scores = {name: joined[f"score {name}"] for name in measures.scorers}
    failed = {one.id: joined[f"failed {one.id}" if one.per_image else "failed"] for one in measures.protocols}
    kept = {one.id: entering(one, failed[one.id]) for one in measures.protocols}
    distances: dict[str, float | None] = {}
    for features in dict.fromkeys(measures.features_of.values()):
        with _mapped(files, features, n) as (real, fake):
            for one in measures.protocols:
                if measures.features_of.get(one.id) == features:
                    distances[one.id] = _distance(one, real, fake, kept[one.id])
    return Results(scores, failed, joined["unreadable"], distances, kept)


def _distance(one: Protocol, real: Tensor, fake: Tensor, kept: NDArray[np.bool_]) -> float | None:
    if kept.sum() < 2:
        return None
    if not kept.all():  # only where the protocol drops failures: those are copied
        rows = torch.from_numpy(np.flatnonzero(kept))
        real, fake = real[rows], fake[rows]
    # pytorch-fid prints what it does about singular products; standard output is for the table.
    with _refused_by(one.id), redirect_stdout(sys.stderr):
        return distance(one, real, fake)


@contextmanager
def _refused_by(identifier: str) -> Iterator[None]:
    """Formulas refuse what they cannot measure by ValueError: those images are the user's."""
    try:
        yield
    except ValueError as error:
        raise ReinvertError(f"{identifier} cannot measure these images: {error}; leave out that protocol") from error


def _small(file: Path) -> Chunk:
    # An npz reads one array at a time: features are left where they are.
    with np.load(file, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files if not name.startswith(("real ", "fake "))}


def _of_chunk(file: Path, name: str) -> NDArray[Any]:
    with np.load(file, allow_pickle=False) as stored:
        found: NDArray[Any] = stored[name]
    return found


@contextmanager
def _mapped(files: Sequence[Path], features: str, n: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Features of both sides (n, d) float64, as files mapped into memory that go when the block ends."""
    paths = [files[0].parent / f"{side}-{features}.npy" for side in ("real", "fake")]
    try:
        mapped = []
        for path, side in zip(paths, ("real", "fake"), strict=True):
            width = _of_chunk(files[0], f"{side} {features}").shape[1]
            with atomic_path(path) as temporary:
                # Double precision, because that is what distances are computed in: they would copy anything else.
                array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float64, shape=(n, width))
                start = 0
                for file in files:
                    rows = _of_chunk(file, f"{side} {features}")
                    array[start : start + len(rows)] = rows
                    start += len(rows)
                array.flush()
                del array
            mapped.append(torch.from_numpy(np.load(path, mmap_mode="r+")))
        yield mapped[0], mapped[1]
    finally:
        for path in paths:
            path.unlink(missing_ok=True)

"""Inverting and measuring the test images, chunk by chunk, in a way that survives being killed.

A chunk is `evaluation.batch` images. Each finished one is a file in a folder outside the DAG, keyed by everything its
numbers depend on, so that a killed run goes on where it was and a changed one starts anew. Chunks are always computed
by one thread, here or in worker processes, so the numbers are the same whatever the number of workers.
"""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from core.config import Config
from core.files import atomic_write_npz
from methods import registry as methods_registry
from methods.inverter import Inverter
from metrics.panel import Panel, blank_where_failed
from pipelines.domains.shards import to_bytes, to_float
from pipelines.worker_processes import cores, in_processes

MOST_WORKERS = 8
Chunk = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Tools:
    """How the inverter and the metrics come about; module-level functions, since worker processes call them too."""

    build_inverter: Callable[[str, Config, str, Path, torch.device], Inverter] = methods_registry.build
    load_panel: Callable[[str, Path, torch.device], Panel] = Panel.load


@dataclass(frozen=True)
class Session:
    """What a process needs to work on any chunk of a run.

    Attributes:
        method: name under `methods` in params.yaml.
        domain: name of the domain.
        config: all parameters.
        weights_root: folder of the weights.
        device: where to compute.
        seed: given to the inverter.
        folder: where finished chunks are kept.
        tools: how to build inverter and panel.
    """

    method: str
    domain: str
    config: Config
    weights_root: Path
    device: torch.device
    seed: int
    folder: Path
    tools: Tools

    def open(self) -> tuple[Inverter, Panel]:
        """The inverter and the metrics."""
        inverter = self.tools.build_inverter(self.method, self.config, self.domain, self.weights_root, self.device)
        return inverter, self.tools.load_panel(self.domain, self.weights_root, self.device)

    def chunk_file(self, number: int) -> Path:
        """Where chunk `number` is kept."""
        return self.folder / f"chunk-{number:05d}.npz"


def measure_chunk(
    inverter: Inverter, panel: Panel, pixels: NDArray[np.uint8], seed: int, device: torch.device
) -> Chunk:
    """Invert a few images and measure every yield.

    Reconstructions are measured as an image file holds them: clipped to [-1, 1] and rounded to 8 bits, so that
    everybody can measure them again from the stored pictures.

    Args:
        inverter: the method.
        panel: the metrics.
        pixels: (B, H, W, 3) uint8.
        seed: of the inverter.
        device: where to compute.

    Returns:
        `steps` (S,), `curve_<metric>` (S, B) for the metrics of single images and `curve_features` (S, B, d) for the
        others; of the last yield `score_<metric>` (B,), `failed` (B,) bool, `images` (B, H, W, 3) uint8;
        `features_real` and `features_fake` (B, d).
    """
    real = to_float(torch.from_numpy(pixels).to(device))
    per_image = [metric for metric in panel.metrics if metric.per_image]
    steps: list[int] = []
    curve: dict[str, list[Tensor]] = {name: [] for name in (*(metric.name for metric in per_image), "features")}
    stored, failed = to_bytes(real), torch.zeros(len(real), dtype=torch.bool)
    for step in inverter.invert(real, seed):
        drawn, failed = blank_where_failed(inverter.draw(step.code))
        stored = to_bytes(drawn)
        fake = to_float(stored)
        for name, score in panel.score(real, fake, failed, per_image).items():
            curve[name].append(score)
        curve["features"].append(panel.features(fake))
        steps.append(step.step)
    if not steps:
        raise RuntimeError("the inverter yielded no code: every method must yield its answer")
    chunk: Chunk = {f"curve_{name}": torch.stack(values).numpy() for name, values in curve.items()}
    chunk |= {f"score_{metric.name}": chunk[f"curve_{metric.name}"][-1] for metric in per_image}
    return chunk | {
        "steps": np.array(steps),
        "failed": failed.cpu().numpy(),
        "images": stored.cpu().numpy(),
        "features_real": panel.features(real).numpy(),
        "features_fake": chunk["curve_features"][-1],
    }


def read_chunk(path: Path) -> Chunk | None:
    """A finished chunk, or None where there is none (or one that disk trouble damaged)."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (FileNotFoundError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def write_chunk(path: Path, chunk: Chunk) -> None:
    """Keep a finished chunk, whole or not at all."""
    atomic_write_npz(path, chunk, compressed=False)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes with one thread inside: the order of its sums must not depend on the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_session: Session | None = None
"""In a worker process: what it works for."""


def _start_worker(session: Session) -> None:
    global _session
    _session = session


@functools.cache
def _opened() -> tuple[Inverter, Panel]:
    if _session is None:
        raise RuntimeError("a worker must be started with a session")
    return _session.open()


def _work(number: int, pixels: NDArray[np.uint8]) -> int:
    if _session is None:
        raise RuntimeError("a worker must be started with a session")
    inverter, panel = _opened()
    write_chunk(_session.chunk_file(number), measure_chunk(inverter, panel, pixels, _session.seed, _session.device))
    return number


def sensible_workers(device: torch.device) -> int:
    """One per core on the CPU, up to `MOST_WORKERS`; one on a GPU, which is busy with one."""
    return 1 if device.type != "cpu" else min(cores(), MOST_WORKERS)


def measure_all(
    session: Session,
    opened: Callable[[], tuple[Inverter, Panel]],
    pixels: NDArray[np.uint8],
    batch: int,
    workers: int,
    title: str,
) -> list[Chunk]:
    """All images, finished chunks read and the others computed and kept.

    Args:
        session: what workers need.
        opened: gives the inverter and panel of this process; not called where every chunk is there.
        pixels: (n, H, W, 3) uint8.
        batch: images in a chunk.
        workers: processes that compute; 1 computes here.
        title: of the progress bar.

    Returns:
        The chunks in the order of the images.
    """
    starts = range(0, len(pixels), batch)
    finished = {number: read_chunk(session.chunk_file(number)) for number in range(len(starts))}
    missing = [number for number, chunk in finished.items() if chunk is None]

    if missing:
        inverter, panel = opened()  # also where others work: what is wrong with the weights is said here

    def part(number: int) -> NDArray[np.uint8]:
        return pixels[starts[number] : starts[number] + batch]

    with tqdm(total=len(pixels), desc=title, unit="img", disable=None) as bar:
        bar.update(len(pixels) - sum(len(part(number)) for number in missing))
        workers = min(workers, len(missing))
        if workers > 1:
            jobs = [(number, part(number)) for number in missing]
            with closing(in_processes(_work, jobs, workers, _start_worker, (session,))) as done:
                for number in done:
                    bar.update(len(part(number)))
        else:
            for number in missing:
                with one_thread():
                    chunk = measure_chunk(inverter, panel, part(number), session.seed, session.device)
                write_chunk(session.chunk_file(number), chunk)
                bar.update(len(part(number)))
    chunks = [finished[number] or read_chunk(session.chunk_file(number)) for number in finished]
    if any(chunk is None for chunk in chunks):
        raise RuntimeError(f"a finished chunk vanished from {session.folder}; run again")
    return [chunk for chunk in chunks if chunk is not None]

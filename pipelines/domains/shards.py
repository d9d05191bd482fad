"""Rendered splits on disk: a few uint8 files instead of thousands of pictures.

A folder holds `images-NN.npy` (n, H, W, 3), `labels-NN.npy` (n, H, W) and, once complete, `manifest.json` with the
count and the SHA-256 of every shard. Shards are written one at a time, each whole or absent, so rendering resumes
where it was stopped. Ground-truth attributes are not stored: they are a function of (split, index).
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from core.errors import ReinvertError
from core.files import atomic_path, atomic_write_json, sha256_of
from pipelines import domains
from pipelines.domains.domain import Domain
from pipelines.worker_processes import cores, in_processes

SHARD_SIZE = 2_000
_RENDER_BATCH = 8  # small enough for intermediate maps to stay in the cache
# Compiling the painter takes about a minute and makes it five times faster: worth it from here on.
_COMPILE_FROM = 10_000
# Processes take seconds to start; each is then given so many images at a time.
_ALONE_BELOW = 500
_PART = 200
_MOST_WORKERS = 8
_COUNTED = 2_000


@dataclass(frozen=True)
class Shards:
    """A rendered split. Pixels are memory-mapped, so processes share them and loading costs nothing."""

    domain: Domain
    split: str
    folder: Path
    image_files: list[NDArray[np.uint8]]
    label_files: list[NDArray[np.uint8]]

    def __len__(self) -> int:
        return self.domain.split_size(self.split)

    def _gather(self, files: list[NDArray[np.uint8]], indices: Any) -> NDArray[np.uint8]:
        rows = np.asarray(indices, dtype=np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise ReinvertError(f"{self.domain.name}/{self.split} has images 0 to {len(self) - 1}")
        return np.stack([files[i // SHARD_SIZE][i % SHARD_SIZE] for i in rows])

    def images(self, indices: Any) -> NDArray[np.uint8]:
        """(n, H, W, 3) uint8 RGB of the given images."""
        return self._gather(self.image_files, indices)

    def labels(self, indices: Any) -> NDArray[np.uint8]:
        """(n, H, W) uint8 label indices of the given images."""
        return self._gather(self.label_files, indices)

    def tensors(self, indices: Any, device: str | torch.device = "cpu") -> Tensor:
        """(n, 3, H, W) float32 in [-1, 1] of the given images."""
        return to_float(torch.from_numpy(self.images(indices)).to(device))

    @cached_property
    def label_frequencies(self) -> Tensor:
        """(classes,) shares of the classes in the pixels of the first images."""
        labels = torch.from_numpy(self.labels(torch.arange(min(_COUNTED, len(self))).numpy()))
        counts = torch.bincount(labels.flatten().int(), minlength=len(self.domain.label_names))
        return counts / counts.sum()

    @cached_property
    def attributes(self) -> dict[str, Tensor]:
        """Ground truth of the whole split, name -> (n, ...)."""
        return self.domain.attributes(self.split, torch.arange(len(self)))


def to_float(pixels: Tensor) -> Tensor:
    """(n, H, W, 3) uint8 to (n, 3, H, W) float32 in [-1, 1]."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_bytes(images: Tensor) -> Tensor:
    """(n, 3, H, W) in [-1, 1] to (n, H, W, 3) uint8, rounding to nearest and clipping."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _painter(domain: Domain, remaining: int) -> Callable[..., Any]:
    if remaining >= _COMPILE_FROM and (torch.cuda.is_available() or shutil.which(os.environ.get("CXX", "g++"))):
        return torch.compile(domain.painter, dynamic=False)
    return domain.painter


def _render_part(
    domain: Domain, split: str, start: int, stop: int, painter: Callable[..., Any] | None = None
) -> tuple[int, int, NDArray[np.uint8], NDArray[np.uint8]]:
    images, labels = [], []
    for first in range(start, stop, _RENDER_BATCH):
        batch = domain.render(split, torch.arange(first, min(first + _RENDER_BATCH, stop)), painter or domain.painter)
        images.append(to_bytes(batch.images).numpy())
        labels.append(batch.labels.numpy())
    return start, stop, np.concatenate(images), np.concatenate(labels)


def _rendered_parts(
    domain: Domain, split: str, parts: list[tuple[int, int]], remaining: int
) -> Iterator[tuple[int, int, NDArray[np.uint8], NDArray[np.uint8]]]:
    painter = _painter(domain, remaining)
    workers = min(cores(), _MOST_WORKERS)
    if painter is not domain.painter or workers == 1 or remaining < _ALONE_BELOW:
        yield from (_render_part(domain, split, start, stop, painter) for start, stop in parts)
        return
    jobs = [(domain, split, start, stop) for start, stop in parts]
    with closing(in_processes(_render_part, jobs, workers)) as done:
        yield from done


def render(domain: Domain, split: str, folder: Path) -> Shards:
    """Render what is missing of a split into `folder` and return it, on all cores where that pays.

    Raises:
        ReinvertError: unknown split, or `folder` holds another domain, split or renderer version.
    """
    size = domain.split_size(split)
    if (folder / "manifest.json").exists():
        return load(folder, domain, split)
    starts = range(0, size, SHARD_SIZE)
    missing = [k for k, _ in enumerate(starts) if not (folder / f"labels-{k:02d}.npy").exists()]
    stops = {k: min(starts[k] + SHARD_SIZE, size) for k in missing}
    parts = [(first, min(first + _PART, stops[k])) for k in missing for first in range(starts[k], stops[k], _PART)]
    remaining = sum(stop - start for start, stop in parts)
    waiting: dict[int, dict[int, tuple[NDArray[np.uint8], NDArray[np.uint8]]]] = {k: {} for k in missing}
    with tqdm(total=remaining, desc=f"render {domain.name}/{split}", unit="img", disable=None) as bar:
        for start, stop, *pixels in _rendered_parts(domain, split, parts, remaining):
            bar.update(stop - start)
            k = start // SHARD_SIZE
            waiting[k][start] = (pixels[0], pixels[1])
            if sum(len(images) for images, _ in waiting[k].values()) < stops[k] - starts[k]:
                continue
            whole = [found for _, found in sorted(waiting.pop(k).items())]
            for place, kind in enumerate(("images", "labels")):
                with atomic_path(folder / f"{kind}-{k:02d}.npy") as temporary:
                    np.save(temporary, np.concatenate([found[place] for found in whole]))
    files = sorted(folder.glob("*.npy"))
    atomic_write_json(
        folder / "manifest.json",
        {
            "domain": domain.name,
            "split": split,
            "recipe": domain.recipe,
            "count": size,
            "resolution": domain.resolution,
            "sha256": {file.name: sha256_of(file) for file in files},
        },
    )
    return load(folder, domain, split)


def load(folder: Path, domain: Domain | None = None, split: str | None = None) -> Shards:
    """A split rendered before.

    Args:
        folder: where `render` wrote it.
        domain, split: what it is expected to hold; None takes what the manifest says.

    Raises:
        ReinvertError: nothing rendered there, shards missing, or another domain, split or renderer version.
    """
    path = folder / "manifest.json"
    if not path.exists():
        raise ReinvertError(f"no rendered images in {folder}; run `reinvert render` first")
    manifest = json.loads(path.read_text())
    found = domains.get(manifest["domain"])
    expected = (domain.name if domain else found.name, split or manifest["split"], found.recipe)
    if (manifest["domain"], manifest["split"], manifest["recipe"]) != expected:
        raise ReinvertError(
            f"{folder} holds {manifest['domain']}/{manifest['split']} of renderer version {manifest['recipe']}, "
            f"wanted {expected[0]}/{expected[1]} version {expected[2]}; delete the folder and render again"
        )
    gone = [name for name in manifest["sha256"] if not (folder / name).exists()]
    if gone:
        raise ReinvertError(f"{folder} lacks {', '.join(gone)}; delete the folder and render again")
    names = sorted(manifest["sha256"])
    opened = {name: np.load(folder / name, mmap_mode="r") for name in names}
    return Shards(
        found,
        manifest["split"],
        folder,
        [opened[name] for name in names if name.startswith("images")],
        [opened[name] for name in names if name.startswith("labels")],
    )


def folder_of(domain: Domain, split: str, cache: Path) -> Path:
    """The work folder of a split; keyed by the renderer version, so that a new renderer never meets old pixels."""
    return cache / "rendered" / f"{domain.name}-{split}-{domain.recipe}"


def ensure(domain: str | Domain, split: str, cache: Path = Path(".cache")) -> Shards:
    """A split from the work folder outside the DAG, rendered there first where needed."""
    found = domains.get(domain) if isinstance(domain, str) else domain
    return render(found, split, folder_of(found, split, cache))

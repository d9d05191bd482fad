"""A folder of conformance data: manifests (state-dict keys, shapes, statistics), golden outputs and a salt.

The rules that turn a manifest and a salt into weights are those of the folder's own `seeded.py`, restated here so that
no code is taken from the folder.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import ReinvertError


def _random(salt: str, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    source = np.random.Generator(np.random.PCG64(zlib.crc32(f"{salt}:{name}".encode())))
    return source.standard_normal(shape, dtype=np.float32)


def seeded_value(salt: str, name: str, entry: dict[str, Any]) -> NDArray[Any]:
    """One tensor of a state dict.

    Args:
        salt: names the set of weights.
        name: the official state-dict key.
        entry: shape and dtype with mean and std, or with literal values.
    """
    shape, dtype = tuple(entry["shape"]), entry["dtype"]
    if "values" in entry:
        return np.asarray(entry["values"], dtype=dtype).reshape(shape)
    if not dtype.startswith("float"):
        return np.zeros(shape, dtype=dtype)
    x = _random(salt, name, shape)
    if name.endswith("running_var"):
        return (1.0 + 0.1 * np.abs(x)).astype(np.float32)
    scaled: NDArray[np.float32] = (entry["mean"] + max(entry["std"], 0.02) * x).astype(np.float32)
    return scaled


@dataclass(frozen=True)
class Goldens:
    """Manifests, inputs and golden outputs under one salt."""

    folder: Path
    salt: str

    @cached_property
    def names(self) -> list[str]:
        """Modules that have golden outputs here, as the folder's indices list them, else by file name."""
        listed = [name for path in sorted(self.folder.glob("index-*.json")) for name in self._index(path)]
        found = {path.stem for path in self.folder.glob("*.npz")}
        return [name for name in listed if name in found] + sorted(found - set(listed))

    @staticmethod
    def _index(path: Path) -> list[str]:
        content = json.loads(path.read_text(encoding="utf-8"))
        return list(content.get("modules", content))

    def manifest(self, name: str) -> dict[str, Any]:
        """Official state-dict key -> entry; ReinvertError where the folder has no such manifest."""
        path = self.folder / f"{name}.manifest.json"
        if not path.is_file():
            raise ReinvertError(f"{self.folder} has no {path.name}; give a folder of conformance data")
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return content

    def weights(self, manifest: str, prefix: str = "") -> dict[str, Tensor]:
        """The state dict of a manifest, or its part under `prefix` (which is cut off)."""
        return {
            name[len(prefix) :]: torch.from_numpy(np.array(seeded_value(self.salt, name, entry)))
            for name, entry in self.manifest(manifest).items()
            if name.startswith(prefix)
        }

    def input(self, name: str, shape: tuple[int, ...], clip: bool = False) -> Tensor:
        """A seeded standard-normal input; with `clip`, clipped to [-1, 1] as images are."""
        values = torch.from_numpy(_random(self.salt, f"input:{name}", shape))
        return values.clamp(-1, 1) if clip else values

    def golden(self, module: str) -> dict[str, NDArray[Any]]:
        """The official code's outputs."""
        path = self.folder / f"{module}.npz"
        if not path.is_file():
            raise ReinvertError(f"{self.folder} has no {path.name}; give a folder of conformance data")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}

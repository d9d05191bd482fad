"""The directions found in one generator's latent space, as a file: what `Inverter.edit` is given.

A strength is counted in `gamma`, as in HyperInverter's Table 2 (arXiv 2112.00719), where one gamma is a unit vector of
FFHQ's W. Another generator's W has another scale, so here one gamma is a stated number of standard deviations of w
along the direction, GANSpace's unit (arXiv 2004.02546): the same strength means the same for every direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.errors import ReinvertError
from core.files import atomic_write_npz
from core.registry import unknown_name


@dataclass(frozen=True, eq=False)
class Direction:
    """One direction.

    Attributes:
        name: unique in a set.
        finder: "interfacegan", "ganspace" or "sefa".
        attribute: what moving along it is said to raise.
        vector: (D,) float32, unit length.
        unit: how far one gamma moves a style along the vector.
        rows: first style that is moved and the one after the last.
        component: number of the component or eigenvector, from 0; -1 for a boundary.
    """

    name: str
    finder: str
    attribute: str
    vector: Tensor
    unit: float
    rows: tuple[int, int]
    component: int = -1

    def of_styles(self, count: int) -> Tensor:
        """(count, D): what one gamma adds to W+ styles, zero on rows that are not moved.

        Raises:
            ReinvertError: the rows are not those of a generator with `count` styles.
        """
        start, end = self.rows
        if not 0 <= start < end <= count:
            raise ReinvertError(
                f"direction '{self.name}' moves styles {start} to {end - 1}, the generator has {count}; find the "
                "directions again"
            )
        moved = torch.zeros(count, len(self.vector))
        moved[start:end] = self.unit * self.vector
        return moved


@dataclass(frozen=True)
class DirectionSet:
    """Directions of one generator.

    Attributes:
        directions: in the order they were found.
        spreads: standard deviation over the generator's labelled samples of every attribute that takes part when
            changes of different attributes are compared: their common unit.
        generator_sha256: of the generator's weights; the directions mean nothing to another one.
    """

    directions: Sequence[Direction]
    spreads: dict[str, float]
    generator_sha256: str

    def get(self, name: str) -> Direction:
        """The direction of that name; ReinvertError with the nearest names where there is none."""
        found = {direction.name: direction for direction in self.directions}
        if name not in found:
            raise unknown_name("direction", name, found)
        return found[name]

    def require_generator(self, sha256: str) -> None:
        """ReinvertError unless the directions were found in the generator with these weights."""
        if sha256 != self.generator_sha256:
            raise ReinvertError(
                "the directions were found in another generator than this one; run 'reinvert label samples' and "
                "'reinvert directions' again"
            )

    def save(self, path: Path) -> None:
        """Write one npz file, whole or not at all."""
        found = self.directions
        arrays = {
            "names": np.array([direction.name for direction in found]),
            "finders": np.array([direction.finder for direction in found]),
            "attributes": np.array([direction.attribute for direction in found]),
            "vectors": torch.stack([direction.vector for direction in found]).numpy(),
            "units": np.array([direction.unit for direction in found]),
            "rows": np.array([direction.rows for direction in found]),
            "components": np.array([direction.component for direction in found]),
            "spread_names": np.array(list(self.spreads)),
            "spreads": np.array(list(self.spreads.values())),
            "generator_sha256": np.array(self.generator_sha256),
        }
        atomic_write_npz(path, arrays)

    @classmethod
    def load(cls, path: Path) -> DirectionSet:
        """Read what `save` wrote; ReinvertError where the file is missing or not such a file."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                columns = zip(
                    arrays["names"], arrays["finders"], arrays["attributes"], torch.from_numpy(arrays["vectors"]),
                    arrays["units"], arrays["rows"], arrays["components"], strict=True,
                )  # fmt: skip
                directions = tuple(
                    Direction(str(name), str(finder), str(attribute), vector, float(unit), (int(start), int(end)),
                              int(component))
                    for name, finder, attribute, vector, unit, (start, end), component in columns
                )  # fmt: skip
                spreads = zip(arrays["spread_names"], arrays["spreads"], strict=True)
                return cls(
                    directions, {str(name): float(spread) for name, spread in spreads}, str(arrays["generator_sha256"])
                )
        except FileNotFoundError as error:
            raise ReinvertError(f"'{path}' is missing; make it with 'reinvert directions'") from error
        except (OSError, ValueError, KeyError) as error:
            raise ReinvertError(f"'{path}' holds no directions; make it again with 'reinvert directions'") from error

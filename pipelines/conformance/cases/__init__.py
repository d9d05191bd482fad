"""What each golden is compared with: one function per published module, `Goldens` -> our outputs by golden name.

A case registers under the golden's name:

    @CASES.register("psp_gradual_14")
    def psp_gradual_14(data: Goldens) -> Outputs: ...

It builds our module with the published sizes, loads `data.weights(...)` strictly (through a renaming table where our
keys differ), runs it on `data.input(...)` and returns every array of the golden. Tolerances that differ from the common
one stand in `TOLERANCES` beside the case, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.registry import Registry
from pipelines.conformance.data import Goldens

Outputs = dict[str, ArrayLike]
Case = Callable[[Goldens], Outputs]
CASES: Registry[Case] = Registry("conformance module")


@dataclass(frozen=True)
class Tolerance:
    """How far an array may be from its golden: `relative` of the golden's largest absolute value plus `absolute`.

    Attributes:
        relative: see above.
        absolute: see above.
        measure: what is compared with it: the largest deviation; the mean one, for optimisations in which single
            numbers may go the other way (Adam turns a gradient of 1e-8 into a whole step); or the largest one minus
            cosine between rows, for directions (then `relative` is not scaled by the golden).
        first: a tighter `relative` for the first entry of the array, where the others come after steps of an
            optimisation.
    """

    relative: float = 1e-5
    absolute: float = 0.0
    measure: Literal["largest", "mean", "cosine"] = "largest"
    first: float | None = None

    def deviation(self, ours: NDArray[Any], golden: NDArray[Any]) -> tuple[float, float]:
        """The relative deviation of arrays of one shape, and the largest allowed.

        With `first`, of the two parts the one nearer to its limit (or farther over it).
        """
        if self.first is not None:
            parts = (Tolerance(self.first, self.absolute), Tolerance(self.relative, self.absolute))
            found = [
                part.deviation(ours[rows], golden[rows])
                for part, rows in zip(parts, (slice(1), slice(1, None)), strict=True)
            ]
            return max(found, key=lambda pair: pair[0] / pair[1] if pair[0] == pair[0] else np.inf)
        mine, wanted = np.asarray(ours, np.float64), np.asarray(golden, np.float64)
        if self.measure == "cosine":
            lengths = np.linalg.norm(mine, axis=-1) * np.linalg.norm(wanted, axis=-1)
            return 1.0 - float(((mine * wanted).sum(-1) / lengths).min()), self.relative
        scale = float(np.abs(wanted).max()) or 1.0
        gap = np.abs(mine - wanted)
        return float(gap.mean() if self.measure == "mean" else gap.max()) / scale, self.relative + self.absolute / scale


TOLERANCES: dict[str, dict[str, Tolerance]] = {}
"""module -> array name (or "*" for all others) -> tolerance; what is not here has the common one."""

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

from numpy.typing import ArrayLike

from core.registry import Registry
from pipelines.conformance.data import Goldens

Outputs = dict[str, ArrayLike]
Case = Callable[[Goldens], Outputs]
CASES: Registry[Case] = Registry("conformance module")


@dataclass(frozen=True)
class Tolerance:
    """Largest deviation allowed: `relative` of the golden's largest absolute value plus `absolute`."""

    relative: float = 1e-5
    absolute: float = 0.0


TOLERANCES: dict[str, dict[str, Tolerance]] = {}
"""module -> array name (or "*" for all others) -> tolerance; what is not here has the common one."""

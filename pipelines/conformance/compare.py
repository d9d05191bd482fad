"""Runs the cases on a folder of goldens and judges how far our outputs are from them.

A module passes when every array of its golden is there, has its shape and lies within its tolerance. Nothing is skipped
in silence: a golden that no case answers is a failure, and so is a case that raises.
"""

from __future__ import annotations

import gc
import importlib
import pkgutil
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from core.errors import ReinvertError
from core.registry import unknown_name
from pipelines.conformance import cases
from pipelines.conformance.cases import CASES, TOLERANCES, Tolerance
from pipelines.conformance.data import Goldens

EXACT = Tolerance(relative=0.0)
"""For whole numbers and text, unless a case says otherwise."""


@dataclass(frozen=True)
class Comparison:
    """One array of a golden beside ours.

    Attributes:
        array: its name.
        deviation: relative to the golden's largest absolute value (see `Tolerance.measure`); NaN where there is none.
        tolerance: the largest deviation allowed, on the same scale.
        problem: why there is no deviation, or None.
    """

    array: str
    deviation: float
    tolerance: float
    problem: str | None = None

    @property
    def passed(self) -> bool:
        """Whether ours is within the tolerance; NaN is not."""
        return self.problem is None and self.deviation <= self.tolerance

    @property
    def share(self) -> float:
        """How much of the tolerance is used up: 1 is the limit, infinite where there is nothing to compare."""
        if self.problem is not None or not np.isfinite(self.deviation):
            return np.inf
        if self.tolerance == 0.0:
            return 0.0 if self.deviation == 0.0 else np.inf
        return self.deviation / self.tolerance


@dataclass(frozen=True)
class Result:
    """What became of one module.

    Attributes:
        module: the golden's name.
        comparisons: one for each of its arrays; empty when the case did not run to its end.
        seconds: time the case took.
        problem: why there are no comparisons, or None.
    """

    module: str
    comparisons: tuple[Comparison, ...]
    seconds: float
    problem: str | None = None

    @property
    def passed(self) -> bool:
        """Whether every array passed."""
        return self.problem is None and all(comparison.passed for comparison in self.comparisons)

    @property
    def worst(self) -> Comparison | None:
        """The array nearest to its limit, or farthest beyond it."""
        return max(self.comparisons, key=lambda comparison: comparison.share, default=None)

    @property
    def problems(self) -> list[str]:
        """Every failure in words."""
        if self.problem is not None:
            return [self.problem]
        return [
            f"{c.array}: {c.problem or f'deviates by {c.deviation:.1e}, allowed {c.tolerance:.1e}'}"
            for c in self.comparisons
            if not c.passed
        ]


def load_cases() -> None:
    """Import every module of cases, so that they register themselves."""
    for module in pkgutil.iter_modules(cases.__path__):
        importlib.import_module(f"{cases.__name__}.{module.name}")


def select(names: Sequence[str], only: Sequence[str]) -> list[str]:
    """Those of `names` that a name or shell pattern (``psp_*``) of `only` means, in the order of `names`.

    Raises:
        ReinvertError: a pattern means nothing.
    """
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise unknown_name("golden", pattern, names)
    return [name for name in names if not only or any(fnmatchcase(name, pattern) for pattern in only)]


def modules(data: Goldens, only: Sequence[str] = ()) -> list[str]:
    """The goldens of a folder, or those that `only` selects.

    Raises:
        ReinvertError: the folder has no goldens, or `only` selects none.
    """
    if not data.folder.is_dir():
        raise ReinvertError(f"there is no folder {data.folder}; give a folder of conformance data")
    if not data.names:
        raise ReinvertError(f"{data.folder} has no golden outputs (*.npz); give a folder of conformance data")
    return select(data.names, only)


def run(data: Goldens, module: str) -> Result:
    """Run the case of one golden and compare.

    A case that raises is a failure of its module, not of the check: the error goes to stderr, the others go on.
    """
    load_cases()
    if module not in CASES:
        return Result(module, (), 0.0, "no case answers this golden")
    golden = data.golden(module)
    started = time.perf_counter()
    try:
        outputs = CASES.get(module)(data)
    except Exception as error:  # any kind: a table with one row of failure says more than a traceback alone
        traceback.print_exc(file=sys.stderr)
        seconds = time.perf_counter() - started
        first_line = next(iter(str(error).strip().splitlines()), "")
        return Result(module, (), seconds, f"{type(error).__name__}: {first_line}")
    seconds = time.perf_counter() - started
    comparisons = compare(outputs, golden, TOLERANCES.get(module, {}))
    del outputs
    gc.collect()  # networks hold reference cycles through hooks; the next case needs their memory
    return Result(module, comparisons, seconds)


def compare(
    outputs: Mapping[str, ArrayLike], golden: Mapping[str, NDArray[Any]], tolerances: Mapping[str, Tolerance]
) -> tuple[Comparison, ...]:
    """Every array of a golden beside ours; what ours has in addition is no concern of the golden.

    Args:
        outputs: ours by name.
        golden: the official code's by name.
        tolerances: array name (or "*" for all others) -> tolerance.
    """
    return tuple(_compare_one(name, outputs, wanted, tolerances) for name, wanted in golden.items())


def _compare_one(
    name: str, outputs: Mapping[str, ArrayLike], wanted: NDArray[Any], tolerances: Mapping[str, Tolerance]
) -> Comparison:
    real = np.issubdtype(wanted.dtype, np.floating)
    tolerance = tolerances.get(name, tolerances.get("*", Tolerance()) if real else EXACT)
    if name not in outputs:
        return Comparison(name, np.nan, tolerance.relative, "missing")
    found = outputs[name]
    ours = found.detach().cpu().numpy() if isinstance(found, Tensor) else np.asarray(found)
    if ours.shape != wanted.shape:
        return Comparison(name, np.nan, tolerance.relative, f"has shape {ours.shape}, not {wanted.shape}")
    if wanted.size == 0:
        return Comparison(name, 0.0, tolerance.relative)
    if not np.issubdtype(wanted.dtype, np.number) and wanted.dtype != np.bool_:
        same = np.array_equal(ours, wanted)
        return Comparison(name, 0.0 if same else np.inf, 0.0)
    deviation, allowed = tolerance.deviation(ours, wanted)
    return Comparison(name, deviation, allowed)


def table_head(names: Sequence[str]) -> str:
    """The heading of the table for modules of these names."""
    return f"{'module':<{_width(names)}}  outputs  deviation  tolerance  result  seconds  nearest its limit"


def table_row(result: Result, names: Sequence[str]) -> str:
    """One module's line: the deviation and tolerance are those of the array nearest to its limit."""
    worst = result.worst
    deviation, tolerance = (f"{worst.deviation:.1e}", f"{worst.tolerance:.1e}") if worst else ("-", "-")
    return (
        f"{result.module:<{_width(names)}}  {len(result.comparisons):>7}  {deviation:>9}  {tolerance:>9}  "
        f"{'pass' if result.passed else 'FAIL':<6}  {result.seconds:>7.1f}  {worst.array if worst else ''}"
    ).rstrip()


def _width(names: Sequence[str]) -> int:
    return max((len(name) for name in names), default=0)

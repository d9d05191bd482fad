"""Our networks against the official code's outputs, on the small goldens; `make conformance` runs them all."""

from __future__ import annotations

import pytest

from pipelines.conformance import compare
from pipelines.conformance.cases import CASES, TOLERANCES
from tests.conformance.subset import DATA, FAST


@pytest.mark.parametrize("module", FAST)
def test_outputs_are_within_tolerance(module: str) -> None:
    result = compare.run(DATA, module)
    assert result.passed, "\n".join(result.problems)
    assert len(result.comparisons) == len(DATA.golden(module))


def test_every_golden_has_a_case_and_every_case_a_golden() -> None:
    compare.load_cases()
    assert [name for name in DATA.names if name not in CASES] == []
    assert [name for name in CASES.names() if name not in DATA.names] == []


def test_tolerances_are_about_arrays_that_exist() -> None:
    compare.load_cases()
    unknown = [
        (module, array)
        for module, arrays in TOLERANCES.items()
        for array in arrays
        if module not in DATA.names or (array != "*" and array not in DATA.golden(module))
    ]
    assert unknown == []

"""The judgement of deviations, and the command, on a folder with one made-up golden."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from core.errors import ReinvertError
from pipelines.cli import app
from pipelines.conformance import compare
from pipelines.conformance.cases import CASES, Outputs, Tolerance
from pipelines.conformance.data import Goldens


def judged(ours: object, golden: object, tolerances: dict[str, Tolerance] | None = None) -> compare.Comparison:
    (one,) = compare.compare({"x": np.asarray(ours)}, {"x": np.asarray(golden)}, tolerances or {})
    return one


def test_deviation_is_relative_to_the_largest_golden_value() -> None:
    comparison = judged([0.5, -4.0], [0.5, -4.00002])
    assert comparison.deviation == pytest.approx(5e-6, rel=1e-3)
    assert comparison.tolerance == pytest.approx(1e-5)
    assert comparison.passed and comparison.share == pytest.approx(0.5, rel=1e-3)
    assert not judged([0.5, -4.0], [0.5, -4.0001]).passed


def test_tolerances_are_by_array_then_for_the_rest() -> None:
    table = {"*": Tolerance(3e-5), "loss": Tolerance(relative=0.0, absolute=3e-6)}
    golden = {"codes": np.array([1.0, 2.0]), "loss": np.array([0.5])}
    ours = {"codes": np.array([1.00005, 2.0]), "loss": np.array([0.500002])}
    codes, loss = compare.compare(ours, golden, table)
    assert codes.tolerance == pytest.approx(3e-5) and codes.passed
    assert loss.tolerance == pytest.approx(6e-6) and loss.passed
    assert not compare.compare(ours | {"loss": np.array([0.500004])}, golden, table)[1].passed


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_fails(bad: float) -> None:
    assert not judged([1.0, bad], [1.0, 1.0]).passed
    assert judged([1.0, bad], [1.0, 1.0]).share == np.inf


def test_whole_numbers_are_equal_or_wrong_unless_a_case_says_otherwise() -> None:
    assert judged([1, 100_000], [1, 100_000]).passed
    assert not judged([1, 100_001], [1, 100_000]).passed
    assert judged([1, 100_001], [1, 100_000], {"x": Tolerance(1e-4)}).passed
    assert not judged([1, 100_001], [1, 100_000], {"*": Tolerance(1e-4)}).passed


def test_missing_and_misshapen_arrays_fail() -> None:
    golden = {"codes": np.ones((1, 4)), "image": np.ones(3)}
    missing, misshapen = compare.compare({"image": np.ones((1, 3))}, golden, {})
    assert missing.problem == "missing" and not missing.passed
    assert misshapen.problem == "has shape (1, 3), not (3,)" and not misshapen.passed


def test_outputs_may_be_tensors_with_gradients() -> None:
    outputs = {"a": torch.ones(2, requires_grad=True) * 2}
    (only,) = compare.compare(outputs, {"a": np.full(2, 2.0, dtype=np.float32)}, {})
    assert only.deviation == 0
    assert not only.problem


def test_selection_by_pattern() -> None:
    names = ["psp_full", "psp_w", "e4e"]
    assert compare.select(names, []) == names
    assert compare.select(names, ["e4e", "psp_w*"]) == ["psp_w", "e4e"]
    with pytest.raises(ReinvertError, match="unknown golden 'psp_v'; did you mean 'psp_w'"):
        compare.select(names, ["psp_v"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A layer whose golden is computed here from the manifest's rule, and a golden that no case answers."""
    manifest = {"weight": {"shape": [2, 3], "dtype": "float32", "mean": 1.0, "std": 0.5}}
    (tmp_path / "layer.manifest.json").write_text(json.dumps(manifest))
    compare.load_cases()
    monkeypatch.setattr(CASES, "_entries", dict(CASES._entries))

    @CASES.register("layer")
    def layer(data: Goldens) -> Outputs:
        return {"y": data.weights("layer")["weight"] @ data.input("x", (3,))}

    @CASES.register("broken")
    def broken(data: Goldens) -> Outputs:
        raise RuntimeError(f"no weights for salt {data.salt}\nand more")

    data = Goldens(tmp_path, "pepper")
    np.savez(tmp_path / "layer.npz", y=layer(data)["y"])
    return tmp_path


def invoke(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["conformance", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_command_passes_on_its_salt_and_fails_on_another(folder: Path) -> None:
    status, table, _ = invoke(str(folder), "--salt", "pepper")
    assert status == 0
    assert table.splitlines()[1].split()[:5] == ["layer", "1", "0.0e+00", "1.0e-05", "pass"]
    assert table.splitlines()[-1] == "all 1 modules pass"
    status, table, errors = invoke(str(folder))
    assert status == 1 and "FAIL" in table and "y: deviates by" in table
    assert errors.splitlines()[-1].startswith("error: 1 of 1 modules fail: layer")


def test_command_names_what_cannot_be_checked(folder: Path) -> None:
    for name in ("broken", "unheard-of"):
        np.savez(folder / f"{name}.npz", y=np.ones(2))
    status, table, errors = invoke(str(folder), "--salt", "pepper")
    assert status == 1
    assert "no case answers this golden" in table
    assert "RuntimeError: no weights for salt pepper" in table
    assert errors.splitlines()[-1].startswith("error: 2 of 3 modules fail: broken, unheard-of")
    assert invoke(str(folder), "--salt", "pepper", "--only", "layer")[0] == 0


def test_command_wants_a_folder_of_goldens(tmp_path: Path) -> None:
    assert "no folder" in invoke(str(tmp_path / "nowhere"))[2]
    assert "no golden outputs" in invoke(str(tmp_path))[2]

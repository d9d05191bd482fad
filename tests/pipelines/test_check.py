import json
import math
from pathlib import Path
from typing import Any

import pytest

from core.config_evaluation import Tolerances
from core.errors import ReinvertError
from metrics import registry
from pipelines import check as gate

TOLERANCES = Tolerances(l2=0.001, lpips=0.01, ssim=0.01, ms_ssim=0.01, psnr=0.1, id=0.02, fid=1.0, kid=2.0)
SCORES = {"l2": 0.02, "lpips": 0.3, "ssim": 0.7, "ms_ssim": 0.8, "psnr": 20.0, "id": 0.6, "fid": 40.0, "kid": 30.0}


def metrics(**changes: Any) -> dict[str, Any]:
    """A metrics.json; a change is a number, None, or a whole entry."""
    table: dict[str, Any] = {}
    for name, value in (SCORES | changes).items():
        if isinstance(value, dict):
            table[name] = value
        elif registry.get(name).per_image:
            table[name] = {"mean": value, "low": value, "high": value, "n": 96, "n_failed": 1}
        else:
            table[name] = {"value": value, "n": 96, "n_failed": 1}
        table[name].setdefault("protocol", f"{name}/1")
    return table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path, metrics())
    put(tmp_path, metrics(l2=0.01), run="faces-psp")
    gate.write_baseline(tmp_path / "baseline.json", tmp_path / "results", ["faces-psp", "faces-w"])
    return tmp_path


def put(folder: Path, content: dict[str, Any], run: str = "faces-w") -> None:
    path = folder / "results" / run / "metrics.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def verdicts(folder: Path) -> dict[tuple[str, str], str]:
    found = gate.compare(folder / "baseline.json", folder / "results", TOLERANCES)
    return {(one.run, one.metric): one.verdict for one in found}


def regressions(folder: Path) -> list[tuple[str, str, str]]:
    found = gate.check(folder / "baseline.json", folder / "results", TOLERANCES)
    return [(one.run, one.metric, one.verdict) for one in found]


def test_unchanged_scores_pass(folder: Path) -> None:
    assert set(verdicts(folder).values()) == {"same"}
    assert len(verdicts(folder)) == 16
    gate.require_none("scores worse", gate.check(folder / "baseline.json", folder / "results", TOLERANCES))


@pytest.mark.parametrize("metric", registry.names())
def test_the_direction_of_every_metric(folder: Path, metric: str) -> None:
    worse = 1 if registry.get(metric).direction == "lower" else -1
    tolerance = getattr(TOLERANCES, metric)
    for factor, verdict in ((2, "worse"), (1, "within tolerance"), (0.5, "within tolerance"), (-3, "better")):
        put(folder, metrics(**{metric: SCORES[metric] + worse * factor * tolerance}))
        assert verdicts(folder)["faces-w", metric] == verdict, factor
        expected = [("faces-w", metric, "worse")] if verdict == "worse" else []
        assert regressions(folder) == expected


def test_a_missing_run_or_metric_is_a_regression(folder: Path) -> None:
    without = metrics()
    del without["id"]
    put(folder, without)
    assert regressions(folder) == [("faces-w", "id", "missing")]
    (folder / "results" / "faces-w" / "metrics.json").unlink()
    assert regressions(folder) == [("faces-w", name, "missing") for name in registry.names()]


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_score_without_a_number_is_a_regression(folder: Path, value: float | None) -> None:
    put(folder, metrics(psnr=value, kid=value))
    assert regressions(folder) == [("faces-w", "psnr", "failed"), ("faces-w", "kid", "failed")]


def test_more_failures_are_a_regression_however_good_the_mean(folder: Path) -> None:
    put(folder, metrics(l2={"mean": 0.001, "low": 0, "high": 1, "n": 96, "n_failed": 2}))
    assert regressions(folder) == [("faces-w", "l2", "more failures")]
    put(folder, metrics(l2={"mean": 0.001, "low": 0, "high": 1, "n": 96, "n_failed": 0}))
    assert verdicts(folder)["faces-w", "l2"] == "better"


@pytest.mark.parametrize("n", [95, 97])
def test_a_mean_over_other_images_is_a_regression(folder: Path, n: int) -> None:
    put(folder, metrics(fid={"value": 1.0, "n": n, "n_failed": 0}))
    assert regressions(folder) == [("faces-w", "fid", "other n")]


def test_a_score_by_another_protocol_is_a_regression_however_good(folder: Path) -> None:
    put(folder, metrics(psnr={"mean": 30.0, "low": 29, "high": 31, "n": 96, "n_failed": 1, "protocol": "psnr/2"}))
    assert regressions(folder) == [("faces-w", "psnr", "other protocol")]
    (found,) = gate.check(folder / "baseline.json", folder / "results", TOLERANCES)
    assert str(found) == "faces-w psnr: measured by psnr/2, the baseline by psnr/1"
    # A file that does not say its protocol any more is no better.
    put(folder, metrics(psnr={"mean": 30.0, "low": 29, "high": 31, "n": 96, "n_failed": 1, "protocol": None}))
    assert regressions(folder) == [("faces-w", "psnr", "other protocol")]


def test_a_baseline_of_before_protocols_holds_values(folder: Path) -> None:
    baseline = json.loads((folder / "baseline.json").read_text())
    for cell in (cell for cells in baseline["runs"].values() for cell in cells.values()):
        del cell["protocol"]
    (folder / "baseline.json").write_text(json.dumps(baseline | {"schema_version": 2}))
    assert set(verdicts(folder).values()) == {"same"}


def test_a_new_run_is_shown_and_passes(folder: Path) -> None:
    put(folder, metrics(l2=0.9), run="faces-new")
    assert verdicts(folder)["faces-new", "l2"] == "new"
    assert regressions(folder) == []


def test_times_are_never_gated(folder: Path) -> None:
    (folder / "results" / "faces-w" / "timing.json").write_text('{"seconds_per_image_batch_1": 1e9}')
    assert regressions(folder) == []


def test_the_error_names_every_cell(folder: Path) -> None:
    put(folder, metrics(l2=0.5, psnr=None))
    with pytest.raises(ReinvertError) as caught:
        gate.require_none("scores worse", gate.check(folder / "baseline.json", folder / "results", TOLERANCES))
    text = str(caught.value)
    assert "\n" not in text
    assert "faces-w l2: worse (baseline 0.02000, now 0.50000, tolerance 0.001)" in text
    assert "faces-w psnr: failed (baseline 20.000, now none, tolerance 0.1)" in text


def test_the_markdown_table(folder: Path) -> None:
    put(folder, metrics(l2=0.5, psnr=21.0))
    put(folder, metrics(), run="faces-new")
    table = gate.markdown_table(gate.compare(folder / "baseline.json", folder / "results", TOLERANCES))
    lines = table.splitlines()
    assert len(lines) == 2 + 24
    assert {line.count("|") for line in lines} == {8}
    assert "| faces-w | L2 ↓ | 0.02000 | 0.50000 | +0.48000 | 0.001 | **worse** |" in lines
    assert "| faces-w | PSNR ↑ | 20.000 | 21.000 | +1.000 | 0.1 | better |" in lines
    assert "| faces-new | L2 ↓ | none | 0.02000 |  | 0.001 | new |" in lines


def test_write_baseline_refuses_what_nobody_should_be_held_to(folder: Path) -> None:
    with pytest.raises(ReinvertError, match="'faces-x' has no results"):
        gate.write_baseline(folder / "other.json", folder / "results", ["faces-x"])
    put(folder, metrics(id=None))
    with pytest.raises(ReinvertError, match="has no number for id"):
        gate.write_baseline(folder / "other.json", folder / "results", ["faces-w"])
    assert not (folder / "other.json").exists()


def test_damaged_files_are_one_clear_line(folder: Path) -> None:
    with pytest.raises(ReinvertError, match="no baseline at"):
        gate.check(folder / "none.json", folder / "results", TOLERANCES)
    (folder / "baseline.json").write_text('{"schema_version": 1, "runs": {"faces-w": {"l2": {"value": 1}}}}')
    with pytest.raises(ReinvertError, match=r"is no baseline \(at runs.faces-w.l2.n\)"):
        gate.check(folder / "baseline.json", folder / "results", TOLERANCES)
    cell = {"value": 1, "n": 2, "n_failed": 0}
    (folder / "baseline.json").write_text(json.dumps({"schema_version": 1, "runs": {"faces-w": {"l3": cell}}}))
    with pytest.raises(ReinvertError, match="unknown metric 'l3'"):
        gate.check(folder / "baseline.json", folder / "results", TOLERANCES)
    gate.write_baseline(folder / "baseline.json", folder / "results", ["faces-w"])
    (folder / "results" / "faces-w" / "metrics.json").write_text("{")
    with pytest.raises(ReinvertError, match="not valid JSON"):
        gate.check(folder / "baseline.json", folder / "results", TOLERANCES)

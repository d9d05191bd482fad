import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.config import load_config
from core.config_evaluation import Tolerances
from core.errors import ReinvertError
from pipelines import check as gate
from pipelines import check_claims
from pipelines.cli import app
from reports.claims.measured import digest
from reports.claims.record import Entry, Record

RUNS = ["faces-psp"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scores = tmp_path / "results" / "faces-psp" / "metrics.json"
    scores.parent.mkdir(parents=True)
    scores.write_text(json.dumps({"l2": {"mean": 0.1, "low": 0.1, "high": 0.1, "n": 4, "n_failed": 0}}))
    put(tmp_path, {"a-1": {"faces": "supported", "churches": "not measured"}, "a-2": {"faces": "inconclusive"},
                   "a-3": {"faces": "contradicted"}, "a-4": {"faces": "not measured"}})  # fmt: skip
    write(tmp_path)
    return tmp_path


def put(folder: Path, verdicts: dict, sha256: str | None = None) -> None:
    entries = {
        claim: {
            domain: Entry(verdict=verdict, reason=f"because of {claim}", numbers="") for domain, verdict in each.items()
        }
        for claim, each in verdicts.items()
    }
    record = Record(schema_version=1, scores_sha256=sha256 or digest(folder / "results", RUNS), verdicts=entries)
    (folder / "claims.json").write_text(record.model_dump_json())


def write(folder: Path) -> None:
    baseline = folder / "baseline.json"
    verdicts = check_claims.verdicts_now(baseline, folder / "results", RUNS)
    gate.write_baseline(baseline, folder / "results", RUNS, verdicts)


def refuse(found: Iterable[check_claims.Change]) -> None:
    gate.require_none("verdicts changed", [change for change in found if change.flipped])


def changes(folder: Path) -> list[check_claims.Change]:
    baseline = folder / "baseline.json"
    return check_claims.compare(gate.read_baseline(baseline), baseline, folder / "results", RUNS)


def test_the_baseline_holds_what_was_measured(folder: Path) -> None:
    assert gate.read_baseline(folder / "baseline.json").claims == {
        "a-1": {"faces": "supported"}, "a-2": {"faces": "inconclusive"}, "a-3": {"faces": "contradicted"}}  # fmt: skip
    assert [change.kind for change in changes(folder)] == ["same"] * 3
    refuse(changes(folder))


@pytest.mark.parametrize(
    ("before", "now", "kind", "fails"),
    [
        ("supported", "contradicted", "flipped", True),
        ("contradicted", "supported", "flipped", True),
        ("supported", "inconclusive", "undecided", True),
        ("contradicted", "inconclusive", "undecided", True),
        ("supported", "not measured", "lost", True),
        ("inconclusive", "not measured", "lost", True),
        ("inconclusive", "contradicted", "decided", False),
        ("not measured", "contradicted", "new", False),
        ("supported", "supported", "same", False),
    ],
)
def test_what_has_become_of_a_verdict(folder: Path, before: str, now: str, kind: str, fails: bool) -> None:
    put(folder, {"a-9": {"faces": before}, "a-1": {"faces": "supported"}})
    write(folder)
    put(folder, {"a-9": {"faces": now}, "a-1": {"faces": "supported"}})
    found = {change.claim: change for change in changes(folder)}
    assert found["a-9"].kind == kind
    assert found["a-9"].flipped == fails
    if fails:
        with pytest.raises(ReinvertError) as caught:
            refuse(found.values())
        assert f"a-9 on faces: {kind}, was {before}, is {now} (because of a-9)" in str(caught.value)
        assert "a-1" not in str(caught.value)
    else:
        refuse(found.values())


def test_a_claim_that_nobody_judges_any_more_is_lost(folder: Path) -> None:
    put(folder, {"a-1": {"churches": "supported"}})
    found = {(change.claim, change.domain): change.kind for change in changes(folder)}
    assert found == {("a-1", "faces"): "lost", ("a-1", "churches"): "new", ("a-2", "faces"): "lost",
                     ("a-3", "faces"): "lost"}  # fmt: skip


def test_verdicts_of_other_scores_are_refused(folder: Path) -> None:
    put(folder, {}, "0" * 64)
    with pytest.raises(ReinvertError, match="not of the scores.*run 'reinvert report'"):
        changes(folder)
    (folder / "claims.json").unlink()
    with pytest.raises(ReinvertError, match="no verdicts at.*run 'reinvert report'"):
        changes(folder)


def test_a_baseline_of_the_first_schema_asks_for_no_verdicts(folder: Path) -> None:
    path = folder / "baseline.json"
    old = json.loads(path.read_text())
    del old["claims"]
    path.write_text(json.dumps(old | {"schema_version": 1}))
    (folder / "claims.json").unlink()
    assert changes(folder) == []
    tolerances = Tolerances(l2=0, lpips=0, ssim=0, ms_ssim=0, psnr=0, id=0, fid=0, kid=0)
    assert gate.check(path, folder / "results", tolerances) == []
    assert check_claims.verdicts_now(path, folder / "results", RUNS) == {}


def test_a_baseline_with_a_verdict_that_is_none_is_refused(folder: Path) -> None:
    path = folder / "baseline.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"claims": {"a-1": {"faces": "maybe"}}}))
    with pytest.raises(ReinvertError, match=r"is no baseline \(at claims.a-1.faces\)"):
        gate.read_baseline(path)


def test_the_markdown_table_names_changes_only(folder: Path) -> None:
    put(folder, {"a-1": {"faces": "contradicted"}, "a-2": {"faces": "inconclusive"}, "a-3": {"faces": "contradicted"}})
    table = check_claims.markdown_table(changes(folder))
    assert "3 compared, 2 unchanged" in table
    assert "| a-1 | faces | supported | contradicted | **flipped** | because of a-1 |" in table
    assert "a-2" not in table


def test_the_command_writes_verdicts_and_names_the_one_that_flips(tmp_path: Path) -> None:
    runs = list(load_config(ROOT / "params.yaml").runs)
    for run in runs:
        (tmp_path / "results" / run).mkdir(parents=True)
        shutil.copy(ROOT / "results" / "faces-psp" / "metrics.json", tmp_path / "results" / run)
    sha256 = digest(tmp_path / "results", runs)
    put(tmp_path, {"a-1": {"faces": "supported"}, "a-2": {"faces": "inconclusive"}}, sha256)
    common = ["check", "--baseline", str(tmp_path / "baseline.json"), "--params", str(ROOT / "params.yaml"),
              "--results", str(tmp_path / "results")]  # fmt: skip
    assert CliRunner().invoke(app, [*common, "--write"]).exit_code == 0
    passed = CliRunner().invoke(app, common)
    assert passed.exit_code == 0
    assert "2 verdicts on claims compared: none has flipped" in passed.output
    put(tmp_path, {"a-1": {"faces": "contradicted"}, "a-2": {"faces": "supported"}}, sha256)
    failed = CliRunner().invoke(app, common)
    assert failed.exit_code == 1
    assert "1 verdict(s) on claims changed: a-1 on faces: flipped" in failed.stderr
    assert "a-2 on faces: decided, was inconclusive, is supported" in failed.output

"""The chapters on editing say what the files of the stages say, and what is missing."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from core.config import Config
from core.errors import ReinvertError
from reports import editing
from reports.build import ReportPaths, build_report
from reports.claims.evidence import FEWEST
from reports.editing_pictures import gamma_words
from reports.read_edits import read_directions, read_edits


@pytest.fixture(scope="module")
def built(project: Path, config: Config, tmp_path_factory: pytest.TempPathFactory) -> ReportPaths:
    return build_report(config, project / "results", project / "weights", tmp_path_factory.mktemp("report"))


def _rows(built: ReportPaths, name: str) -> dict[str, dict[str, str]]:
    with open(built.markdown.parent / "tables" / f"{name}.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    return {row.get("method") or row["direction"]: row for row in rows}


def test_directions_are_listed_with_what_they_did(built: ReportPaths) -> None:
    rows = _rows(built, "directions-faces")
    assert list(rows) == ["age", "ganspace-1", "sefa-1"]
    assert (rows["age"]["finder"], rows["age"]["component"], rows["age"]["rows"]) == ("InterFaceGAN", "", "0 to 3")
    assert (float(rows["age"]["low"]), float(rows["age"]["high"]), float(rows["age"]["own"])) == (-3.0, 3.25, 2.0)
    assert (rows["ganspace-1"]["other"], float(rows["ganspace-1"]["other_effect"])) == ("age", -1.5)
    assert [row["others_less"] for row in rows.values()] == ["true", "false", "true"]
    markdown = built.markdown.read_text()
    assert "2 of 3 do what they say" in markdown
    assert "Directions of faces that do not do what they are called: ganspace-1" in markdown
    for name in rows:
        assert f"figures/direction-faces-{name}.svg" in markdown


def test_changes_by_gamma_are_those_of_the_files(built: ReportPaths) -> None:
    rows, ends = _rows(built, "change-faces-age"), _rows(built, "change-intervals-faces-age")
    assert (float(rows["psp"]["gamma_-2"]), float(rows["psp"]["gamma_2"])) == (-5.0, 5.0)
    assert (float(rows["psp"]["per_gamma"]), float(rows["psp"]["per_gamma_low"])) == (2.5, 2.0)
    assert (float(ends["psp"]["gamma_2_low"]), float(ends["psp"]["gamma_2_high"])) == (4.5, 5.5)
    assert (rows["psp"]["n"], rows["optimization-w-plus"]["n"]) == ("12", "4")
    assert float(rows["psp"]["perceptual"]) == 0.625
    assert "Not monotone in γ: optimization-w-plus." in built.markdown.read_text()


def test_runs_with_fewer_images_get_no_marks(project: Path, config: Config) -> None:
    runs = read_edits(config, project / "results")
    table = editing.change_table("faces", "age", runs)
    assert {cell.mark for row in table.rows for cell in row.cells} == {""}  # one run alone has the most images


def test_intervals_are_printed_where_there_are_images_enough(project: Path, config: Config) -> None:
    runs = [run for run in read_edits(config, project / "results") if run.domain == "faces"]
    assert {run.method: run.n for run in runs if not run.reason}["optimization-w-plus"] < FEWEST
    (table,) = editing.interval_tables("faces", "age", runs)
    _, mixing = editing.mixing_tables("faces", runs)
    for one in (table, mixing):
        assert "optimization-w-plus" not in [row.cells[0].text for row in one.rows] and len(one.rows) >= 1
    few = [run for run in runs if run.n < FEWEST]
    assert editing.interval_tables("faces", "age", few) == [] and len(editing.mixing_tables("faces", few)) == 1


def test_every_table_of_edits_names_its_protocols(project: Path, config: Config) -> None:
    runs = [run for run in read_edits(config, project / "results") if run.domain == "faces"]
    ids = next(run for run in runs if not run.reason).measured["protocols"]
    edited = ["edited_fid", "edited_kid", "edited_id", "consistency", "endpoint_lpips"]
    expected = [
        (editing.change_table("faces", "age", runs), ["changes"]),
        *((table, ["changes"]) for table in editing.interval_tables("faces", "age", runs)),
        (editing.quality_table("faces", runs), edited),
        *((table, ["follows_content"]) for table in editing.mixing_tables("faces", runs)),
    ]
    for table, names in expected:
        words = " ".join(span.text for note in table.notes for span in note)
        assert [name for name in names if ids[name] not in words] == [], table.identifier


def test_quality_and_mixing_say_what_there_is_not(built: ReportPaths) -> None:
    quality, mixing = _rows(built, "edited-faces"), _rows(built, "mixing-shares-faces")
    ends = _rows(built, "mixing-intervals-faces")
    assert float(quality["psp"]["fid_edited"]) == 7.125 and quality["optimization-w-plus"]["fid_edited"] == ""
    assert float(quality["psp"]["endpoint_code_and_weights"]) == 0.4
    assert quality["optimization-w-plus"]["endpoint_code_and_weights"] == ""
    assert float(mixing["psp"]["age"]) == 0.75 and mixing["psp"]["yaw"] == ""
    assert (ends["psp"]["age"], ends["psp"]["yaw"]) == ("0.25 to 1.25", "")
    assert "1 searching method was measured on 4 images, the others on 12" in built.markdown.read_text()


def test_reasons_are_given_as_they_were_written(built: ReportPaths) -> None:
    markdown = built.markdown.read_text()
    assert r"every \|reconstruction\| is \*grey\*" in markdown  # of the run that failed
    assert "**hybrid-psp**: not measured." in markdown


def test_nothing_measured_is_said_and_damage_is_one_line(project: Path, config: Config, tmp_path: Path) -> None:
    assert not read_directions("churches", project / "results").measured
    section = editing.directions_section([read_directions("churches", project / "results")], ())
    assert "reinvert directions --domain churches" in str(section)
    folder = tmp_path / "directions" / "faces"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text("{")
    with pytest.raises(ReinvertError, match="not valid JSON; run 'reinvert directions --domain faces'"):
        read_directions("faces", tmp_path)
    runs: list[Any] = read_edits(config, tmp_path)
    assert {run.reason for run in runs} == {"not measured"}
    assert "No edits were measured" in str(editing.editability_section(runs, ()))


def test_strengths_read_as_signed_numbers() -> None:
    assert [gamma_words(gamma) for gamma in (-1.5, 0.0, 3.0)] == ["−1.5", "0", "+3"]

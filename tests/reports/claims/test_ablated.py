"""Claims about ablations are judged by ablations, all others by the benchmark's runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from core.config_ablations import load_ablations, read_ablations
from core.errors import ReinvertError
from core.files import atomic_write_json
from reports import ablations as chapter
from reports.claims import ablated, names, paper_tables
from reports.claims.evidence import Cell, Evidence, Value, valued
from reports.claims.judged import judge_all
from reports.claims.measured import digest
from reports.model import Table
from reports.read_ablations import Edit, Measured, Record, Row, Score, Training, read_records
from tests.conftest import ROOT

FILE = ROOT / "pipelines" / "ablations" / "params.yaml"
METHODS = read_ablations(FILE)[1].methods
IMAGES = list(range(0, 240, 10))
ON_FACES = {
    "restyle-10", "restyle-11", "hyperinverter-12", "hyperinverter-13", "hyperinverter-14", "hyperinverter-15",
    "feature-style-7", "feature-style-8", "feature-style-9", "feature-style-10", "feature-style-11", "e2style-7",
    "e2style-8", "e2style-10", "e2style-11", "e2style-12", "e2style-13", "e2style-14", "e2style-15", "e2style-16",
}  # fmt: skip
"""Every claim that a table or a text about ablations makes of faces."""
OFF_FACES = {"e2style-18"}


def record_of(domain: str = "faces") -> Record:
    """Every variant measured: later lines of a group are worse, by more than images differ."""
    found, _ = load_ablations(FILE)
    noise = np.random.default_rng(0).normal(0, 0.001, len(IMAGES))
    rows, measured = [], {}
    for name in found.variants:
        if domain not in found.domains_of(name):
            continue
        group = found.group_of(name)
        place = list(found.groups[group].variants).index(name)
        method = found.measured_as(name)
        rows.append(Row(variant=name, group=group, base=found.variants[name].base, says=found.variants[name].says,
                        differs={}, measured_as=method))  # fmt: skip
        if method in measured:
            continue
        scores = {metric: list(0.1 + 0.01 * place + noise) for metric in ("l2", "lpips")}
        scores |= {metric: list(0.9 - 0.02 * place + noise) for metric in ("ssim", "id")}
        scores["psnr"] = list(25.0 - place + noise)
        metrics = {
            metric: Score(value=float(np.mean(v)), low=min(v), high=max(v), n=len(v)) for metric, v in scores.items()
        }
        metrics["fid"] = Score(value=20.0 + place, n=len(IMAGES))
        yaw = Score(value=9.0 - place, low=8.9 - place, high=9.1 - place, n=len(IMAGES))
        edits = [Edit(metric="yaw_delta", setting="gamma=3", score=yaw)] if "insertion" in name else []
        training = Training(steps=300, batch=8, seconds=60.0, device="cpu", precision=None, parameters=10**6)
        measured[method] = Measured(training=training, parameters=2e6 + place, seconds_per_image=0.01 * (1 + place),
                                    metrics=metrics, per_image=scores, edits=edits)  # fmt: skip
    if domain == "faces":
        edits = [Edit(metric="yaw_delta", setting="gamma=3", score=Score(value=6.0, low=5.9, high=6.1, n=24))]
        measured["feature-style"] = measured["feature-style"].model_copy(update={"edits": edits})
    budgets = {group: content.training["steps"] for group, content in found.groups.items()}
    return Record(schema_version=1, domain=domain, images=IMAGES, budgets=budgets, rows=rows, measured=measured)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """results/ablations with both domains."""
    for domain in ("faces", "churches"):
        atomic_write_json(tmp_path / f"{domain}.json", record_of(domain).model_dump(mode="json"))
    return tmp_path


def test_every_claim_about_an_ablation_is_decided_by_them_and_no_other(folder: Path) -> None:
    found = ablated.read_ablated(folder, METHODS, ["faces", "churches"])
    judged = judge_all(Evidence(domains=["faces", "churches"]), {}, found)
    for domain, wanted in (("faces", ON_FACES), ("churches", OFF_FACES)):
        decided = {
            claim for claim, found in judged.of_measured.items()
            for one in found if one.domain == domain and one.verdict != "not measured"
        }  # fmt: skip
        assert wanted <= decided
        assert all(re.match("restyle-1[01]|hyperinverter-1[2-5]|feature-style|e2style", claim) for claim in decided)
    nothing = judge_all(Evidence(domains=["faces"]), {}, ablated.read_ablated(folder / "none", METHODS, ["faces"]))
    assert {one.verdict for found in nothing.of_measured.values() for one in found} == {"not measured"}


def test_a_method_of_the_same_name_keeps_its_own_numbers(folder: Path) -> None:
    """hyperinverter-4 compares the trained method, hyperinverter-13 the one of the ablations."""
    benchmark = Evidence(domains=["faces"])
    for method, value in (("hyperinverter", 0.01), ("optimization-w-plus", 0.02)):
        for metric, number in (("l2", value), ("lpips", value), ("psnr", 1 / value)):
            benchmark.cells[Cell("faces", method, metric)] = valued(number, number, number, metric, 100)
    found = ablated.read_ablated(folder, METHODS, ["faces"])
    judged = judge_all(benchmark, {}, found)
    (one,) = judged.of_measured["hyperinverter-4"]
    assert one.verdict == "supported"
    (other,) = judged.of_measured["hyperinverter-13"]
    assert (other.verdict, "0.10" in other.numbers) == ("supported", True)
    assert found.evidence.find("faces", "hyperinverter", "l2") != benchmark.find("faces", "hyperinverter", "l2")


def test_scores_of_images_decide_what_intervals_leave_open(folder: Path) -> None:
    found = ablated.read_ablated(folder, METHODS, ["faces"])
    value = found.evidence.find("faces", "hyperinverter/hidden-32", "l2")
    assert isinstance(value, Value)
    assert value.scores is not None
    assert list(value.scores.index) == IMAGES
    assert value == found.evidence.find("faces", "hyperinverter", "l2")  # the same network under a second name


def test_the_strongest_edit_stands_for_a_variant_s_editing(folder: Path) -> None:
    found = ablated.read_ablated(folder, METHODS, ["faces"])
    value = found.evidence.find("faces", "feature-style/insertion-layer-5", "abs_yaw_delta")
    assert isinstance(value, Value)
    assert value.value == 6.0


def test_the_papers_tables_are_filled_where_all_lines_are_variants(folder: Path) -> None:
    found = ablated.read_ablated(folder, METHODS, ["faces", "churches"])
    layouts = {layout.identifier: layout for layout in paper_tables.read_layouts()}
    filled = {name for name, layout in layouts.items() if found.fills(layout)}
    assert filled == {name for tables in chapter.TABLES.values() for name in tables}
    for name in filled:
        table = paper_tables.measured_table(layouts[name], found.evidence)
        assert table is not None
        assert not [note for note in table.notes if "Not measured" in note[0].text]
        published = paper_tables.published_table(layouts[name], [], None)
        assert published.identifier != table.identifier  # never one table


def test_the_chapter_lists_every_variant_once(folder: Path) -> None:
    found = ablated.read_ablated(folder, METHODS, ["faces", "churches"])
    section = chapter.section(found, set(), set())
    tables = [block for block in section.blocks if isinstance(block, Table)]
    shown = [row.cells[0].value for table in tables for row in table.rows if table.identifier.endswith("-faces")]
    assert shown == [row.variant for row in record_of().rows]
    assert tables[0].identifier == "ablation-costs"
    minutes = {row.cells[0].value: row.cells[4].value for row in tables[0].rows if row.cells[1].text == "faces"}
    assert minutes["restyle"] == 2.0  # two trainings of a minute
    assert set(minutes) <= set(names.methods().papers)


def test_verdicts_know_the_ablations_they_rest_on(folder: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    before = digest(results, [])
    (results / "ablations").mkdir(parents=True)
    (results / "ablations" / "faces.json").write_text("{}")
    assert digest(results, []) != before


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "faces.json").write_text('{"schema_version": 1}')
    with pytest.raises(ReinvertError, match=r"faces.json' holds no ablations \(at domain\)"):
        read_records(tmp_path)
    (tmp_path / "faces.json").write_text("{")
    with pytest.raises(ReinvertError, match="not valid JSON"):
        read_records(tmp_path)

"""Measured results as evidence, the papers' tables, the chapters and the record of verdicts."""

import csv
import json
import math
from dataclasses import replace

import pandas as pd
import pytest

from core.errors import ReinvertError
from metrics import registry
from reports import markdown
from reports.claims import bars, chapters, measured, names, paper_tables, record
from reports.claims import judged as verdicts
from reports.claims.evidence import Cell, Evidence, Missing, Value, rounded, sign, valued
from reports.claims.judge import VERDICTS
from reports.claims.published import read_published
from reports.model import Report, numbered, text
from reports.read import Run

ENTRY = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 16, "n_failed": 0}
HEAD = "domain,method,metric,setting,value,low,high,n\n"


def run(method: str = "psp", **changes) -> Run:
    l2 = pd.Series([0.1, 0.2, 0.3], index=[7, 8, 9])
    entry = {"value": 0.2, "low": 0.15, "high": 0.25, "n": 24, "n_failed": 0}
    return Run(**{
        "name": f"faces-{method}", "domain": "faces", "method": method, "group": "encoder",
        "metrics": {"l2": entry, "fid": {**entry, "value": 12.345, "low": math.nan, "high": math.nan},
                    "id": {**entry, "value": math.nan, "low": math.nan, "high": math.nan}},
        "timing": {"seconds_per_image_batch_1": 0.0213, "parameters": 2_345_678},
        "curve": {"steps": [1, 2], "seconds": [0.01, 0.02], "l2": [0.25, 0.2], "odd": [1, 2]},
        "per_image": pd.DataFrame({"l2": l2, "failed": False}), **changes})  # fmt: skip


def test_a_run_becomes_cells(tmp_path):
    evidence = measured.evidence([run(), run("broken", reason="it broke.")], tmp_path)
    l2 = evidence.find("faces", "psp", "l2")
    assert (l2.value, l2.low, l2.high, l2.n, l2.certainty) == (0.2, 0.15, 0.25, 24, "sampled")
    assert l2.text == "0.2000 [0.1500, 0.2500]"
    assert l2.scores.tolist() == [0.1, 0.2, 0.3]
    fid = evidence.find("faces", "psp", "fid")
    assert (fid.value, fid.low, fid.high) == (12.345, -math.inf, math.inf)  # of 24 images
    assert evidence.find("faces", "psp", "seconds_per_image").text == "0.0213"
    assert evidence.find("faces", "psp", "params_millions").text == "2.35"
    assert [(step, value.value) for step, value in evidence.swept("faces", "psp", "l2", "step")] == [
        (1, 0.25),
        (2, 0.2),
    ]
    assert str(evidence.find("faces", "psp", "id")) == "id of psp: no number"
    assert str(evidence.find("faces", "broken", "l2")) == "broken: not run, it broke"
    assert str(evidence.find("faces", "e4e", "l2")) == "e4e: not measured on faces"


def test_the_time_of_a_method_cut_short_is_the_least_it_takes(tmp_path):
    searching = run(record={"arguments": {"steps": 80}})
    whole = measured.evidence([searching], tmp_path).find("faces", "psp", "seconds_per_image")
    cut = measured.evidence([searching], tmp_path, cut_short=["psp"]).find("faces", "psp", "seconds_per_image")
    assert (whole.text, cut.text) == ("0.0213 (80 steps)", "0.0213 (80 steps, cut short)")
    assert whole.low == cut.low == pytest.approx(0.0213 / 3**0.5)
    assert whole.high == pytest.approx(0.0213 * 3**0.5)
    assert cut.high == math.inf


def test_the_error_of_a_search_cut_short_is_the_most_it_makes(tmp_path):
    found = measured.evidence([run()], tmp_path, cut_short=["psp"])
    l2, fid = (found.find("faces", "psp", metric) for metric in ("l2", "fid"))
    assert (l2.low, l2.high) == (-math.inf, 0.25)
    assert l2.text == "0.2000 [0.1500, 0.2500], cut short"
    assert (fid.low, fid.high, fid.scores) == (-math.inf, math.inf, None)
    # Whoever is ahead of it may be overtaken; whoever is behind it stays there, image by image where both have scores.
    for other, certain in ((0.1, 0), (0.4, 1)):
        assert sign([(1.0, valued(other, other - 0.04, other + 0.04, "l2", 24)), (-1.0, l2)]) == certain
    for step, certain in ((-0.01, 0), (0.01, 1)):
        near = replace(l2, value=l2.value + step, low=0.0, high=1.0, scores=l2.scores + step)
        assert sign([(1.0, near), (-1.0, l2)]) == certain


def put(folder, content, name="editing"):
    path = folder / name / "cells.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + content)
    return path


def test_tables_of_other_results_take_part(tmp_path):
    put(
        tmp_path,
        "faces,psp,age_delta,gamma=-2,-4.5,-5,-4,16\nfaces,psp,fid_edited,,31.5,,,16\nfaces,psp,id_edited,,,,,16\n",
    )
    evidence = measured.evidence([run()], tmp_path)
    found = evidence.find("faces", "psp", "abs_age_delta", "gamma=-2")
    assert (found.value, found.low, found.high, found.n) == (4.5, 4, 5, 16)
    assert evidence.find("faces", "psp", "fid_edited").high == math.inf  # 16 images decide nothing
    assert isinstance(evidence.find("faces", "psp", "id_edited"), Missing)


def edits_of(**changes) -> dict:
    """What editability.json holds, as far as claims read it."""
    return {
        "status": "ok", "gammas": [-2.0, 0.0, 1.5],
        "directions": {"age": {"changes": [{**ENTRY, "mean": mean, "low": mean - 1, "high": mean + 1}
                                           for mean in (-4.0, 0.0, 3.0)], "per_gamma": {**ENTRY, "mean": -2.0,
                                                                                        "low": -2.5, "high": -1.5}},
                       "ganspace-1": {"changes": [ENTRY] * 3, "per_gamma": ENTRY}},
        "edited": {"fid": {"value": 31.25, "low": 30.5, "high": 32.0, "n": 192, "n_failed": 0},
                   "kid": {"value": 1.0, "low": 0.5, "high": 1.5, "n": 192, "n_failed": 0}, "id": ENTRY},
        "mixing": {"content_from": "feature", "follows_content": {"yaw": {**ENTRY, "mean": 0.6}}},
        "interpolation": {"code": {"endpoint_lpips": ENTRY}, "code_and_weights": None},
        **changes,
    }  # fmt: skip


def test_edits_take_part(tmp_path):
    runs = [run(), run("hyperinverter"), run("pti")]
    for one in runs:
        (tmp_path / one.name).mkdir()
        (tmp_path / one.name / "editability.json").write_text(json.dumps(edits_of()))
    (tmp_path / "faces-pti" / "editability.json").write_text(json.dumps({"status": "failed", "reason": "x"}))
    evidence = measured.evidence(runs, tmp_path)
    assert evidence.find("faces", "psp", "abs_age_delta", "gamma=-2").value == 4.0
    assert [point for point, _ in evidence.swept("faces", "psp", "age_delta", "gamma")] == [-2, 0, 1.5]
    slope = evidence.find("faces", "psp", "age_delta_per_gamma")
    assert (slope.value, slope.low, slope.high) == (2.0, 1.5, 2.5)  # the size, with the interval of its images
    assert evidence.find("faces", "psp", "fid_edited").text == "31.25 [30.50, 32.00]"
    assert evidence.find("faces", "psp", "id_edited").text == "0.500 [0.400, 0.600]"
    assert evidence.find("faces", "psp", "follows_content", "attribute=yaw").value == 0.6
    assert evidence.find("faces", "interpolation/code", "endpoint_lpips").value == 0.5
    assert isinstance(evidence.find("faces", "interpolation/code-and-weights", "endpoint_lpips"), Missing)
    assert str(evidence.find("faces", "pti", "id_edited")) == "id_edited of pti: not measured on faces"
    before = measured.digest(tmp_path, [one.name for one in runs])
    (tmp_path / "faces-psp" / "editability.json").write_text(json.dumps(edits_of(gammas=[1.0])))
    assert measured.digest(tmp_path, [one.name for one in runs]) != before
    with pytest.raises(ReinvertError, match="editability.json' is damaged"):
        measured.evidence(runs, tmp_path)


def scored(*scores: float, **more) -> dict:
    """An entry of inspection.json with a score for each image."""
    mean = sum(scores) / len(scores)
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "n": len(scores), "n_failed": 0,
            "per_image": list(scores), **more}  # fmt: skip


def inspected(**changes) -> dict:
    """What inspection.json holds, as far as claims read it: changes fade by less than images differ."""
    images = [0.1 * image for image in range(1, 9)]
    groups = {name: {"value": value, "low": value - 0.5, "high": value + 0.5, "n": 8, "n_failed": 0}
              for name, value in (("coarse", 7.0), ("medium", 5.0), ("fine", 3.0))}  # fmt: skip
    return {
        "status": "ok",
        "image_change": [scored(*(score - 0.02 * step for score in images), step=step) for step in (1, 2, 3)],
        "latent_change": [{"step": step, "groups": groups} for step in (1, 2, 3)],
        "weight_change": {
            "layers": [], "kinds": {"convolution": scored(*images), "torgb": scored(*(0.9 * one for one in images))},
            "resolutions": {"16": scored(*images), "4": scored(*(one / 2 for one in images)),
                            "8": scored(*(2 * one for one in images))},
        },
        **changes,
    }  # fmt: skip


def test_steps_decide_claims_about_figures(tmp_path):
    runs = [run("restyle-psp"), run("restyle-e4e"), run("hyperinverter"), run("pti")]
    for one in runs:
        (tmp_path / one.name).mkdir()
        (tmp_path / one.name / "inspection.json").write_text(json.dumps(inspected()))
    (tmp_path / "faces-pti" / "inspection.json").write_text(json.dumps({"status": "failed", "reason": "x"}))
    before = measured.digest(tmp_path, [one.name for one in runs])
    judged = verdicts.judge_all(measured.evidence(runs, tmp_path), {})

    def verdict(claim: str) -> str:
        return next(one.verdict for one in judged.of_measured[claim] if one.domain == "faces")

    # Fading is certain although the intervals of single steps overlap: the images are the same.
    assert verdict("restyle-4") == "supported"
    assert verdict("restyle-5") == "supported"
    assert verdict("hyperinverter-16") == "supported"
    assert verdict("hyperinverter-17") == "contradicted"  # 8 pixels change more than the last resolution, 16
    last = judged.measured.find("faces", "hyperinverter", "residual_weight_change", "resolution=last")
    assert last.value == pytest.approx(0.45) and len(last.scores) == 8
    assert isinstance(judged.measured.find("faces", "pti", "image_change", "step=1"), Missing)

    lost = inspected()
    lost["image_change"][1]["per_image"][2] = None
    (tmp_path / "faces-restyle-psp" / "inspection.json").write_text(json.dumps(lost))
    assert measured.digest(tmp_path, [one.name for one in runs]) != before
    scores = measured.evidence(runs, tmp_path).find("faces", "restyle-psp", "image_change", "step=2").scores
    assert scores.index.tolist() == [0, 1, 3, 4, 5, 6, 7]
    for damaged in ({"status": "ok"}, {}, []):
        (tmp_path / "faces-restyle-psp" / "inspection.json").write_text(json.dumps(damaged))
        with pytest.raises(ReinvertError, match="inspection.json' is damaged"):
            measured.evidence(runs, tmp_path)


def test_an_interval_of_few_images_is_none(tmp_path):
    put(tmp_path, "faces,psp,age_delta,gamma=1,4.5,4,5,7\nfaces,psp,age_delta,gamma=2,4.5,4,5,8\n")
    evidence = measured.evidence([run()], tmp_path)
    few = evidence.find("faces", "psp", "age_delta", "gamma=1")
    assert str(few) == "age_delta of psp: of 7 images, too few for an interval"
    assert isinstance(evidence.find("faces", "psp", "age_delta", "gamma=2"), Value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("faces,psp,l3,,1,,,\n", "unknown metric 'l3'"),
        ("faces,psp,l2\n", "line 2: 3 fields instead of 8"),
        ("faces,psp,lpips,,x,,,\n", "line 2: value: .*correct it"),
        ("faces,psp,lpips,,1,0.5,,\n", "both 'low' and 'high'"),
        ("faces,psp,lpips,,1,2,3,\n", "not inside its interval"),
        ("faces,psp,lpips,,1,,,0\n", "line 2: n"),
        ("faces,psp,lpips,,1,,,\nfaces,psp,lpips,,1,,,\n", "line 3: stands there twice"),
        ("faces,psp,l2,,1,,,\n", "has faces, psp, l2 a second time"),
    ],
)
def test_a_damaged_table_is_one_clear_line(tmp_path, content, said):
    put(tmp_path, content)
    with pytest.raises(ReinvertError, match=said) as caught:
        measured.evidence([run()], tmp_path)
    assert "\n" not in str(caught.value)


def test_other_columns_are_refused(tmp_path):
    path = put(tmp_path, "")
    path.write_text("domain,method\n")
    with pytest.raises(ReinvertError, match="has not the columns domain, method, metric, setting, value, low, high, n"):
        measured.evidence([run()], tmp_path)


def test_paper_scale_stays_out_of_the_embedded_evidence(tmp_path):
    put(tmp_path, "faces,psp,l2,,0.0355,0.034,0.037,2824\n", "paper-scale/hyperinverter")
    assert measured.evidence([run()], tmp_path).find("faces", "psp", "l2").value == 0.2
    own = measured.paper_scale(tmp_path)
    assert own["hyperinverter"][Cell("faces", "psp", "l2")].value == 0.0355
    put(tmp_path, "", "paper-scale/nobody")
    with pytest.raises(ReinvertError, match="named after no paper"):
        measured.paper_scale(tmp_path)


def test_parameters_are_those_of_the_published_sizes_where_they_were_counted(tmp_path):
    found = Evidence(domains=["faces"])
    for method in ("e2style/1-stage", "psp", "hfgi"):
        found.cells[Cell("faces", method, "params_millions")] = rounded(3.0, "params_millions")
    found.cells[Cell("faces", "psp", "ssim")] = found.cells[Cell("faces", "e2style/1-stage", "ssim")] = rounded(
        0.5, "ssim"
    )
    assert measured.with_published_sizes(found, {}) is found
    put(tmp_path, "faces,psp,params_millions,,267.1,,,\nfaces,e4e,params_millions,,267.1,,,\n"
                  "faces,e2style/1-stage,params_millions,,98.03,,,\n", "paper-scale/e2style")  # fmt: skip
    full = measured.with_published_sizes(found, measured.paper_scale(tmp_path))
    assert full.find("faces", "psp", "params_millions").value == 267.1
    assert full.find("faces", "psp", "ssim").value == 0.5
    # Neither a small network's number beside a large one's, nor a line for what was not measured.
    for method in ("hfgi", "e4e"):
        assert isinstance(full.find("faces", method, "params_millions"), Missing)
    table = paper_tables.measured_table(layout("e2style-i"), full)
    assert "Parameters are those of the networks at their published size" in " ".join(
        span.text for note in table.notes for span in note
    )


def layout(name):
    return next(one for one in paper_tables.read_layouts() if one.identifier == name)


def cells_of(table):
    keys = [column.key for column in table.columns]
    return [dict(zip(keys, row.cells, strict=True)) for row in table.rows]


def test_a_published_table_is_the_papers():
    table = paper_tables.published_table(layout("hyperinverter-1"), read_published(), None)
    rows = cells_of(table)
    assert [column.label for column in table.columns[2:]] == [
        "L2", "LPIPS", "ID", "FID", "KID x1000", "PSNR", "MS-SSIM", "Time (s)"]  # fmt: skip
    assert [row["label"].text for row in rows[:6]] == [
        "SG2 W+",
        "PTI",
        "pSp",
        "e4e",
        "ReStyle (over e4e)",
        "HyperInverter",
    ]
    assert [row["group"].value for row in rows] == ["Human faces"] * 6 + ["Churches"] * 6
    assert [row["id"].text for row in rows[6:]] == ["–"] * 6
    assert rows[5]["lpips"].text == "0.1054"
    # Marked within a domain only.
    assert [row["l2"].mark for row in rows] == ["", "best", "", "", "", "second"] * 2
    assert not any(column.dagger for column in table.columns)


def test_editing_tables_have_methods_as_columns_and_the_strongest_edit_is_best():
    rows = cells_of(paper_tables.published_table(layout("hyperinverter-2"), read_published(), None))
    assert rows[0]["label"].text == "-3"
    assert rows[0]["hyperinverter-w-encoder"].text == "-22.69"
    assert rows[0]["hyperinverter-w-encoder"].mark == "best"
    assert rows[-1]["hyperinverter"].mark == "second"


def test_all_layouts_are_filled():
    published = read_published()
    empty = {}
    for one in paper_tables.read_layouts():
        cells = [cell for row in paper_tables.published_table(one, published, None).rows for cell in row.cells]
        empty[one.identifier] = sum(cell.text == "–" for cell in cells)
    # HyperInverter has no ID of churches, E2Style no parameters of I2S.
    assert {name: count for name, count in empty.items() if count} == {"hyperinverter-1": 6, "e2style-i": 1}


def some_evidence() -> Evidence:
    evidence = Evidence(domains=["faces"])
    for method, value in (("psp", 0.03), ("optimization-w-plus", 0.02), ("restyle-psp", 0.025)):
        evidence.cells[Cell("faces", method, "l2")] = Value(
            value, value - 1e-3, value + 1e-3, "sampled", f"{value}", 64
        )
        evidence.cells[Cell("faces", method, "lpips")] = rounded(value * 10, "lpips")
    return evidence


def test_measured_numbers_stand_in_a_table_of_their_own():
    table = paper_tables.measured_table(layout("hyperinverter-1"), some_evidence())
    rows = cells_of(table)
    assert [(row["group"].value, row["label"].text, row["l2"].text) for row in rows] == [
        ("Faces", "SG2 W+", "0.0200"), ("Faces", "pSp", "0.0300")]  # fmt: skip
    assert [row["l2"].mark for row in rows] == ["best", "second"]
    assert {column.key: column.dagger for column in table.columns if column.key in ("l2", "lpips", "psnr")} == {
        "l2": False, "lpips": True, "psnr": False}  # fmt: skip
    notes = " ".join(span.text for note in table.notes for span in note)
    assert "Not comparable" in notes
    assert "Not measured: pti, e4e, restyle-e4e, hyperinverter" in notes
    # Ids, not names: what a number means stands under its table, and of how many images it is.
    assert "Protocols:  l2-8bit@64/1 ,  lpips-alex-embedded@64/1 ." in notes
    assert "Images: 64 (L2)." in notes
    assert paper_tables.measured_table(layout("feature-style-2"), some_evidence()) is None
    assert paper_tables.measured_table(layout("e2style-iv"), some_evidence()) is None  # of churches, which has nothing


def test_measured_fid_says_of_how_many_images_it_is():
    evidence = some_evidence()
    for method, n in (("psp", 16), ("optimization-w-plus", 128)):
        evidence.cells[Cell("faces", method, "fid")] = valued(20.0, None, None, "fid", n, n_failed=n // 16)
        evidence.cells[Cell("faces", method, "id")] = valued(0.5, 0.4, 0.6, "id", 16, n_failed=0)
    table = paper_tables.measured_table(layout("hyperinverter-1"), evidence)
    place = [column.key for column in table.columns].index("fid")
    assert table.columns[place].label == "FID (n = 16 to 128)"
    assert {row.cells[place].mark for row in table.rows} == {""}  # the smaller set ranks nothing
    notes = " ".join(span.text for note in table.notes for span in note)
    assert "fid-embedded@64/1" in notes
    assert "Images: 64 (L2); 16, 0 failed (ID); 16 to 128, 1 to 8 failed (FID)." in notes


def test_ids_of_edits_are_those_that_editing_states():
    from metrics import editing

    stated = {name: names.metric(name).protocol for name in names.metrics() if names.metric(name).protocol}
    for name, protocol in editing.EDITED_PROTOCOLS.items():
        if f"{name}_edited" in stated:
            assert stated[f"{name}_edited"] == protocol
    assert {value for name, value in stated.items() if "_delta" in name} == {editing.EDITABILITY_PROTOCOL}
    assert stated["follows_content"] == editing.MIXING_PROTOCOL
    assert stated["endpoint_lpips"] == registry.get("lpips").protocol


def test_only_paper_scale_stands_beside_the_published_numbers():
    own = {Cell("faces", "psp", "l2"): Value(0.0355, 0.034, 0.037, "sampled", "0.0355 [0.0340, 0.0370]", 2824)}
    table = paper_tables.published_table(layout("hyperinverter-1"), read_published(), own)
    assert [column.label for column in table.columns][:5] == ["", "Method", "L2", "ours", "LPIPS"]
    rows = cells_of(table)
    assert [row["l2_ours"].text for row in rows[:4]] == ["–", "–", "0.0355", "–"]
    assert all(row["l2_ours"].mark == "" for row in rows)
    assert rows[1]["l2"].mark == "best"


@pytest.fixture(scope="module")
def judged():
    return verdicts.judge_all(some_evidence(), {})


def test_verdicts_are_counted_by_paper_and_source(judged):
    found = verdicts.counts(judged, "restyle")
    assert sum(found["published"].values()) == 17
    assert found["published"]["supported"] == 1
    assert found["published"]["inconclusive"] == 1
    assert sum(found["faces"].values()) == 16  # restyle-17 is about churches
    assert found["faces"]["not measured"] == 16
    assert set(found) == {"published", "faces"}
    total = {paper: sum(verdicts.counts(judged, paper)["published"].values()) for paper in judged.papers}
    assert total == {"restyle": 17, "hyperinverter": 19, "feature-style-encoder": 13, "e2style": 22}


def test_every_claim_has_its_place_numbers_and_reason_in_a_chapter(judged):
    report = numbered(Report(title="t", subtitle=text("s"), sections=chapters.sections(judged, {})))
    tables = {table.identifier: cells_of(table) for table in report.tables()}
    for paper in judged.papers:
        claims = [claim.id for claim in judged.claims_of(paper)]
        assert [row["claim"].value for row in tables[f"claims-{paper}"]] == claims
        for row in tables[f"claims-{paper}"]:
            assert row["place"].text and row["says"].text and row["claim"].detail == row["says"].text
            for source in ("published", "faces"):
                assert row[source].value in (*VERDICTS, None)
                assert bool(row[source].detail) == (row[source].value is not None)
                assert row[f"{source}_why"].value == row[source].detail
            assert row["published"].text != "not measured"
    assert len(tables["inconsistencies-by-hand"]) >= 8
    written = markdown.render(report)
    assert "published-hyperinverter-1" in written
    assert "none of its methods has a number of this table yet." in written
    identifiers = [table.identifier for table in report.tables()]
    first = identifiers.index("published-hyperinverter-1")
    assert identifiers[first + 1] == "measured-hyperinverter-1"  # right under it
    assert written == markdown.render(
        numbered(Report(title="t", subtitle=text("s"), sections=chapters.sections(judged, {})))
    )


def test_all_comparisons_are_listed(judged):
    lines = verdicts.comparisons(judged)
    assert lines[0][:4] == ["claim", "paper", "place", "source"]
    hyper = [line for line in lines if line[0] == "hyperinverter-9" and line[3] == "published"]
    assert len(hyper) == 2 * 4 * 6  # two attributes, four methods, six strengths
    assert all(line[7] == "holds" for line in hyper)
    assert all(len(line) == len(lines[0]) for line in lines)


def test_bars_are_drawn_the_same_every_time(tmp_path):
    counts = [("Paper", {"published": {"supported": 3, "contradicted": 1}, "faces": {"not measured": 4}})]
    for name in ("first", "second"):
        bars.draw(counts, tmp_path / name, "bars", 6.0)
    for suffix in ("svg", "png"):
        content = (tmp_path / "first" / f"bars.{suffix}").read_bytes()
        assert content == (tmp_path / "second" / f"bars.{suffix}").read_bytes()
        assert len(content) > 1000


def test_the_record_knows_its_results(tmp_path, judged):
    results = tmp_path / "results"
    (results / "faces-psp").mkdir(parents=True)
    scores = results / "faces-psp" / "metrics.json"
    scores.write_text("{}")
    first = measured.digest(results, ["faces-psp"])
    assert first == measured.digest(results, ["faces-psp", "faces-e4e"])
    table = put(results, "faces,psp,l2,,1,,,\n")
    second = measured.digest(results, ["faces-psp"])
    scores.write_text('{"a": 1}')
    assert len({first, second, measured.digest(results, ["faces-psp"])}) == 3
    (results / "leftover").mkdir()
    (results / "leftover" / "metrics.json").write_text("{}")
    scores.write_text("{}")
    assert measured.digest(results, ["faces-psp"]) == second
    table.unlink()
    assert measured.digest(results, ["faces-psp"]) == first
    path = tmp_path / "claims.json"
    assert record.read_record(path) is None
    record.write_record(path, [one for found in judged.of_measured.values() for one in found], first)
    read = record.read_record(path)
    assert read.scores_sha256 == first
    assert read.verdicts["restyle-1"]["faces"].verdict == "not measured"
    path.write_text(json.dumps({"schema_version": 1}))
    with pytest.raises(ReinvertError, match="no record of verdicts.*run 'reinvert report'"):
        record.read_record(path)
    path.write_text("{")
    with pytest.raises(ReinvertError, match="not valid JSON"):
        record.read_record(path)


def test_the_summary_says_how_the_claims_came_out(judged):
    line = "".join(span.text for span in verdicts.summary_line(judged))
    assert "From the papers' own numbers 40 of 71 are supported and 0 contradicted" in line
    assert line.startswith("Claims of the papers: on faces")


def test_csv_lines_of_comparisons_can_be_read_back(judged, tmp_path):
    path = tmp_path / "x.csv"
    with open(path, "w", newline="") as handle:
        csv.writer(handle).writerows(verdicts.comparisons(judged))
    with open(path, newline="") as handle:
        assert len(list(csv.DictReader(handle))) == len(verdicts.comparisons(judged)) - 1

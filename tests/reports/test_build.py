import csv
import json
import re
import shutil
import zlib
from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
import typst
from PIL import Image

from core.config import load_config
from core.errors import ReinvertError
from metrics import registry
from reports import generators, pictures, sections, tabulate
from reports.build import build_report, pages, scale_in_words
from reports.read import Run, group_of, outcome_in_words, read_generators, read_runs
from tests.conftest import ROOT


@pytest.fixture(scope="session")
def built(project, config):
    return build_report(config, project / "results", project / "weights", project / "report")


def _files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _rows(path):
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle))


def test_equal_inputs_give_equal_bytes_whatever_lay_there_before(project, config, built, tmp_path):
    stale = tmp_path / "figures" / "failures-run-of-old.png"
    stale.parent.mkdir()
    stale.write_bytes(b"old")
    build_report(config, project / "results", project / "weights", tmp_path)
    assert _files(tmp_path) == _files(built.pdf.parent)
    assert not stale.exists()


def test_what_no_scale_changes_may_lie_elsewhere(project, config, built, tmp_path):
    """The reference report reads generators and directions where the default graph put them, and says the same."""
    results, shared = tmp_path / "reference", tmp_path / "results"
    shutil.copytree(project / "results", shared)
    for name in config.runs:
        if (shared / name).is_dir():
            shutil.move(shared / name, results / name)
    assert {path.name for path in shared.iterdir()} >= {"generators", "directions"}
    build_report(config, results, project / "weights", tmp_path / "report", shared)
    assert _files(tmp_path / "report") == _files(built.pdf.parent)


def test_every_figure_is_there_sharp_and_linked(built):
    assert {path.name for path in built.figures} == {path.name for path in (built.pdf.parent / "figures").iterdir()}
    for path in built.figures:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                picture.load()
                assert picture.width >= 750, path  # a third of the page at 300 dots per inch
        else:
            assert path.read_text().rstrip().endswith("</svg>")
    markdown = built.markdown.read_text()
    drawings = [path for path in built.figures if path.suffix == ".svg"]
    assert drawings and len(built.figures) == 2 * len(drawings)
    for path in drawings:
        assert f"figures/{path.name}" in markdown
        assert path.with_suffix(".png") in built.figures


def test_every_table_is_a_csv_file_with_a_line_per_row(built):
    linked = re.findall(r"\[Table \d+ as CSV\]\(tables/([a-z0-9-]+)\.csv\)", built.markdown.read_text())
    assert len(linked) == len(set(linked)) == len(re.findall(r"^\*\*Table \d+\.\*\*", built.markdown.read_text(), re.M))
    assert {path.stem for path in built.tables} == set(linked)
    for path in built.tables:
        lines = path.read_text().splitlines()
        assert len(lines) >= 2, path


def test_links_of_the_markdown_lead_somewhere(built):
    markdown = built.markdown.read_text()
    anchors = set(re.findall(r'<a id="([^"]+)">', markdown))
    targets = re.findall(r"\]\(([^)\s]+)\)", markdown)
    assert len(targets) > 20
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in anchors
        else:
            assert (built.markdown.parent / target).is_file()


def test_markdown_tables_have_rows_as_wide_as_their_heads(built):
    blocks = re.findall(r"(?:^\|.*\|\n)+", built.markdown.read_text(), flags=re.MULTILINE)
    assert len(blocks) == len(built.tables)
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_csv_says_what_metrics_json_says_and_the_table_prints(project, built):
    rows = {row["method"]: row for row in _rows(project / "report" / "tables" / "reconstruction-faces.csv")}
    markdown = built.markdown.read_text()
    for method in ("optimization-w-plus", "psp", "hybrid-psp"):
        metrics = json.loads((project / "results" / f"faces-{method}" / "metrics.json").read_text())
        for name, entry in metrics.items():
            value = entry.get("mean", entry.get("value"))
            assert float(rows[method][name]) == value
            assert f"{value:.{registry.get(name).decimals}f}" in markdown
        assert rows[method]["n_failed"] == ("1" if method == "psp" else "0")


def test_best_and_second_are_marked_per_direction(project, config):
    runs = read_runs(config, project / "results")
    table = tabulate.reconstruction("faces", runs, 64)
    keys = [column.key for column in table.columns]
    cells = {row.cells[0].text: row.cells for row in table.rows if not row.heading}
    assert [row.cells[0].text for row in table.rows if row.heading] == list(tabulate.GROUP_TITLES.values())
    for name in ("l2", "id", "psnr"):  # the hybrid was made best, psp worst, in every quality
        assert cells["hybrid-psp"][keys.index(name)].mark == "best"
        assert cells["optimization-w-plus"][keys.index(name)].mark == "second"
        assert cells["psp"][keys.index(name)].mark == ""
    assert cells["psp"][keys.index("seconds_per_image_batch_1")].mark == "best"
    assert cells["psp"][keys.index("images_per_second_best")].mark == "best"
    daggers = {column.key for column in table.columns if column.dagger}
    assert daggers == {name for name in registry.names() if registry.get(name).embedded}


def test_every_table_of_scores_names_the_protocols_in_its_footnote(project, config):
    runs = read_runs(config, project / "results")
    tables = [tabulate.reconstruction("faces", runs, 64), tabulate.intervals("faces", runs),
              tabulate.distribution_shift("faces", runs)]  # fmt: skip
    for table in tables:
        words = " ".join("".join(span.text for span in note) for note in table.notes)
        scores = {column.key.removesuffix("_low").removesuffix("_high") for column in table.columns}
        assert all(column.only == "csv" for column in table.columns if column.key.endswith(("_low", "_high")))
        shown = [name for name in registry.names() if name in scores]
        assert shown
        for name in shown:
            assert registry.get(name).protocol in words, table.identifier


def test_a_failed_run_and_its_reason_are_in_every_table_of_runs(project, built):
    for name in ("summary-table", "reconstruction-faces", "intervals-faces", "cost-faces"):
        row = next(row for row in _rows(project / "report" / "tables" / f"{name}.csv") if row["method"] == "broken")
        assert {value for key, value in row.items() if key != "method"} == {"failed"}
    status = next(row for row in _rows(project / "report" / "tables" / "runs.csv") if row["run"] == "faces-broken")
    assert "give it RGB" in status["status"]
    # The reason holds Markdown's own signs and has to come out as it was written.
    assert r"image 12 of \[\[0\]\] has \*\*3\*\* channels \| not \`1\`; give it RGB" in built.markdown.read_text()


def test_a_run_never_made_and_a_score_that_is_no_number_are_told_apart(project, config, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(project / "results", results)
    shutil.rmtree(results / "faces-psp")
    path = results / "faces-hybrid-psp" / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["lpips"].update(mean=None, low=None, high=None)
    path.write_text(json.dumps(metrics))
    runs = read_runs(config, results)
    table = tabulate.reconstruction("faces", runs, 64)
    column = [column.key for column in table.columns].index("lpips")
    cells = {row.cells[0].text: row.cells for row in table.rows if not row.heading}
    assert cells["hybrid-psp"][column] == tabulate.Cell(text="failed", mark="failed")
    assert {cell.text for cell in cells["psp"][1:]} == {"not run"}
    assert outcome_in_words(runs) == "1 of 4 runs failed, 1 was not run"
    assert any("not run" in span.text for note in table.notes for span in note)


def test_a_report_of_failures_only_is_still_a_report(project, config, tmp_path):
    paths = build_report(config, tmp_path / "results", project / "weights", tmp_path / "report")
    assert paths.markdown.read_text().count("not run") >= 4
    assert paths.pdf.read_bytes().startswith(b"%PDF")


def test_a_run_that_claims_success_without_its_files_is_refused(project, config, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(project / "results", results)
    (results / "faces-psp" / "per_image.parquet").unlink()
    with pytest.raises(ReinvertError, match="faces-psp.*evaluate it again"):
        read_runs(config, results)


def test_pages_are_as_many_as_the_sections_need(built):
    content = built.pdf.read_bytes()
    objects = [content]
    for start in re.finditer(rb"stream\r?\n", content):
        try:
            objects.append(zlib.decompressobj().decompress(content[start.end() :]))
        except zlib.error:
            continue
    pages = sum(len(re.findall(rb"/Type\s*/Page\b", part)) for part in objects)
    assert 20 <= pages <= 45


def test_warnings_follow_the_facts(project, config):
    runs = read_runs(config, project / "results")
    card = {"name": "generator", "domain": "faces", "images_seen": 5, "sha256": "b" * 64, "scores": {}}
    judge = {"name": "parser", "domain": "faces", "sha256": "a" * 64, "scores": {"miou": 0.5, "iou_hat": 0.1}}

    def said(runs, cards):
        material = sections.Material(runs, cards, frozenset(), {}, {})
        return "\n".join(
            "".join(span.text or f"<{span.target}>" for span in item) for item in sections.distrust(material)
        )

    full = said(runs, [card, judge])
    for words in ("1 of 4 runs failed", "Failed reconstructions: 1", "other weights of generator", "0.500", "0.100",
                  "FID and KID of 24 images", "saw 5 images"):  # fmt: skip
        assert words in full
    calm = said([run for run in runs if run.method == "hybrid-psp"], [])
    for words in ("failed", "Failed", "weights", "below their bar", "several machines", "one image"):
        assert words not in calm
    elsewhere = replace(runs[0], record={**runs[0].record, "machine": "another"})
    assert "faces were timed on several machines (<versions>)" in said([elsewhere, *runs[1:]], [])
    once = replace(runs[0], timing={**runs[0].timing, "images_timed": 1})
    assert "Runs that were timed on one image: 1 (<cost-faces>)" in said([once, *runs[1:]], [])


def test_the_bars_of_a_generator_are_printed_as_measured(project, built):
    rows = {row["measure"]: row for row in _rows(project / "report" / "tables" / "bars-faces.csv")}
    assert rows["PSNR of W+ optimisation (dB)"] == {
        "measure": "PSNR of W+ optimisation (dB)", "value": "27.25", "bar": "27.0", "met": "yes"
    }  # fmt: skip
    assert rows["FID† to in-distribution test images"]["met"] == "no"
    assert rows["KID x1000† to all test images"] == {
        "measure": "KID x1000† to all test images", "value": "21.5", "bar": "", "met": ""
    }  # fmt: skip
    assert "Range of yaw over samples, as a share of real images'" in rows
    markdown = built.markdown.read_text()
    assert "99.9 % of real in-distribution and 94.7 % of real out-of-distribution" in markdown
    assert "misses 1 of 5 bars (FID to in-distribution test images)" in markdown
    assert "the lowest 20.25 after 24,000 images" in markdown
    for name in ("real-faces", "samples-faces", "training-faces"):
        assert f"figures/{name}.svg" in markdown
    with Image.open(project / "report" / "figures" / "samples-faces.png") as picture:
        assert picture.size == (2 * 768, 2 * 320)  # the grid that was measured, not the one of training


def test_a_generator_that_nobody_measured_still_shows_its_samples(project, config, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(project / "results", results)
    shutil.rmtree(results / "generators")
    markdown = build_report(config, results, project / "weights", tmp_path / "report").markdown.read_text()
    assert "Not measured yet: `reinvert measure generator --domain faces` does it." in markdown
    assert "figures/samples-faces.svg" in markdown
    assert "figures/real-faces.svg" not in markdown
    assert "bars-faces" not in markdown


def test_numbers_of_other_weights_are_told(project, config, tmp_path):
    measured = tmp_path / "results" / "generators" / "faces" / "metrics.json"
    shutil.copytree(project / "results" / "generators" / "faces", measured.parent)
    (generator,) = read_generators(config, tmp_path / "results" / "generators", project / "weights")
    assert not generator.stale
    assert generator.training == [(8000, 60.5), (24000, 20.25), (32000, 31.2)]
    measured.write_text(json.dumps(json.loads(measured.read_text()) | {"sha256": "b" * 64}))
    (generator,) = read_generators(config, tmp_path / "results" / "generators", project / "weights")
    assert generator.stale
    assert "measured with other weights" in "".join(
        span.text for line in generators.missed([generator]) for span in line
    )
    assert read_generators(config, tmp_path, tmp_path) == []


def test_groups():
    config = load_config(ROOT / "params.yaml")
    groups = {
        "i2s": "optimization", "pti": "optimization", "pti/e4e": "hybrid", "idinvert": "hybrid", "hybrid-psp": "hybrid",
        "e4e": "encoder", "e2style/3-stage": "encoder", "hyperinverter": "encoder", "psp/naive-iteration": "encoder",
    }  # fmt: skip
    assert {name: group_of(name, config) for name in groups} == groups


def test_many_runs_are_spread_evenly_over_the_pages():
    runs = [_run([0.1], [False])] * 24
    assert [len(page) for page in pages(runs, 9)] == [8, 8, 8]
    assert [len(page) for page in pages(runs[:3], 9)] == [3]


def test_the_scale_is_said_in_words():
    config = load_config(ROOT / "params.yaml")
    assert scale_in_words(config) == ""
    assert scale_in_words(config.at_scale("default")).startswith("`default`. Small enough")
    steps = config.scales["default"].methods["dni"]["steps"]
    assert f"dni {steps}" in scale_in_words(config.at_scale("default"))
    assert scale_in_words(config.at_scale("reference")).endswith("all others as in params.yaml.")


def _run(scores, failed):
    frame = pd.DataFrame(
        {"lpips": scores, "failed": failed, "out_of_distribution": False}, index=range(10, 10 + len(scores))
    )
    return Run("r", "faces", "m", "encoder", per_image=frame)


def test_worst_images_are_the_failed_then_the_highest_lpips():
    run = _run([0.1, 0.9, 0.2, 0.9, np.nan], [False, False, True, False, False])
    assert pictures.worst_images(run, "lpips", 4) == [12, 14, 11, 13]


def test_shown_images_are_spread_and_common_to_all_runs():
    first, second = _run([0.0] * 9, [False] * 9), _run([0.0] * 5, [False] * 5)
    assert pictures.chosen_images([first], 3, 2) == [10, 14, 18]
    assert pictures.chosen_images([first, second], 3, 2) == [10, 12, 14]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(13.1, "13.1"), (0.02104, "0.0210"), (1234.5, "1,234"), (0, "0"), (float("nan"), "failed"), (99.96, "100.0")],
)
def test_significant(value, expected):
    assert tabulate.significant(value) == expected


def test_typst_sees_only_the_fonts_that_ship_with_the_packages():
    # The report names these families; were they missing elsewhere, pages would differ between machines.
    fonts = typst.Fonts(include_system_fonts=False, font_paths=[f"{matplotlib.get_data_path()}/fonts/ttf"])
    assert {"Libertinus Serif", "DejaVu Sans", "DejaVu Sans Mono"} <= set(fonts.families())

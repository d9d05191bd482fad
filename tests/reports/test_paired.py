"""The table of paired comparisons, from made-up runs."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.config import Config
from metrics import registry
from reports import paired, tabulate
from reports.read import Run, read_runs


def run(method: str, lpips: list[float], start: int = 0, protocol: str = "p@64/1", data: str = "d") -> Run:
    images = pd.DataFrame({"lpips": lpips, "failed": False}, index=range(start, start + len(lpips)))
    entry = {"value": float(np.mean(lpips)), "low": 0.0, "high": 1.0, "n": len(lpips), "n_failed": 0}
    record = {"protocols": {"lpips": protocol}, "data_sha256": data}
    return Run(method, "faces", method, "encoder", record=record, metrics={"lpips": entry}, per_image=images)


def test_neighbours_in_the_ranking_are_compared_image_by_image(project: Path, config: Config, tmp_path: Path) -> None:
    runs = read_runs(config, project / "results")
    table = paired.table("faces", runs)
    assert table is not None
    rows = [dict(zip((column.key for column in table.columns), row.cells, strict=True)) for row in table.rows]
    # Two steps between three methods, by three metrics; the failed run stands in no ranking.
    assert [(row["metric"].value, row["method"].text, row["next"].text) for row in rows] == [
        (name, *pair)
        for name in paired.METRICS
        for pair in (("hybrid-psp", "optimization-w-plus"), ("optimization-w-plus", "psp"))
    ]
    first, second = (next(one for one in runs if one.method == rows[0][key].text) for key in ("method", "next"))
    difference = first.per_image["lpips"] - second.per_image["lpips"]
    assert rows[0]["difference"].value == pytest.approx(difference.mean(), rel=1e-12)
    assert (rows[0]["better"].value, rows[0]["worse"].value) == ((difference < 0).sum(), (difference > 0).sum())
    assert rows[1]["n_failed"].value == 1  # psp's failed image
    assert all(row["low"].value <= row["difference"].value <= row["high"].value for row in rows)


def test_the_report_holds_the_table(project: Path, config: Config, tmp_path: Path) -> None:
    from reports.build import build_report

    paths = build_report(config, project / "results", project / "weights", tmp_path)
    with open(tmp_path / "tables" / "paired-faces.csv", newline="") as handle:
        assert len(list(csv.DictReader(handle))) == 6
    markdown = paths.markdown.read_text()
    assert "compared image by image" in markdown
    (own,) = [table for table in [paired.table("faces", read_runs(config, project / "results"))] if table]
    assert "lpips-alex-embedded@64/1" in "".join(span.text for note in own.notes for span in note)
    assert "FID (n = 24)" in markdown
    assert "FID of fewer than 2,048 images is biased upwards" in markdown


def test_images_that_only_one_method_has_are_told() -> None:
    table = paired.table("faces", [run("a", [0.1, 0.2, 0.3]), run("b", [0.3, 0.4, 0.5], start=1)])
    assert table is not None
    assert table.rows[0].cells[-2].value == 2
    assert "only those that both have" in "".join(span.text for note in table.notes for span in note)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (run("b", [0.3, 0.4], protocol="p@64/2"), "different protocols (p@64/1, p@64/2)"),
        (run("b", [0.3, 0.4], data="e"), "different test images"),
        (run("b", [0.3, 0.4], start=7), "different test images"),
    ],
)
def test_what_cannot_be_compared_is_said_not_computed(other: Run, reason: str) -> None:
    table = paired.table("faces", [run("a", [0.1, 0.2]), other])
    assert table is not None
    assert table.rows == []
    assert reason in "".join(span.text for note in table.notes for span in note)


def test_one_method_alone_has_no_table() -> None:
    assert paired.table("faces", [run("a", [0.1, 0.2])]) is None


def test_a_range_of_sample_sizes_is_in_the_head() -> None:
    runs = [Run(str(n), "faces", str(n), "encoder", metrics={"fid": {"value": 1.0, "n": n}}) for n in (48, 64, 3000)]
    assert tabulate.metric_column("fid", runs).label == "FID (n = 48–3,000)"
    assert tabulate.metric_column("fid").label == tabulate.heading_of(registry.get("fid"))
    assert tabulate.sample_size_note(runs[2:]) == []
    assert tabulate.sample_size_note(runs)

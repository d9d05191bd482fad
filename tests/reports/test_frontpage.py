"""The first page is one page whatever is run, and says nothing that the runs do not."""

import json
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import typst

from core.config import load_config
from metrics import registry
from reports import frontpage, pdf, provenance, sections, tabulate
from reports.claims import bars, names
from reports.drawing import PANELS
from reports.frontpage_drawing import spaced
from reports.model import Cell, Column, Report, Row, Section, Table, numbered, text
from reports.read import Generator, Run, read_runs
from reports.viewing import show, viewer_command
from tests.conftest import ROOT

CONFIG = load_config(ROOT / "params.yaml").at_scale("default")


def _run(domain, method, group, seed):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 255, (6, 64, 64, 3)).astype(np.uint8)
    scores = {name: generator.uniform(0.1, 0.9, 6) for name in ("l2", "lpips", "psnr", "ssim", "id")}
    if domain == "churches":
        del scores["id"]
    steps = 1 if group == "encoder" else 4
    return Run(
        f"{domain}-{method}", domain, method, group,
        record={"machine": "Example CPU", "arguments": {"kind": CONFIG.methods[method].kind, "steps": 40}},
        metrics={name: {"value": float(values.mean()), "low": 0.0, "high": 1.0, "n": 6, "n_failed": 0}
                 for name, values in scores.items()},
        timing={"seconds_per_image_batch_1": float(steps), "parameters": 4_000_000},
        curve={"steps": list(range(steps)), "seconds": [0.5 + n for n in range(steps)],
               **{name: generator.uniform(0.1, 0.9, steps).tolist() for name in PANELS if name in scores}},
        per_image=pd.DataFrame({"out_of_distribution": [False, True] * 3, "failed": False, **scores}, index=range(6)),
        inputs=images, outputs=images[::-1],
    )  # fmt: skip


def _material(domains):
    from reports.read import GROUPS, group_of

    methods = sorted(CONFIG.methods, key=lambda name: GROUPS.index(group_of(name, CONFIG)))
    runs = [_run(domain, method, group_of(method, CONFIG), seed)
            for domain in domains for seed, method in enumerate(methods)]  # fmt: skip
    about = "`default`. Small enough for minutes on two cores; optimisations end long before the papers' do."
    cards = [{"name": "psp", "domain": "faces", "images_seen": 5_760, "sha256": "a" * 64, "scores": {}}]
    missed = [Generator(domain, {}, {"bars": {"fid": {"met": False}}}) for domain in domains]
    return sections.Material(runs, cards, frozenset(), {}, dict.fromkeys(domains, "lpips"), missed, about,
                             trained=frozenset({"psp"}))  # fmt: skip


def _references(domains):
    wanted = ["claims", "comparison", "generators", "measured", "method-cards", "runs", "failures", "protocols",
              *(f"{what}-{domain}" for domain in domains for what in ("reconstruction", "bars"))]  # fmt: skip
    tables = [Table(identifier=name, caption=text("x"), columns=[Column(key="a", label="A")],
                    rows=[Row(cells=[Cell(text="1", value=1)])]) for name in wanted]  # fmt: skip
    return Section(identifier="rest", title="Rest", blocks=tables)


@pytest.mark.parametrize("domains", [("faces",), ("faces", "churches")])
def test_all_methods_on_all_domains_fit_one_page(tmp_path, domains):
    material = _material(domains)
    assert len(material.of("faces")) == len(CONFIG.methods) >= 22
    figures = tmp_path / "figures"
    material = replace(material, drawn=frozenset(frontpage.draw(material, figures, 6.85)))
    assert {"summary-quality-time", "summary-comparison"} <= material.drawn
    verdicts = dict.fromkeys(["supported", "contradicted", "inconclusive", "not measured"], 9)
    counts = [(paper, dict.fromkeys(domains, verdicts)) for paper in names.methods().papers]
    bars.draw_small(counts, figures, "summary-claims", 2.6)
    report = numbered(
        Report(title="t", subtitle=text("s"), sections=[
            frontpage.section(material, text("**Claims:** " + 24 * "some are true, " + "."), "summary-claims"),
            frontpage.key_section(material), _references(domains),
        ])
    )  # fmt: skip
    begins = typst.query(
        pdf.TEMPLATE.read_bytes(), "<begins>", field="value", root=str(tmp_path),
        font_paths=[str(pdf.fonts_folder())], ignore_system_fonts=True,
        sys_inputs={"report": report.model_dump_json()},
    )  # fmt: skip
    assert json.loads(begins)[:2] == [["summary", 1], ["distrust", 2]]
    table = next(table for table in report.tables() if table.identifier == "summary-table")
    assert len(table.rows) == 13
    assert {column.group for column in table.columns} == ({"", "Faces", "Churches"} if len(domains) > 1 else {""})


def test_the_best_of_each_family_stands_for_many_runs_and_all_stand_for_few():
    runs = _material(["faces"]).of("faces")
    chosen = frontpage.representatives(runs, "lpips")
    assert sorted(frontpage.family(name) for name in chosen) == sorted({frontpage.family(run.method) for run in runs})
    stages = [run for run in runs if run.method.startswith("e2style")]
    assert min(stages, key=lambda run: run.metrics["lpips"]["value"]).method in chosen
    assert chosen == [run.method for run in runs if run.method in chosen]
    assert frontpage.representatives(runs[:5], "lpips") == [run.method for run in runs[:5]]
    failed = [replace(run, reason="broken", metrics={}) if run.method != "e2style/3-stage" else run for run in runs]
    assert "e2style/3-stage" in frontpage.representatives(failed, "lpips")
    assert len(frontpage.representatives(failed, "lpips")) == len(chosen)  # a family that failed is still shown


def test_families():
    expected = {"restyle-psp": "restyle", "e2style/3-stage": "e2style", "optimization-w-plus": "optimization",
                "psp/naive-iteration": "psp", "hyperinverter": "hyperinverter"}  # fmt: skip
    assert {name: frontpage.family(name) for name in expected} == expected


def test_doubts_follow_the_facts(project, config):
    runs = read_runs(config, project / "results")
    card = {"name": "psp", "domain": "faces", "images_seen": 5_760, "sha256": "a" * 64, "scores": {}}
    material = sections.Material(runs, [card], frozenset(), {}, {"faces": "lpips"}, trained=frozenset({"psp"}))

    def said(material):
        (box,) = [b for b in frontpage.section(material, text("c"), "x").blocks if b.kind == "warnings"]
        return "\n".join("".join(span.text for span in item) for item in box.items)

    for words in ("1 of 4 runs failed", "24 test images only", "on 5,760 to 5,760 images", "100 to 200 steps"):
        assert words in said(material)
    many = [replace(run, metrics={name: {**entry, "n": 2824} for name, entry in run.metrics.items()})
            for run in runs if not run.failed and run.group == "encoder"]  # fmt: skip
    calm = said(replace(material, runs=many, cards=[]))
    for words in ("failed", "test images only", "Encoders were trained", "steps"):
        assert words not in calm


def test_every_kind_of_method_is_described():
    assert {method.kind for method in CONFIG.methods.values()} <= set(names.methods().about)


def test_fid_of_few_images_is_not_marked():
    runs = _material(["faces"]).of("faces")[:3]
    runs = [replace(run, metrics={**run.metrics, "fid": {"value": 3.0 + place, "low": 0, "high": 0, "n": n,
                                                        "n_failed": 0}})
            for n in (16,) for place, run in enumerate(runs)]  # fmt: skip
    few = tabulate.reconstruction("faces", runs, 64)
    many = tabulate.reconstruction(
        "faces", [replace(run, metrics={**run.metrics, "fid": {**run.metrics["fid"], "n": 128}}) for run in runs], 64
    )
    place = [column.key for column in few.columns].index("fid")
    assert {row.cells[place].mark for row in few.rows if not row.heading} == {""}
    assert {row.cells[place].mark for row in many.rows if not row.heading} == {"best", "second", ""}
    assert any("Of fewer than 128 images" in span.text for note in few.notes for span in note)
    assert registry.get("fid").direction == "lower"


@pytest.mark.parametrize("wanted", [[0.1, 0.1, 0.1], [0.99, 1.0, 0.98], [0.2, 0.9, 0.4], [0.5] * 30])
def test_names_beside_a_panel_do_not_touch(wanted):
    heights = spaced(wanted, 0.1)
    least = min(0.1, 1 / (len(wanted) - 1))
    ordered = sorted(heights)
    assert all(above - below >= least - 1e-9 for below, above in pairwise(ordered))
    assert ordered[0] >= -1e-9 and ordered[-1] <= 1 + 1e-9
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    assert [heights[index] for index in order] == ordered


def test_names_that_have_room_stay_where_they_are():
    assert spaced([0.2, 0.9, 0.4], 0.1) == [0.2, 0.9, 0.4]


def test_the_platform_s_viewer_opens_the_report_or_its_lack_is_told(tmp_path):
    opener = tmp_path / "xdg-open"
    opener.write_text(f'#!/bin/sh\nprintf %s "$1" > {tmp_path / "opened"}\n')
    opener.chmod(0o755)
    screen = {"PATH": str(tmp_path), "DISPLAY": ":0"}
    assert viewer_command("linux", screen) == [str(opener)]
    assert viewer_command("linux", {"PATH": str(tmp_path)}) is None
    assert viewer_command("darwin", {}) == ["open"]
    assert "no viewer or no screen here to open" in show(tmp_path / "report.pdf", "linux", {"PATH": ""})
    assert show(tmp_path / "report.pdf", "linux", screen) == ""
    for _ in range(500):
        if (tmp_path / "opened").exists() and (tmp_path / "opened").read_text():
            break
        time.sleep(0.02)
    assert (tmp_path / "opened").read_text() == str(tmp_path / "report.pdf")


def test_runs_of_the_same_old_weights_share_a_line():
    runs = [replace(run, record={"weights": {"generator": "b" * 64, "psp": "a" * 64}})
            for run in _material(["faces"]).of("faces")]  # fmt: skip
    cards = [{"domain": "faces", "name": name, "sha256": "a" * 64} for name in ("generator", "psp")]
    (line,) = provenance.stale(cards, runs)
    words = "".join(span.text for span in line)
    assert all(run.name in words for run in runs)
    assert words.endswith("were made with other weights of generator (bbbbbbbbbbbb); evaluate them again.")
    (alone,) = provenance.stale(cards, runs[:1])
    assert "was made with other weights" in alone[1].text and "evaluate it again" in alone[1].text


def test_judges_of_each_domain_are_held_against_the_bars_by_themselves():
    def parser(domain: str, miou: float) -> dict[str, object]:
        return {"domain": domain, "name": "parser", "scores": {"miou": miou, "iou_wall": miou, "iou_sky": 0.9}}

    cards = [parser("faces", 0.65), parser("churches", 0.8)]
    assert provenance.missed_bars(cards) == ["parsing, mean intersection over union of parser on faces (0.650)"]
    rows = [[cell.value for cell in row.cells] for row in provenance.judge_bars(cards).rows]
    assert [row[0] for row in rows if row[1] == "parser"] == ["faces", "churches", "faces", "churches"]
    assert [row[-1] for row in rows if row[1] == "parser"] == ["no", "yes", "yes", "yes"]
    assert [(row[0], row[-1]) for row in rows if row[1] == "attributes"] == [("–", "not measured")] * 2
    scores = provenance.all_scores(cards).rows
    assert [row.cells[0].value for row in scores] == ["faces"] * 3 + ["churches"] * 3

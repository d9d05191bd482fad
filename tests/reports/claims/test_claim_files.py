"""The papers' data as shipped, and what happens when they are damaged."""

import csv
import shutil

import pytest
import yaml

from core.errors import ReinvertError
from reports.claims import inconsistencies, names
from reports.claims.judge import judge, read_rules
from reports.claims.paper_tables import read_layouts
from reports.claims.published import evidence_of, read_published
from reports.claims.statements import PAPERS, Figure, Order, Ratio, Trend, read_claims


@pytest.fixture(scope="module")
def published():
    return read_published()


def test_every_claim_and_cell_is_read(published):
    claims = read_claims()
    assert len(claims) == 71
    assert len(published) == 533
    assert {claim.paper for claim in claims} == {one.paper for one in published} == set(names.methods().papers)
    assert {type(claim.check).__name__ for claim in claims} == {"Order", "NoWorse", "Ratio", "Trend", "Agree", "Figure"}


def test_every_metric_of_a_claim_is_described_and_every_rule_has_its_claim():
    claims = {claim.id: claim for claim in read_claims()}
    for claim in claims.values():
        if not isinstance(claim.check, Figure):
            for metric in [claim.check.metric] if isinstance(claim.check, Ratio) else claim.check.metrics:
                assert names.metric(metric).label
        if isinstance(claim.check, Trend) and claim.check.methods is None:
            assert claim.check.sweep in names.methods().families
    for claim, rules in read_rules().items():
        assert isinstance(claims[claim].check, Figure)
        for rule in rules:
            assert names.metric(rule.metric).label
            assert (rule.number is None) == bool(rule.other_method or rule.other_setting)


def test_printed_digits_are_kept(published):
    text = {(one.paper, one.table, one.method, one.metric, one.sweep): one.text for one in published
            if one.domain == "faces"}  # fmt: skip
    assert text["hyperinverter", "table-1", "sg2-w-plus", "lpips", ""] == "0.1250"
    assert text["hyperinverter", "table-1", "psp", "fid", ""] == "24.20"
    assert text["hyperinverter", "table-1", "sg2-w-plus", "seconds_per_image", ""] == "270"
    assert text["hyperinverter", "table-2", "e4e", "age_delta", "gamma=-2"] == "-5.60"
    assert text["e2style", "table-1", "e2style/3-stage", "psnr", ""] == "23.0"
    assert text["e2style", "table-1", "dni", "params_millions", ""] == "525"


def test_the_papers_own_numbers_support_their_claims_as_far_as_they_are_printed(published):
    rules = read_rules()
    found = {}
    for claim in read_claims():
        for one in judge(claim, evidence_of(claim.paper, published), rules):
            found[claim.id, one.domain] = one.verdict
    assert "contradicted" not in found.values()
    # Two printed decimals cannot show an agreement within 15 or 1 per cent.
    open_ones = {key for key, verdict in found.items() if verdict == "inconclusive"}
    assert open_ones == {("restyle-10", "faces"), ("restyle-10", "cars"), ("restyle-10", "wild"),
                         ("e2style-11", "faces")}  # fmt: skip
    supported = {claim for (claim, _), verdict in found.items() if verdict == "supported"}
    assert len(supported) == 41  # restyle-10 among them, by churches and horses
    assert {"hyperinverter-9", "hyperinverter-11", "feature-style-5", "e2style-4", "e2style-17"} <= supported
    assert found["hyperinverter-1", "churches"] == "supported"
    assert found["restyle-3", ""] == "not measured"


def test_what_a_program_finds_in_the_published_numbers(published):
    images = inconsistencies.read_findings().images
    assert inconsistencies.within_papers(published) == []
    assert inconsistencies.reversals(published, images) == []
    apart = inconsistencies.between_papers(published, images)
    by_hand = {(one.method, one.metric, one.first.paper, one.second.paper): one for one in apart}
    worst = by_hand["psp", "fid", "hyperinverter", "feature-style-encoder"]
    assert (worst.first.text, worst.second.text, worst.ratio) == ("24.20", "34.68", pytest.approx(34.68 / 24.20))
    assert not any(one.metric == "seconds_per_image" for one in apart)
    # 0.03 and 0.034 may be the same number.
    assert ("restyle-psp", "l2", "restyle", "feature-style-encoder") not in by_hand
    impossible = inconsistencies.impossible_pairs(published)
    assert {one.paper for one, _, _ in impossible} == {"hyperinverter"}
    assert {one.domain for one, _, _ in impossible} == {"faces"}
    pti = next(entry for entry in impossible if entry[0].method == "pti")
    assert pti[2] == pytest.approx(26.778, abs=1e-3)  # 10 log10(4 / 0.0084), above the printed 25.3447


def test_a_changed_number_is_found(published):
    one = next(one for one in published if (one.table, one.method, one.metric) == ("table-3", "hyperinverter", "l2"))
    changed = [*published, type(one)(**{**one.__dict__, "table": "table-1", "value": 0.0343})]
    found = inconsistencies.within_papers(changed)
    assert {(entry.first.value, entry.second.value) for entry in found} >= {(0.0243, 0.0343)}
    images = inconsistencies.read_findings().images
    turned = [type(other)(**{**other.__dict__, "value": 0.2}) if (other.paper, other.method, other.metric) ==
              ("e2style", "psp", "id") else other for other in published]  # fmt: skip
    assert any(entry[0] == "id" for entry in inconsistencies.reversals(turned, images))


def test_layouts_are_of_published_tables(published):
    layouts = read_layouts()
    printed = {(one.paper, one.table) for one in published}
    for layout in layouts:
        assert (layout.paper, layout.table) in printed
    assert [layout.identifier for layout in layouts] == [
        "hyperinverter-1", "hyperinverter-2", "hyperinverter-3", "feature-style-1", "feature-style-2",
        "feature-style-4", "e2style-i", "e2style-ii", "e2style-iii", "e2style-iv", "restyle-1",
    ]  # fmt: skip
    for key in inconsistencies.read_findings().images:
        assert any("/".join((one.paper, one.table, one.domain)) == key for one in published)


def damaged(tmp_path, change):
    lines = list(csv.reader((PAPERS / "published.csv").read_text().splitlines()))
    change(lines)
    path = tmp_path / "published.csv"
    with open(path, "w", newline="") as handle:
        csv.writer(handle).writerows(lines)
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[0].reverse(), "has not the columns paper, table"),
        (lambda lines: lines[3].pop(), "line 4: 6 fields instead of 7"),
        (lambda lines: lines[3].__setitem__(6, "n/a"), "line 4: 'n/a' is no number"),
        (lambda lines: lines[3].__setitem__(5, "l3"), "line 4: unknown metric 'l3'"),
        (lambda lines: lines[3].__setitem__(0, "pti"), "line 4: unknown paper 'pti'"),
    ],
)
def test_a_damaged_table_is_one_clear_line(tmp_path, change, said):
    with pytest.raises(ReinvertError, match=said) as caught:
        read_published(damaged(tmp_path, change))
    assert "\n" not in str(caught.value)
    with pytest.raises(ReinvertError, match="not found"):
        read_published(tmp_path / "none.csv")


ORDER = {"kind": "order", "metrics": ["l2"], "pairs": [["a", "b"]]}


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (ORDER | {"chain": ["a", "b"]}, "exactly one of 'better', 'worse', 'pairs' and 'chain'"),
        ({"kind": "order", "metrics": ["l2"], "better": "a"}, "'than' belongs to"),
        (ORDER | {"metrics": []}, "at least 1 item"),
        (ORDER | {"sweep": "steps"}, "sweep: unknown key"),
        ({"kind": "guess"}, "claim c-1: check"),
        ({"kind": "ratio", "metric": "l2", "a": "a", "b": "b"}, "exactly one of 'at_least' and 'at_most'"),
        ({"kind": "trend", "sweep": "steps", "metrics": ["l2"], "shape": "wavy"}, "shape"),
        ({"kind": "agree", "tolerance": 1.5, "metrics": ["l2"], "pairs": [["a", "b"]]}, "tolerance"),
    ],
)
def test_a_damaged_claim_is_one_clear_line(tmp_path, check, said):
    path = tmp_path / "claims.yaml"
    entry = {"id": "c-1", "paper": "restyle", "where": "x", "says": "y", "check": check}
    path.write_text(yaml.safe_dump([entry]))
    with pytest.raises(ReinvertError, match=said) as caught:
        read_claims(path)
    assert "\n" not in str(caught.value)


def test_claims_need_a_list_and_names_of_their_own(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text("a: b")
    with pytest.raises(ReinvertError, match="no list of claims"):
        read_claims(path)
    path.write_text("- {")
    with pytest.raises(ReinvertError, match="not valid YAML"):
        read_claims(path)
    entry = {"id": "c-1", "paper": "restyle", "where": "x", "says": "y", "check": ORDER}
    path.write_text(yaml.safe_dump([entry, entry]))
    with pytest.raises(ReinvertError, match="two claims are called 'c-1'"):
        read_claims(path)


def test_order_lists_its_pairs_best_first():
    assert list(Order(kind="order", metrics=("l2",), worse="a", than=("b", "c")).ordered_pairs()) == [
        ("b", "a"), ("c", "a")]  # fmt: skip
    assert list(Order(kind="order", metrics=("l2",), chain=("a", "b", "c")).ordered_pairs()) == [("a", "b"), ("b", "c")]


def test_other_files_are_read_strictly(tmp_path):
    for name, reader, extra in (
        ("metrics.yaml", names.read_metrics, "loss: {direction: down, label: x, decimals: 1}\n"),
        ("methods.yaml", names.read_methods, "other: {}\n"),
        ("inconsistencies.yaml", inconsistencies.read_findings, "other: {}\n"),
        ("figures.yaml", read_rules, "x-1:\n  - {metric: l2}\n"),
        ("tables.yaml", read_layouts, "- {identifier: x}\n"),
    ):
        path = tmp_path / name
        shutil.copy(PAPERS / name, path)
        path.write_text(path.read_text() + extra)
        with pytest.raises(ReinvertError, match=name):
            reader(path)

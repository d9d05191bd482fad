"""Every kind of check with every verdict, on tables made by hand."""

import math

import pytest

from core.errors import ReinvertError
from reports.claims.evidence import Cell, Evidence, Missing, Value, rounded
from reports.claims.judge import FigureRule, judge
from reports.claims.statements import Claim


def sampled(value: float, half: float = 0.0, n: int = 200) -> Value:
    return Value(value, value - half, value + half, "sampled", f"{value:g}", n)


def table(cells: dict[tuple[str, str], float | Value], domain: str = "faces", half: float = 0.001) -> Evidence:
    """Cells by method and metric; "metric@setting" along a sweep."""
    evidence = Evidence(domains=[domain])
    for (method, name), value in cells.items():
        metric, _, setting = name.partition("@")
        evidence.cells[Cell(domain, method, metric, setting)] = (
            value if isinstance(value, Value) else sampled(value, half)
        )
    return evidence


def verdict(check: dict, evidence: Evidence, rules=None):
    claim = Claim(id="c-1", paper="restyle", where="Table 9", says="So it is.", check=check)
    (found,) = judge(claim, evidence, rules or {})
    return found


def verdict_of(check: dict, cells: dict, half: float = 0.001, rules=None) -> str:
    return verdict(check, table(cells, half=half), rules).verdict


BETTER = {"kind": "order", "metrics": ["l2", "psnr"], "better": "a", "than": ["b", "c"]}
GOOD = {
    ("a", "l2"): 0.1,
    ("b", "l2"): 0.2,
    ("c", "l2"): 0.3,
    ("a", "psnr"): 9.0,
    ("b", "psnr"): 8.0,
    ("c", "psnr"): 7.0,
}


def test_order_better_is_judged_in_each_metrics_direction():
    assert verdict_of(BETTER, GOOD) == "supported"
    assert verdict_of(BETTER, GOOD | {("c", "psnr"): 9.5}) == "contradicted"
    assert verdict_of(BETTER, GOOD | {("b", "l2"): 0.1005}) == "inconclusive"
    without = {key: value for key, value in GOOD.items() if key != ("c", "psnr")}
    assert verdict_of(BETTER, without) == "not measured"


def test_one_counterexample_refutes_whatever_else_is_missing():
    found = verdict(BETTER, table({("a", "l2"): 0.1, ("b", "l2"): 0.05}))
    assert found.verdict == "contradicted"
    assert found.reason == "1 of 4 comparisons fail; 3 not measured; first: L2: a 0.1 not < b 0.05"


def test_an_equal_number_of_each_outcome_is_told_apart():
    found = verdict(BETTER, table(GOOD | {("b", "l2"): 0.1005}))
    assert [one.outcome for one in found.comparisons] == ["open", "holds", "holds", "holds"]
    assert found.reason == "1 of 4 comparisons cannot be told, intervals are too wide; first: L2: a 0.1 <? b 0.1005"


def test_order_worse():
    check = {"kind": "order", "metrics": ["fid"], "worse": "a", "than": ["b"]}
    assert verdict_of(check, {("a", "fid"): 9, ("b", "fid"): 5}) == "supported"
    assert verdict_of(check, {("a", "fid"): 5, ("b", "fid"): 9}) == "contradicted"
    assert verdict_of(check, {("a", "fid"): 9, ("b", "fid"): 8}, half=1) == "inconclusive"
    assert verdict_of(check, {("a", "fid"): 9}) == "not measured"


def test_order_pairs_and_chain():
    pairs = {"kind": "order", "metrics": ["l2"], "pairs": [["a", "b"], ["c", "d"]]}
    cells = {("a", "l2"): 1, ("b", "l2"): 2, ("c", "l2"): 1, ("d", "l2"): 2}
    assert verdict_of(pairs, cells) == "supported"
    assert verdict_of(pairs, cells | {("d", "l2"): 0.5}) == "contradicted"
    chain = {"kind": "order", "metrics": ["l2"], "chain": ["a", "b", "c"]}
    assert verdict_of(chain, cells | {("c", "l2"): 3}) == "supported"
    assert verdict_of(chain, cells) == "contradicted"
    assert verdict_of(chain, cells | {("c", "l2"): 2.001}) == "inconclusive"
    assert verdict_of(chain, {("a", "l2"): 1, ("b", "l2"): 2}) == "not measured"


def test_for_each_gamma_asks_at_every_strength_but_zero():
    check = {"kind": "order", "metrics": ["abs_age_delta"], "better": "a", "than": ["b"], "for_each": "gamma"}
    cells = {("a", "age_delta@gamma=-1"): -4, ("b", "age_delta@gamma=-1"): -2, ("a", "age_delta@gamma=0"): 0,
             ("b", "age_delta@gamma=0"): 0, ("a", "age_delta@gamma=2"): 9, ("b", "age_delta@gamma=2"): 5}  # fmt: skip
    found = verdict(check, table(cells))
    assert found.verdict == "supported"
    assert len(found.comparisons) == 2
    assert verdict_of(check, cells | {("b", "age_delta@gamma=2"): -11}) == "contradicted"
    assert verdict_of(check, cells, half=1.5) == "inconclusive"
    del cells["b", "age_delta@gamma=2"]
    assert verdict_of(check, cells) == "not measured"
    assert verdict_of(check, {("a", "l2"): 1}) == "not measured"


def test_no_worse_allows_its_tolerance_in_both_directions_of_metrics():
    check = {"kind": "no_worse", "tolerance": 0.1, "metrics": ["l2", "id"], "pairs": [["a", "b"]]}
    cells = {("a", "l2"): 1.08, ("b", "l2"): 1.0, ("a", "id"): 0.92, ("b", "id"): 1.0}
    assert verdict_of(check, cells) == "supported"
    assert verdict_of(check, cells | {("a", "l2"): 1.2}) == "contradicted"
    assert verdict_of(check, cells | {("a", "id"): 0.8}) == "contradicted"
    assert verdict_of(check, cells, half=0.05) == "inconclusive"
    assert verdict_of(check, {("a", "l2"): 1}) == "not measured"
    # A similarity below zero: worse still means lower.
    negative = {("a", "l2"): 1, ("b", "l2"): 1, ("b", "id"): -0.5}
    assert verdict_of(check, negative | {("a", "id"): -0.54}) == "supported"
    assert verdict_of(check, negative | {("a", "id"): -0.56}) == "contradicted"


def test_ratio_at_least_and_at_most():
    least = {"kind": "ratio", "metric": "seconds_per_image", "a": "a", "b": "b", "at_least": 10}
    assert verdict_of(least, {("a", "seconds_per_image"): 21, ("b", "seconds_per_image"): 2}) == "supported"
    assert verdict_of(least, {("a", "seconds_per_image"): 19, ("b", "seconds_per_image"): 2}) == "contradicted"
    assert verdict_of(least, {("a", "seconds_per_image"): 21, ("b", "seconds_per_image"): 2}, 0.2) == "inconclusive"
    assert verdict_of(least, {("a", "seconds_per_image"): 21}) == "not measured"
    most = {"kind": "ratio", "metric": "lpips", "a": "a", "b": "b", "at_most": 0.6}
    assert verdict_of(most, {("a", "lpips"): 0.5, ("b", "lpips"): 1.0}) == "supported"
    assert verdict_of(most, {("a", "lpips"): 0.7, ("b", "lpips"): 1.0}) == "contradicted"
    found = verdict(most, table({("a", "lpips"): 0.5, ("b", "lpips"): 1.0}))
    assert found.numbers == "LPIPS: a 0.5 / b 1 = 0.5 ≤ 0.6"


def curve(method: str, scores: list[float], seconds: list[float], half: float = 0.0) -> dict:
    cells: dict = {}
    for step, (score, second) in enumerate(zip(scores, seconds, strict=True)):
        cells[method, f"id@step={step}"] = sampled(score, half)
        cells[method, f"seconds@step={step}"] = sampled(second, half)
    return cells


def test_seconds_to_match_id_are_read_off_the_curves():
    check = {"kind": "ratio", "metric": "seconds_to_match_id", "a": "slow", "b": "fast", "at_least": 10}
    fast = curve("fast", [0.5, 0.6], [0.1, 0.2])
    slow = curve("slow", [0.2, 0.55, 0.61, 0.7], [1, 2, 3, 4])
    found = verdict(check, table(fast | slow))
    assert found.verdict == "supported"
    assert "slow 3 / fast 0.2 = 15 ≥ 10" in found.numbers
    assert verdict_of(check, fast | curve("slow", [0.65], [1.9])) == "contradicted"
    # It never gets there: longer than the time it had, which may or may not be enough.
    assert verdict_of(check, fast | curve("slow", [0.2, 0.3], [1, 5])) == "supported"
    assert verdict_of(check, fast | curve("slow", [0.2, 0.3], [0.5, 1.5])) == "inconclusive"
    assert verdict_of(check, fast | {("slow", "l2"): 1}) == "not measured"
    assert verdict(check, table(fast)).reason == "slow: not measured on faces"


@pytest.mark.parametrize(
    ("shape", "values", "expected"),
    [
        ("decreasing", [3, 2, 1], "supported"),
        ("decreasing", [3, 2, 2.5], "contradicted"),
        ("decreasing", [3, 2, 1.9995], "inconclusive"),
        ("decreasing", [3], "not measured"),
        ("increasing", [1, 2, 3], "supported"),
        ("increasing", [1, 2, 1.5], "contradicted"),
        ("monotone", [3, 2, 1], "supported"),
        ("monotone", [-3, 2, 5], "supported"),
        ("monotone", [1, 3, 2], "contradicted"),
        ("monotone", [1, 1.0005, 2], "inconclusive"),
    ],
)
def test_trend_shapes_along_a_methods_own_steps(shape, values, expected):
    check = {"kind": "trend", "sweep": "steps", "methods": ["a"], "metrics": ["l2"], "shape": shape}
    cells = {("a", f"l2@step={step}"): value for step, value in enumerate(values, 9)}  # 9, 10, 11: not sorted as words
    assert verdict_of(check, cells) == expected


@pytest.mark.parametrize(
    ("metric", "values", "expected"),
    [
        ("ssim", [0.5, 0.7, 0.8], "supported"),
        ("l2", [0.8, 0.6, 0.5], "supported"),  # better is lower
        ("ssim", [0.5, 0.6, 0.8], "contradicted"),  # the gain grows
        ("ssim", [0.5, 0.7, 0.6], "contradicted"),
        ("ssim", [0.5, 0.6, 0.7], "inconclusive"),
        ("ssim", [0.5, 0.7], "inconclusive"),  # one gain cannot shrink
        ("ssim", [0.5], "not measured"),
    ],
)
def test_trend_saturating_along_a_family(metric, values, expected):
    check = {"kind": "trend", "sweep": "stages", "metrics": [metric], "shape": "saturating_increase"}
    cells = {(f"e2style/{stage}-stage", metric): value for stage, value in enumerate(values, 1)}
    assert verdict_of(check, cells) == expected


def test_a_family_is_ordered_by_its_number_and_a_step_without_number_is_told():
    check = {"kind": "trend", "sweep": "hidden_size", "metrics": ["l2"], "shape": "decreasing"}
    sizes = {128: 0.1, 32: 0.3, 64: 0.2}
    cells: dict = {(f"hyperinverter/hidden-{size}", "l2"): value for size, value in sizes.items()}
    found = verdict(check, table(cells))
    assert found.verdict == "supported"
    assert found.numbers == "L2 of hidden size (32 to 128): 0.3 → 0.2 → 0.1"
    cells["hyperinverter/hidden-64", "l2"] = Value(math.nan, math.nan, math.nan, "sampled", "failed")
    assert verdict(check, table(cells)).reason == "l2 of hyperinverter/hidden-64: no number"


def test_a_turning_trend_says_where():
    check = {"kind": "trend", "sweep": "gamma", "methods": ["a"], "metrics": ["age_delta"], "shape": "monotone"}
    cells = {("a", f"age_delta@gamma={gamma}"): value for gamma, value in ((-1, -3), (1, 4), (2, 3.5))}
    assert "turns back from 1 to 2" in verdict(check, table(cells)).numbers


def test_agree_is_relative_to_the_second():
    check = {"kind": "agree", "tolerance": 0.1, "metrics": ["l2"], "pairs": [["a", "b"]]}
    for value, expected in ((1.05, "supported"), (0.95, "supported"), (1.2, "contradicted"), (0.8, "contradicted")):
        assert verdict_of(check, {("a", "l2"): value, ("b", "l2"): 1.0}) == expected
    assert verdict_of(check, {("a", "l2"): 1.05, ("b", "l2"): 1.0}, half=0.1) == "inconclusive"
    assert verdict_of(check, {("a", "l2"): 1.05}) == "not measured"


def test_a_figure_needs_its_analysis_and_its_rule():
    check = {"kind": "figure", "output": "weight_change"}
    found = verdict(check, table({("a", "l2"): 1}))
    assert (found.verdict, found.reason) == ("not measured", "analysis 'weight_change': not made yet")
    above = {"metric": "residual_weight_change", "method": "a", "setting": "kind=main", "is": "above"}
    rules = {"c-1": [FigureRule.model_validate(above | {"other_setting": "kind=side"})]}
    cells = {("a", "residual_weight_change@kind=main"): 3.0, ("a", "residual_weight_change@kind=side"): 1.0}
    assert verdict_of(check, cells, rules=rules) == "supported"
    assert verdict_of(check, cells | {("a", "residual_weight_change@kind=main"): 0.5}, rules=rules) == "contradicted"
    assert verdict_of(check, cells, half=2, rules=rules) == "inconclusive"
    assert verdict_of(check, {("a", "l2"): 1}, rules=rules) == "not measured"
    number = {"c-1": [FigureRule.model_validate(above | {"is": "below", "number": 3.5})]}
    assert verdict_of(check, cells, rules=number) == "supported"
    assert verdict_of(check, cells, half=1, rules=number) == "inconclusive"


def claim_of(check: dict) -> Claim:
    return Claim(id="c-1", paper="restyle", where="Fig. 3", says="So it is.", check=check)


def test_every_domain_is_judged_apart_and_faces_metrics_on_faces_only():
    evidence = table(GOOD | {("a", "id"): 0.9, ("b", "id"): 0.8})
    evidence.domains = ["faces", "churches"]
    for (method, name), value in GOOD.items():
        evidence.cells[Cell("churches", method, name)] = sampled(1 - value if name == "l2" else value)
    check = {"kind": "order", "metrics": ["l2", "id"], "pairs": [["a", "b"]]}
    found = {one.domain: one for one in judge(claim_of(check), evidence, {})}
    assert found["faces"].verdict == "supported"
    assert found["churches"].verdict == "contradicted"
    assert len(found["churches"].comparisons) == 1  # identity means nothing there
    assert [one.domain for one in judge(claim_of(check | {"metrics": ["id"]}), evidence, {})] == ["faces"]
    only = judge(claim_of(check | {"domains": ["cats", "churches"]}), evidence, {})
    assert [(one.domain, one.verdict) for one in only] == [("cats", "not measured"), ("churches", "contradicted")]
    assert only[0].reason == "cats: no domain of this suite"


def test_a_paper_is_judged_where_its_tables_reach():
    check = {"kind": "order", "metrics": ["l2"], "pairs": [["a", "b"]]}
    evidence = table({("a", "l2"): rounded(0.03, "l2", 2), ("b", "l2"): rounded(0.04, "l2", 2)})
    evidence.domains, evidence.published = ["faces", "cars"], True
    found = judge(claim_of(check), evidence, {})
    assert [(one.domain, one.verdict) for one in found] == [("faces", "supported")]
    (nowhere,) = judge(claim_of(check | {"metrics": ["lpips"]}), evidence, {})
    assert (nowhere.domain, nowhere.verdict) == ("", "not measured")
    assert nowhere.reason == "no table of the paper prints it; it rests on Fig. 3"


def test_printed_ties_and_tolerances_below_the_rounding_cannot_be_told():
    check = {"kind": "order", "metrics": ["l2"], "pairs": [["a", "b"]]}
    evidence = table({("a", "l2"): rounded(0.03, "l2", 2), ("b", "l2"): rounded(0.03, "l2", 2)})
    evidence.published = True
    (tie,) = judge(claim_of(check), evidence, {})
    assert tie.verdict == "inconclusive"
    assert "from rounded numbers" in tie.reason
    agree = {"kind": "agree", "tolerance": 0.15, "metrics": ["l2"], "pairs": [["a", "b"]]}
    assert judge(claim_of(agree), evidence, {})[0].verdict == "inconclusive"


def test_why_nothing_is_measured_names_runs_that_failed_and_what_is_missing():
    evidence = table({("a", "l2"): 0.1, ("d", "ssim"): 1})
    evidence.absent["faces", "b"] = "image 3 is grey"
    check = {"kind": "order", "metrics": ["l2", "psnr"], "better": "a", "than": ["b", "c", "d"]}
    found = verdict(check, evidence)
    assert found.reason == "b: image 3 is grey; c, l2 of d, psnr of a: not measured on faces"


def test_the_same_network_under_another_name_stands_in_but_own_numbers_come_first():
    check = {"kind": "order", "metrics": ["l2"], "pairs": [["hyperinverter", "hyperinverter/without-phase-2"]]}
    cells = {("hyperinverter", "l2"): 0.1, ("hyperinverter/w-encoder", "l2"): 0.2}
    assert verdict_of(check, cells) == "supported"
    assert verdict_of(check, cells | {("hyperinverter/without-phase-2", "l2"): 0.05}) == "contradicted"


def test_an_unknown_metric_is_one_clear_line():
    check = {"kind": "order", "metrics": ["l3"], "pairs": [["a", "b"]]}
    with pytest.raises(ReinvertError, match="unknown metric 'l3'"):
        verdict(check, table({}))


def test_only_the_closest_comparison_of_a_metric_is_shown_and_long_lists_are_cut():
    cells = {("a", "l2"): 0.1, ("b", "l2"): 0.2, ("c", "l2"): 0.15}
    check = {"kind": "order", "metrics": ["l2"], "better": "a", "than": ["b", "c"]}
    assert verdict(check, table(cells)).numbers == "L2: a 0.1 < c 0.15"
    methods = [f"m{index}" for index in range(9)]
    trend = {"kind": "trend", "sweep": "steps", "methods": methods, "metrics": ["l2"], "shape": "decreasing"}
    many = {(method, f"l2@step={step}"): 9.0 - step for method in methods for step in (1, 2)}
    assert verdict(trend, table(many)).numbers.endswith("; and 6 more")
    missing = verdict(trend, table({}))
    assert missing.reason == "m0, m1, m2, m3, m4, m5, m6 and 2 more: not measured on faces"
    assert isinstance(missing.comparisons[0].missing, Missing)


def test_a_trend_of_numbers_that_are_none_or_of_too_few_images_is_not_measured():
    check = {"kind": "trend", "sweep": "steps", "methods": ["a"], "metrics": ["l2"], "shape": "decreasing"}
    cells: dict = {("a", "l2@step=1"): 3.0, ("a", "l2@step=2"): sampled(math.nan)}
    assert verdict(check, table(cells)).reason == "l2 of a: no number"
    cells["a", "l2@step=2"] = sampled(2.0, 0.1, n=2)
    assert verdict(check, table(cells)).reason == "l2 of a: of 2 images, too few for an interval"

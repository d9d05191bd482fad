"""From a claim and a table of numbers to a verdict for every domain.

A claim is a set of comparisons. It is

- contradicted when one of them surely fails, whatever else is missing: a statement about all is refuted by one;
- otherwise not measured when a comparison lacks a number;
- otherwise inconclusive when the interval of a difference crosses zero (or the tolerance);
- supported when all comparisons surely hold.

Intervals are of 95 % for each comparison, not for all of them together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pydantic

from core.config import Strict, validated
from reports.claims import names, ratios
from reports.claims.evidence import Evidence, Missing, Value, sign
from reports.claims.statements import PAPERS, Agree, Claim, Figure, NoWorse, Order, Ratio, Trend, read_yaml

Verdict = Literal["supported", "contradicted", "inconclusive", "not measured"]
VERDICTS: tuple[Verdict, ...] = ("supported", "contradicted", "inconclusive", "not measured")
Outcome = Literal["holds", "fails", "open", "missing"]
SWEEPS = {"steps": "step", "gamma": "gamma"}
"""Sweeps of one method's own numbers; the others are families of methods."""
SUBJECTS = 7
"""At most so many missing things are listed, and comparisons shown."""


@dataclass(frozen=True)
class Comparison:
    """One of the comparisons that a claim consists of."""

    subject: str
    """The metric, and along a sweep whose it is: of each subject the report shows one comparison."""
    words: str
    """Both sides with their numbers; empty where one is missing."""
    outcome: Outcome
    missing: Missing | None = None
    margin: float = math.inf
    """How far from failing, relative to the numbers; negative where it does not hold."""


@dataclass(frozen=True)
class Judgement:
    """The verdict on one claim for one domain."""

    claim: Claim
    domain: str
    """Empty where a paper prints no number at all."""
    verdict: Verdict
    reason: str
    """One line."""
    numbers: str
    """The numbers that decide, as printed: of every metric the closest comparison, or the whole sweep."""
    comparisons: tuple[Comparison, ...]


class FigureRule(Strict):
    """A comparison that a figure has to show; see the head of figures.yaml."""

    metric: str
    method: str
    setting: str = ""
    is_: Annotated[Literal["above", "below"], pydantic.Field(alias="is")]
    other_method: str | None = None
    other_setting: str = ""
    number: float | None = None


Rules = dict[str, list[FigureRule]]


class _Rules(pydantic.RootModel[Rules]):
    pass


def read_rules(path: Path = PAPERS / "figures.yaml") -> Rules:
    """What the claims about figures come down to, by claim.

    Raises:
        ReinvertError: the file is missing or holds a mistake.
    """
    return validated(_Rules, read_yaml(path), str(path)).root


def judge(claim: Claim, evidence: Evidence, rules: Rules) -> list[Judgement]:
    """The verdicts on a claim.

    Args:
        claim: the statement.
        evidence: one table, published or measured, never both.
        rules: what the claims about figures come down to.

    Returns:
        One judgement for every domain that the claim speaks of and on which its metrics mean something. Of published
        tables only the domains that they cover, and a single judgement without domain where they cover none.
    """
    found = [_on_domain(claim, domain, evidence, rules) for domain in claim.check.domains or evidence.domains
             if _speaks_of(claim, domain)]  # fmt: skip
    if evidence.published:
        covered = [one for one in found if one.verdict != "not measured"]
        if covered or not found:
            return covered
        reason = f"no table of the paper prints it; it rests on {claim.where}"
        return [Judgement(claim, "", "not measured", reason, "", found[0].comparisons)]
    return found


def _metrics(claim: Claim) -> Sequence[str]:
    check = claim.check
    if isinstance(check, Figure):
        return ()
    return (check.metric,) if isinstance(check, Ratio) else check.metrics


def _speaks_of(claim: Claim, domain: str) -> bool:
    metrics = _metrics(claim)
    return not metrics or any(names.applies(metric, domain) for metric in metrics)


def _on_domain(claim: Claim, domain: str, evidence: Evidence, rules: Rules) -> Judgement:
    check = claim.check
    match check:
        case Order():
            made = _order(check, domain, evidence)
        case NoWorse():
            made = _pairs(check.pairs, check.metrics, domain, evidence, _no_worse(check.tolerance))
        case Agree():
            made = _pairs(check.pairs, check.metrics, domain, evidence, _agree(check.tolerance))
        case Ratio():
            made = _ratio(check, domain, evidence)
        case Trend():
            made = _trend(check, domain, evidence)
        case Figure():
            made = _figure(claim.id, check, domain, evidence, rules)
    comparisons = tuple(made)
    verdict = _verdict(comparisons)
    return Judgement(claim, domain, verdict, _reason(verdict, comparisons, evidence), _numbers(comparisons), comparisons)


def _verdict(comparisons: Sequence[Comparison]) -> Verdict:
    outcomes = {comparison.outcome for comparison in comparisons}
    if "fails" in outcomes:
        return "contradicted"
    if "missing" in outcomes or not outcomes:
        return "not measured"
    return "inconclusive" if "open" in outcomes else "supported"


# Comparisons of two values: both sides and the relation between them, the margin, and whether it holds.
Compared = tuple[tuple[str, str, str], float, Outcome]
Compare = Callable[[str, str, Value, str, Value], Compared]


def _outcome(certain: int) -> Outcome:
    return {1: "holds", -1: "fails", 0: "open"}[certain]  # type: ignore[return-value]


def _margin(advantage: float, *values: Value) -> float:
    scale = max(abs(value.value) for value in values)
    return advantage / scale if scale else 0.0


def _better(metric: str, left: str, a: Value, right: str, b: Value) -> Compared:
    lower = names.metric(metric).direction == "lower"
    towards = 1.0 if lower else -1.0
    words = f"{left} {a.text}", "<" if lower else ">", f"{right} {b.text}"
    return words, _margin(towards * (b.value - a.value), a, b), _outcome(sign([(towards, b), (-towards, a)]))


def _no_worse(tolerance: float) -> Compare:
    def compare(metric: str, left: str, a: Value, right: str, b: Value) -> Compared:
        lower = names.metric(metric).direction == "lower"
        towards = 1.0 if lower else -1.0
        # So much room on the worse side, whatever sign the number has.
        factor = 1 + towards * tolerance * math.copysign(1.0, b.value)
        room = f"{'+' if lower else '−'} {tolerance:.0%}"
        words = f"{left} {a.text}", "≤" if lower else "≥", f"{right} {b.text} {room}"
        advantage = towards * (factor * b.value - a.value)
        return words, _margin(advantage, a, b), _outcome(sign([(towards * factor, b), (-towards, a)]))

    return compare


def _agree(tolerance: float) -> Compare:
    def compare(metric: str, left: str, a: Value, right: str, b: Value) -> Compared:
        room = tolerance * math.copysign(1.0, b.value)
        above, below = sign([(1 + room, b), (-1, a)]), sign([(1, a), (room - 1, b)])
        words = f"{left} {a.text}", "=", f"{right} {b.text} ± {tolerance:.0%}"
        return words, _margin(tolerance * abs(b.value) - abs(a.value - b.value), a, b), _outcome(min(above, below))

    return compare


def _pairs(pairs: Sequence[tuple[str, str]], metrics: Sequence[str], domain: str, evidence: Evidence, compare: Compare,
           setting: str = "") -> Iterator[Comparison]:  # fmt: skip
    for metric in metrics:
        if not names.applies(metric, domain):
            continue
        for first, second in pairs:
            a, b = (evidence.find(domain, method, metric, setting) for method in (first, second))
            yield _compared(metric, first, a, second, b, compare, setting)


def _compared(metric: str, left: str, a: Value | Missing, right: str, b: Value | Missing, compare: Compare,
              setting: str = "") -> Comparison:  # fmt: skip
    for side in (a, b):
        if isinstance(side, Missing):
            return Comparison(metric, "", "missing", side)
    assert isinstance(a, Value)
    assert isinstance(b, Value)
    (first, relation, second), margin, outcome = compare(metric, left, a, right, b)
    relation = {"fails": f"not {relation}", "open": f"{relation}?"}.get(outcome, relation)
    at = f" at {setting.replace('gamma', 'γ')}" if setting else ""
    return Comparison(metric, f"{names.metric(metric).label}{at}: {first} {relation} {second}", outcome, None, margin)


def _order(check: Order, domain: str, evidence: Evidence) -> Iterator[Comparison]:
    pairs = list(check.ordered_pairs())
    if check.for_each is None:
        yield from _pairs(pairs, check.metrics, domain, evidence, _better)
        return
    for metric in check.metrics:
        if not names.applies(metric, domain):
            continue
        points = {point for pair in pairs for method in pair
                  for point, _ in evidence.swept(domain, method, metric, check.for_each) if point}  # fmt: skip
        for point in sorted(points):
            yield from _pairs(pairs, [metric], domain, evidence, _better, f"{check.for_each}={point:g}")
        if not points:
            yield from _nothing_swept({method for pair in pairs for method in pair}, metric, check.for_each, domain,
                                      evidence)  # fmt: skip


def _nothing_swept(methods: set[str], metric: str, sweep: str, domain: str, evidence: Evidence) -> Iterator[Comparison]:
    for method in sorted(methods):
        why = evidence.find(domain, method, metric, f"{sweep}=1")
        if isinstance(why, Value) or why.noun == "setting":
            why = Missing("setting", f"{metric} of {method} along {sweep}", evidence.nothing(domain))
        yield Comparison(metric, "", "missing", why)


def _ratio(check: Ratio, domain: str, evidence: Evidence) -> Iterator[Comparison]:
    derived = ratios.DERIVED.get(check.metric)
    if derived is not None:
        a, b = derived(evidence, domain, check.a, check.b)
    else:
        a, b = (evidence.find(domain, method, check.metric) for method in (check.a, check.b))
    bound = check.at_least if check.at_least is not None else check.at_most
    assert bound is not None
    towards = 1.0 if check.at_least is not None else -1.0

    def compare(metric: str, left: str, a: Value, right: str, b: Value) -> Compared:
        ratio = a.value / b.value if b.value else math.inf
        ratio_text = f"{ratio:,.3g}" if ratio < 1000 else f"{ratio:,.0f}"
        words = f"{left} {a.text} / {right} {b.text} = {ratio_text}", "≥" if towards > 0 else "≤", f"{bound:g}"
        # The ratio is beyond its bound when a is beyond so many times b, for positive b: a time, a count, a distance.
        return words, towards * (ratio / bound - 1), _outcome(sign([(towards, a), (-towards * bound, b)]))

    yield _compared(check.metric, check.a, a, check.b, b, compare)


def _trend(check: Trend, domain: str, evidence: Evidence) -> Iterator[Comparison]:
    for metric in check.metrics:
        if not names.applies(metric, domain):
            continue
        if check.sweep in SWEEPS:
            for method in check.methods or ():
                points = evidence.swept(domain, method, metric, SWEEPS[check.sweep])
                if any(not math.isfinite(value.value) for _, value in points):
                    lost = Missing("metric", f"{metric} of {method}", f"no number at some {SWEEPS[check.sweep]}")
                    yield Comparison(metric, "", "missing", lost)
                elif len(points) < 2:
                    yield from _nothing_swept({method}, metric, SWEEPS[check.sweep], domain, evidence)
                else:
                    yield _along(metric, method, points, check.shape)
            continue
        members = evidence.family(domain, check.sweep)
        found = [(point, evidence.find(domain, method, metric)) for point, method in members]
        missing = [value for _, value in found if isinstance(value, Missing)]
        if len(found) - len(missing) < 2:
            family = names.methods().families[check.sweep].replace("{}", "…")
            lost = Missing("method", f"two or more of {family}", evidence.nothing(domain))
            yield Comparison(metric, "", "missing", lost)
        elif missing:
            yield Comparison(metric, "", "missing", missing[0])
        else:
            values = [(point, value) for point, value in found if isinstance(value, Value)]
            yield _along(metric, check.sweep.replace("_", " "), values, check.shape)


def _along(metric: str, name: str, points: Sequence[tuple[float, Value]], shape: str) -> Comparison:
    """One comparison for a whole sweep: it holds where every step of it does."""
    values = [value for _, value in points]
    steps = [sign([(1, after), (-1, before)]) for before, after in zip(values, values[1:], strict=False)]
    rises = [after.value - before.value for before, after in zip(values, values[1:], strict=False)]
    better = -1 if names.metric(metric).direction == "lower" else 1
    directions = {"decreasing": [-1], "increasing": [1], "monotone": [-1, 1], "saturating_increase": [better]}[shape]
    certain, margin, broken = max(_moves(steps, rises, points, direction) for direction in directions)
    if shape == "saturating_increase":
        for a, b, c in zip(values, values[1:], values[2:], strict=False):
            # The gain from a to b is greater than that from b to c.
            certain = min(certain, sign([(2 * better, b), (-better, a), (-better, c)]))
        if len(values) < 3:
            certain = min(certain, 0)
    shown = [value.text.split(" [")[0] for value in values]
    listed = " → ".join(shown if len(shown) <= 8 else [*shown[:4], "…", *shown[-3:]])
    subject = f"{names.metric(metric).label} of {name}"
    words = f"{subject} ({points[0][0]:g} to {points[-1][0]:g}): {listed}{broken}"
    return Comparison(subject, words, _outcome(certain), None, margin)


def _moves(steps: Sequence[int], rises: Sequence[float], points: Sequence[tuple[float, Value]], direction: int
           ) -> tuple[int, float, str]:  # fmt: skip
    worst = min(range(len(steps)), key=lambda index: (direction * steps[index], direction * rises[index]))
    certain = direction * steps[worst]
    total = max(abs(rise) for rise in rises) or 1.0
    verb = "turns back" if certain < 0 else "is not certain to move"
    broken = "" if certain > 0 else f", {verb} from {points[worst][0]:g} to {points[worst + 1][0]:g}"
    return certain, direction * rises[worst] / total, broken


def _figure(claim: str, check: Figure, domain: str, evidence: Evidence, rules: Rules) -> Iterator[Comparison]:
    if claim not in rules:
        why = "a figure, not a table" if evidence.published else "not made yet"
        yield Comparison("", "", "missing", Missing("analysis", f"analysis '{check.output}'", why))
        return
    for rule in rules[claim]:
        a = evidence.find(domain, rule.method, rule.metric, rule.setting)
        if rule.number is not None:
            b: Value | Missing = Value(rule.number, rule.number, rule.number, "rounded", f"{rule.number:g}")
            right = ""
        else:
            b = evidence.find(domain, rule.other_method or rule.method, rule.metric, rule.other_setting)
            right = " ".join(filter(None, (rule.other_method or rule.method, rule.other_setting)))
        yield _compared(rule.metric, " ".join(filter(None, (rule.method, rule.setting))), a, right, b,
                        _side(1.0 if rule.is_ == "above" else -1.0))  # fmt: skip


def _side(towards: float) -> Compare:
    def compare(metric: str, left: str, a: Value, right: str, b: Value) -> Compared:
        words = f"{left} {a.text}", ">" if towards > 0 else "<", f"{right} {b.text}".strip()
        return words, _margin(towards * (a.value - b.value), a, b), _outcome(sign([(towards, a), (-towards, b)]))

    return compare


def _reason(verdict: Verdict, comparisons: Sequence[Comparison], evidence: Evidence) -> str:
    total = len(comparisons)
    if verdict == "not measured":
        holding = sum(one.outcome == "holds" for one in comparisons)
        said = _missing([one.missing for one in comparisons if one.missing is not None]) or "nothing to compare"
        return said + (f". {holding} of {total} comparisons hold" if holding else "")
    if verdict == "supported":
        return "it holds" if total == 1 else f"all {total} comparisons hold"
    wanted: Outcome = "fails" if verdict == "contradicted" else "open"
    worst = sorted((one for one in comparisons if one.outcome == wanted), key=lambda one: one.margin)
    verb = "fail" if wanted == "fails" else "cannot be told"
    why = "" if wanted == "fails" else " from rounded numbers" if evidence.published else ", intervals overlap"
    lost = sum(one.outcome == "missing" for one in comparisons)
    more = f"; {lost} not measured" if lost else ""
    return f"{len(worst)} of {total} comparisons {verb}{why}{more}; first: {worst[0].words}"


def _missing(missing: Sequence[Missing]) -> str:
    by_reason: dict[str, list[str]] = {}
    for one in missing:
        subjects = by_reason.setdefault(one.reason, [])
        if one.subject not in subjects:
            subjects.append(one.subject)
    return "; ".join(
        f"{', '.join(subjects[:SUBJECTS])}{f' and {len(subjects) - SUBJECTS} more' if len(subjects) > SUBJECTS else ''}: "
        f"{reason}"
        for reason, subjects in by_reason.items()
    )


def _numbers(comparisons: Sequence[Comparison]) -> str:
    """Of every metric the comparison that is nearest to failing, or has failed most clearly; whole sweeps in full."""
    shown: dict[str, Comparison] = {}
    for one in comparisons:
        if one.outcome != "missing":
            nearest = shown.get(one.subject, one)
            shown[one.subject] = min(nearest, one, key=lambda comparison: comparison.margin)
    if len(shown) > SUBJECTS:
        chosen = sorted(shown.values(), key=lambda one: one.margin)[: SUBJECTS // 2]
        return "; ".join(one.words for one in chosen) + f"; and {len(shown) - len(chosen)} more"
    return "; ".join(one.words for one in shown.values())

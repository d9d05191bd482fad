"""From a claim and a table of numbers to a verdict for every domain.

A claim is a set of comparisons. It is

- contradicted when one of them surely fails, whatever else is missing: a statement about all is refuted by one;
- otherwise not measured when a comparison lacks a number;
- otherwise inconclusive when the interval of a difference crosses zero (or the tolerance);
- supported when all comparisons surely hold.

Intervals are of 95 % for each comparison, not for all of them together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pydantic

from core.config import Strict, validated
from reports.claims import names, ratios
from reports.claims.comparing import Compare, Comparison, Outcome, agree, along, better, compared, no_worse, ratio, side
from reports.claims.evidence import Evidence, Missing, Value
from reports.claims.statements import PAPERS, Agree, Claim, Figure, NoWorse, Order, Ratio, Trend, read_yaml

Verdict = Literal["supported", "contradicted", "inconclusive", "not measured"]
VERDICTS: tuple[Verdict, ...] = ("supported", "contradicted", "inconclusive", "not measured")
SWEEPS = {"steps": "step", "gamma": "gamma"}
"""Sweeps of one method's own numbers; the others are families of methods."""
SUBJECTS = 7
"""At most so many missing things are listed, and comparisons shown."""


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
            made = _pairs(check.pairs, check.metrics, domain, evidence, no_worse(check.tolerance))
        case Agree():
            made = _pairs(check.pairs, check.metrics, domain, evidence, agree(check.tolerance))
        case Ratio():
            made = _ratio(check, domain, evidence)
        case Trend():
            made = _trend(check, domain, evidence)
        case Figure():
            made = _figure(claim.id, check, domain, evidence, rules)
    comparisons = tuple(made)
    verdict = _verdict(comparisons)
    return Judgement(
        claim, domain, verdict, _reason(verdict, comparisons, evidence), _numbers(comparisons), comparisons
    )


def _verdict(comparisons: Sequence[Comparison]) -> Verdict:
    outcomes = {comparison.outcome for comparison in comparisons}
    if "fails" in outcomes:
        return "contradicted"
    if "missing" in outcomes or not outcomes:
        return "not measured"
    return "inconclusive" if "open" in outcomes else "supported"


def _pairs(pairs: Sequence[tuple[str, str]], metrics: Sequence[str], domain: str, evidence: Evidence, compare: Compare,
           setting: str = "") -> Iterator[Comparison]:  # fmt: skip
    for metric in metrics:
        if not names.applies(metric, domain):
            continue
        for first, second in pairs:
            a, b = (evidence.find(domain, method, metric, setting) for method in (first, second))
            yield compared(metric, first, a, second, b, compare, setting)


def _order(check: Order, domain: str, evidence: Evidence) -> Iterator[Comparison]:
    pairs = list(check.ordered_pairs())
    if check.for_each is None:
        yield from _pairs(pairs, check.metrics, domain, evidence, better)
        return
    for metric in check.metrics:
        if not names.applies(metric, domain):
            continue
        points = {point for pair in pairs for method in pair
                  for point, _ in evidence.swept(domain, method, metric, check.for_each) if point}  # fmt: skip
        for point in sorted(points):
            yield from _pairs(pairs, [metric], domain, evidence, better, f"{check.for_each}={point:g}")
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
    yield compared(check.metric, check.a, a, check.b, b, ratio(bound, check.at_least is not None))


def _trend(check: Trend, domain: str, evidence: Evidence) -> Iterator[Comparison]:
    for metric in check.metrics:
        if not names.applies(metric, domain):
            continue
        if check.sweep in SWEEPS:
            for method in check.methods or ():
                points = evidence.swept(domain, method, metric, SWEEPS[check.sweep])
                usable = [evidence.usable(value, metric, method) for _, value in points]
                unusable = [value for value in usable if isinstance(value, Missing)]
                if unusable:
                    yield Comparison(metric, "", "missing", unusable[0])
                elif len(points) < 2:
                    yield from _nothing_swept({method}, metric, SWEEPS[check.sweep], domain, evidence)
                else:
                    yield along(metric, method, points, check.shape)
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
            yield along(metric, check.sweep.replace("_", " "), values, check.shape)


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
        yield compared(rule.metric, " ".join(filter(None, (rule.method, rule.setting))), a, right, b,
                        side(1.0 if rule.is_ == "above" else -1.0))  # fmt: skip


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
    why = "" if wanted == "fails" else " from rounded numbers" if evidence.published else ", intervals are too wide"
    lost = sum(one.outcome == "missing" for one in comparisons)
    more = f"; {lost} not measured" if lost else ""
    return f"{len(worst)} of {total} comparisons {verb}{why}{more}; first: {worst[0].words}"


def _missing(missing: Sequence[Missing]) -> str:
    by_reason: dict[str, list[str]] = {}
    for one in missing:
        subjects = by_reason.setdefault(one.reason, [])
        if one.subject not in subjects:
            subjects.append(one.subject)
    parts = []
    for reason, subjects in by_reason.items():
        more = f" and {len(subjects) - SUBJECTS} more" if len(subjects) > SUBJECTS else ""
        parts.append(f"{', '.join(subjects[:SUBJECTS])}{more}: {reason}")
    return "; ".join(parts)


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

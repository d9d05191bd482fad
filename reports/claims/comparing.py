"""Two numbers, or a sweep of them, compared: how it reads, how far it is from failing, and whether it surely holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from reports.claims import names
from reports.claims.evidence import Missing, Value, sign

Outcome = Literal["holds", "fails", "open", "missing"]


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


# Comparisons of two values: both sides and the relation between them, the margin, and whether it holds.
Compared = tuple[tuple[str, str, str], float, Outcome]
Compare = Callable[[str, str, Value, str, Value], Compared]


def _outcome(certain: int) -> Outcome:
    outcomes: dict[int, Outcome] = {1: "holds", -1: "fails", 0: "open"}
    return outcomes[certain]


def _margin(advantage: float, *values: Value) -> float:
    scale = max(abs(value.value) for value in values)
    return advantage / scale if scale else 0.0


def better(metric: str, left: str, a: Value, right: str, b: Value) -> Compared:
    """a is better than b, in the metric's own direction."""
    lower = names.metric(metric).direction == "lower"
    towards = 1.0 if lower else -1.0
    words = f"{left} {a.text}", "<" if lower else ">", f"{right} {b.text}"
    return words, _margin(towards * (b.value - a.value), a, b), _outcome(sign([(towards, b), (-towards, a)]))


def no_worse(tolerance: float) -> Compare:
    """a is better than b, or worse by at most `tolerance` times b."""

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


def agree(tolerance: float) -> Compare:
    """a and b differ by at most `tolerance` times b."""

    def compare(metric: str, left: str, a: Value, right: str, b: Value) -> Compared:
        room = tolerance * math.copysign(1.0, b.value)
        above, below = sign([(1 + room, b), (-1, a)]), sign([(1, a), (room - 1, b)])
        words = f"{left} {a.text}", "=", f"{right} {b.text} ± {tolerance:.0%}"
        return words, _margin(tolerance * abs(b.value) - abs(a.value - b.value), a, b), _outcome(min(above, below))

    return compare


def ratio(bound: float, at_least: bool) -> Compare:
    """a / b is at least, or at most, the bound; b is positive (a time, a count, a distance)."""
    towards = 1.0 if at_least else -1.0

    def compare(metric: str, left: str, a: Value, right: str, b: Value) -> Compared:
        found = a.value / b.value if b.value else math.inf
        shown = f"{found:,.3g}" if found < 1000 else f"{found:,.0f}"
        words = f"{left} {a.text} / {right} {b.text} = {shown}", "≥" if at_least else "≤", f"{bound:g}"
        return words, towards * (found / bound - 1), _outcome(sign([(towards, a), (-towards * bound, b)]))

    return compare


def side(towards: float) -> Compare:
    """a is above b (`towards` 1) or below it (-1), whatever is better."""

    def compare(metric: str, left: str, a: Value, right: str, b: Value) -> Compared:
        words = f"{left} {a.text}", ">" if towards > 0 else "<", f"{right} {b.text}".strip()
        return words, _margin(towards * (a.value - b.value), a, b), _outcome(sign([(towards, a), (-towards, b)]))

    return compare


def compared(metric: str, left: str, a: Value | Missing, right: str, b: Value | Missing, compare: Compare,
             setting: str = "") -> Comparison:  # fmt: skip
    """The comparison of two cells; `left` and `right` name them, either may be missing."""
    for side in (a, b):
        if isinstance(side, Missing):
            return Comparison(metric, "", "missing", side)
    assert isinstance(a, Value)
    assert isinstance(b, Value)
    (first, relation, second), margin, outcome = compare(metric, left, a, right, b)
    relation = {"fails": f"not {relation}", "open": f"{relation}?"}.get(outcome, relation)
    at = f" at {setting.replace('gamma', 'γ')}" if setting else ""
    return Comparison(metric, f"{names.metric(metric).label}{at}: {first} {relation} {second}", outcome, None, margin)


def along(metric: str, name: str, points: Sequence[tuple[float, Value]], shape: str) -> Comparison:
    """One comparison for a whole sweep: it holds where every step of it does."""
    values = [value for _, value in points]
    steps = [sign([(1, after), (-1, before)]) for before, after in pairwise(values)]
    rises = [after.value - before.value for before, after in pairwise(values)]
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

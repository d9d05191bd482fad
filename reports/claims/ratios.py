"""Numbers that belong to a pair of methods, not to one: how long one takes to be as good as the other."""

from __future__ import annotations

import math
from collections.abc import Callable

from reports.claims.evidence import Evidence, Missing, Value, rounded

Pair = tuple[Value | Missing, Value | Missing]


def seconds_to_match_id(evidence: Evidence, domain: str, a: str, b: str) -> Pair:
    """Seconds after which `a` is as good as `b` ends, in identity similarity, and the seconds that `b` takes for it.

    As in ReStyle's Sec. 4.1, read off both methods' curves (sweep `step`). Where `a` never gets there it takes longer
    than it was given: the value is the time it had, the interval is open above.
    """
    curves = [(evidence.swept(domain, method, "id", "step"), evidence.swept(domain, method, "seconds", "step"))
              for method in (a, b)]  # fmt: skip
    for method, (scores, seconds) in zip((a, b), curves, strict=True):
        if not scores or not seconds:
            why = evidence.find(domain, method, "id", "step=1")
            if isinstance(why, Missing) and why.noun in ("method", "domain"):
                return why, why
            lost = Missing("setting", f"id over time of {method}", evidence.nothing(domain))
            return lost, lost
    (scores, seconds), (goals, times) = curves
    goal, taken = goals[-1][1].value, times[-1][1]
    passed = dict(seconds)
    for step, score in scores:
        if score.value >= goal and step in passed:
            return passed[step], taken
    end = seconds[-1][1]
    return Value(end.value, end.low, math.inf, "rounded", f"> {end.text}"), rounded(taken.value, "seconds")


DERIVED: dict[str, Callable[[Evidence, str, str, str], Pair]] = {"seconds_to_match_id": seconds_to_match_id}
"""By metric: both sides of a ratio."""

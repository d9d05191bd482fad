"""Numbers that claims are judged by, and what is certain about differences between them.

Every check of a claim comes down to the sign of a weighted sum of cells: "a is better than b" to that of a - b, "a is
at least k times b" to that of a - k b, "gains shrink" to that of (c - b) - (b - a). A sum is certain of its sign when
its interval does not cross zero. The interval is

- that of the paired differences where every cell has scores of the same images (percentile bootstrap of the images);
- otherwise of the square-and-add method from the cells' own intervals, as for independent samples (Zou and Donner 2008,
  "Construction of confidence limits about effect measures"), which is wider than need be for methods that were measured
  on the same images;
- plain interval arithmetic where a cell is only known to be rounded, as numbers printed in a paper are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from metrics.statistics import bootstrap_means
from reports.claims import names
from reports.tabulate import SET_RANK

RESAMPLES, SEED = 2000, 0
"""Of the paired bootstrap."""
FEWEST = 8
"""Of fewer images the percentile bootstrap is no 95 % interval: that of two holds the mean in half of all cases."""
OF_SETS = frozenset({"fid", "kid", "fid_edited", "kid_edited"})
"""Metrics of sets of images."""
_SWEPT = re.compile(r"([a-z_]+)=(-?[0-9.]+)")


class Cell(NamedTuple):
    """Where a number stands. `setting` is empty for a method's answer, `step=3` or `gamma=-2` along a sweep."""

    domain: str
    method: str
    metric: str
    setting: str = ""


@dataclass(frozen=True)
class Value:
    """A number and what is known about it."""

    value: float
    low: float
    high: float
    certainty: Literal["sampled", "rounded"]
    """Whether low and high are a 95 % interval over images, or the bounds of what reads so when printed."""
    text: str
    """As printed, with the interval where there is one."""
    n: int | None = None
    """Images it is of, those that failed included."""
    scores: pd.Series | None = field(default=None, compare=False)
    """One score per image, indexed by image; the value is their mean."""
    place: str = ""
    """Where it is printed, or which files it is from."""
    n_failed: int | None = None
    """How many of the images failed."""


@dataclass(frozen=True)
class Missing:
    """Why there is no number: `subject` is what is missing, `reason` goes on, so that subjects can share one."""

    noun: Literal["domain", "method", "metric", "setting", "analysis"]
    subject: str
    reason: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}"


@dataclass
class Evidence:
    """A table of cells."""

    domains: list[str]
    """Those that the table is about, with or without numbers."""
    cells: dict[Cell, Value] = field(default_factory=dict)
    absent: dict[tuple[str, str], str] = field(default_factory=dict)
    """By domain and method: why a run that was asked for has no numbers."""
    published: bool = False
    known: frozenset[str] = frozenset()
    """Domains of the suite, those without runs included."""
    published_sizes: bool = False
    """Whether parameters are those of networks of their published size."""

    def find(self, domain: str, method: str, metric: str, setting: str = "") -> Value | Missing:
        """The number in a cell, derived from others where metrics.yaml says how, or why there is none."""
        facts = names.metric(metric)
        if facts.size_of:
            change = self.find(domain, method, facts.size_of, setting)
            return change if isinstance(change, Missing) else size(change, metric)
        for spelling in names.methods().spellings(method):
            found = self.cells.get(Cell(domain, spelling, metric, setting))
            if found is not None:
                return self.usable(found, metric, method)
        if facts.per_gamma_of:
            return self._slope(domain, method, metric, facts.per_gamma_of)
        return self._why(domain, method, metric, setting)

    def swept(self, domain: str, method: str, metric: str, sweep: str) -> list[tuple[float, Value]]:
        """The numbers of a method along a sweep (`step`, `gamma`), in its order."""
        metric = names.metric(metric).size_of or names.metric(metric).per_gamma_of or metric
        for spelling in names.methods().spellings(method):
            points = {}
            for cell, value in self.cells.items():
                match = _SWEPT.fullmatch(cell.setting)
                if cell[:3] == (domain, spelling, metric) and match and match[1] == sweep:
                    points[float(match[2])] = value
            if points:
                return sorted(points.items())
        return []

    def family(self, domain: str, sweep: str) -> list[tuple[float, str]]:
        """The members of a family of methods with numbers on the domain, as (number swept, method), in order."""
        head, tail = names.methods().families[sweep].split("{}")
        pattern = re.compile(re.escape(head) + r"([0-9.]+)" + re.escape(tail))
        found = {(float(match[1]), cell.method) for cell in self.cells
                 if cell.domain == domain and (match := pattern.fullmatch(cell.method))}  # fmt: skip
        return sorted(found)

    def has(self, domain: str, method: str) -> bool:
        """Whether there is any number of the method on the domain."""
        spellings = set(names.methods().spellings(method))
        return any(cell.domain == domain and cell.method in spellings for cell in self.cells)

    def usable(self, found: Value, metric: str, method: str) -> Value | Missing:
        """The number, or why no claim can be judged by it."""
        if not math.isfinite(found.value):
            return Missing("metric", f"{metric} of {method}", "no number")
        if found.certainty == "sampled" and found.n is not None and found.n < FEWEST:
            return Missing("metric", f"{metric} of {method}", f"of {found.n} images, too few for an interval")
        if metric in OF_SETS and found.n is not None and (found.n < SET_RANK or found.certainty == "rounded"):
            # Of so few images, or measured without an interval, it may be far off: nothing is certain about it.
            words = f"{found.text} (n = {found.n})"
            return Value(found.value, -math.inf, math.inf, "sampled", words, found.n, n_failed=found.n_failed)
        return size(found, metric) if names.metric(metric).per_gamma_of else found

    def nothing(self, domain: str) -> str:
        """How the lack of a number reads."""
        return f"not in its tables for {domain}" if self.published else f"not measured on {domain}"

    def _why(self, domain: str, method: str, metric: str, setting: str) -> Missing:
        if domain not in self.domains:
            if self.published:
                return Missing("domain", domain, "no domain of its tables")
            why_not = "no run on it yet" if domain in self.known else "no domain of this suite"
            return Missing("domain", domain, why_not)
        if not self.has(domain, method):
            why = [reason for name in names.methods().spellings(method) if (reason := self.absent.get((domain, name)))]
            return Missing("method", method, why[0] if why else self.nothing(domain))
        at = f" at {setting}" if setting else ""
        return Missing("setting" if setting else "metric", f"{metric}{at} of {method}", self.nothing(domain))

    def _slope(self, domain: str, method: str, metric: str, of: str) -> Value | Missing:
        # Least squares through the origin, since no editing changes nothing. The ends of the intervals are taken
        # together, because the same images make up all points.
        points = [(gamma, value) for gamma, value in self.swept(domain, method, of, "gamma") if gamma]
        if not points:
            return self._why(domain, method, of, "")
        for _, value in points:
            if isinstance(unusable := self.usable(value, of, method), Missing):
                return unusable
        total = sum(gamma**2 for gamma, _ in points)
        slope = sum(gamma * value.value for gamma, value in points) / total
        room = (
            sum(abs(gamma) * max(value.high - value.value, value.value - value.low) for gamma, value in points) / total
        )
        low, high = max(0.0, abs(slope) - room), abs(slope) + room
        return _valued(abs(slope), low, high, points[0][1], metric)


def size(value: Value, metric: str) -> Value:
    """The absolute value of a number, with its interval."""
    ends = abs(value.low), abs(value.high)
    low = 0.0 if value.low <= 0 <= value.high else min(ends)
    scores = value.scores if value.low >= 0 else -value.scores if value.scores is not None and value.high <= 0 else None
    sized = _valued(abs(value.value), low, max(ends), value, metric)
    return Value(**{**sized.__dict__, "scores": scores})


def _valued(value: float, low: float, high: float, like: Value, metric: str) -> Value:
    text = names.metric(metric).printed(value)
    if like.certainty == "sampled":
        text = with_interval(value, low, high, metric)
    return Value(value, low, high, like.certainty, text, like.n, None, like.place, like.n_failed)


def with_interval(value: float, low: float, high: float, metric: str) -> str:
    """A number as printed, with its interval."""
    printed = names.metric(metric).printed
    return f"{printed(value)} [{printed(low)}, {printed(high)}]"


def rounded(value: float, metric: str, decimals: int | None = None, text: str = "", place: str = "") -> Value:
    """A number without an interval: only the digits that a table prints count.

    Args:
        value: the number.
        metric: its metric.
        decimals: digits after the point that are printed; None: as the metric's tables have it.
        text: as printed; made when empty.
        place: where it stands.
    """
    facts = names.metric(metric)
    decimals = facts.printed_decimals(value) if decimals is None else decimals
    half = 0.5 * 10.0**-decimals
    return Value(value, value - half, value + half, "rounded", text or f"{value:,.{decimals}f}", place=place)


def valued(
    value: float | None, low: float | None, high: float | None, metric: str, n: int | None, n_failed: int | None = None
) -> Value:
    """A measured number: with its interval, or, where there is none, known as it is printed; None is no number.

    `n` is kept either way, because FID and KID of few images are not to be relied on.
    """
    if value is None or not math.isfinite(value):
        return Value(math.nan, math.nan, math.nan, "sampled", "failed", n, n_failed=n_failed)
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return replace(rounded(value, metric), n=n, n_failed=n_failed)
    return Value(value, low, high, "sampled", with_interval(value, low, high, metric), n, n_failed=n_failed)


def weighted_sum(terms: Sequence[tuple[float, Value]]) -> tuple[float, float, float]:
    """The sum of weight times value over `terms`, and its interval; how, the module says."""
    total = sum(weight * value.value for weight, value in terms)
    down = [abs(w) * ((v.value - v.low) if w > 0 else (v.high - v.value)) for w, v in terms]
    up = [abs(w) * ((v.high - v.value) if w > 0 else (v.value - v.low)) for w, v in terms]
    paired = _paired(terms)
    if paired is not None:
        low, high = np.quantile(bootstrap_means(paired, RESAMPLES, SEED), (0.025, 0.975))
        # A number that is only known to lie on one side of its scores' mean leaves that side open.
        return total, -math.inf if math.inf in down else float(low), math.inf if math.inf in up else float(high)
    if all(value.certainty == "sampled" for _, value in terms):
        return total, total - math.hypot(*down), total + math.hypot(*up)
    return total, total - sum(down), total + sum(up)


def sign(terms: Sequence[tuple[float, Value]]) -> int:
    """1 or -1 where the weighted sum is surely positive or negative, 0 where its interval crosses zero."""
    total, low, high = weighted_sum(terms)
    # Bounds of rounding may touch zero: of two numbers that read different, the greater one is the greater.
    touching = any(value.certainty == "rounded" for _, value in terms)
    slack = 1e-9 * max(abs(weight * value.value) for weight, value in terms) if touching else 0.0
    if total > slack and (low > 0 or (touching and low >= -slack)):
        return 1
    if total < -slack and (high < 0 or (touching and high <= slack)):
        return -1
    return 0


def _paired(terms: Sequence[tuple[float, Value]]) -> np.ndarray | None:
    first = terms[0][1].scores
    if len(terms) < 2 or first is None:
        return None
    total = pd.Series(0.0, index=first.index.sort_values())
    for weight, value in terms:
        if value.scores is None or len(value.scores) != len(total) or not value.scores.index.isin(total.index).all():
            return None
        total = total + weight * value.scores.loc[total.index]
    differences = np.sort(total.to_numpy(np.float64))
    return differences if np.isfinite(differences).all() else None

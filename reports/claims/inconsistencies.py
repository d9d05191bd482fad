"""Where the papers contradict themselves, each other, or arithmetic: by program over published.csv, and by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from core.config import Strict, validated
from reports.claims import names
from reports.claims.published import OWN_DECIMALS, Published
from reports.claims.statements import PAPERS, read_yaml


class Images(Strict):
    """What a table was measured on."""

    set: str
    which: str


class ByHand(Strict):
    """Something found by reading."""

    place: str
    found: str
    reason: str
    """What speaks for it, and how it is read here."""


class Findings(Strict):
    """inconsistencies.yaml."""

    images: dict[str, Images]
    by_hand: list[ByHand]


def read_findings(path: Path = PAPERS / "inconsistencies.yaml") -> Findings:
    """What was found by hand, and what tables were measured on.

    Raises:
        ReinvertError: the file is missing or holds a mistake.
    """
    return validated(Findings, read_yaml(path), str(path))


@dataclass(frozen=True)
class Disagreement:
    """One quantity that is printed with numbers that cannot all be right, or not of the same images."""

    method: str
    metric: str
    first: Published
    second: Published
    images: str
    """On which images the two were taken."""

    @property
    def ratio(self) -> float:
        """The larger number over the smaller."""
        low, high = sorted((abs(self.first.value), abs(self.second.value)))
        return high / low if low else math.inf


def _canonical(method: str) -> str:
    return names.methods().same_network.get(method, method)


def _apart(first: Published, second: Published) -> bool:
    """Whether no number reads as both when rounded as each is printed."""
    a, b = first.number, second.number
    return a.low > b.high or b.low > a.high


def within_papers(published: Sequence[Published]) -> list[Disagreement]:
    """The same number of the same network, printed differently in two places of one paper."""
    return [
        Disagreement(_canonical(one.method), one.metric, one, other, "the same table's images")
        for one, other in combinations(published, 2)
        if one.paper == other.paper and one.table != other.table and _same(one, other) and _apart(one, other)
    ]


def between_papers(published: Sequence[Published], images: dict[str, Images]) -> list[Disagreement]:
    """The same method on the same set of images, printed differently by two papers; times of two machines apart."""
    found = []
    for one, other in combinations(published, 2):
        if one.paper == other.paper or one.metric == "seconds_per_image" or not _same(one, other):
            continue
        sets = [images.get(f"{each.paper}/{each.table}/{each.domain}") for each in (one, other)]
        if sets[0] is None or sets[1] is None or sets[0].set != sets[1].set or not _apart(one, other):
            continue
        which = sets[0].which if sets[0].which == sets[1].which else f"{sets[0].which}; {sets[1].which}"
        found.append(Disagreement(_canonical(one.method), one.metric, one, other, f"{sets[0].set}: {which}"))
    unique = {
        (one.method, one.metric, one.first.domain, one.first.paper, one.second.paper): one for one in reversed(found)
    }
    return sorted(unique.values(), key=lambda one: (one.method, one.metric, one.first.paper, one.second.paper))


def _same(one: Published, other: Published) -> bool:
    return (one.domain, one.metric, one.sweep, _canonical(one.method)) == (
        other.domain, other.metric, other.sweep, _canonical(other.method))  # fmt: skip


def reversals(
    published: Sequence[Published], images: dict[str, Images]
) -> list[tuple[str, Published, Published, Published, Published]]:
    """Pairs of methods that two papers put in opposite order on the same set of images.

    Returns:
        For each the metric, and the numbers of both methods in the first paper and in the second.
    """
    known = [
        one for one in published if f"{one.paper}/{one.table}/{one.domain}" in images and one.metric not in OWN_DECIMALS
    ]
    table = {(one.paper, one.domain, one.metric, _canonical(one.method)): one for one in reversed(known)}
    found = []
    for (paper, domain, metric, method), a in table.items():
        for (other_paper, *rest), c in table.items():
            if other_paper <= paper or rest != [domain, metric, method]:
                continue
            for other in {key[3] for key in table if key[3] > method}:
                b, d = table.get((paper, domain, metric, other)), table.get((other_paper, domain, metric, other))
                if b and d and _apart(a, b) and _apart(c, d) and (a.value > b.value) != (c.value > d.value):
                    found.append((metric, a, b, c, d))
    return sorted(found, key=lambda one: (one[0], one[1].method, one[2].method))


def impossible_pairs(published: Sequence[Published]) -> list[tuple[Published, Published, float]]:
    """L2 and PSNR that cannot be of the same pixels.

    PSNR is a convex function of the squared error, so by Jensen's inequality the mean PSNR is at least the PSNR of the
    mean error: 10 log10(4 / L2) for images in [-1, 1], on which all of these papers take L2.

    Returns:
        L2, PSNR and the least PSNR that goes with this L2, for every row of a table where it is higher than printed.
    """
    psnr = {(one.paper, one.table, one.domain, one.method): one for one in published if one.metric == "psnr"}
    found = []
    for one in published:
        other = psnr.get((one.paper, one.table, one.domain, one.method))
        if one.metric == "l2" and other is not None:
            least = 10 * math.log10(4 / one.number.high)
            if other.number.high < least:
                found.append((one, other, 10 * math.log10(4 / one.value)))
    return found

"""The papers' claims (reports/papers/claims.yaml), typed. A mistake in the file is one clear line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from core import config
from core.config import Strict, validated
from core.errors import ReinvertError

PAPERS = Path(__file__).parents[1] / "papers"
"""Where the published data lie."""

Names = Annotated[tuple[str, ...], pydantic.Field(min_length=1)]
Tolerance = Annotated[float, pydantic.Field(ge=0, lt=1)]


class Check(Strict):
    """What all kinds of checks share."""

    domains: Names | None = None
    """The claim speaks of these alone; None: of every domain."""


class Order(Check):
    """Every metric is better (or worse) for one method than for others.

    Exactly one way of naming the methods: `better` or `worse` with `than`; `pairs` of better and worse; a `chain` from
    best to worst, of which neighbours are compared.
    """

    kind: Literal["order"]
    metrics: Names
    better: str | None = None
    worse: str | None = None
    than: Names | None = None
    pairs: tuple[tuple[str, str], ...] | None = None
    chain: Annotated[tuple[str, ...], pydantic.Field(min_length=2)] | None = None
    for_each: Literal["gamma"] | None = None
    """Compared at every value of this sweep, instead of once."""

    @pydantic.model_validator(mode="after")
    def _one_way(self) -> Order:
        ways = [self.better, self.worse, self.pairs, self.chain]
        if sum(way is not None for way in ways) != 1:
            raise ValueError("an order needs exactly one of 'better', 'worse', 'pairs' and 'chain'")
        if (self.than is None) != (self.better is None and self.worse is None):
            raise ValueError("'than' belongs to 'better' or 'worse' and to nothing else")
        return self

    def ordered_pairs(self) -> Iterator[tuple[str, str]]:
        """(better, worse) for every comparison."""
        if self.chain is not None:
            yield from zip(self.chain, self.chain[1:], strict=False)
        yield from self.pairs or ()
        for other in self.than or ():
            yield (self.better, other) if self.better is not None else (other, str(self.worse))


class NoWorse(Check):
    """As an order of pairs, but being worse by at most `tolerance` (relative to the second) counts as holding."""

    kind: Literal["no_worse"]
    tolerance: Tolerance
    metrics: Names
    pairs: Annotated[tuple[tuple[str, str], ...], pydantic.Field(min_length=1)]


class Ratio(Check):
    """metric(a) / metric(b) is at least, or at most, a number."""

    kind: Literal["ratio"]
    metric: str
    a: str
    b: str
    at_least: Annotated[float, pydantic.Field(gt=0)] | None = None
    at_most: Annotated[float, pydantic.Field(gt=0)] | None = None

    @pydantic.model_validator(mode="after")
    def _one_bound(self) -> Ratio:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a ratio needs exactly one of 'at_least' and 'at_most'")
        return self


class Trend(Check):
    """A metric along a sweep: of one method's own steps or strengths, or of a family of methods (`methods` absent).

    The shape is meant of the number itself, save `saturating_increase`: better at every point, by less each time.
    """

    kind: Literal["trend"]
    sweep: Literal["steps", "stages", "gamma", "hidden_size", "insertion_layer"]
    methods: Names | None = None
    metrics: Names
    shape: Literal["decreasing", "increasing", "monotone", "saturating_increase"]


class Agree(Check):
    """Two methods differ by at most `tolerance`, relative to the second."""

    kind: Literal["agree"]
    tolerance: Tolerance
    metrics: Names
    pairs: Annotated[tuple[tuple[str, str], ...], pydantic.Field(min_length=1)]


class Figure(Check):
    """Needs an analysis rather than a cell of a table; figures.yaml says what the analysis has to show."""

    kind: Literal["figure"]
    output: str


AnyCheck = Annotated[Order | NoWorse | Ratio | Trend | Agree | Figure, pydantic.Field(discriminator="kind")]


class Claim(Strict):
    """One statement of a paper."""

    id: str
    paper: str
    where: str
    """Its place in the paper."""
    says: str
    check: AnyCheck


def read_yaml(path: Path) -> Any:
    """The content of a YAML file of this package; ReinvertError where it is missing or not YAML."""
    return config.read_yaml(path, "restore it from git")


def read_claims(path: Path = PAPERS / "claims.yaml") -> list[Claim]:
    """All claims, in the order of the file.

    Raises:
        ReinvertError: the file is missing or holds a mistake; an id stands twice.
    """
    entries = read_yaml(path)
    if not isinstance(entries, list) or not entries:
        raise ReinvertError(f"'{path}' holds no list of claims; restore it from git")
    claims = []
    for position, entry in enumerate(entries, 1):
        name = entry.get("id", position) if isinstance(entry, dict) else position
        claims.append(validated(Claim, entry, f"{path}: claim {name}"))
    ids = [claim.id for claim in claims]
    for name in ids:
        if ids.count(name) > 1:
            raise ReinvertError(f"{path}: two claims are called '{name}'; rename one")
    return claims

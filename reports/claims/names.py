"""Methods, metrics and domains by the papers' names and ours (reports/papers/methods.yaml, metrics.yaml)."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Literal

import pydantic

from core.config import Strict, validated
from core.errors import ReinvertError
from metrics import registry
from reports.claims.statements import PAPERS, read_yaml


class MetricFacts(Strict):
    """What a verdict and a table need to know of a metric; see the head of metrics.yaml."""

    direction: Literal["lower", "higher"]
    label: str
    decimals: int | None = None
    significant: int | None = None
    faces_only: bool = False
    judged: bool = False
    """Measured by a network that is trained on the embedded domain."""
    size_of: str | None = None
    per_gamma_of: str | None = None
    protocol: str | None = None
    """The id it is measured under on the embedded scale; None for times, sizes and analyses."""
    published: str | None = None
    """Its name in published.csv, where that is another."""

    @pydantic.model_validator(mode="after")
    def _printed_somehow(self) -> MetricFacts:
        if (self.decimals is None) == (self.significant is None):
            raise ValueError("exactly one of 'decimals' and 'significant' says how it is printed")
        return self

    def printed_decimals(self, value: float) -> int:
        """Digits after the point when `value` is printed."""
        if self.decimals is not None:
            return self.decimals
        assert self.significant is not None
        return max(0, self.significant - 1 - math.floor(math.log10(abs(value)))) if value else 0

    def printed(self, value: float) -> str:
        """`value` as tables print it."""
        return f"{value:,.{self.printed_decimals(value)}f}"


class Methods(Strict):
    """methods.yaml."""

    same_network: dict[str, str]
    families: dict[str, str]
    face_domains: list[str]
    interpolation_of: str
    """The method whose end points of interpolation are compared."""
    labels: dict[str, str]
    about: dict[str, str]
    """What the methods of a kind do, in a line."""
    papers: dict[str, str]

    def spellings(self, method: str) -> list[str]:
        """The names under which numbers of `method` may stand, its own first."""
        target = self.same_network.get(method, method)
        others = [name for name, same in self.same_network.items() if same == target]
        return list(dict.fromkeys([method, target, *others]))

    def label(self, method: str) -> str:
        """The method's name for readers."""
        return self.labels.get(method, method)


def read_metrics(path: Path = PAPERS / "metrics.yaml") -> dict[str, MetricFacts]:
    """Every metric by name: those of the file, and those of the registry, which the file may add to.

    Raises:
        ReinvertError: the file is missing or holds a mistake.
    """
    entries = read_yaml(path)
    if not isinstance(entries, dict):
        raise ReinvertError(f"'{path}' holds no metrics; restore it from git")
    facts = {}
    for name in [*registry.names(), *(name for name in entries if name not in registry.names())]:
        more = entries.get(name, {})
        if name in registry.names():
            known = registry.get(name)
            more = {"direction": known.direction, "label": known.label.rstrip(" ↑↓"), "decimals": known.decimals,
                    "judged": known.embedded, "protocol": known.protocol, **more}  # fmt: skip
        facts[name] = validated(MetricFacts, more, f"{path}: {name}")
    return facts


def read_methods(path: Path = PAPERS / "methods.yaml") -> Methods:
    """The names of methods.

    Raises:
        ReinvertError: the file is missing or holds a mistake.
    """
    return validated(Methods, read_yaml(path), str(path))


@cache
def metrics() -> dict[str, MetricFacts]:
    """`read_metrics` of the project's file, read once."""
    return read_metrics()


@cache
def methods() -> Methods:
    """`read_methods` of the project's file, read once."""
    return read_methods()


def metric(name: str) -> MetricFacts:
    """The metric of that name.

    Raises:
        ReinvertError: there is none.
    """
    if name not in metrics():
        raise ReinvertError(f"unknown metric '{name}'; describe it in reports/papers/metrics.yaml")
    return metrics()[name]


def applies(name: str, domain: str) -> bool:
    """Whether the metric means anything on the domain."""
    return not metric(name).faces_only or domain in methods().face_domains

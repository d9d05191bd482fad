"""Which claims and tables are about ablations, and the numbers that they are judged by.

A claim that names a variant which no method of the benchmark is called like is judged from the ablations alone, where
everything it compares was trained on the same budget; all other claims from the benchmark's runs. The two are never
mixed: `hyperinverter` is a trained method here and a short training there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.claims import names
from reports.claims.evidence import Evidence
from reports.claims.paper_tables import Layout
from reports.claims.statements import Agree, Claim, NoWorse, Order, Ratio, Trend
from reports.read_ablations import Record, cells_of, read_records


@dataclass(frozen=True)
class Ablated:
    """What was collected of ablations.

    Attributes:
        records: one per domain.
        evidence: their numbers, under the names of the variants.
        own: variants that are not methods of the benchmark.
    """

    records: Sequence[Record]
    evidence: Evidence
    own: frozenset[str]

    def judges(self, claim: Claim) -> bool:
        """Whether the claim is about an ablation."""
        return any(name in self.own for name in _methods(claim)) or any(
            re.fullmatch(pattern, name) for pattern in _families(claim) for name in self.own
        )

    def fills(self, layout: Layout) -> bool:
        """Whether a table of a paper is about an ablation: all its lines are variants, and one is nothing else."""
        lines = {row.method for group in layout.groups for row in group.rows if row.method}
        variants = {row.variant for record in self.records for row in record.rows}
        body = layout.embedded
        shown = {row.method for group in body.groups for row in group.rows if row.method} if body else lines
        return bool(shown) and shown <= variants and not shown.isdisjoint(self.own)


def read_ablated(folder: Path, methods: Iterable[str], domains: Sequence[str]) -> Ablated:
    """The ablations of a folder.

    Args:
        folder: results/ablations; missing where none were collected.
        methods: of the benchmark.
        domains: that the report is about.

    Raises:
        ReinvertError: a file is damaged.
    """
    records = [record for record in read_records(folder) if record.domain in domains]
    records.sort(key=lambda record: domains.index(record.domain))
    evidence = Evidence(domains=list(domains))
    for record in records:
        cells, absent = cells_of(record)
        evidence.cells |= cells
        evidence.absent |= absent
    variants = {row.variant for record in records for row in record.rows}
    return Ablated(records, evidence, frozenset(variants - set(methods)))


def _methods(claim: Claim) -> set[str]:
    match claim.check:
        case Order() as check:
            return {name for pair in check.ordered_pairs() for name in pair}
        case NoWorse() | Agree() as check:
            return {name for pair in check.pairs for name in pair}
        case Ratio() as check:
            return {check.a, check.b}
        case Trend() as check:
            return set(check.methods or ())
    return set()


def _families(claim: Claim) -> list[str]:
    if not isinstance(claim.check, Trend) or claim.check.sweep not in names.methods().families:
        return []
    return [re.escape(names.methods().families[claim.check.sweep]).replace(r"\{\}", "[0-9.]+")]

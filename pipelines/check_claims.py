"""The gate for verdicts: is every claim judged as in the baseline?

The verdicts of now are those of claims.json beside the baseline, which `reinvert report` writes. A verdict that was
supported or contradicted and is anything else now fails the gate, because the report says something else than it did;
one that comes up new or becomes decided is named and passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import ReinvertError
from pipelines.check import Baseline
from reports.claims.judge import Verdict
from reports.claims.measured import digest
from reports.claims.record import FILE, Record, read_record

Kind = Literal["same", "new", "decided", "flipped", "undecided", "lost"]
FLIPS: frozenset[Kind] = frozenset({"flipped", "undecided", "lost"})
DECIDED = ("supported", "contradicted")


@dataclass(frozen=True)
class Change:
    """The verdict on one claim on one domain, then and now."""

    claim: str
    domain: str
    before: Verdict
    now: Verdict
    reason: str
    kind: Kind

    @property
    def flipped(self) -> bool:
        """Whether the gate objects."""
        return self.kind in FLIPS

    def __str__(self) -> str:
        because = f" ({self.reason})" if self.reason else ""
        return f"{self.claim} on {self.domain}: {self.kind}, was {self.before}, is {self.now}{because}"


def kind_of(before: Verdict, now: Verdict) -> Kind:
    """What has become of a verdict."""
    if before == now:
        return "same"
    if before == "not measured":
        return "new"
    if now == "not measured":
        return "lost"
    if before == "inconclusive":
        return "decided"
    return "undecided" if now == "inconclusive" else "flipped"


def _record(baseline_file: Path, results_dir: Path, runs: Iterable[str], shared_dir: Path | None) -> Record | None:
    path = baseline_file.parent / FILE
    record = read_record(path)
    if record is not None and record.scores_sha256 != digest(results_dir, runs, shared_dir):
        raise ReinvertError(f"the verdicts in '{path}' are not of the scores in '{results_dir}'; run 'reinvert report'")
    return record


def verdicts_now(
    baseline_file: Path, results_dir: Path, runs: Iterable[str], shared_dir: Path | None = None
) -> dict[str, dict[str, Verdict]]:
    """The verdicts to hold later reports to: claim -> domain -> verdict, without claims that nothing is measured for.

    What is the same at every scale lies in shared_dir, or in results_dir as well.

    Raises:
        ReinvertError: the record of verdicts is damaged or belongs to other scores.
    """
    record = _record(baseline_file, results_dir, runs, shared_dir)
    if record is None:
        return {}
    measured: dict[str, dict[str, Verdict]] = {
        claim: {domain: entry.verdict for domain, entry in domains.items() if entry.verdict != "not measured"}
        for claim, domains in record.verdicts.items()
    }
    return {claim: domains for claim, domains in measured.items() if domains}


def compare(
    baseline: Baseline, baseline_file: Path, results_dir: Path, runs: Iterable[str], shared_dir: Path | None = None
) -> list[Change]:
    """Every verdict of the baseline, and those that are new, in the order of claim and domain.

    A baseline without verdicts asks for none, so nothing is compared.

    Raises:
        ReinvertError: there is no record of verdicts, it is damaged, or it belongs to other scores.
    """
    if not baseline.claims:
        return []
    record = _record(baseline_file, results_dir, runs, shared_dir)
    if record is None:
        raise ReinvertError(f"no verdicts at '{baseline_file.parent / FILE}'; run 'reinvert report'")
    changes = []
    for claim in sorted({*baseline.claims, *record.verdicts}):
        then, now = baseline.claims.get(claim, {}), record.verdicts.get(claim, {})
        for domain in sorted({*then, *now}):
            before = then.get(domain, "not measured")
            verdict: Verdict = now[domain].verdict if domain in now else "not measured"
            if domain in then or verdict != "not measured":
                reason = now[domain].reason if domain in now else "no longer judged"
                changes.append(Change(claim, domain, before, verdict, reason, kind_of(before, verdict)))
    return changes


def markdown_table(changes: Sequence[Change]) -> str:
    """The comparison as a Markdown table, flips in bold; verdicts that stayed are counted only."""
    if not changes:
        return "The baseline holds no verdicts on claims.\n"
    same = sum(change.kind == "same" for change in changes)
    lines = ["| claim | domain | baseline | now | change | reason |", "|---|---|---|---|---|---|"]
    for one in changes:
        if one.kind != "same":
            kind = f"**{one.kind}**" if one.flipped else one.kind
            reason = one.reason.replace("|", "\\|")
            lines.append(f"| {one.claim} | {one.domain} | {one.before} | {one.now} | {kind} | {reason} |")
    head = f"Verdicts on claims: {len(changes)} compared, {same} unchanged.\n"
    return head + ("\n" + "\n".join(lines) + "\n" if len(lines) > 2 else "")

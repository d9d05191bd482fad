"""Every claim judged from published and from measured numbers, and what can be counted about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reports.claims import names
from reports.claims.ablated import Ablated
from reports.claims.evidence import Cell as Place
from reports.claims.evidence import Evidence, Value
from reports.claims.judge import VERDICTS, Judgement, Verdict, judge, read_rules
from reports.claims.published import Published, evidence_of, read_published
from reports.claims.statements import Claim, read_claims
from reports.model import Span, text

WORST_FIRST: tuple[Verdict, ...] = ("contradicted", "inconclusive", "supported", "not measured")


@dataclass(frozen=True)
class Judged:
    """The papers, what they print, and the verdicts."""

    claims: Sequence[Claim]
    published: Sequence[Published]
    measured: Evidence
    of_published: Mapping[str, Sequence[Judgement]]
    """By claim: judged from the paper's own tables."""
    of_measured: Mapping[str, Sequence[Judgement]]
    paper_scale: Mapping[str, Mapping[Place, Value]] = field(default_factory=dict)
    """By paper: what was measured at its scale with its protocols."""
    ablated: Ablated | None = None
    """What was measured of ablations."""

    @property
    def papers(self) -> list[str]:
        """Their keys, in the order of the report."""
        return list(names.methods().papers)

    def claims_of(self, paper: str) -> list[Claim]:
        """The paper's claims."""
        return [claim for claim in self.claims if claim.paper == paper]


def judge_all(
    measured: Evidence, paper_scale: Mapping[str, Mapping[Place, Value]], ablated: Ablated | None = None
) -> Judged:
    """Every claim judged from published and from measured numbers, those about ablations from the ablations.

    Raises:
        ReinvertError: a file of reports/papers/ is missing or holds a mistake.
    """
    claims, published, rules = read_claims(), read_published(), read_rules()
    about = {claim.id: ablated.evidence if ablated and ablated.judges(claim) else measured for claim in claims}
    own = {paper: evidence_of(paper, published) for paper in names.methods().papers}
    return Judged(
        claims,
        published,
        measured,
        {claim.id: judge(claim, own[claim.paper], rules) for claim in claims},
        {claim.id: judge(claim, about[claim.id], rules) for claim in claims},
        paper_scale,
        ablated,
    )


def overall(judgements: Sequence[Judgement]) -> Verdict:
    """One verdict for several domains: the worst of those that were judged."""
    found = {one.verdict for one in judgements}
    return next((verdict for verdict in WORST_FIRST if verdict in found), "not measured")


def counts(judged: Judged, paper: str) -> dict[str, dict[Verdict, int]]:
    """By source of numbers ("published", then every measured domain): how many claims have which verdict."""
    claims = judged.claims_of(paper)
    verdicts: dict[str, list[Verdict]] = {"published": [overall(judged.of_published[claim.id]) for claim in claims]}
    for domain in judged.measured.domains:
        verdicts[domain] = [
            one.verdict for claim in claims for one in judged.of_measured[claim.id] if one.domain == domain
        ]
    return {source: {verdict: found.count(verdict) for verdict in VERDICTS} for source, found in verdicts.items()}


def short_name(paper: str) -> str:
    """The paper's name without authors and year."""
    return names.methods().papers[paper].split(" (")[0]


def comparisons(judged: Judged) -> list[list[str]]:
    """Every single comparison, as lines of a CSV file with their head."""
    lines = [["claim", "paper", "place", "source", "domain", "verdict", "subject", "outcome", "words"]]
    for claim in judged.claims:
        for source, found in (("published", judged.of_published), ("measured", judged.of_measured)):
            for one in found[claim.id]:
                for part in one.comparisons:
                    words = part.words or str(part.missing or "")
                    lines.append([claim.id, claim.paper, claim.where, source, one.domain, one.verdict, part.subject,
                                  part.outcome, words])  # fmt: skip
    return lines


def summary_line(judged: Judged) -> list[Span]:
    """How the claims came out, in one line for the summary."""
    parts = []
    for domain in judged.measured.domains:
        verdicts = [one.verdict for found in judged.of_measured.values() for one in found if one.domain == domain]
        decided = [f"{verdicts.count(verdict)} {verdict}" for verdict in VERDICTS if verdicts.count(verdict)]
        parts.append(f"on {domain} {', '.join(decided)}")
    own = [overall(found) for found in judged.of_published.values()]
    return text(f"**Claims of the papers:** {'; '.join(parts)}. From the papers' own numbers {own.count('supported')} "
                f"of {len(own)} are supported and {own.count('contradicted')} contradicted ([[claims]]).")  # fmt: skip

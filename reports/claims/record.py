"""The verdicts of a report as a file in git (claims.json), so that a later one can be held to them.

Verdicts rest on files that are not in git (times, scores of single images), hence the record: `reinvert check` reads it
instead of judging again, and knows by the digest of the scores whether it belongs to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from core.files import atomic_write_json, read_json_as
from reports.claims.judge import Judgement, Verdict

FILE = "claims.json"


class Entry(BaseModel):
    """The verdict on one claim on one domain."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    verdict: Verdict
    reason: str
    numbers: str


class Record(BaseModel):
    """claims.json: claim -> domain -> verdict, of the measured numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1]
    scores_sha256: str
    """`measured.digest` of the results that were judged."""
    verdicts: dict[str, dict[str, Entry]]


def write_record(path: Path, judgements: Sequence[Judgement], scores_sha256: str) -> None:
    """Write the verdicts on measured numbers, by claim and domain."""
    verdicts: dict[str, dict[str, Entry]] = {}
    for one in judgements:
        entry = Entry(verdict=one.verdict, reason=one.reason, numbers=one.numbers)
        verdicts.setdefault(one.claim.id, {})[one.domain] = entry
    atomic_write_json(path, Record(schema_version=1, scores_sha256=scores_sha256, verdicts=verdicts).model_dump())


def read_record(path: Path) -> Record | None:
    """The verdicts, or None where no report has been written.

    Raises:
        ReinvertError: the file is damaged.
    """
    try:
        return read_json_as(Record, path, "record of verdicts", "run 'reinvert report'")
    except FileNotFoundError:
        return None

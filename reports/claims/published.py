"""The numbers that the papers print (reports/papers/published.csv)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import ReinvertError
from reports.claims import names
from reports.claims.evidence import Cell, Evidence, Value, rounded
from reports.claims.statements import PAPERS

COLUMNS = ("paper", "table", "domain", "method", "setting", "metric", "value")
OWN_DECIMALS = frozenset({"seconds_per_image", "params_millions"})
"""Printed with other digits in every row; elsewhere a column has one number of digits."""


@dataclass(frozen=True)
class Published:
    """One printed number."""

    paper: str
    table: str
    domain: str
    method: str
    setting: str
    metric: str
    """By our name."""
    value: float
    decimals: int
    """Digits after the point, as printed."""

    @property
    def text(self) -> str:
        """As the paper prints it."""
        return f"{self.value:.{self.decimals}f}"

    @property
    def place(self) -> str:
        """The table it stands in, in words."""
        return place_of(self.paper, self.table)

    @property
    def sweep(self) -> str:
        """The setting where it is a point of a sweep; otherwise the setting is the protocol and this is empty."""
        return self.setting if self.setting.startswith("gamma=") else ""

    @property
    def number(self) -> Value:
        """The number with the bounds of its rounding."""
        return rounded(self.value, self.metric, self.decimals, self.text, self.place)


def place_of(paper: str, table: str) -> str:
    """A table's name in words, such as "HyperInverter, Table 1"."""
    name = names.methods().papers[paper].split(" (")[0]
    noun, _, number = table.partition("-")
    if noun == "table" and paper == "e2style":
        number = ("I", "II", "III", "IV")[int(number) - 1]
    return f"{name}, {noun.capitalize()} {number}" if number.isalnum() and noun != "model" else f"{name}'s model zoo"


def read_published(path: Path = PAPERS / "published.csv") -> list[Published]:
    """All printed numbers, in the order of the file.

    Raises:
        ReinvertError: the file is missing, has other columns, or a line holds no number or an unknown name.
    """
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            lines = list(csv.reader(handle))
    except FileNotFoundError as error:
        raise ReinvertError(f"'{path}' not found; restore it from git") from error
    except UnicodeDecodeError as error:
        raise ReinvertError(f"'{path}' is not UTF-8 text; restore it from git") from error
    if not lines or tuple(lines[0]) != COLUMNS:
        raise ReinvertError(f"'{path}' has not the columns {', '.join(COLUMNS)}; restore it from git")
    ours = {facts.published or name: name for name, facts in names.metrics().items()}
    digits: dict[tuple[str, str, str], int] = {}
    parsed: list[tuple[list[str], float, int]] = []
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(COLUMNS):
            raise ReinvertError(f"{path}, line {number}: {len(line)} fields instead of {len(COLUMNS)}; correct it")
        paper, table, _, _, _, metric, value = line
        if paper not in names.methods().papers:
            raise ReinvertError(f"{path}, line {number}: unknown paper '{paper}'; name it in methods.yaml")
        if metric not in ours:
            raise ReinvertError(f"{path}, line {number}: unknown metric '{metric}'; describe it in metrics.yaml")
        try:
            parsed.append((line, float(value), len(value.partition(".")[2]) if value.rstrip("0")[-1:] != "." else 0))
        except ValueError as error:
            raise ReinvertError(f"{path}, line {number}: '{value}' is no number; correct it") from error
        digits[paper, table, metric] = max(digits.get((paper, table, metric), 0), parsed[-1][2])
    return [
        Published(paper, table, domain, method, setting, ours[metric], value,
                  own if metric in OWN_DECIMALS else digits[paper, table, metric])
        for (paper, table, domain, method, setting, metric, _), value, own in parsed
    ]  # fmt: skip


def evidence_of(paper: str, published: Sequence[Published]) -> Evidence:
    """What one paper's own tables say; of a number printed twice, the first."""
    own = [one for one in published if one.paper == paper]
    evidence = Evidence(domains=list(dict.fromkeys(one.domain for one in own)), published=True)
    for one in own:
        evidence.cells.setdefault(Cell(one.domain, one.method, one.metric, one.sweep), one.number)
    return evidence

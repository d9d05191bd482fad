"""Full-size networks have the sizes that E2Style printed, read as it counted them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from torch import nn

from methods.networks.layers import EqualLinear
from pipelines.applications import COLUMNS
from pipelines.count_parameters import STYLES, count_parameters, networks, parameters
from reports.claims.measured import read_table
from tests.conftest import ROOT

PUBLISHED = {
    (line["domain"], line["method"], line["table"]): float(line["value"])
    for line in csv.DictReader((ROOT / "reports" / "papers" / "published.csv").open(encoding="utf-8"))
    if line["metric"] == "params_millions"
}


def as_printed(domain: str, method: str) -> float:
    """Millions without equalised linear layers, which counters of torch's own layers do not see."""
    total = 0
    with torch.device("meta"):
        for whole in (build() for build in networks(domain)[method]):
            unseen = [module for module in whole.modules() if isinstance(module, EqualLinear)]
            total += _count(whole) - sum(map(_count, unseen))
    return total / 1e6


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("domain", "method", "table"),
    [
        ("faces", "psp", "table-1"),
        ("faces", "e4e", "table-1"),
        ("faces", "restyle-psp", "table-1"),
        ("faces", "idinvert/encoder", "table-1"),
        ("faces", "e2style/down-4", "table-3"),
        ("faces", "e2style/down-8", "table-3"),
        ("faces", "e2style/down-16", "table-3"),
        ("faces", "e2style/down-8-18-conv-heads", "table-3"),
        ("cats", "psp", "table-4"),
        ("horses", "psp", "table-4"),
        ("cars", "psp", "table-4"),
        ("cats", "idinvert/encoder", "table-4"),
    ],
)
def test_counts_round_to_the_printed_ones(domain: str, method: str, table: str) -> None:
    assert round(as_printed(domain, method)) == PUBLISHED[domain, method, table]


def test_the_text_s_smaller_grids_give_the_printed_85_million() -> None:
    """Heads of 7, 5 and 3 pixels a side in the place of three of 7: weights of linear layers, in closed form."""
    (released,) = networks("faces")["e2style/1-stage"]
    less = 128 * (7**2 - 5**2) * 5 * 512 + 64 * (7**2 - 3**2) * 4 * 512
    assert round(parameters(released) / 1e6) == 98
    assert round((parameters(released) - less) / 1e6) == PUBLISHED["faces", "e2style/1-stage", "table-1"] == 85


def test_the_table_is_one_that_the_report_reads(tmp_path: Path) -> None:
    count_parameters(tmp_path / "cells.csv")
    cells = read_table(tmp_path / "cells.csv")
    assert (tmp_path / "cells.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert {cell.domain for cell in cells} == set(STYLES)
    assert len(cells) == sum(len(networks(domain)) for domain in STYLES)

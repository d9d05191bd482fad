"""Says at the end of a test run which goldens it left out."""

from __future__ import annotations

import textwrap

import pytest

from tests.conformance.subset import FAST, left_out


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    names = left_out()
    terminalreporter.section("conformance")
    terminalreporter.write_line(f"{len(FAST)} goldens are tests; `make conformance` also runs these {len(names)}:")
    for line in textwrap.wrap(", ".join(names), 116):
        terminalreporter.write_line(f"  {line}")

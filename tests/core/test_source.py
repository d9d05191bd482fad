"""What of a source file counts as a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.source import code_of, source_sha256

SOURCE = '''"""A module."""

# A remark.
from dataclasses import dataclass


@dataclass
class Point:
    """A point."""

    x: float = 0.0  # metres
    """Where it is."""


def shout(text: str) -> str:
    """Louder."""
    table = """one

    # two
    """
    return f"{text}#{table}"
'''


@pytest.mark.parametrize(
    ("before", "after"),
    [("A remark.", "Another."), ("# A remark.\n", ""), ("  # metres", ""), ('    """Louder."""\n', ""),
     ("Where it is.", "Ört,\n    in metres."), ("\n\n\ndef", "\n\ndef"), ('"""A point."""', '"""A point."""  # short')],
)  # fmt: skip
def test_words_do_not(before: str, after: str) -> None:
    assert before in SOURCE
    assert code_of(SOURCE.replace(before, after, 1)) == code_of(SOURCE)


@pytest.mark.parametrize(
    ("before", "after"),
    [("0.0", "1.0"), ("    # two\n", "    # three\n"), ("one\n\n", "one\n"), ('}#{', "}{"), ("    return", "  return"),
     ("    x: float", "    y: float")],
)  # fmt: skip
def test_code_and_strings_do(before: str, after: str) -> None:
    changed = SOURCE.replace(before, after, 1)
    assert changed != SOURCE
    if before == "    return":  # no longer inside the function: not Python any more
        with pytest.raises(SyntaxError):
            code_of(changed)
    else:
        assert code_of(changed) != code_of(SOURCE)


def test_a_string_beside_code_stays() -> None:
    assert "'word'" in code_of("x = 1; 'word'\n")


def test_the_hash_is_of_the_file(tmp_path: Path) -> None:
    for name, text in (("a", SOURCE), ("b", SOURCE.replace("metres", "feet")), ("c", SOURCE.replace("0.0", "2.0"))):
        (tmp_path / name).write_text(text, encoding="utf-8")
    a, b, c = (source_sha256(tmp_path / name) for name in "abc")
    assert a == b != c

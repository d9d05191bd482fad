"""What of a Python file computes: a change of comments, docstrings or blank lines makes no result out of date."""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
from pathlib import Path


def source_sha256(path: Path) -> str:
    """SHA-256 of a Python file's code, without its comments, docstrings and blank lines.

    Raises:
        SyntaxError: the file is not Python.
    """
    return hashlib.sha256(code_of(path.read_text(encoding="utf-8")).encode()).hexdigest()


def code_of(text: str) -> str:
    """Python source without comments, blank lines and strings that stand alone as statements (docstrings).

    The other lines are kept as they are written, so the result does not depend on the version of Python; what a string
    of several lines holds stays untouched.
    """
    lines = text.splitlines()
    inside, dropped = set[int](), set[int]()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant | ast.JoinedStr):
            inside.update(range(node.lineno, node.end_lineno or node.lineno))
        elif isinstance(node, ast.Expr) and _is_text(node.value) and _alone(node, lines):
            dropped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    kept = [
        line if number in inside else line.rstrip()
        for number, line in enumerate(lines, 1)
        if number not in dropped and (line.strip() or number in inside)
    ]
    return "\n".join(kept) + "\n"


def _is_text(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _alone(node: ast.Expr, lines: list[str]) -> bool:
    # Columns of the syntax tree count bytes.
    before = lines[node.lineno - 1].encode()[: node.col_offset]
    after = lines[(node.end_lineno or node.lineno) - 1].encode()[node.end_col_offset :]
    return not before.strip() and (not after.strip() or after.lstrip().startswith(b"#"))

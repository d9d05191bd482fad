"""Which entries of a column are best and second best, as they are printed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

Mark = Literal["", "best", "second"]


def marks(values: Sequence[float | None], direction: Literal["lower", "higher"], decimals: int) -> list[Mark]:
    """The mark of every value.

    Values count as printed: two that read the same are tied and share a mark, because a difference that the table does
    not show should not decide. The values next in order after the best ones are second, however many are best. Values
    that are missing or not finite have no mark; and nobody is best where all finite values read the same.

    Args:
        values: one column of a table, None where a method has no value.
        direction: which way is better.
        decimals: digits after the point in the table.

    Returns:
        One mark per value.
    """
    printed = [None if value is None or not math.isfinite(value) else round(value, decimals) for value in values]
    distinct = sorted({value for value in printed if value is not None}, reverse=direction == "higher")
    if len(distinct) < 2:
        return [""] * len(printed)
    names: dict[float, Mark] = {distinct[0]: "best", distinct[1]: "second"}
    return ["" if value is None else names.get(value, "") for value in printed]

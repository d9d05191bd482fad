import math

import pytest

from reports.ranking import marks


@pytest.mark.parametrize(
    ("values", "direction", "expected"),
    [
        ([0.3, 0.1, 0.2], "lower", ["", "best", "second"]),
        ([0.3, 0.1, 0.2], "higher", ["best", "", "second"]),
        ([0.1, 0.1, 0.2, 0.3], "lower", ["best", "best", "second", ""]),
        ([0.1, 0.2, 0.2], "lower", ["best", "second", "second"]),
        # Ties are those of the printed digits: both of these read 0.100.
        ([0.1001, 0.0999, 0.2], "lower", ["best", "best", "second"]),
        ([math.nan, 0.2, 0.1], "lower", ["", "second", "best"]),
        ([math.inf, 0.2, 0.1], "higher", ["", "best", "second"]),
        ([None, 0.2, 0.1], "lower", ["", "second", "best"]),
        # Nobody wins alone, and nobody wins a draw.
        ([None, 0.2, math.nan], "lower", ["", "", ""]),
        ([0.2, 0.2], "lower", ["", ""]),
        ([], "lower", []),
    ],
)
def test_marks(values, direction, expected):
    assert marks(values, direction, 3) == expected

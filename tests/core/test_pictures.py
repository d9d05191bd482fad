"""Sheets of pictures lose nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import ReinvertError
from core.pictures import read_pictures, write_pictures


@pytest.mark.parametrize("count", [1, 16, 21])
def test_pictures_come_back_to_the_last_bit(tmp_path: Path, count: int) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    write_pictures(tmp_path / "sheet.webp", pictures)
    assert np.array_equal(read_pictures(tmp_path / "sheet.webp", count), pictures)
    first = (tmp_path / "sheet.webp").read_bytes()
    write_pictures(tmp_path / "sheet.webp", pictures)
    assert (tmp_path / "sheet.webp").read_bytes() == first


def test_too_few_or_damaged_pictures_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sheet.webp"
    write_pictures(path, np.zeros((5, 8, 8, 3), np.uint8))
    with pytest.raises(ReinvertError, match="no sheet of 17 pictures"):
        read_pictures(path, 17)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ReinvertError, match="missing or damaged"):
        read_pictures(path, 5)
    with pytest.raises(ReinvertError, match="missing or damaged"):
        read_pictures(tmp_path / "none.webp", 5)

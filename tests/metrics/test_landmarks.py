"""Landmarks by the optional package: how it is called, what is refused. The package itself is a stand-in."""

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import ReinvertError
from metrics import landmarks
from metrics.landmarks import LandmarkFinder
from tests.metrics.fake_face_alignment import LandmarksType, installed

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8))
FACE = np.random.default_rng(1).uniform(0, 30, (68, 2)).astype(np.float32)


def test_the_package_is_called_as_its_release_wants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, hashes = installed(monkeypatch, tmp_path, [FACE])
    points = LandmarkFinder("cpu", hashes).find(PHOTO)
    assert points.dtype == np.float64
    assert np.array_equal(points, FACE)
    assert np.array_equal(given["image"], np.asarray(PHOTO))
    assert (given["kind"], given["device"], given["compile"]) == (LandmarksType.TWO_D, "cpu", False)
    # Without a path of its own the detector's file would be unpickled.
    assert (given["detector"], given["detector file"]) == ("sfd", tmp_path / "checkpoints" / landmarks.DETECTOR)


@pytest.mark.parametrize(
    ("faces", "message"),
    [
        (None, "no face is found in mine.png"),
        ([], "no face is found in mine.png"),
        ([FACE, FACE], "2 faces are found in mine.png"),
        ([FACE[:5]], "not 68 points"),
        ([FACE * np.nan], "not 68 points"),
    ],
)
def test_what_is_not_one_face_is_refused(
    faces: list[np.ndarray] | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, hashes = installed(monkeypatch, tmp_path, faces)
    with warnings.catch_warnings(), pytest.raises(ReinvertError, match=message):
        warnings.simplefilter("error")  # one line, not the package's warning besides
        LandmarkFinder("cpu", hashes).find(PHOTO, "mine.png")


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, landmarks.PACKAGE, None)  # as Python marks what is not there
    with pytest.raises(ReinvertError, match=r"pip install 'reinvert\[landmarks\]'") as error:
        LandmarkFinder()
    assert "\n" not in str(error.value)


def test_missing_and_other_weights_are_named_and_nothing_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, _ = installed(monkeypatch, tmp_path, [FACE])
    with pytest.raises(ReinvertError, match=r"s3fd-619a316812\.pth' has sha256 .*get s3fd-619a316812\.pth again"):
        LandmarkFinder()
    (tmp_path / "checkpoints" / landmarks.DETECTOR).unlink()
    with pytest.raises(ReinvertError, match=r"get https://www\.adrianbulat\.com/.*s3fd-619a316812\.pth and put it at"):
        LandmarkFinder()
    assert given == {}  # the package would have downloaded it

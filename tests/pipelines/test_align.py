"""`reinvert align`: photos in, aligned faces out. The package that finds landmarks is a stand-in."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data
from typer.testing import CliRunner

from core.errors import ReinvertError
from metrics import landmarks
from metrics.alignment import DATASET, PSP, align
from pipelines.align import align_files
from pipelines.cli import app
from tests.metrics.fake_face_alignment import installed
from tests.metrics.test_face_photo import CENTRE, LEFT_EYE, PUPILS_NOSE_MOUTH, RIGHT_EYE

POINTS = np.full((68, 2), CENTRE)
POINTS[36:42], POINTS[42:48] = LEFT_EYE, RIGHT_EYE
POINTS[48], POINTS[54] = PUPILS_NOSE_MOUTH[3], PUPILS_NOSE_MOUTH[4]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(data.astronaut()).save(tmp_path / "anna.png")
    return tmp_path / "anna.png"


def found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, faces: list[np.ndarray] | None) -> None:
    _, hashes = installed(monkeypatch, tmp_path / "hub", faces)
    for name, value in hashes.items():
        monkeypatch.setitem(landmarks.SHA256, name, value)


def test_the_command_writes_the_face(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, tmp_path, [POINTS])
    done = CliRunner().invoke(app, ["align", str(photo), "--out", str(tmp_path / "out"), "--setting", "psp"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [str(tmp_path / "out" / "anna.png")]
    expected = align(Image.open(photo), POINTS, PSP)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "anna.png")), np.asarray(expected))
    (written,) = align_files([photo], tmp_path / "large", "dataset")
    assert Image.open(written).size == (DATASET.output_size, DATASET.output_size)


def test_nothing_is_written_unless_all_photos_can_be(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(monkeypatch, tmp_path, None)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "anna.png").write_bytes(photo.read_bytes())
    (tmp_path / "torn.png").write_bytes(photo.read_bytes()[:3000])
    for photos, setting, message in (
        ([photo], "psq", "did you mean 'psp'"),
        ([photo, tmp_path / "more" / "anna.png"], "psp", "would both be anna.png"),
        ([photo, tmp_path / "torn.png"], "psp", "torn.png' is truncated"),
        ([photo], "psp", "no face is found in '.*anna.png'"),
    ):
        with pytest.raises(ReinvertError, match=message):
            align_files(photos, tmp_path / "out", setting)
    found_far = POINTS + 5000
    monkeypatch.setattr("pipelines.align.LandmarkFinder.find", lambda *_: found_far)
    with pytest.raises(ReinvertError, match="anna.png': the face lies outside"):
        align_files([photo], tmp_path / "out", "psp")
    assert not (tmp_path / "out").exists()

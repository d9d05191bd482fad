"""`reinvert calibrate`: it passes here, and it fails where a score is off."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from core.errors import ReinvertError
from metrics import pixel, structure
from pipelines import calibrate as calibration
from pipelines.cli import app
from tests.calibration import make

FOLDER = Path(__file__).parents[1] / "calibration"


class NoNetwork(torch.nn.Module):
    pnet_type = "alex"

    def forward(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(real), 1, 1, 1)


@pytest.fixture(scope="module")
def comparisons() -> list[calibration.Comparison]:
    return calibration.calibrate(FOLDER)


def test_every_score_is_within_its_tolerance(comparisons) -> None:
    assert [comparison for comparison in comparisons if not comparison.passed] == []
    # Eight pairs under seven protocols: equal images have no finite PSNR in scikit-image, and pytorch-msssim takes none
    # of the four small ones.
    assert len(comparisons) == 8 * 7 - 1 - 4 + 3
    text = calibration.table(comparisons)
    assert "ms-ssim@176/1" in text
    assert "pytorch-msssim" in text
    assert "FAIL" not in text


@pytest.mark.parametrize(
    ("protocol", "target", "fault"),
    [
        ("l2", (pixel, "l2"), lambda right: lambda a, b: 4 * right(a, b)),
        ("psnr", (pixel, "psnr"), lambda right: lambda a, b: right(a, b) - 3.0103),
        ("ssim", (structure, "SIGMA"), lambda right: 1.4),
        ("ms-ssim", (structure, "SCALE_WEIGHTS"), lambda right: tuple(weight / 1.0001 for weight in right)),
    ],
)
def test_a_wrong_formula_is_found(protocol: str, target, fault, monkeypatch) -> None:
    module, name = target
    monkeypatch.setattr(module, name, fault(getattr(module, name)))
    # The networks take longest and have no part in this.
    monkeypatch.setattr(calibration, "calibration_network", lambda *_: NoNetwork())
    found = calibration.calibrate(FOLDER)
    assert any(c.protocol.startswith(f"{protocol}@") and not c.passed for c in found)
    assert "FAIL" in calibration.table(found)


def test_the_command_exits_with_one_and_says_what_is_off(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "calibration"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    content = json.loads((folder / calibration.REFERENCES).read_text())
    content["images"]["ssim"]["photo-dark-176"] += 2e-6
    (folder / calibration.REFERENCES).write_text(json.dumps(content))
    right = calibration.calibration_network(FOLDER, content["salt"])
    monkeypatch.setattr(calibration, "calibration_network", lambda *_: right)
    result = CliRunner().invoke(app, ["calibrate", str(folder)])
    assert result.exit_code == 1
    assert "ssim@176/1 of photo-dark-176" in result.output
    assert CliRunner().invoke(app, ["calibrate", str(FOLDER)]).exit_code == 0


def test_a_folder_without_references_is_one_line(tmp_path) -> None:
    with pytest.raises(ReinvertError, match=r"has no references\.json"):
        calibration.calibrate(tmp_path)
    content = json.loads((FOLDER / calibration.REFERENCES).read_text())
    del content["images"]["ssim"]
    (tmp_path / calibration.REFERENCES).write_text(json.dumps(content))
    with pytest.raises(ReinvertError, match="other protocols"):
        calibration.calibrate(tmp_path)


def test_the_packages_still_give_the_stored_distances() -> None:
    features = make.make_features()
    with np.load(FOLDER / "features.npz") as stored:
        for side, values in features.items():
            np.testing.assert_allclose(stored[side], values, atol=1e-6)
        found = make.reference_distances({side: stored[side] for side in features})
    stored_values = json.loads((FOLDER / calibration.REFERENCES).read_text())["features"]
    assert found == pytest.approx(stored_values, rel=1e-9)

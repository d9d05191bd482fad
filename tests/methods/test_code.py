from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.errors import ReinvertError
from methods.code import Code


def full_code(count: int = 3) -> Code:
    return Code(
        styles=torch.randn(count, 4, 8),
        feature=torch.randn(count, 2, 5, 5),
        feature_layer=3,
        weight_residuals={
            "convs.1.conv.weight": torch.randn(count, 4, 2, 3, 3),
            "conv1.conv.weight": torch.randn(count, 2, 2, 1, 1),
        },
        noise=[torch.randn(count, 1, 1 + k, 1) for k in range(11)],  # two digits: order must survive the file
        distortion=torch.randn(count, 3, 4, 4),
    )


def assert_equal(first: Code, second: Code) -> None:
    assert torch.equal(first.styles, second.styles)
    assert first.feature_layer == second.feature_layer
    assert (first.feature is None) == (second.feature is None)
    if first.feature is not None:
        assert torch.equal(first.feature, second.feature)
    assert (first.weight_residuals or {}).keys() == (second.weight_residuals or {}).keys()
    for name, residual in (first.weight_residuals or {}).items():
        assert torch.equal(residual, (second.weight_residuals or {})[name])
    assert (first.distortion is None) == (second.distortion is None)
    if first.distortion is not None:
        assert torch.equal(first.distortion, second.distortion)
    assert len(first.noise or []) == len(second.noise or [])
    assert all(torch.equal(a, b) for a, b in zip(first.noise or [], second.noise or [], strict=True))


@pytest.mark.parametrize(
    "code",
    [full_code(), Code(torch.randn(2, 4, 8)), Code(torch.randn(2, 1, 8).expand(2, 4, 8))],
    ids=["full", "w+", "w"],
)
def test_file_round_trip_keeps_every_part(code: Code, tmp_path: Path) -> None:
    code.save(tmp_path / "code.safetensors")
    assert_equal(Code.load(tmp_path / "code.safetensors"), code)


def test_slices_and_concatenation_are_inverse() -> None:
    code = full_code()
    assert len(code[1:3]) == 2
    assert_equal(Code.concatenate([code[0:1], code[1:3]]), code)


def test_parts_that_do_not_fit_are_refused() -> None:
    code = full_code()
    with pytest.raises(ReinvertError, match="give \\(images, layers, dimensions\\)"):
        Code(torch.randn(4, 8))
    with pytest.raises(ReinvertError, match="give both or neither"):
        replace(code, feature_layer=None)
    with pytest.raises(ReinvertError, match="does not fit 2 styles"):
        replace(code, styles=code.styles[:2])
    with pytest.raises(ReinvertError, match="weight residual"):
        replace(code, weight_residuals={"conv1.conv.weight": torch.randn(2, 2, 2, 3, 3)})
    with pytest.raises(ReinvertError, match="weight residual .* give 2 to 5 dimensions"):
        replace(code, weight_residuals={"conv1.noise.weight": torch.randn(3)})


def test_codes_with_other_parts_do_not_concatenate() -> None:
    with pytest.raises(ReinvertError, match="different parts"):
        Code.concatenate([full_code(), Code(torch.randn(3, 4, 8))])


def test_files_that_hold_no_code_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReinvertError, match="not found"):
        Code.load(tmp_path / "absent.safetensors")
    full_code().save(tmp_path / "code.safetensors")
    whole = (tmp_path / "code.safetensors").read_bytes()
    (tmp_path / "code.safetensors").write_bytes(whole[:-10])
    with pytest.raises(ReinvertError, match="damaged"):
        Code.load(tmp_path / "code.safetensors")

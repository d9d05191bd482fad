"""The pSp encoder at small sizes."""

from __future__ import annotations

import pytest
import torch

from core.errors import ReinvertError
from methods.networks.encoders import GradualStyleEncoder, offset_styles
from metrics.judges.ir_se import ResidualUnit

SMALL = {"widths": (4, 4, 6, 8), "units": (1, 1, 1, 1), "style_width": 5}


@pytest.mark.parametrize(("size", "style_count"), [(16, 6), (32, 8), (64, 10)])
def test_shapes_and_levels(size: int, style_count: int) -> None:
    encoder = GradualStyleEncoder(size, style_count, 7, **SMALL)
    images = torch.randn(2, 3, size, size)
    assert encoder(images).shape == (2, style_count, 7)
    assert [level.shape[1:] for level in encoder.pyramid(images)] == [(8, size // d, size // d) for d in (16, 8, 4)]
    assert encoder.level_of_style == ([0] * 3 + [1] * 4 + [2] * 3)[:style_count]


def test_default_is_the_small_encoder_of_the_embedded_domain() -> None:
    parameters = sum(parameter.numel() for parameter in GradualStyleEncoder(64, 10, 128).parameters())
    assert 1_500_000 < parameters < 3_000_000


def test_levels_are_arguments() -> None:
    encoder = GradualStyleEncoder(32, 8, 7, coarse_styles=1, middle_styles=2, in_channels=6, **SMALL)
    assert encoder.level_of_style == [0, 1, 1, 2, 2, 2, 2, 2]
    assert encoder(torch.randn(1, 6, 32, 32)).shape == (1, 8, 7)


def test_coarse_styles_ignore_the_finer_levels() -> None:
    torch.manual_seed(0)
    encoder = GradualStyleEncoder(32, 8, 7, **SMALL).eval()
    images = torch.randn(1, 3, 32, 32)
    before = encoder(images)
    with torch.no_grad():
        encoder.latlayer2.bias += 1.0  # reaches the fine level alone
    after = encoder(images)
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.equal(before[:, 7:], after[:, 7:])
    with torch.no_grad():
        encoder.latlayer1.bias += 1.0  # reaches the middle level, and the fine one through it
    last = encoder(images)
    assert torch.equal(after[:, :3], last[:, :3])
    assert not torch.equal(after[:, 3:7], last[:, 3:7])


@pytest.mark.parametrize(("in_channels", "stride"), [(8, 1), (8, 2), (4, 2)])
def test_silent_residual_leaves_the_shortcut(in_channels: int, stride: int) -> None:
    unit = ResidualUnit(in_channels, 8, stride).eval()
    with torch.no_grad():
        unit.res_layer[4].weight.zero_()
    features = torch.randn(2, in_channels, 6, 6)
    expected = features[:, :, ::stride, ::stride]
    if in_channels != 8:
        weight = unit.shortcut_layer[0].weight[:, :, 0, 0]
        expected = torch.einsum("oi,bihw->bohw", weight, expected) / (1.0 + 1e-5) ** 0.5  # fresh batch statistics
    torch.testing.assert_close(unit(features), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("autocast", [False, True])
def test_every_parameter_learns(autocast: bool) -> None:
    encoder = GradualStyleEncoder(32, 8, 7, **SMALL)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        styles = encoder(torch.randn(4, 3, 32, 32))
    styles.float().square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


@pytest.mark.parametrize(
    ("size", "arguments", "message"),
    [(48, {}, "power of two from 16"), (8, {}, "power of two"), (64, {"units": (1, 1, 1)}, "four stages")],
)
def test_misuse_is_one_clear_line(size: int, arguments: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ReinvertError, match=message):
        GradualStyleEncoder(size, 8, 7, **arguments)


@pytest.mark.parametrize("body", ["ir_se", "resnet"])
def test_bodies_halve_alike(body: str) -> None:
    encoder = GradualStyleEncoder(64, 10, 7, in_channels=6, body=body, **SMALL).eval()
    images = torch.randn(1, 6, 48, 64)  # not square: 3 x 4 is the coarsest map
    assert encoder(images).shape == (1, 10, 7)
    assert [tuple(level.shape[2:]) for level in encoder.pyramid(images)] == [(3, 4), (6, 8), (12, 16)]
    assert len(encoder.pyramid(images, finest=0)) == 1


def test_encoder_with_coarse_styles_alone_has_no_pyramid() -> None:
    encoder = GradualStyleEncoder(32, 8, 7, coarse_styles=8, **SMALL)
    assert not any("latlayer" in name for name in encoder.state_dict())
    assert encoder(torch.randn(2, 3, 32, 32)).shape == (2, 8, 7)


def test_offsets_are_added_to_the_first_style() -> None:
    codes = torch.tensor([[[1.0, 2.0], [10.0, 20.0], [-1.0, 0.0]]])
    expected = [[[1.0, 2.0], [11.0, 22.0], [0.0, 2.0], [1.0, 2.0], [1.0, 2.0]]]
    assert offset_styles(codes, 5).tolist() == expected
    assert offset_styles(codes[:, :1], 3).tolist() == [[[1.0, 2.0]] * 3]


def test_progressive_stages() -> None:
    torch.manual_seed(0)
    plain = GradualStyleEncoder(32, 8, 7, **SMALL).eval()
    encoder = GradualStyleEncoder(32, 8, 7, offsets_from_first=True, **SMALL).eval()
    encoder.load_state_dict(plain.state_dict())
    images = torch.randn(2, 3, 32, 32)
    codes, full = plain(images), encoder(images)
    torch.testing.assert_close(full[:, 1:] - full[:, :1], codes[:, 1:], rtol=1e-5, atol=1e-5)
    for offsets in (0, 2, 5):
        staged = encoder(images, offsets)
        torch.testing.assert_close(staged[:, : offsets + 1], full[:, : offsets + 1])
        assert torch.equal(staged[:, offsets + 1 :], full[:, :1].expand(-1, 7 - offsets, -1))
    assert torch.equal(encoder(images, 17), full)
    for wrong, offsets in ((plain, 3), (encoder, -1)):
        with pytest.raises(ReinvertError, match="offsets_from_first"):
            wrong(images, offsets)


def test_unknown_body_is_one_clear_line() -> None:
    with pytest.raises(ReinvertError, match="unknown body 'resnets'; did you mean 'resnet'"):
        GradualStyleEncoder(32, 8, 7, body="resnets", **SMALL)

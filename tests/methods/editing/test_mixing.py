"""Style mixing and interpolation on codes whose parts say where they come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from core.errors import ReinvertError
from methods.code import Code
from methods.editing import mixing
from methods.inverter import Inverter, Step


class Plain(Inverter):
    """Edits as the base class does."""

    def __init__(self) -> None:
        super().__init__(generator=None)  # type: ignore[arg-type]

    @classmethod
    def from_arguments(cls, arguments: Any, context: Any) -> Plain:
        return cls()

    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        raise NotImplementedError


def code(value: float, **parts: Any) -> Code:
    return Code(styles=torch.full((2, 4, 3), value), **parts)


def test_fine_styles_come_from_the_other_image_and_weights_stay() -> None:
    residual = torch.randn(2, 5, 5, 3, 3)
    made = mixing.mixed(Plain(), code(1.0, weight_residuals={"convs.0": residual}), code(2.0), 3)
    assert made.styles[0, :, 0].tolist() == [1.0, 1.0, 1.0, 2.0]
    assert made.weight_residuals is not None and torch.equal(made.weight_residuals["convs.0"], residual)
    with pytest.raises(ReinvertError, match="mixes nothing"):
        mixing.mixed(Plain(), code(1.0), code(2.0), 4)
    with pytest.raises(ReinvertError, match="cannot be mixed"):
        mixing.mixed(Plain(), code(1.0), Code(styles=torch.zeros(1, 4, 3)), 2)


def test_a_feature_meets_all_styles_of_the_other_image() -> None:
    feature = torch.randn(2, 5, 4, 4)
    made = mixing.mixed(Plain(), code(1.0, feature=feature, feature_layer=3), code(2.0), 3)
    assert made.feature is feature and made.feature_layer == 3 and bool((made.styles == 2.0).all())


def test_interpolation_is_linear_in_every_part() -> None:
    def full(value: float) -> Code:
        return code(
            value, feature=torch.full((2, 5, 4, 4), value), feature_layer=3, noise=[torch.full((2, 1, 4, 4), value)],
            weight_residuals={"w": torch.full((2, 5), value)}, distortion=torch.full((2, 3, 8, 8), value),
        )  # fmt: skip

    between = mixing.interpolated(full(1.0), full(3.0), 0.25)
    assert between.feature is not None and between.noise is not None and between.weight_residuals is not None
    for part in (between.styles, between.feature, between.noise[0], between.weight_residuals["w"]):
        assert bool((part == 1.5).all())
    assert between.feature_layer == 3 and between.distortion is None
    for share, end in ((0.0, full(1.0)), (1.0, full(3.0))):
        assert torch.equal(mixing.interpolated(full(1.0), full(3.0), share).styles, end.styles)
    with pytest.raises(ReinvertError, match="different parts"):
        mixing.interpolated(full(1.0), code(3.0), 0.5)


def test_what_is_more_than_styles() -> None:
    assert not mixing.has_more_than_styles(code(1.0, distortion=torch.zeros(2, 3, 8, 8)))
    assert mixing.has_more_than_styles(code(1.0, weight_residuals={"w": torch.zeros(2, 5)}))
    left = mixing.styles_alone(code(1.0, weight_residuals={"w": torch.zeros(2, 5)}))
    assert left.weight_residuals is None and not mixing.has_more_than_styles(left)

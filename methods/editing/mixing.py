"""Two codes in one picture: style mixing and interpolation, in the way of every method.

- Style mixing of methods in W+: coarse styles of one image, fine ones of another (E2Style, arXiv 2104.07661,
  algorithm 3: the last 11 of 18 styles are replaced). What a method keeps besides styles is moved along as in an edit.
- Style mixing of methods with a feature map: the feature of one image, all styles of another (Feature-Style, arXiv
  2202.02183, Fig. 7).
- Interpolation of codes alone, through the generator as it is, and of codes with all that the method adds to it:
  weights (HyperInverter, arXiv 2112.00719, section 4.6) or a feature.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from core.errors import ReinvertError
from methods.code import Code
from methods.inverter import Inverter


def mixed(inverter: Inverter, content: Code, appearance: Code, first_row: int) -> Code:
    """`content` with the looks of `appearance`, image by image.

    Args:
        inverter: the method of both codes.
        content: gives the styles before `first_row`, or the feature where the method predicts one.
        appearance: gives the other styles.
        first_row: of the styles that are taken from `appearance`; unused where the content has a feature of its own.

    Raises:
        ReinvertError: codes of another number of images or styles, or a row that is not there.
    """
    if content.styles.shape != appearance.styles.shape:
        raise ReinvertError(
            f"styles of shape {tuple(content.styles.shape)} and {tuple(appearance.styles.shape)} cannot be mixed; "
            "invert as many images with one method"
        )
    if not 0 < first_row < content.styles.shape[1]:
        raise ReinvertError(f"mixing from style {first_row} on mixes nothing; use 1 to {content.styles.shape[1] - 1}")
    # A feature with a distortion map is HFGI's, which follows from the styles and is made anew by every edit.
    if content.feature is not None and content.distortion is None:
        return replace(content, styles=appearance.styles)
    taken = appearance.styles - content.styles
    taken[:, :first_row] = 0
    return inverter.edit(content, taken, 1.0)


def styles_alone(code: Code) -> Code:
    """What is left of a code when the generator is taken as it is."""
    return Code(styles=code.styles)


def has_more_than_styles(code: Code) -> bool:
    """Whether a code changes the generator, too: its weights, one of its maps, or its noise."""
    return code.feature is not None or code.weight_residuals is not None or code.noise is not None


def interpolated(first: Code, second: Code, share: float) -> Code:
    """(1 - share) of `first` and `share` of `second`, linearly in every part; a distortion map belongs to neither.

    Raises:
        ReinvertError: codes with different parts.
    """
    _require_equal_parts(first, second)

    def between(a: Tensor, b: Tensor) -> Tensor:
        return torch.lerp(a, b, share)

    weights, others = first.weight_residuals, second.weight_residuals
    return Code(
        styles=between(first.styles, second.styles),
        feature=None if first.feature is None or second.feature is None else between(first.feature, second.feature),
        feature_layer=first.feature_layer,
        weight_residuals=None
        if weights is None or others is None
        else {name: between(residual, others[name]) for name, residual in weights.items()},
        noise=None
        if first.noise is None or second.noise is None
        else [between(a, b) for a, b in zip(first.noise, second.noise, strict=True)],
    )


def _require_equal_parts(first: Code, second: Code) -> None:
    def parts(code: Code) -> tuple[object, ...]:
        return (
            code.styles.shape, code.feature_layer, None if code.noise is None else len(code.noise),
            None if code.weight_residuals is None else sorted(code.weight_residuals),
        )  # fmt: skip

    if parts(first) != parts(second):
        raise ReinvertError("codes with different parts cannot be interpolated; use codes of one method")

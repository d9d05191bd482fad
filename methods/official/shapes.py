"""Arguments of our networks, read off the names and shapes of their state dicts.

Published networks differ in sizes and widths, and what is converted or trained again differs more; so nothing is
assumed that a state dict tells. All functions are for `methods.official.layout.derived`: they raise KeyError for a
tensor that is missing and ValueError where shapes make no sense.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from torch import Tensor

from methods.official.layout import count, numbers

State = Mapping[str, Tensor]
ENCODER_SIZE = 256
"""Pixels per side of the images that published encoders read; encoders without a pyramid do not tell it."""


def ir_body(state: State, prefix: str = "body.", weight: str = "res_layer.1.weight") -> dict[str, Any]:
    """``widths`` and ``units`` of a body of numbered units; a stage is a run of units of one width."""
    indices = numbers(state, rf"{prefix}(\d+)\.")
    if not indices:
        raise KeyError(f"{prefix}0.{weight}")
    runs = [
        (width, len(list(run))) for width, run in groupby(len(state[f"{prefix}{index}.{weight}"]) for index in indices)
    ]
    if len(runs) != 4:
        raise ValueError(f"the body has {len(runs)} widths")
    return {"widths": tuple(width for width, _ in runs), "units": tuple(units for _, units in runs)}


def encoder_body(state: State) -> dict[str, Any]:
    """``widths``, ``units``, ``in_channels`` and ``body`` of `methods.networks.encoders.BodyEncoder`."""
    if "conv1.weight" in state:
        return ir_body(state, weight="conv1.weight") | {
            "in_channels": state["conv1.weight"].shape[1],
            "body": "resnet",
        }
    return ir_body(state) | {"in_channels": state["input_layer.0.weight"].shape[1], "body": "ir_se"}


def gradual_encoder(state: State, code_size: int = 1) -> dict[str, Any]:
    """Arguments of `methods.networks.encoders.GradualStyleEncoder`, but ``offsets_from_first``.

    The levels of the pyramid differ in how often map2style halves them; the coarse one has a 16th of the image's size.

    Args:
        state: its state dict.
        code_size: pixels per side of the codes.
    """
    styles = count(state, r"styles\.(\d+)\.")
    halvings = [count(state, rf"styles\.{style}\.convs\.(\d+)\.weight") for style in range(styles)]
    coarse, middle = (halvings.count(halvings[0] + level) for level in (0, 1))
    return encoder_body(state) | {
        "size": 16 * code_size * 2 ** halvings[0],
        "style_count": styles,
        "style_dim": len(state["styles.0.linear.weight"]) if "styles.0.linear.weight" in state else None,
        "style_width": len(state["styles.0.convs.0.weight"]),
        "coarse_styles": coarse,
        "middle_styles": middle,
        "code_size": code_size,
    }


def last_layer_encoder(state: State) -> dict[str, Any]:
    """Arguments of `methods.networks.last_layer_encoders.LastLayerEncoder`."""
    return encoder_body(state) | {"size": ENCODER_SIZE, "style_dim": len(state["linear.weight"])}


def resnet(state: State, bottleneck: bool) -> dict[str, Any]:
    """``units`` and ``widths`` of `metrics.judges.resnet.ResNet`."""
    weight = "conv2.weight" if bottleneck else "conv1.weight"
    stages = range(1, 5)
    return {
        "units": tuple(count(state, rf"layer{stage}\.(\d+)\.") for stage in stages),
        "widths": tuple(len(state[f"layer{stage}.0.{weight}"]) for stage in stages),
    }


def square_root(area: int) -> int:
    """The side of a square of ``area`` pixels; ValueError when there is none."""
    side = round(area**0.5)
    if side * side != area:
        raise ValueError(f"{area} is no square")
    return side

"""In-domain inversion's files, each a plain state dict: encoder, StyleGAN1 generator, VGG-16 with Keras's weights.

The generator's ``truncation.truncation`` (strength by row) is no weight: the authors' loader puts its own in the place
of whatever the file has, and so does this one. ``latent_avg`` is the generator's mean of w.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from methods.networks.idinvert import InDomainEncoder
from methods.networks.stylegan1 import Generator
from methods.official.layout import (
    LAYOUTS,
    Content,
    Layout,
    Official,
    count,
    derived,
    network,
    numbers,
    styles_of,
    tensors,
)
from metrics.judges.vgg16 import CONV4_3, Vgg16

TRUNCATED_ROWS, TRUNCATION = 8, 0.7
STRENGTHS = "truncation.truncation"


def _encoder_arguments(state: dict[str, Tensor]) -> dict[str, Any]:
    blocks = max(numbers(state, r"block(\d+)\.")) - 1
    size = 4 * 2**blocks
    inner = (len(state[f"block{block}.conv2.weight"]) for block in range(1, blocks + 1))
    styles = styles_of(size)
    return {
        "size": size,
        "style_count": styles,
        "style_dim": len(state[f"block{blocks + 1}.fc.weight"]) // styles,
        "widths": (len(state["block0.conv.weight"]), *inner),
        "in_channels": state["block0.conv.weight"].shape[1],
    }


def _read_encoder(content: Content, _domain: str | None) -> Official:
    state = tensors(content, "a state dict")
    arguments = derived(_encoder_arguments, state)
    encoder = network(lambda: InDomainEncoder(**arguments), state)
    return Official({"encoder": encoder}, None, {}, "", {"encoder": arguments})


def _generator_arguments(state: dict[str, Tensor]) -> dict[str, Any]:
    blocks = count(state, r"synthesis\.output(\d+)\.")
    resolutions = [4 * 2**block for block in range(blocks)]
    fused = [4 * 2**block for block in range(blocks) if f"synthesis.layer{2 * block}.weight" in state]
    return {
        "size": resolutions[-1],
        "z_dim": state["mapping.dense0.fc.weight"].shape[1],
        "style_dim": len(state["truncation.w_avg"]),
        "mapping_layers": count(state, r"mapping\.dense(\d+)\."),
        "channels": {
            resolution: len(state[f"synthesis.layer{2 * block + 1}.epilogue.bias"])
            for block, resolution in enumerate(resolutions)
        },
        "fused_from": min(fused, default=2 * resolutions[-1]),
        "truncated_rows": TRUNCATED_ROWS,
        "truncation": TRUNCATION,
    }


def _read_generator(content: Content, _domain: str | None) -> Official:
    state = tensors(content, "a state dict")
    arguments = derived(_generator_arguments, state)
    rows = torch.ones(1, 2 * len(arguments["channels"]), 1)
    rows[:, :TRUNCATED_ROWS] = TRUNCATION
    generator = network(lambda: Generator(**arguments), state | {STRENGTHS: rows})
    return Official({"generator": generator}, state["truncation.w_avg"].float(), {}, "", {"generator": arguments})


def _vgg_arguments(state: dict[str, Tensor]) -> dict[str, Any]:
    places = numbers(state, r"layer(\d+)\.weight")
    widths: list[int] = []
    for place, following in pairwise([*places, places[-1] + 2]):
        # A convolution and its ReLU take two places, a pooling behind them a third.
        widths += [len(state[f"layer{place}.weight"]), *([0] if following == place + 3 else [])]
    return {"last": CONV4_3, "widths": tuple(widths)}


def _read_vgg(content: Content, _domain: str | None) -> Official:
    state = tensors(content, "a state dict")
    arguments = derived(_vgg_arguments, state)
    features = network(lambda: Vgg16(**arguments), state)
    return Official({"features": features}, None, {}, "", {"features": arguments})


LAYOUTS.register("idinvert-encoder")(
    Layout("an encoder of in-domain inversion", _read_encoder, lambda content: "block1.wscale1.bias" in content)
)
LAYOUTS.register("idinvert-generator")(
    Layout(
        "a StyleGAN1 generator of in-domain inversion",
        _read_generator,
        lambda content: "synthesis.layer0.epilogue.bias" in content,
    )
)
LAYOUTS.register("idinvert-vgg16")(
    Layout(
        "in-domain inversion's VGG-16",
        _read_vgg,
        lambda content: "layer0.weight" in content and "layer2.weight" in content,
    )
)

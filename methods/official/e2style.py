"""E2Style's checkpoints: its encoders and their generator in one file.

``{"state_dict": {"encoder_firststage.*", "encoder_refinestage_list.N.*", "decoder.*"}, "opts": ..., "latent_avg": (L,
D)}``. The file of a run with one stage has no refinement. Returned are the whole as "e2style" and its generator as
"generator" too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from methods.networks.e2style import E2Style, StageEncoder
from methods.networks.stylegan2 import Generator
from methods.official import shapes
from methods.official.layout import (
    LAYOUTS,
    Content,
    Layout,
    MismatchError,
    Official,
    check_domain,
    count,
    derived,
    latent_mean,
    network,
    options_of,
    part,
    tensors,
)
from methods.official.rosinality import generator

HEADS = ("output_layer_3", "output_layer_4", "output_layer_5")
FIRST, LATER = "encoder_firststage.", "encoder_refinestage_list."


def _stage_arguments(state: dict[str, Tensor], style_dim: int) -> dict[str, Any]:
    body = shapes.ir_body(state)
    rows = [len(state[f"{head}.3.weight"]) for head in HEADS]
    coarse_width = body["widths"][2]
    return body | {
        "in_channels": state["input_layer.0.weight"].shape[1],
        "style_dim": style_dim,
        "styles": tuple(number // style_dim for number in rows),
        "grid": shapes.square_root(state[f"{HEADS[0]}.3.weight"].shape[1] // coarse_width),
    }


def _read(content: Content, domain: str | None) -> Official:
    state = tensors(content.get("state_dict"), "a 'state_dict' of networks")
    drawn, generator_arguments = generator(part(state, "decoder."), "decoder.")
    check_domain(domain, drawn.size)
    prefixes = [FIRST, *(f"{LATER}{index}." for index in range(count(state, rf"{LATER}(\d+)\.")))]
    stages = [
        derived(lambda found: _stage_arguments(found, drawn.style_dim), part(state, prefix)) for prefix in prefixes
    ]
    styles = sum(stages[0]["styles"])
    if styles != drawn.style_count:
        raise MismatchError(f"has encoders of {styles} styles for a generator of {drawn.style_count}")

    def build() -> E2Style:
        first, *later = (StageEncoder(**arguments) for arguments in stages)
        return E2Style(first, later, Generator(**generator_arguments))

    whole = network(build, state)
    return Official(
        modules={"e2style": whole, "generator": whole.decoder},
        latent_avg=latent_mean(content.get("latent_avg"), drawn.style_dim),
        options=options_of(content.get("opts")),
        layout="",
        arguments={
            "e2style": {"first": stages[0], "refinements": stages[1:], "generator": generator_arguments},
            "generator": generator_arguments,
        },
    )


def _resembles(content: Content) -> bool:
    state = content.get("state_dict")
    return isinstance(state, Mapping) and any(str(name).startswith(FIRST) for name in state)


LAYOUTS.register("e2style")(Layout("an E2Style checkpoint", _read, _resembles))

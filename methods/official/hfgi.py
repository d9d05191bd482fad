"""HFGI's checkpoint: ``{"state_dict": {"encoder.*", "residue.*", "grid_align.*", "decoder.*"}, "opts", "latent_avg"}``.

Its encoder is e4e's, but not e4e's weights: HFGI's training moved the running statistics of the frozen encoder's batch
normalisations, so it has to be taken from this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from methods.networks.hfgi import HFGI, ConsultationEncoder, DistortionAlignment
from methods.official.layout import (
    LAYOUTS,
    Content,
    Layout,
    MismatchError,
    Official,
    check_domain,
    derived,
    latent_mean,
    network,
    options_of,
    part,
    tensors,
)
from methods.official.psp_family import encoder
from methods.official.rosinality import generator

PARTS = ("encoder.", "residue.", "grid_align.", "decoder.")


def _widths(state: dict[str, Tensor], levels: int) -> tuple[int, ...]:
    later = (len(state[f"conv_layer{level}.0.res_layer.1.weight"]) for level in range(2, levels + 1))
    return (len(state["conv_layer1.0.weight"]), *later)


def _consultation(state: dict[str, Tensor]) -> dict[str, Any]:
    return {"widths": _widths(state, 3), "out_channels": len(state["condition_scale3.0.weight"])}


def _read(content: Content, domain: str | None) -> Official:
    state = tensors(content.get("state_dict"), "a 'state_dict' of networks")
    others = sorted(name for name in state if not name.startswith(PARTS))
    if others:
        raise MismatchError(f"has an unknown '{others[0]}' ({len(others)} keys beside the four networks)")
    added = {name: value for name, value in state.items() if name.startswith(("grid_align.", "residue."))}
    alignment = {"widths": derived(lambda found: _widths(found, 4), part(state, "grid_align."))}
    consultation = derived(_consultation, part(state, "residue."))
    drawn, generator_arguments = generator(part(state, "decoder."), "decoder.")
    check_domain(domain, drawn.size)
    reader, arguments = encoder(part(state, "encoder."), "encoder.", drawn.style_dim, offsets_from_first=True)
    if arguments.get("style_count") != drawn.style_count:
        raise MismatchError(f"has an encoder of {arguments.get('style_count')} styles for {drawn.style_count}")
    both = network(lambda: HFGI(DistortionAlignment(**alignment), ConsultationEncoder(**consultation)), added)
    return Official(
        modules={"encoder": reader, "hfgi": both, "generator": drawn},
        latent_avg=latent_mean(content.get("latent_avg"), drawn.style_dim),
        options=options_of(content.get("opts")),
        layout="",
        arguments={
            "encoder": arguments,
            "hfgi": {"alignment": alignment, "consultation": consultation},
            "generator": generator_arguments,
        },
    )


def _resembles(content: Content) -> bool:
    state = content.get("state_dict")
    return isinstance(state, Mapping) and any(str(name).startswith("grid_align.") for name in state)


LAYOUTS.register("hfgi")(Layout("an HFGI checkpoint", _read, _resembles))

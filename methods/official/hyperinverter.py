"""HyperInverter's checkpoints, of the whole method and of its first encoder alone.

- "hyperinverter": ``{"state_dict": {"w_encoder.*", "w_bar_encoder.*", "hypernet.*", "discriminator.*"}, "opts": ...}``
  with optimisers' states and losses (left out). The generator is *not* inside: it is NVIDIA's network of the domain
  (layout "stylegan2-nvidia"). The discriminator, in NVIDIA's names, is there after adversarial training only.
- "hyperinverter-w": ``{"state_dict": {"encoder.*", "decoder.*"}, "opts": ...}``. The decoder may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from methods.networks import layouts
from methods.networks.encoders import GradualStyleEncoder
from methods.networks.hyperinverter import HyperInverter
from methods.networks.hypernetwork import HyperNetwork
from methods.networks.last_layer_encoders import LastLayerEncoder
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
    numbers,
    options_of,
    part,
    tensors,
)
from methods.official.nvidia import stylegan2_discriminator, stylegan2_generator
from methods.official.rosinality import generator

ENCODERS = ("w_encoder.", "w_bar_encoder.")
NETWORKS = (*ENCODERS, "hypernet.")
DISCRIMINATOR = "discriminator."


def _hypernetwork_arguments(state: dict[str, Tensor]) -> dict[str, Any]:
    """Arguments of the hypernetwork; the generator's widths are in the sizes of the weights it predicts."""
    regressors = "weight_regressors."
    channels = {
        resolution: state[f"{regressors}b{resolution}_conv1_weight.w2"].shape[1] // 9
        for resolution in numbers(state, r"weight_regressors\.b(\d+)_conv1_weight\.")
    }
    first = f"{regressors}b4_conv1_weight."
    fused, both_codes = state[f"{first}fusion.0.weight"].shape[:2]
    convolutions = count(state, r"weight_regressors\.b4_conv1_weight\.feature_extractor\.(\d+)\.weight")
    return {
        "size": max(channels),
        "channels": channels,
        "code_channels": both_codes // 2,
        "code_size": 2 ** (convolutions - 1),
        "hidden": len(state[f"{first}w1"]),
        "fused_channels": fused,
        "extractor_channels": len(state[f"{first}feature_extractor.0.weight"]),
    }


def _read(content: Content, domain: str | None) -> Official:
    state = tensors(content.get("state_dict"), "a 'state_dict' of networks")
    others = sorted(name for name in state if not name.startswith((*NETWORKS, DISCRIMINATOR)))
    if others:
        raise MismatchError(f"has an unknown '{others[0]}' ({len(others)} keys beside HyperInverter's networks)")
    hypernet = derived(_hypernetwork_arguments, part(state, "hypernet."))
    check_domain(domain, hypernet["size"])
    w_encoder = derived(shapes.last_layer_encoder, part(state, "w_encoder."))
    w_bar_encoder = derived(
        lambda found: shapes.gradual_encoder(found, hypernet["code_size"]), part(state, "w_bar_encoder.")
    )
    # Both encoders see the same images.
    w_encoder["size"] = w_bar_encoder["size"]

    def build() -> HyperInverter:
        encoders = LastLayerEncoder(**w_encoder), GradualStyleEncoder(**w_bar_encoder)
        return HyperInverter(*encoders, HyperNetwork(**hypernet), size=w_bar_encoder["size"])

    method = network(build, {name: value for name, value in state.items() if not name.startswith(DISCRIMINATOR)})
    parts = {"w_encoder": w_encoder, "w_bar_encoder": w_bar_encoder, "hypernet": hypernet}
    official = Official(
        modules={"hyperinverter": method},
        latent_avg=None,
        options=options_of(content.get("opts")),
        layout="",
        arguments={"hyperinverter": parts | {"size": w_bar_encoder["size"]}},
    )
    if any(name.startswith(DISCRIMINATOR) for name in state):
        judge, official.arguments["discriminator"] = stylegan2_discriminator(part(state, DISCRIMINATOR), DISCRIMINATOR)
        official.modules["discriminator"] = judge
    return official


def _read_w_encoder(content: Content, domain: str | None) -> Official:
    state = tensors(content.get("state_dict"), "a 'state_dict' of networks")
    others = sorted(name for name in state if not name.startswith(("encoder.", "decoder.")))
    if others:
        raise MismatchError(f"has an unknown '{others[0]}' ({len(others)} keys beside encoder and decoder)")
    encoding = part(state, "encoder.")
    arguments = derived(shapes.last_layer_encoder, encoding)
    reader = network(lambda: LastLayerEncoder(**arguments), encoding, "encoder.")
    official = Official(
        modules={"encoder": reader},
        latent_avg=latent_mean(content.get("latent_avg"), arguments["style_dim"]),
        options=options_of(content.get("opts")),
        layout="",
        arguments={"encoder": arguments},
    )
    if any(name.startswith("decoder.") for name in state):
        decoding = part(state, "decoder.")
        if layouts.LATENT_MEAN in decoding:
            drawn, generator_arguments, _ = stylegan2_generator(decoding, "decoder.")
        else:
            drawn, generator_arguments = generator(decoding, "decoder.")
        check_domain(domain, drawn.size)
        official.modules["generator"] = drawn
        official.arguments["generator"] = generator_arguments
    return official


def _keys(content: Content) -> list[str]:
    state = content.get("state_dict")
    return [str(name) for name in state] if isinstance(state, Mapping) else []


def _resembles(content: Content) -> bool:
    return any(name.startswith("hypernet.") for name in _keys(content))


def _resembles_w_encoder(content: Content) -> bool:
    keys = _keys(content)
    rosinality = any(name.startswith("decoder.convs.") for name in keys)
    return "encoder.linear.weight" in keys and "encoder.output_layer_2.3.weight" not in keys and not rosinality


LAYOUTS.register("hyperinverter")(Layout("a HyperInverter checkpoint", _read, _resembles))
LAYOUTS.register("hyperinverter-w")(
    Layout("a checkpoint of HyperInverter's first encoder", _read_w_encoder, _resembles_w_encoder)
)

"""Checkpoints of pSp, e4e and ReStyle: ``{"state_dict": {"encoder.*", "decoder.*"}, "opts": ..., "latent_avg": ...}``.

The three share one layout, and files of pSp and e4e even have the same keys: only the option ``encoder_type`` tells
them apart. Where a file has lost its options the layout asked for is believed, as far as the keys allow it.

``latent_avg`` is (L, D), (1, D) for pSp's encoders of a single style, and missing where training did not start from it.
Files saved with their training data also hold e4e's latent discriminator (returned), optimisers' states and losses
(left out). An encoder may have more styles than its generator: the first e4e of cars had 18 heads for 16 styles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from methods.networks.encoders import GradualStyleEncoder
from methods.networks.last_layer_encoders import LastLayerEncoder, LastLayerWPlusEncoder
from methods.networks.latent_discriminator import LatentDiscriminator
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

ENCODER_TYPES = {
    "psp": ("GradualStyleEncoder", "BackboneEncoderUsingLastLayerIntoW", "BackboneEncoderUsingLastLayerIntoWPlus"),
    "e4e": ("Encoder4Editing", "SingleStyleCodeEncoder"),
    "restyle-psp": ("BackboneEncoder", "ResNetBackboneEncoder", "GradualStyleEncoder", "ResNetGradualStyleEncoder"),
    "restyle-e4e": ("ProgressiveBackboneEncoder", "ResNetProgressiveBackboneEncoder"),
}
"""Layout -> what the option ``encoder_type`` says in its files; ReStyle's pyramid has pSp's name, but six channels."""
IMAGE_AND_DRAWING = 6


def encoder(
    state: dict[str, Tensor], prefix: str, style_dim: int, offsets_from_first: bool = False
) -> tuple[nn.Module, dict[str, Any]]:
    """The encoder of whichever kind the keys show, and its arguments.

    Args:
        state: its state dict.
        prefix: what the file's keys have in front.
        style_dim: of the generator it serves.
        offsets_from_first: the heads after the first give offsets (e4e), which no key shows.
    """
    if count(state, r"styles\.(\d+)\."):
        arguments = derived(shapes.gradual_encoder, state) | {"offsets_from_first": offsets_from_first}
        return network(lambda: GradualStyleEncoder(**arguments), state, prefix), arguments
    if count(state, r"output_layer_2\.(\d+)\."):
        arguments = derived(lambda found: _naive_arguments(found, style_dim), state)
        return network(lambda: LastLayerWPlusEncoder(**arguments), state, prefix), arguments
    arguments = derived(shapes.last_layer_encoder, state)
    return network(lambda: LastLayerEncoder(**arguments), state, prefix), arguments


def _naive_arguments(state: dict[str, Tensor], style_dim: int) -> dict[str, Any]:
    body = shapes.encoder_body(state)
    return body | {
        "size": shapes.ENCODER_SIZE,
        "style_count": len(state["linear.weight"]) // style_dim,
        "style_dim": style_dim,
        "grid": shapes.square_root(state["output_layer_2.3.weight"].shape[1] // body["widths"][-1]),
    }


def latent_discriminator(value: object) -> tuple[LatentDiscriminator, dict[str, Any]]:
    """e4e's discriminator of styles, and its arguments."""
    state = tensors(value, "a latent discriminator")
    layers = count(state, r"mlp\.(\d+)\.weight")
    arguments = {"style_dim": derived(lambda found: found["mlp.0.weight"].shape[1], state), "layers": layers}
    return network(lambda: LatentDiscriminator(**arguments), state, "discriminator_state_dict."), arguments


@dataclass(frozen=True)
class _Family:
    """One of the layouts, which differ in what ``encoder_type`` and the encoder's input may be."""

    layout: str

    def fits(self, kind: object, in_channels: int) -> bool:
        """Whether a file with this ``encoder_type`` (None: unknown) and these channels is of this layout."""
        looped = self.layout.startswith("restyle")
        return (kind is None or kind in ENCODER_TYPES[self.layout]) and looped == (in_channels == IMAGE_AND_DRAWING)

    def read(self, content: Content, domain: str | None) -> Official:
        """See `Layout`."""
        state = tensors(content.get("state_dict"), "a 'state_dict' of networks")
        options = options_of(content.get("opts"))
        kind = options.get("encoder_type")
        encoding = part(state, "encoder.")
        channels = _input_channels(encoding)
        if not self.fits(kind, channels):
            raise MismatchError(f"has an encoder '{kind or 'of unknown type'}' that reads {channels} channels")
        drawn, generator_arguments = generator(part(state, "decoder."), "decoder.")
        check_domain(domain, drawn.size)
        reader, arguments = encoder(encoding, "encoder.", drawn.style_dim, self.layout.endswith("e4e"))
        styles = arguments.get("style_count", drawn.style_count)
        if styles < drawn.style_count or arguments["style_dim"] != drawn.style_dim:
            wanted = f"{drawn.style_count} of {drawn.style_dim}"
            raise MismatchError(
                f"has an encoder of {styles} styles of {arguments['style_dim']} for a generator of {wanted}"
            )
        others = sorted(name for name in state if not name.startswith(("encoder.", "decoder.")))
        if others:
            raise MismatchError(f"has an unknown '{others[0]}' ({len(others)} keys beside encoder and decoder)")
        official = Official(
            modules={"encoder": reader, "generator": drawn},
            latent_avg=latent_mean(content.get("latent_avg"), drawn.style_dim),
            options=options,
            layout=self.layout,
            arguments={"encoder": arguments, "generator": generator_arguments},
        )
        if content.get("discriminator_state_dict") is not None:
            judge, judge_arguments = latent_discriminator(content["discriminator_state_dict"])
            official.modules["latent_discriminator"] = judge
            official.arguments["latent_discriminator"] = judge_arguments
        return official

    def resembles(self, content: Content) -> bool:
        """See `Layout`."""
        state = content.get("state_dict")
        if not isinstance(state, Mapping) or not any(str(name).startswith("decoder.convs.") for name in state):
            return False
        if any(str(name).startswith(("grid_align.", "residue.", "encoder_")) for name in state):
            return False
        encoding = {str(name)[8:]: value for name, value in state.items() if str(name).startswith("encoder.")}
        try:
            return self.fits(options_of(content.get("opts")).get("encoder_type"), _input_channels(encoding))
        except MismatchError:
            return False


def _input_channels(encoding: Mapping[str, object]) -> int:
    """Of the images an encoder reads; MismatchError when it is none."""
    name = "conv1.weight" if "conv1.weight" in encoding else "input_layer.0.weight"
    weight = encoding.get(name)
    if not isinstance(weight, Tensor) or weight.dim() != 4:
        raise MismatchError(f"lacks 'encoder.{name}'")
    return weight.shape[1]


for _layout, _description in {
    "psp": "a pSp checkpoint",
    "e4e": "an e4e checkpoint",
    "restyle-psp": "a ReStyle-pSp checkpoint",
    "restyle-e4e": "a ReStyle-e4e checkpoint",
}.items():
    _family = _Family(_layout)
    LAYOUTS.register(_layout)(Layout(_description, _family.read, _family.resembles))

"""StyleGAN2 in rosinality's PyTorch layout: ``stylegan2-<domain>-config-f.pt`` and rosinality's own training files.

Converted networks are ``{"g_ema": ..., "latent_avg": (D,)}``, with ``"g"`` and ``"d"`` where the conversion was asked
for them; training files have ``"g"``, ``"d"``, ``"g_ema"``, both optimisers' states and the arguments as an
``argparse.Namespace``, and no mean latent. Returned are the moving average (the network that images are drawn with) as
"generator" and the "discriminator" where there is one. Inversion checkpoints hold the same generator as ``decoder``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from core.errors import ReinvertError
from methods.networks import layouts
from methods.networks.discriminator import Discriminator
from methods.networks.stylegan2 import Generator
from methods.official.layout import (
    DOMAIN_SIZES,
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
    tensors,
)

FACE_SIZES = (256, 512, 1024)
"""Generators of faces were released at all of them."""


def checked_size(domain: str | None, size: int) -> None:
    """`check_domain` for generators on their own."""
    if domain != "faces" or size not in FACE_SIZES:
        check_domain(domain, size, DOMAIN_SIZES)


def generator(state: dict[str, Tensor], prefix: str) -> tuple[Generator, dict[str, Any]]:
    """The generator in our (rosinality's) names and its arguments; ``prefix`` is what the file's keys have in front."""
    try:
        arguments = derived(layouts.generator_arguments, state)
    except ReinvertError as error:  # from the renaming table: no such keys
        raise MismatchError(f"has no StyleGAN2 generator under '{prefix}': {error}") from error
    return network(lambda: Generator(**arguments), state, prefix), arguments


def discriminator(state: dict[str, Tensor], prefix: str) -> tuple[Discriminator, dict[str, Any]]:
    """The discriminator, likewise."""
    try:
        arguments = derived(layouts.discriminator_arguments, state)
    except ReinvertError as error:
        raise MismatchError(f"has no StyleGAN2 discriminator under '{prefix}': {error}") from error
    return network(lambda: Discriminator(**arguments), state, prefix), arguments


def _read(content: Content, domain: str | None) -> Official:
    drawn, arguments = generator(tensors(content.get("g_ema"), "a generator 'g_ema'"), "g_ema.")
    checked_size(domain, drawn.size)
    official = Official(
        modules={"generator": drawn},
        latent_avg=latent_mean(content.get("latent_avg"), drawn.style_dim),
        options=options_of(content.get("args")),
        layout="",
        arguments={"generator": arguments},
    )
    if content.get("d") is not None:
        judge, official.arguments["discriminator"] = discriminator(tensors(content["d"], "a discriminator 'd'"), "d.")
        official.modules["discriminator"] = judge
    return official


def _resembles(content: Content) -> bool:
    state = content.get("g_ema")
    return isinstance(state, Mapping) and "input.input" in state


LAYOUTS.register("stylegan2-rosinality")(Layout("a StyleGAN2 network of rosinality's", _read, _resembles))

"""StyleGAN2's generator and discriminator, in both layouts of their checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.networks import layouts
from methods.networks.discriminator import Discriminator
from methods.networks.stylegan2 import Generator
from pipelines.conformance.cases import CASES, Outputs
from pipelines.conformance.data import Goldens
from pipelines.conformance.measures import area, channel_statistics, crop, loaded

SIZES = (256, 512, 1024)
TRUNCATION = 0.7
CUTOFF = 8
"""Rows of W+ that a truncation with cutoff reaches."""


def _pictures(prefix: str, images: Tensor, small: bool = True) -> Outputs:
    outputs: Outputs = {f"{prefix}_crop32": crop(images), f"{prefix}_stats": channel_statistics(images)}
    return outputs | {f"{prefix}_area64": area(images[:1], 64)} if small else outputs


def _without_noise(generator: Generator, styles: Tensor) -> Tensor:
    silent = [torch.zeros_like(noise) for noise in generator.stored_noise()]
    return channel_statistics(generator.synthesis(styles, noise=silent))


def _truncated(w: Tensor, mean: Tensor) -> Tensor:
    return mean + TRUNCATION * (w - mean)


@torch.no_grad()
def _rosinality(data: Goldens, size: int) -> Outputs:
    generator = loaded(lambda: Generator(size), data.weights(f"stylegan2_rosinality_g{size}"))
    w = generator.mapping(data.input("z", (2, 512)))
    mean = generator.mapping(data.input("mean_z", (64, 512))).mean(dim=0, keepdim=True)
    truncated = _truncated(w[:1], mean)
    styles = data.input("wplus", (1, generator.style_count, 512))
    outputs: Outputs = {"w": w, "mean_latent": mean, "w_trunc07": truncated}
    outputs |= _pictures("img_z", generator.synthesis(generator.repeat(w)))
    outputs |= _pictures("img_wplus", generator.synthesis(styles))
    outputs |= _pictures("img_trunc07", generator.synthesis(generator.repeat(truncated)), small=False)
    return outputs | {"img_wplus_nonoise_stats": _without_noise(generator, styles)}


@torch.no_grad()
def _nvidia(data: Goldens, size: int) -> Outputs:
    state, mean = layouts.generator_from_nvidia(data.weights(f"stylegan2_ada_g{size}"))
    generator = loaded(lambda: Generator(**layouts.generator_arguments(state)), state)
    w = generator.mapping(data.input("z", (2, 512)))
    truncated = _truncated(w, mean)
    styles = data.input("wplus", (1, generator.style_count, 512))
    cut = torch.where(torch.arange(generator.style_count)[:, None] < CUTOFF, truncated[:, None], w[:, None])
    outputs: Outputs = {"w_psi1": w, "w_psi07": truncated, "w_psi07_cutoff8_row0_row8": cut[:, [0, CUTOFF]]}
    outputs |= _pictures("img_z", generator.synthesis(generator.repeat(w)))
    outputs |= _pictures("img_ws", generator.synthesis(styles))
    outputs |= _pictures("img_psi07", generator.synthesis(generator.repeat(truncated[:1])), small=False)
    return outputs | {"img_ws_nonoise_stats": _without_noise(generator, styles)}


@torch.no_grad()
def _logits(data: Goldens, state: dict[str, Tensor]) -> Outputs:
    # In double precision the deviation is the golden's own rounding. In single precision ours comes on top, which is as
    # large as what is allowed on processors without AVX-512.
    network = loaded(lambda: Discriminator(**layouts.discriminator_arguments(state)), state).double()
    four = data.input("images4", (4, 3, 256, 256), clip=True).double()
    eight = data.input("images8", (8, 3, 256, 256), clip=True).double()
    one_and_two = torch.cat([network(four[:1]), network(four[:2])])
    return {"logits4": network(four), "logits8": network(eight), "logits_1_and_2": one_and_two}


@CASES.register("stylegan2_rosinality_g256")
def rosinality_256(data: Goldens) -> Outputs:
    """14 styles."""
    return _rosinality(data, 256)


@CASES.register("stylegan2_rosinality_g512")
def rosinality_512(data: Goldens) -> Outputs:
    """16 styles."""
    return _rosinality(data, 512)


@CASES.register("stylegan2_rosinality_g1024")
def rosinality_1024(data: Goldens) -> Outputs:
    """18 styles."""
    return _rosinality(data, 1024)


@CASES.register("stylegan2_ada_g256")
def nvidia_256(data: Goldens) -> Outputs:
    """NVIDIA's layout, through the renaming table."""
    return _nvidia(data, 256)


@CASES.register("stylegan2_ada_g1024")
def nvidia_1024(data: Goldens) -> Outputs:
    """NVIDIA's layout, through the renaming table."""
    return _nvidia(data, 1024)


@CASES.register("stylegan2_rosinality_d256")
def rosinality_discriminator(data: Goldens) -> Outputs:
    """Batches of 8, 4, 2 and 1, for the groups of the minibatch deviation."""
    return _logits(data, data.weights("stylegan2_rosinality_d256"))


@CASES.register("stylegan2_ada_d256")
def nvidia_discriminator(data: Goldens) -> Outputs:
    """NVIDIA's layout, through the renaming table."""
    return _logits(data, layouts.discriminator_from_nvidia(data.weights("stylegan2_ada_d256")))

"""The encoders of pSp, e4e and ReStyle, e4e's latent discriminator, pSp and ReStyle from image to image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from methods.networks.encoders import PUBLISHED, PUBLISHED_RESNET, GradualStyleEncoder, offset_styles
from methods.networks.inference import mixed, pooled, restyle
from methods.networks.last_layer_encoders import PUBLISHED_BODY, LastLayerEncoder, LastLayerWPlusEncoder
from methods.networks.latent_discriminator import (
    LatentDiscriminator,
    discriminator_loss,
    encoder_loss,
    gradient_penalty,
)
from methods.networks.stylegan2 import Generator
from pipelines.conformance.cases import CASES, TOLERANCES, Outputs, Tolerance
from pipelines.conformance.data import Goldens
from pipelines.conformance.measures import area, channel_statistics, corners, crop, loaded

SIZE = 256
STYLE_DIM = 512
STAGES = 19
"""e4e's training has 18 progressive stages and inference as the nineteenth."""

IR_SE_TAPS = {"feat_input_layer": "input_layer"} | {f"feat_body{unit}": f"body.{unit}" for unit in (0, 6, 20, 23)}
E4E_TAPS = {f"feat_body{unit}": f"body.{unit}" for unit in (6, 20, 23)}
RESTYLE_TAPS = {"feat_stem": "input_layer"} | {f"feat_body{unit}": f"body.{unit}" for unit in (2, 6, 20, 23)}
RESNET_TAPS = {"feat_stem": "relu"} | {f"feat_body{unit}": f"body.{unit}" for unit in (2, 6, 12, 15)}

END_TO_END = Tolerance(relative=3e-5)
"""An encoder and a generator in a row: by up to 1e-5 the official code itself varies between algorithms."""
TOLERANCES["psp_full_1024"] = TOLERANCES["restyle_psp_loop_1024"] = {"*": END_TO_END}


def _gradual(data: Goldens, name: str, styles: int, arguments: dict[str, Any], prefix: str = "") -> GradualStyleEncoder:
    return loaded(lambda: GradualStyleEncoder(SIZE, styles, STYLE_DIM, **arguments), data.weights(name, prefix))


@torch.no_grad()
def _codes(network: nn.Module, image: Tensor, taps: dict[str, str]) -> tuple[Tensor, Outputs]:
    with corners(network, taps, len(image)) as maps:
        codes = network(image)
    return codes, dict(maps)


def _register_psp(name: str, images: int, build: Callable[[], nn.Module]) -> None:
    @CASES.register(name)
    def case(data: Goldens) -> Outputs:
        network = loaded(build, data.weights(name))
        codes, outputs = _codes(network, data.input("image", (images, 3, SIZE, SIZE), clip=True), IR_SE_TAPS)
        return outputs | {"codes": codes}


_register_psp("psp_gradual_18", 1, lambda: GradualStyleEncoder(SIZE, 18, STYLE_DIM, **PUBLISHED))
_register_psp("psp_gradual_14", 1, lambda: GradualStyleEncoder(SIZE, 14, STYLE_DIM, **PUBLISHED))
_register_psp("psp_w_lastlayer", 2, lambda: LastLayerEncoder(SIZE, STYLE_DIM, **PUBLISHED_BODY))
_register_psp("psp_wplus_lastlayer_18", 1, lambda: LastLayerWPlusEncoder(SIZE, 18, STYLE_DIM, **PUBLISHED_BODY))


@torch.no_grad()
def _stages(network: GradualStyleEncoder, image: Tensor) -> Tensor:
    """The first 8 numbers of every style at every progressive stage, (19, L, 8).

    The body and the heads run once for all stages, and once more for the stage in the middle as in training.
    """
    count = len(network.styles)
    codes = network.head_outputs(image, count)
    stages = [offset_styles(codes[:, : min(stage + 1, count)], count) for stage in range(STAGES)]
    stages[count // 2] = network(image, offsets=count // 2)
    return torch.cat(stages)[:, :, :8]


def _register_e4e(size: int, styles: int, oblong: bool = False) -> None:
    name = f"e4e_encoder_{size}"

    @CASES.register(name)
    def case(data: Goldens) -> Outputs:
        network = _gradual(data, name, styles, PUBLISHED | {"offsets_from_first": True})
        image = data.input("image", (1, 3, SIZE, SIZE), clip=True)
        codes, outputs = _codes(network, image, E4E_TAPS)
        outputs |= {"codes_inference": codes, "codes_stage_first8": _stages(network, image)}
        if oblong:
            with torch.no_grad():
                outputs["codes_192x256"] = network(data.input("image_192x256", (1, 3, 192, 256), clip=True))
        return outputs


_register_e4e(1024, 18)
_register_e4e(512, 16, oblong=True)
_register_e4e(256, 14)


@CASES.register("e4e_w_single")
def e4e_w_single(data: Goldens) -> Outputs:
    """One style for all 18 layers."""
    network = loaded(lambda: LastLayerEncoder(SIZE, STYLE_DIM, **PUBLISHED_BODY), data.weights("e4e_w_single"))
    codes, _ = _codes(network, data.input("image", (1, 3, SIZE, SIZE), clip=True), {})
    return {"codes": codes[:, None].expand(-1, 18, -1)}


@CASES.register("e4e_latent_discriminator")
def e4e_latent_discriminator(data: Goldens) -> Outputs:
    """Logits and the three terms of the training."""
    network = loaded(lambda: LatentDiscriminator(STYLE_DIM), data.weights("e4e_latent_discriminator"))
    w = data.input("w", (8, STYLE_DIM))
    logits = network(w)
    return {
        "logits": logits,
        "r1": gradient_penalty(network, w).detach()[None],
        "softplus_fake_generator": encoder_loss(logits)[None],
        "d_loss_first4_real_last4_fake": discriminator_loss(logits[:4], logits[4:])[None],
    }


def _register_restyle(name: str, styles: int, arguments: dict[str, Any], oblong: bool = False) -> None:
    @CASES.register(name)
    def case(data: Goldens) -> Outputs:
        network = _gradual(data, name, styles, arguments | {"in_channels": 6})
        image = data.input("image6", (1, 6, SIZE, SIZE), clip=True)
        taps = RESTYLE_TAPS if arguments.get("body") != "resnet" else RESNET_TAPS
        codes, outputs = _codes(network, image, taps)
        outputs["codes"] = codes
        if network.offsets_from_first:
            outputs["codes_stage_first8"] = _stages(network, image)
        if oblong:
            with torch.no_grad():
                outputs["codes_192x256"] = network(data.input("image6_192x256", (1, 6, 192, 256), clip=True))
        return outputs


_register_restyle("restyle_psp_backbone_18", 18, PUBLISHED | {"coarse_styles": 18})
_register_restyle("restyle_e4e_backbone_18", 18, PUBLISHED | {"coarse_styles": 18, "offsets_from_first": True})
for _styles in (16, 14):
    _all_coarse = PUBLISHED_RESNET | {"coarse_styles": _styles}
    _oblong = _styles == 16  # cars are 192 x 256
    _register_restyle(f"restyle_psp_resnet34_{_styles}", _styles, _all_coarse, _oblong)
    _register_restyle(f"restyle_e4e_resnet34_{_styles}", _styles, _all_coarse | {"offsets_from_first": True}, _oblong)
_register_restyle("restyle_gradual_6ch_18", 18, PUBLISHED)
_register_restyle("restyle_gradual_resnet34_14", 14, PUBLISHED_RESNET)


@CASES.register("psp_full_1024")
@torch.no_grad()
def psp_full_1024(data: Goldens) -> Outputs:
    """Inference with offsets from the mean latent, and style mixing."""
    encoder = _gradual(data, "psp_full_1024", 18, PUBLISHED, "encoder.")
    latents = encoder(data.input("image", (1, 3, SIZE, SIZE), clip=True)) + data.input("latent_avg", (18, STYLE_DIM))
    del encoder  # a gigabyte
    generator = loaded(lambda: Generator(1024), data.weights("psp_full_1024", "decoder."))
    image = generator.synthesis(latents)
    small = pooled(image)
    injected = generator.mapping(data.input("mix_z", (1, STYLE_DIM)))
    mix = mixed(latents, injected, range(8, 18), 0.5)
    mixed_image = pooled(generator.synthesis(mix))
    return {
        "latents": latents,
        "img256_area64": area(small, 64),
        "img256_crop32": crop(small),
        "img256_stats": channel_statistics(small),
        "img1024_stats": channel_statistics(image),
        "img1024_crop32": crop(image),
        "mix_latents": mix[:, :, :64],
        "mix_img256_stats": channel_statistics(mixed_image),
        "mix_img256_crop32": crop(mixed_image),
    }


@CASES.register("restyle_psp_loop_1024")
@torch.no_grad()
def restyle_psp_loop_1024(data: Goldens) -> Outputs:
    """Three steps from the mean latent's image."""
    name = "restyle_psp_loop_1024"
    encoder = _gradual(data, name, 18, PUBLISHED | {"coarse_styles": 18, "in_channels": 6}, "encoder.")
    generator = loaded(lambda: Generator(1024), data.weights(name, "decoder."))
    mean = data.input("latent_avg", (18, STYLE_DIM))
    average = pooled(generator.synthesis(mean[None]))
    outputs: Outputs = {"avg_image_stats": channel_statistics(average), "avg_image_crop32": crop(average)}
    image = data.input("image", (1, 3, SIZE, SIZE), clip=True)
    for step, (styles, drawn) in enumerate(restyle(encoder, generator, image, mean, steps=3)):
        outputs |= {f"latent_step{step}": styles, f"img256_step{step}_stats": channel_statistics(drawn)}
    return outputs | {"img256_last_crop32": crop(drawn), "img256_last_area32": area(drawn, 32)}

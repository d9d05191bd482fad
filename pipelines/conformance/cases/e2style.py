"""E2Style's encoders and their three-stage loop around the generator."""

from __future__ import annotations

import torch

from methods.networks.e2style import E2Style, StageEncoder
from methods.networks.stylegan2 import Generator
from pipelines.conformance.cases import CASES, TOLERANCES, Outputs, Tolerance
from pipelines.conformance.data import Goldens
from pipelines.conformance.measures import area, channel_statistics, corners, crop, loaded

IMAGE = (1, 3, 256, 256)
PLACES = {f"feat_body{unit}": f"body.{unit}" for unit in (2, 6, 20)}

# Three generators and encoders in a row: the official code itself moves by 2.8e-6 between one thread and two.
TOLERANCES["e2style_full_3stage"] = {"*": Tolerance(3e-5)}


@CASES.register("e2style_first")
def e2style_first(data: Goldens) -> Outputs:
    """The first encoder."""
    network = loaded(StageEncoder, data.weights("e2style_first"))
    with corners(network, PLACES) as maps:
        codes = network(data.input("image", IMAGE, clip=True))
    return {"codes": codes, **maps}


@CASES.register("e2style_refine")
def e2style_refine(data: Goldens) -> Outputs:
    """A refinement encoder."""
    network = loaded(lambda: StageEncoder(in_channels=6), data.weights("e2style_refine"))
    images = [data.input(name, IMAGE, clip=True) for name in ("image", "image_prev")]
    with corners(network, PLACES) as maps:
        delta = network(torch.cat(images, dim=1))
    return {"delta": delta, **maps}


@CASES.register("e2style_full_3stage")
def e2style_full_3stage(data: Goldens) -> Outputs:
    """The published checkpoint's whole way from an image to the third reconstruction."""
    network = loaded(
        lambda: E2Style(StageEncoder(), [StageEncoder(in_channels=6) for _ in range(2)], Generator(1024)),
        data.weights("e2style_full_3stage"),
    )
    outputs: Outputs = {}
    stages = network.invert(data.input("image", IMAGE, clip=True), data.input("latent_avg", (18, 512)))
    for number, (styles, drawn) in enumerate(stages, start=1):
        outputs[f"latents_stage{number}"] = styles
        outputs[f"img256_stage{number}_stats"] = channel_statistics(drawn)
        last = drawn
    return outputs | {"img256_stage3_area64": area(last, 64), "img256_stage3_crop32": crop(last)}

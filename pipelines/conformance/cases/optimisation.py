"""The projectors in W and W+ and pivotal tuning, on a 64 px generator with pixels in place of perceptual features."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.code import Code
from methods.losses import l2
from methods.networks.layouts import generator_arguments, generator_from_nvidia, generator_table
from methods.networks.stylegan2 import Generator
from methods.pivotal_tuning import Locality, Tuning, TuningProtocol, tune
from methods.projector import (
    BASELINE_W_PLUS,
    NVIDIA_W,
    PTI_PIVOT,
    Projection,
    ProjectionProtocol,
    latent_statistics,
    project,
)
from pipelines.conformance.cases import CASES, TOLERANCES, Outputs, Tolerance
from pipelines.conformance.data import Goldens
from pipelines.conformance.measures import loaded, structured_image

MANIFEST = "sg2_nvidia_tiny64"
SIZE = 64
PROJECTION_STEPS = 5
TUNING_STEPS = 3
PIVOT_TAG = "projector.ptiw"

for _name in ("sg2_projector", "pti_pivot", "sg2_wplus", "pti_tuning"):
    TOLERANCES[_name] = {"*": Tolerance(1e-4)}
# Adam divides by the size of a gradient, so that rounding shows in parameters whose gradients are small.
for _name in ("param_delta_meanabs", "reg_param_delta_meanabs"):
    TOLERANCES["pti_tuning"][_name] = Tolerance(1e-3)


def tiny_generator(data: Goldens) -> tuple[Generator, Tensor]:
    """The 64 px generator and its mean of w."""
    state, mean = generator_from_nvidia(data.weights(MANIFEST))
    return loaded(lambda: Generator(**generator_arguments(state)), state), mean


def _halved(images: Tensor) -> Tensor:
    return F.avg_pool2d(images, 2)


def _pixels(images: Tensor) -> Tensor:
    """[0, 255] -> features whose squared distance is the mean squared difference of images in [-1, 1]."""
    return images.flatten(1) / 127.5 / (images[0].numel() ** 0.5)


def _noise_names(generator: Generator) -> list[str]:
    sizes = [one.shape[-1] for one in generator.stored_noise()]
    return ["b4.conv1", *(f"b{size}.conv{index % 2}" for index, size in enumerate(sizes[1:]))]


def _project(data: Goldens, tag: str, protocol: ProjectionProtocol) -> tuple[Outputs, list[Projection]]:
    generator, _ = tiny_generator(data)
    protocol = replace(protocol, steps=PROJECTION_STEPS)
    rows = 1 if protocol.space == "w" else generator.style_count
    statistics = latent_statistics(generator.mapping, generator.style_dim, protocol.samples)
    names = _noise_names(generator)
    noise = [
        data.input(f"{tag}.noise.{name}.noise_const", tuple(one.shape[2:]))[None, None]
        for name, one in zip(names, generator.stored_noise(), strict=True)
    ]
    path = list(
        project(
            generator,
            structured_image(data, f"{tag}.image", 1, SIZE),
            _pixels,
            protocol,
            statistics,
            noise,
            lambda step: data.input(f"{tag}.wnoise.{step}", (1, rows, generator.style_dim)),
        )
    )
    final = path[-1]
    styles = final.styles.expand(-1, generator.style_count, -1)
    maps = {name: one[0, 0] for name, one in zip(names, final.noise, strict=True)}
    return {
        "loss": torch.cat([step.loss for step in path]),
        "dist": torch.cat([step.distance for step in path]),
        "noise_reg": torch.cat([step.regularization for step in path]),
        "lr": [step.learning_rate for step in path],
        "w_avg": statistics[0],
        "w_std": statistics[1],
        "noise_b4_conv1": maps["b4.conv1"],
        "noise_b16_conv0": maps["b16.conv0"],
        "noise_b64_conv1": maps["b64.conv1"][:8, :8],
        "image_G_noise": _halved(generator.synthesis(styles)),
        "image_opt_noise": _halved(generator.synthesis(styles, noise=final.noise)),
        "adam_init_lr": protocol.constructor_rate,
    }, path


@CASES.register("sg2_projector")
def sg2_projector(data: Goldens) -> Outputs:
    """NVIDIA's projector."""
    outputs, path = _project(data, "projector.nv", NVIDIA_W)
    return outputs | {"w_steps": torch.cat([step.styles[:, 0] for step in path])}


@CASES.register("pti_pivot")
def pti_pivot(data: Goldens) -> Outputs:
    """Pivotal tuning's first stage."""
    outputs, path = _project(data, PIVOT_TAG, PTI_PIVOT)
    return outputs | {"w_final": path[-1].styles[0, 0]}


@CASES.register("sg2_wplus")
def sg2_wplus(data: Goldens) -> Outputs:
    """The W+ baseline."""
    outputs, path = _project(data, "projector.wplus", BASELINE_W_PLUS)
    return outputs | {"w_final": path[-1].styles[0]}


def _tuned(data: Goldens, regularized: bool) -> Outputs:
    generator, mean = tiny_generator(data)
    pivot = generator.repeat(torch.from_numpy(data.golden("pti_pivot")["w_final"])[None])
    locality = Locality(mean, lambda step: data.input(f"pti.ball.{step}", (1, generator.style_dim)))
    path: list[Tuning] = list(
        tune(
            generator,
            Code(pivot),
            structured_image(data, f"{PIVOT_TAG}.image", 1, SIZE),
            l2,
            TuningProtocol(steps=TUNING_STEPS, threshold=-1.0),
            locality if regularized else None,
        )
    )
    changes = path[-1].code.weight_residuals or {}
    ours = {entry.nvidia: entry.ours for entry in generator_table(SIZE, len(generator.style) - 1)}
    parameters = dict(generator.named_parameters())
    in_order = [ours[name] for name in data.manifest(MANIFEST) if ours.get(name) in parameters]
    return {
        "total": torch.cat([step.total for step in path]),
        "l2": torch.cat([step.l2 for step in path]),
        "lpips_standin": torch.cat([step.perceptual for step in path]),
        # The mapping's parameters receive no gradient.
        "param_delta_meanabs": [
            changes[name].double().abs().mean().item() if name in changes else 0.0 for name in in_order
        ],
        "image": _halved(generator.synthesis(pivot, weight_residuals=changes)),
    }


@CASES.register("pti_tuning")
def pti_tuning(data: Goldens) -> Outputs:
    """Pivotal tuning's second stage, without and with the locality term."""
    regularized = _tuned(data, regularized=True)
    return _tuned(data, regularized=False) | {f"reg_{name}": value for name, value in regularized.items()}

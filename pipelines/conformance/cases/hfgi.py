"""HFGI's two networks and its inversion and edit with a given W+ code."""

from __future__ import annotations

import math

import torch

from methods.networks.hfgi import HFGI, ConsultationEncoder, DistortionAlignment, resized
from methods.networks.stylegan2 import Generator
from pipelines.conformance.cases import CASES, TOLERANCES, Outputs, Tolerance
from pipelines.conformance.data import Goldens
from pipelines.conformance.measures import area, crop, loaded, summary

# The official code itself is off by 4.6e-6 with other convolution algorithms: a clamp after a 1024 px generator.
TOLERANCES["hfgi_pipeline"] = {"*": Tolerance(1e-4)}


def _networks(data: Goldens) -> HFGI:
    alignment = {f"grid_align.{name}": value for name, value in data.weights("hfgi_ada").items()}
    consultation = {f"residue.{name}": value for name, value in data.weights("hfgi_consult").items()}
    return loaded(lambda: HFGI(DistortionAlignment(), ConsultationEncoder()), alignment | consultation)


@CASES.register("hfgi_modules")
def hfgi_modules(data: Goldens) -> Outputs:
    """The alignment network and the consultation encoder, each on inputs of its own."""
    networks = _networks(data)
    residual = 0.5 * data.input("hfgi.residual", (1, 3, 256, 256))
    edited = data.input("hfgi.edited", (1, 3, 256, 256), clip=True)
    aligned = networks.grid_align(torch.cat([residual, edited], dim=1))
    scale, shift = networks.residue(residual)
    outputs: Outputs = {"ada_out": area(aligned, 64), "ada_crop": crop(aligned), "ada_stats": summary(aligned)}
    for name, condition in (("scale", scale), ("shift", shift)):
        outputs |= {
            f"{name}_sel": condition[0, ::64, ::2, ::2],
            f"{name}_mean": condition.mean(dim=(2, 3)),
            f"{name}_std": condition.std(dim=(2, 3), unbiased=False),
        }
    return outputs


@CASES.register("hfgi_pipeline")
def hfgi_pipeline(data: Goldens) -> Outputs:
    """Inversion and edit end to end."""
    networks = _networks(data)
    generator = loaded(lambda: Generator(1024), data.weights("sg2_rosinality_1024"))
    image = data.input("hfgi.image256", (1, 3, 256, 256), clip=True)
    styles = data.input("hfgi.w", (1, 18, 512))
    edited_styles = styles + 3 * data.input("hfgi.direction", (1, 1, 512)) / math.sqrt(512)
    drawn = generator.synthesis(styles)
    distortion = image - resized(drawn, image)
    inversion = networks(generator, styles, drawn, distortion)
    edit = networks(generator, edited_styles, generator.synthesis(edited_styles), distortion)
    return {
        "first_ds32": area(drawn, 32),
        "first_crop": crop(drawn),
        "distortion_ds": area(distortion, 32),
        "aligned_ds": area(inversion.aligned, 32),
        "aligned_edit_ds": area(edit.aligned, 32),
        "cond_scale_sel": inversion.scale[0, ::128, ::4, ::4],
        "cond_shift_sel": inversion.shift[0, ::128, ::4, ::4],
        "inv_ds48": area(inversion.image, 48),
        "inv_crop": crop(inversion.image),
        "edit_ds48": area(edit.image, 48),
        "edit_crop": crop(edit.image),
        "inv256_crop": crop(area(inversion.image, 256)),
        "stats": [
            summary(part).tolist()
            for part in (
                drawn,
                inversion.aligned,
                inversion.scale,
                inversion.shift,
                inversion.image,
                edit.image,
            )
        ],
    }

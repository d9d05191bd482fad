"""HyperInverter's encoders, hypernetworks, whole method and scoring protocol for faces and churches."""

from __future__ import annotations

import torch
from torch import nn

from methods.networks.hyperinverter import HyperInverter, published
from methods.networks.layouts import generator_from_nvidia
from methods.networks.stylegan2 import Generator
from metrics import protocols
from metrics.distribution import fid, kid_over_subsets
from metrics.measure import from_bytes, resized, scorer, truncated_to_bytes
from metrics.pixel import psnr_of_piq
from metrics.structure import ms_ssim
from pipelines.conformance.cases import CASES, TOLERANCES, Outputs, Tolerance
from pipelines.conformance.data import Goldens
from pipelines.conformance.measures import area, crop, loaded, mean_magnitude, structured_image, summary

SIZES = {"ffhq": 1024, "church": 256}
BODIES = {"ffhq": "ir_se", "church": "resnet"}
PARTS = {"w_encoder": "e1", "w_bar_encoder": "e2", "hypernet": "hypernet"}
CODES = (-1.0, 2.0)
"""The golden's random codes are clipped to this range, near that of leaky ReLUs."""

# The official code deviates by 1.3e-5 with other convolution algorithms: the residuals amplify rounding.
TOLERANCES |= {f"hyperinverter_{domain}_full": {"*": Tolerance(1e-4)} for domain in SIZES}


def _method(data: Goldens, domain: str, *parts: str) -> HyperInverter:
    """The published method; only these parts have weights, the others take no memory."""
    with torch.device("meta"):
        method = published(SIZES[domain], BODIES[domain])
    for part in parts:
        network: nn.Module = method.get_submodule(part)
        network.load_state_dict(data.weights(f"hyperinverter_{domain}_{PARTS[part]}"), strict=True, assign=True)
    return method.eval().requires_grad_(False)


def _hypernetwork_case(data: Goldens, domain: str) -> Outputs:
    network = _method(data, domain, "hypernet").hypernet
    rows = max(layer.code for layer in network.predicted) + 1
    first, image = (
        data.input(f"hyperinverter.{domain}.codes_{of}", (2, rows, 512, 8, 8)).clamp(*CODES) for of in ("w", "x")
    )
    residuals = network(first, image)
    outputs: Outputs = {}
    magnitudes = []
    for layer in network.predicted:
        residual = residuals[layer.weight]
        magnitudes.append(residual.double().abs().mean(dim=(1, 2, 3, 4)).tolist())
        cut = residual[:, :3, :16] if layer.kernel == 1 else residual[:, :4, :4]
        outputs[f"hyper_{layer.regressor}"] = cut
    return outputs | {"hyper_meanabs": magnitudes}


def _encoders_case(data: Goldens, domain: str) -> Outputs:
    method = _method(data, domain, "w_encoder", "w_bar_encoder")
    images = structured_image(data, f"hyperinverter.{domain}.x256", 2, 256)
    w, codes = method.w_encoder(images), method.w_bar_encoder(images)
    return {
        "e1_w": w,
        "e2_sel": codes[0, :, ::64],
        "e2_sel_b1": codes[1, [0, 3, 7, codes.shape[1] - 1], ::64],
        "e2_mean": codes[0].mean(dim=(2, 3)),
        "stats": torch.stack([summary(w), summary(codes)]),
    }


def _full_case(data: Goldens, domain: str) -> Outputs:
    size = SIZES[domain]
    state, latent_mean = generator_from_nvidia(data.weights(f"sg2_nvidia_{size}"))
    generator = loaded(lambda: Generator(size), state)
    method = _method(data, domain, *PARTS)
    images = structured_image(data, f"hyperinverter.{domain}.image", 1, size)
    found = method(images, generator, latent_mean)
    image = generator.synthesis(found.styles, weight_residuals=found.weight_residuals)
    residuals = {layer.regressor: found.weight_residuals[layer.weight][0] for layer in method.hypernet.predicted}
    return {
        "w": found.styles[0, 0],
        "resid_meanabs": [mean_magnitude(residual) for residual in residuals.values()],
        "resid_b4_conv1": residuals["b4_conv1_weight"][:4, :4],
        "resid_last_conv1": residuals[f"b{size}_conv1_weight"][:4, :4],
        "resid_last_torgb": residuals[f"b{size}_torgb_weight"],
        "w_image_ds32": area(found.first_image, 32),
        "w_image_crop": crop(found.first_image),
        "image_ds64": area(image, 64),
        "image_crop": crop(image),
        "stats": torch.stack([summary(found.first_image), summary(image)]),
    }


@CASES.register("hyperinverter_ffhq_encoders")
def hyperinverter_ffhq_encoders(data: Goldens) -> Outputs:
    """Faces: both encoders on IR-SE-50."""
    return _encoders_case(data, "ffhq")


@CASES.register("hyperinverter_church_encoders")
def hyperinverter_church_encoders(data: Goldens) -> Outputs:
    """Churches: both encoders on ResNet-34."""
    return _encoders_case(data, "church")


@CASES.register("hyperinverter_ffhq_full")
def hyperinverter_ffhq_full(data: Goldens) -> Outputs:
    """Faces end to end, 1024 px."""
    return _full_case(data, "ffhq")


@CASES.register("hyperinverter_church_full")
def hyperinverter_church_full(data: Goldens) -> Outputs:
    """Churches end to end, 256 px."""
    return _full_case(data, "church")


@CASES.register("hyperinverter_ffhq_hypernet")
def hyperinverter_ffhq_hypernet(data: Goldens) -> Outputs:
    """Faces, 26 weights."""
    return _hypernetwork_case(data, "ffhq")


@CASES.register("hyperinverter_church_hypernet")
def hyperinverter_church_hypernet(data: Goldens) -> Outputs:
    """Churches, 20 weights."""
    return _hypernetwork_case(data, "church")


@CASES.register("hyperinverter_metrics")
def hyperinverter_metrics(data: Goldens) -> Outputs:
    """The scores of the quantitative table, on made-up reconstructions and features."""
    outputs: Outputs = {}
    for domain, size in (("faces", SIZES["ffhq"]), ("churches", SIZES["church"])):
        suite = "hyperinverter" if domain == "faces" else "hyperinverter-churches"
        real, noise = (
            truncated_to_bytes(structured_image(data, f"metrics.{domain}.{of}", 1, size)) for of in ("real", "noise")
        )
        fake = ((3 * real.int() + noise.int()) // 4).to(torch.uint8)
        for name, metric in (("l2", "l2"), ("psnr", "psnr"), ("msssim", "ms-ssim")):
            outputs[f"{domain}_{name}"] = scorer(protocols.get(f"{suite}-{metric}"), {})(real, fake).values[0]
        small = from_bytes(resized(real, protocols.get(f"{suite}-l2").size or size))
        outputs[f"{domain}_resized_real_crop"] = small[0, :, 112:120, 112:120]
        if domain == "faces":
            pair = [from_bytes(resized(pictures, 256, bicubic=True)) for pictures in (real, fake)]
            outputs["faces_psnr_at256"] = psnr_of_piq(pair[0], pair[1])[0]
            outputs["faces_msssim_at256"] = ms_ssim(pair[0], pair[1])[0]
    first = data.input("metrics.feat1", (1500, 64))
    second = 1.1 * data.input("metrics.feat2", (1500, 64)) + 0.1
    mean, deviation = kid_over_subsets(first, second, **protocols.get("hyperinverter-kid").settings)
    return outputs | {"fid": fid(first, second), "kid_mean": mean, "kid_std": deviation}

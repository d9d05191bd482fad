"""HyperInverter's encoders, hypernetworks, whole method and scoring protocol for faces and churches."""

from __future__ import annotations

from methods.networks.hypernetwork import HyperNetwork
from pipelines.conformance.cases import CASES, Outputs
from pipelines.conformance.data import Goldens
from pipelines.conformance.measures import loaded

SIZES = {"ffhq": 1024, "church": 256}
CODES = (-1.0, 2.0)
"""The golden's random codes are clipped to this range, near that of leaky ReLUs."""


def _hypernetwork(data: Goldens, domain: str) -> HyperNetwork:
    return loaded(lambda: HyperNetwork(SIZES[domain]), data.weights(f"hyperinverter_{domain}_hypernet"))


def _hypernetwork_case(data: Goldens, domain: str) -> Outputs:
    network = _hypernetwork(data, domain)
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


@CASES.register("hyperinverter_ffhq_hypernet")
def hyperinverter_ffhq_hypernet(data: Goldens) -> Outputs:
    """Faces, 26 weights."""
    return _hypernetwork_case(data, "ffhq")


@CASES.register("hyperinverter_church_hypernet")
def hyperinverter_church_hypernet(data: Goldens) -> Outputs:
    """Churches, 20 weights."""
    return _hypernetwork_case(data, "church")

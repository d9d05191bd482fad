"""The pSp encoder against the golden outputs of the published one for 14 styles."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.networks.encoders import PUBLISHED, GradualStyleEncoder
from tests.conformance.golden import assert_golden, seeded_input, seeded_network

ENCODER = "psp_gradual_14"
TAPS = {"feat_input_layer": "input_layer"} | {f"feat_body{unit}": f"body.{unit}" for unit in (0, 6, 20, 23)}


@torch.no_grad()
def test_psp_encoder_gives_the_golden_codes() -> None:
    network = seeded_network(ENCODER, lambda: GradualStyleEncoder(256, 14, 512, **PUBLISHED))
    answers: dict[str, Tensor] = {}

    def keep(name: str) -> None:
        def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            answers[name] = output[:, :4, :8, :8]

        network.get_submodule(TAPS[name]).register_forward_hook(hook)

    for name in TAPS:
        keep(name)
    codes = network(seeded_input("image", (1, 3, 256, 256), clip=True))
    assert_golden(ENCODER, answers | {"codes": codes})

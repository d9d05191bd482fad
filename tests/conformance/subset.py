"""Which goldens the tests run: small ones that between them use every kind of layer. The others take minutes."""

from __future__ import annotations

from pathlib import Path

from pipelines.conformance.data import Goldens

FOLDER = Path(__file__).parent
DATA = Goldens(FOLDER, "public")
FAST = [
    "stylegan2_rosinality_g256",
    "stylegan2_rosinality_d256",
    "stylegan2_ada_g256",
    "psp_gradual_14",
    "psp_w_lastlayer",
    "e4e_latent_discriminator",
    "restyle_psp_resnet34_14",
    "e2style_first",
    "e2style_parsing_unet",
    "arcface_irse50",
    "moco_resnet50",
    "fse_arcface_iresnet50",
    "sefa",
    "editing",
    "mtcnn",
    "ffhq_align_256",
    "lpips_014",
    "hyperinverter_metrics",
]


def left_out() -> list[str]:
    """The goldens that only `make conformance` runs."""
    return [name for name in DATA.names if name not in FAST]

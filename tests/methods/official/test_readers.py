"""Every layout: what the authors' trainers write comes back as our networks, bit for bit, at small and at full size."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import ReinvertError
from methods.official import LAYOUTS, Official, guess, read
from metrics.judges.mtcnn import OutputNetwork, ProposalNetwork, RefinementNetwork
from pipelines.conformance.data import Goldens
from tests.methods.official import files

DATA = Goldens(Path(__file__).resolve().parents[2] / "conformance", "public")
INPUTS: dict[str, tuple[int, ...]] = {
    "psp of labels": (1, 19, 64, 64),
    "psp of one style": (1, 3, 256, 256),
    "psp without a pyramid": (1, 3, 256, 256),
    "hyperinverter-w": (1, 3, 256, 256),
    "restyle-psp": (1, 6, 64, 64),
    "restyle-psp on resnet": (1, 6, 64, 64),
    "restyle-e4e": (1, 6, 64, 64),
    "idinvert-encoder": (2, 3, 16, 16),
    "idinvert-vgg16": (1, 3, 32, 32),
    "resnet": (1, 3, 32, 32),
    "arcface-ir-se-50": (1, 3, 32, 32),
    "curricularface-101": (1, 3, 32, 32),
    "insightface-50": (1, 3, 32, 32),
    "dex-age": (1, 3, 32, 32),
    "mtcnn of patches": (1, 3, 24, 24),
    "mtcnn": (1, 3, 48, 48),
    "parsing-unet": (1, 3, 16, 16),
}
"""Shape of the images that the file's first network reads, where it is not (1, 3, 64, 64)."""


def outputs(name: str, role: str, network: nn.Module) -> list[Tensor]:
    torch.manual_seed(0)
    images = torch.rand(INPUTS.get(name, (1, 3, 64, 64))) * 2 - 1
    if role == "generator":
        found = network(torch.randn(2, network.get_parameter(_first_weight(network)).shape[1]))
    elif role == "discriminator":
        found = network(torch.randn(4, 3, files.SIZE, files.SIZE))
    elif role == "latent_discriminator":
        found = network(torch.randn(4, files.STYLE_DIM))
    elif role == "e2style":
        small = torch.rand(1, 3, files.SIZE, files.SIZE)
        found = [part for pair in network.invert(small, torch.zeros(files.STYLE_DIM)) for part in pair]
    elif role == "hyperinverter":
        inversion = network(torch.rand(1, 3, files.SIZE, files.SIZE), files.generator(), torch.zeros(files.STYLE_DIM))
        found = list(inversion.weight_residuals.values())
    elif role == "hfgi":
        found = [network.grid_align(torch.randn(1, 6, 32, 32)), *network.residue(torch.randn(1, 3, 32, 32))]
    else:
        found = network(images)
    return list(found) if isinstance(found, (list, tuple)) else [found]


def _first_weight(network: nn.Module) -> str:
    return next(name for name in ("style.1.weight", "mapping.dense0.fc.weight") if name in network.state_dict())


@torch.no_grad()
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", files.FILES)
def test_file_comes_back_bit_for_bit(name: str, legacy: bool, tmp_path: Path) -> None:
    file = files.FILES[name]()
    path = tmp_path / "checkpoint.pt"
    torch.save(file.content, path, _use_new_zipfile_serialization=not legacy)
    official = read(path, files.layout_of(name))
    assert official.layout == files.layout_of(name)
    assert set(official.modules) == set(file.modules) == set(official.arguments)
    for role, wanted in file.modules.items():
        found = official.modules[role]
        assert type(found) is type(wanted)
        assert not found.training
        state = wanted.state_dict()
        assert list(found.state_dict()) == list(state)
        for key, value in found.state_dict().items():
            counter = key.endswith("num_batches_tracked")
            assert counter or torch.equal(value, state[key]), key
        for ours, theirs in zip(outputs(name, role, found), outputs(name, role, wanted), strict=True):
            assert torch.equal(ours, theirs)
            assert theirs.isfinite().all()
    if file.latent_avg is None:
        assert official.latent_avg is None
    else:
        assert torch.equal(official.latent_avg, file.latent_avg)
    assert official.options == file.options
    assert guess(path) == files.layout_of(name)


@torch.no_grad()
@pytest.mark.parametrize("network", [ProposalNetwork, RefinementNetwork, OutputNetwork])
def test_mtcnn_from_arrays(network: type[nn.Module], tmp_path: Path) -> None:
    wanted = files.seeded(network())
    np.save(tmp_path / "net.npy", files.as_arrays(wanted), allow_pickle=True)
    (found,) = read(tmp_path / "net.npy", "mtcnn").modules.values()
    patches = torch.randn(2, 3, 48, 48)[..., : 24 if network is RefinementNetwork else 48]
    patches = patches[..., : patches.shape[-1], :]
    assert all(torch.equal(a, b) for a, b in zip(found(patches), wanted(patches), strict=True))
    assert guess(tmp_path / "net.npy") == "mtcnn"


def test_every_layout_has_a_file() -> None:
    nvidia = {"stylegan2-nvidia", "stylegan3-nvidia"}  # tested in test_nvidia_pickles.py
    assert {files.layout_of(name) for name in files.FILES} | nvidia == set(LAYOUTS.names())


def empty(manifest: str, prefix: str = "", only: str = "") -> dict[str, Tensor]:
    """A state dict of the published shapes whose numbers are never touched: it takes no memory."""
    dtypes = {"float32": torch.float32, "int64": torch.int64}
    return {
        prefix + name: torch.empty(entry["shape"], dtype=dtypes[entry["dtype"]])
        for name, entry in DATA.manifest(manifest).items()
        if name.startswith(only)
    }


def full(manifest: str, kind: str, styles: int) -> dict[str, Any]:
    """A checkpoint of layout A around a published encoder."""
    decoder = f"stylegan2_rosinality_g{2 ** (styles // 2 + 1)}"
    state = empty(manifest, "encoder.") | empty(decoder, "decoder.")
    return {"state_dict": state, "opts": {"encoder_type": kind}, "latent_avg": torch.zeros(styles, 512)}


FULL: dict[str, tuple[str, str | None, Callable[[], dict[str, Any]]]] = {
    "pSp": ("psp", "faces", lambda: full("psp_gradual_18", "GradualStyleEncoder", 18)),
    "pSp of churches": ("psp", "churches", lambda: full("psp_gradual_14", "GradualStyleEncoder", 14)),
    "pSp W": ("psp", "faces", lambda: full("psp_w_lastlayer", "BackboneEncoderUsingLastLayerIntoW", 18)),
    "pSp naive": (
        "psp",
        "faces",
        lambda: full("psp_wplus_lastlayer_18", "BackboneEncoderUsingLastLayerIntoWPlus", 18),
    ),
    "pSp, one manifest": ("psp", None, lambda: {"state_dict": empty("psp_full_1024"), "opts": {}}),
    "e4e": ("e4e", "faces", lambda: full("e4e_encoder_1024", "Encoder4Editing", 18)),
    "e4e of cars": ("e4e", "cars", lambda: full("e4e_encoder_512", "Encoder4Editing", 16)),
    "e4e of cars with 18 heads": (
        "e4e",
        "cars",
        lambda: (
            full("e4e_encoder_512", "Encoder4Editing", 16)
            | {"state_dict": empty("e4e_encoder_1024", "encoder.") | empty("stylegan2_rosinality_g512", "decoder.")}
        ),
    ),
    "e4e of horses": ("e4e", "horses", lambda: full("e4e_encoder_256", "Encoder4Editing", 14)),
    "e4e of one style": ("e4e", "faces", lambda: full("e4e_w_single", "SingleStyleCodeEncoder", 18)),
    "e4e in training": (
        "e4e",
        "faces",
        lambda: (
            full("e4e_encoder_1024", "Encoder4Editing", 18)
            | {"discriminator_state_dict": empty("e4e_latent_discriminator")}
        ),
    ),
    "ReStyle-pSp": ("restyle-psp", "faces", lambda: full("restyle_psp_backbone_18", "BackboneEncoder", 18)),
    "ReStyle-pSp of cars": (
        "restyle-psp",
        "cars",
        lambda: full("restyle_psp_resnet34_16", "ResNetBackboneEncoder", 16),
    ),
    "ReStyle-pSp pyramid": ("restyle-psp", "faces", lambda: full("restyle_gradual_6ch_18", "GradualStyleEncoder", 18)),
    "ReStyle-pSp pyramid on ResNet": (
        "restyle-psp",
        "churches",
        lambda: full("restyle_gradual_resnet34_14", "ResNetGradualStyleEncoder", 14),
    ),
    "ReStyle-e4e": ("restyle-e4e", "faces", lambda: full("restyle_e4e_backbone_18", "ProgressiveBackboneEncoder", 18)),
    "ReStyle-e4e of horses": (
        "restyle-e4e",
        "horses",
        lambda: full("restyle_e4e_resnet34_14", "ResNetProgressiveBackboneEncoder", 14),
    ),
    "E2Style": (
        "e2style",
        "faces",
        lambda: {"state_dict": empty("e2style_full_3stage"), "opts": {}, "latent_avg": torch.zeros(18, 512)},
    ),
    "HFGI": (
        "hfgi",
        "faces",
        lambda: {
            "state_dict": empty("e4e_encoder_1024", "encoder.")
            | empty("hfgi_ada", "grid_align.")
            | empty("hfgi_consult", "residue.")
            | empty("sg2_rosinality_1024", "decoder."),
            "opts": {},
            "latent_avg": torch.zeros(18, 512),
        },
    ),
    "HyperInverter of faces": ("hyperinverter", "faces", lambda: hyperinverter("ffhq", 1024)),
    "HyperInverter of churches": ("hyperinverter", "churches", lambda: hyperinverter("church", 256)),
    "HyperInverter's W encoder": (
        "hyperinverter-w",
        "faces",
        lambda: {
            "state_dict": empty("hyperinverter_ffhq_e1", "encoder.") | empty("sg2_nvidia_1024", "decoder."),
            "opts": {},
        },
    ),
    "Feature-Style": ("feature-style-encoder", "faces", lambda: empty("fse_encoder")),
    "in-domain encoder": ("idinvert-encoder", None, lambda: empty("idinvert_encoder256")),
    "in-domain generator": ("idinvert-generator", None, lambda: empty("idinvert_generator256")),
    "in-domain VGG": ("idinvert-vgg16", None, lambda: empty("idinvert_vgg16")),
    "rosinality": (
        "stylegan2-rosinality",
        "churches",
        lambda: {
            "g_ema": empty("stylegan2_rosinality_g256"),
            "d": empty("stylegan2_rosinality_d256"),
            "latent_avg": torch.zeros(512),
        },
    ),
    "rosinality 1024": ("stylegan2-rosinality", "faces", lambda: {"g_ema": empty("stylegan2_rosinality_g1024")}),
    "ArcFace": ("arcface-ir-se-50", None, lambda: empty("arcface_irse50")),
    "CurricularFace": ("curricularface-101", None, lambda: empty("curricularface_ir101")),
    "insightface": ("insightface-50", None, lambda: empty("fse_arcface")),
    "MoCo": ("moco-resnet50", None, lambda: {"state_dict": empty("moco_resnet50", "module.encoder_q.")}),
    "BiSeNet": ("bisenet", None, lambda: empty("fse_parsing")),
    "U-Net": ("parsing-unet", None, lambda: empty("e2style_parsing_unet")),
    "DEX": ("dex-age", None, lambda: {"state_dict": empty("dex_vgg16")}),
    "HopeNet": ("hopenet", None, lambda: empty("hopenet_resnet50")),
    "P-Net": ("mtcnn", None, lambda: empty("mtcnn_pnet")),
    "R-Net": ("mtcnn", None, lambda: empty("mtcnn_rnet")),
    "O-Net": ("mtcnn", None, lambda: empty("mtcnn_onet")),
}
"""Published file -> layout, domain, content."""


def hyperinverter(domain: str, size: int) -> dict[str, Any]:
    parts = {"w_encoder.": "e1", "w_bar_encoder.": "e2", "hypernet.": "hypernet"}
    state: dict[str, Tensor] = {}
    for prefix, name in parts.items():
        state |= empty(f"hyperinverter_{domain}_{name}", prefix)
    if size == 256:
        state |= empty("stylegan2_ada_d256", "discriminator.")
    return {"state_dict": state, "opts": {"hidden_dim": 128}, "loss_dict": {}}


def official_of(name: str) -> Official:
    layout, domain, content = FULL[name]
    return LAYOUTS.get(layout).read(content(), domain)


@pytest.mark.parametrize("name", FULL)
def test_published_keys_and_shapes_load_strictly(name: str) -> None:
    official = official_of(name)
    layout, _, content = FULL[name]
    assert LAYOUTS.get(layout).resembles(content())
    assert set(official.modules) == set(official.arguments) != set()


@pytest.mark.parametrize(
    ("name", "role", "wanted"),
    [
        (
            "pSp",
            "encoder",
            {"size": 256, "style_count": 18, "style_dim": 512, "units": (3, 4, 14, 3), "coarse_styles": 3},
        ),
        ("e4e of cars", "encoder", {"style_count": 16, "offsets_from_first": True, "middle_styles": 4}),
        ("ReStyle-pSp of cars", "encoder", {"body": "resnet", "coarse_styles": 16, "in_channels": 6}),
        ("pSp naive", "encoder", {"grid": 7, "style_count": 18}),
        ("Feature-Style", "encoder", {"style_count": 18, "feature_stage": 3, "grid": 3, "units": (3, 4, 14, 3)}),
        ("in-domain encoder", "encoder", {"size": 256, "style_count": 14, "style_dim": 512}),
        ("in-domain generator", "generator", {"size": 256, "fused_from": 128, "mapping_layers": 8}),
        ("DEX", "age", {"size": 224, "classes": 101, "hidden": 4096}),
        ("insightface", "identity", {"size": 112, "embedding": 512}),
        ("rosinality 1024", "generator", {"size": 1024, "style_dim": 512, "mapping_layers": 8}),
        ("HFGI", "hfgi", {"alignment": {"widths": (16, 32, 48, 64)}}),
    ],
)
def test_arguments_read_off_the_published_shapes(name: str, role: str, wanted: dict[str, object]) -> None:
    arguments = official_of(name).arguments[role]
    assert {key: arguments[key] for key in wanted} == wanted


def test_hyperinverter_and_e2style_of_the_published_shapes() -> None:
    hyper = official_of("HyperInverter of churches").arguments["hyperinverter"]
    assert hyper["hypernet"]["size"] == hyper["size"] == 256
    assert hyper["hypernet"]["hidden"] == 128
    assert hyper["w_bar_encoder"]["code_size"] == 8
    assert hyper["w_bar_encoder"]["style_count"] == 14
    stages = official_of("E2Style").arguments["e2style"]
    assert stages["first"]["styles"] == (9, 5, 4)
    assert [stage["in_channels"] for stage in stages["refinements"]] == [6, 6]


def test_namespace_is_all_that_is_accepted_beyond_data(tmp_path: Path) -> None:
    file = files.rosinality(training=True)
    torch.save(file.content, tmp_path / "550000.pt")
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([Path])
    try:
        assert read(tmp_path / "550000.pt", "stylegan2-rosinality").options["r1"] == 10.0
        assert set(torch.serialization.get_safe_globals()) == {*before, Path}  # others' additions are kept ...
        torch.save({"g_ema": Path("x")}, tmp_path / "path.pt")
        with pytest.raises(ReinvertError, match="asks for"):  # ... and were no help to the file
            read(tmp_path / "path.pt", "stylegan2-rosinality")
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)
    assert isinstance(file.content["args"], argparse.Namespace)

"""Files as the authors' trainers write them, from small seeded networks of ours: one function per layout.

Each returns the content that is saved and the networks that must come back. What the trainers save besides (options,
optimisers' states, other networks, counters) is there too.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from methods.networks import layouts, stylegan1, stylegan3
from methods.networks.discriminator import Discriminator
from methods.networks.e2style import E2Style, StageEncoder
from methods.networks.encoders import GradualStyleEncoder
from methods.networks.feature_style import FeatureStyleEncoder
from methods.networks.hfgi import HFGI, ConsultationEncoder, DistortionAlignment
from methods.networks.hyperinverter import HyperInverter
from methods.networks.hypernetwork import HyperNetwork
from methods.networks.idinvert import InDomainEncoder
from methods.networks.last_layer_encoders import LastLayerEncoder, LastLayerWPlusEncoder
from methods.networks.latent_discriminator import LatentDiscriminator
from methods.networks.stylegan2 import Generator
from metrics.judges.age import AgeNetwork
from metrics.judges.bisenet import BiSeNet
from metrics.judges.ir_se import FaceNetwork
from metrics.judges.moco import MocoNetwork
from metrics.judges.mtcnn import OutputNetwork, ProposalNetwork
from metrics.judges.parsing_unet import ParsingUNet
from metrics.judges.pose import PoseNetwork
from metrics.judges.resnet import ResNet
from metrics.judges.vgg16 import Vgg16

STYLE_DIM = 8
SIZE = 32
STYLES = 8
BODY: dict[str, Any] = {"widths": (4, 6, 8, 10), "units": (2, 1, 2, 1)}
PYRAMID: dict[str, Any] = BODY | {"size": 64, "style_dim": STYLE_DIM, "style_width": 5}


@dataclass
class File:
    """What is saved, and what reading it must give."""

    content: Any
    modules: dict[str, nn.Module]
    latent_avg: Tensor | None = None
    options: dict[str, object] = field(default_factory=dict)


def seeded(module: nn.Module, seed: int = 0) -> Any:
    """The module in eval mode with random numbers in every parameter and buffer, variances positive."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if not value.is_floating_point() or "filter" in name or "kernel" in name:
                continue
            drawn = torch.randn(value.shape, generator=source)
            value.copy_(1 + 0.1 * drawn.abs() if name.endswith(("running_var", "magnitude_ema")) else 0.3 * drawn + 0.1)
    return module.eval().requires_grad_(False)


def widths(size: int, channels: int = 3) -> dict[int, int]:
    return {4 * 2**k: channels + (k == 0) for k in range(size.bit_length() - 2)}


def generator(size: int = SIZE, style_dim: int = STYLE_DIM, channels: int = 3) -> Generator:
    return seeded(Generator(size, style_dim, 2, widths(size, channels)), 1)


def under(prefix: str, module: nn.Module) -> OrderedDict[str, Tensor]:
    return OrderedDict((prefix + name, value) for name, value in module.state_dict().items())


def options(**more: object) -> dict[str, object]:
    """Options as trainers keep them."""
    common = {"exp_dir": "out", "batch_size": 8, "learning_rate": 1e-4, "start_from_latent_avg": True, "device": None}
    return common | {"encoder_paths": ["a", "b"]} | more


def psp(encoder: nn.Module, drawn: Generator, kind: str | None, rows: int | None = STYLES) -> File:
    """Layout A; ``rows`` of the mean latent, None for a file without one."""
    given = options() if kind is None else options(encoder_type=kind)
    content: dict[str, Any] = {"state_dict": under("encoder.", encoder) | under("decoder.", drawn), "opts": given}
    if rows is not None:
        content["latent_avg"] = torch.randn(rows, STYLE_DIM, generator=torch.Generator().manual_seed(5))
    return File(content, {"encoder": encoder, "generator": drawn}, content.get("latent_avg"), given)


def psp_gradual() -> File:
    return psp(seeded(GradualStyleEncoder(style_count=STYLES, **PYRAMID)), generator(), "GradualStyleEncoder")


def psp_labels() -> File:
    """Segmentation to face: 19 channels in, options from before there were encoder types."""
    encoder = seeded(GradualStyleEncoder(style_count=STYLES, in_channels=19, **PYRAMID))
    return psp(encoder, generator(), None)


def psp_single() -> File:
    encoder = seeded(LastLayerEncoder(256, STYLE_DIM, **BODY))
    return psp(encoder, generator(), "BackboneEncoderUsingLastLayerIntoW", rows=1)


def psp_naive() -> File:
    encoder = seeded(LastLayerWPlusEncoder(256, STYLES, STYLE_DIM, grid=3, **BODY))
    return psp(encoder, generator(), "BackboneEncoderUsingLastLayerIntoWPlus", rows=None)


def e4e_training() -> File:
    """Layout A+: with what training needs to go on."""
    encoder = seeded(GradualStyleEncoder(style_count=STYLES + 2, offsets_from_first=True, **PYRAMID))
    file = psp(encoder, generator(), "Encoder4Editing")
    judge = seeded(LatentDiscriminator(STYLE_DIM), 2)
    parameter = nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.Adam([parameter])
    parameter.grad = torch.ones(3)
    optimizer.step()
    file.content |= {
        "global_step": 20000,
        "optimizer": optimizer.state_dict(),
        "best_val_loss": torch.tensor(0.4),
        "discriminator_state_dict": judge.state_dict(),
        "discriminator_optimizer_state_dict": optimizer.state_dict(),
    }
    file.modules["latent_discriminator"] = judge
    return file


def restyle(body: str, offsets: bool, kind: str) -> File:
    encoder = GradualStyleEncoder(
        style_count=STYLES, coarse_styles=STYLES, in_channels=6, body=body, offsets_from_first=offsets, **PYRAMID
    )
    return psp(seeded(encoder), generator(), kind)


def e2style() -> File:
    stage: dict[str, Any] = BODY | {"style_dim": STYLE_DIM, "styles": (3, 3, 2), "grid": 2}
    whole = E2Style(StageEncoder(**stage), [StageEncoder(in_channels=6, **stage) for _ in range(2)], generator())
    seeded(whole, 3)
    mean = torch.randn(STYLES, STYLE_DIM, generator=torch.Generator().manual_seed(5))
    content = {"state_dict": whole.state_dict(), "opts": options(stage=3), "latent_avg": mean}
    return File(content, {"e2style": whole, "generator": whole.decoder}, mean, options(stage=3))


def hfgi() -> File:
    encoder = seeded(GradualStyleEncoder(style_count=STYLES, offsets_from_first=True, **PYRAMID))
    both = seeded(HFGI(DistortionAlignment((2, 3, 4, 5)), ConsultationEncoder((2, 3, 4), out_channels=6)), 4)
    file = psp(encoder, generator(), "Encoder4Editing")
    file.content["state_dict"] |= both.state_dict()
    file.modules["hfgi"] = both
    return file


def hyperinverter(size: int = SIZE, body: str = "ir_se", adversarial: bool = True) -> File:
    small: dict[str, Any] = {"hidden": 4, "fused_channels": 5, "extractor_channels": 3}
    hypernet = HyperNetwork(size, widths(size), code_channels=5, code_size=2, **small)
    encoder = GradualStyleEncoder(64, 2 * size.bit_length() - 4, None, style_width=5, code_size=2, body=body, **BODY)
    method = seeded(HyperInverter(LastLayerEncoder(64, STYLE_DIM, body=body, **BODY), encoder, hypernet, size=64))
    content = {
        "state_dict": method.state_dict(),
        "opts": options(hidden_dim=4),
        "loss_dict": {"l2": 0.1},
        "encoder_optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-4}]},
    }
    file = File(content, {"hyperinverter": method}, None, options(hidden_dim=4))
    if adversarial:
        judge = seeded(Discriminator(size, widths(size)), 6)
        nvidia = layouts.discriminator_to_nvidia(judge.state_dict())
        content["state_dict"] |= {f"discriminator.{name}": value for name, value in nvidia.items()}
        file.modules["discriminator"] = judge
    return file


def hyperinverter_w() -> File:
    encoder = seeded(LastLayerEncoder(256, STYLE_DIM, body="resnet", **BODY))
    nvidia = layouts.generator_to_nvidia(generator().state_dict(), torch.full((STYLE_DIM,), 0.5))
    state = under("encoder.", encoder) | {f"decoder.{name}": value for name, value in nvidia.items()}
    return File(
        {"state_dict": state, "opts": options()}, {"encoder": encoder, "generator": generator()}, None, options()
    )


def rosinality(size: int = SIZE, training: bool = False) -> File:
    drawn, judge = generator(size), seeded(Discriminator(size, widths(size)), 6)
    content: dict[str, Any] = {"g_ema": drawn.state_dict()}
    file = File(content, {"generator": drawn})
    if training:
        arguments = argparse.Namespace(size=size, latent=STYLE_DIM, n_mlp=2, ckpt=None, r1=10.0)
        content |= {"g": drawn.state_dict(), "d": judge.state_dict(), "args": arguments, "ada_aug_p": 0.0}
        content |= {"g_optim": {"state": {}, "param_groups": [{"lr": 0.002}]}}
        file.modules["discriminator"] = judge
        file.options = vars(arguments)
    else:
        file.latent_avg = content["latent_avg"] = torch.randn(STYLE_DIM)
    return file


INSIGHTFACE_UNIT = {"res_layer.0": "bn1", "res_layer.1": "conv1", "res_layer.2": "bn2", "res_layer.3": "prelu"}
INSIGHTFACE_UNIT |= {"res_layer.4": "conv2", "res_layer.5": "bn3", "shortcut_layer": "downsample"}


def insightface_key(name: str, block: str) -> str:
    """A key of ours in insightface's names, for bodies of `BODY`'s units."""
    places = [f"{block}{s}.{i}" for s, units in enumerate(BODY["units"], start=1) for i in range(units)]
    _, unit, rest = name.split(".", 2)
    for ours, theirs in INSIGHTFACE_UNIT.items():
        if rest.startswith(ours):
            return f"{places[int(unit)]}.{theirs}{rest.removeprefix(ours)}"
    raise AssertionError(name)


def feature_style() -> File:
    encoder = seeded(FeatureStyleEncoder(STYLES, STYLE_DIM, **BODY, feature_channels=5))
    content = OrderedDict()
    for name, value in encoder.state_dict().items():
        renamed = insightface_key(name, "block_") if name.startswith("body.") else name
        content[renamed.replace("input_layer.", "conv.")] = value
    return File(content, {"encoder": encoder})


def insightface() -> File:
    network = seeded(FaceNetwork(32, **BODY, embedding=7, excite=False, insightface=True))
    tops = {"input_layer.0": "conv1", "input_layer.1": "bn1", "input_layer.2": "prelu"}
    tops |= {"output_layer.0": "bn2", "output_layer.3": "fc", "output_layer.4": "features"}
    content = OrderedDict()
    for name, value in network.state_dict().items():
        top = ".".join(name.split(".")[:2])
        content[insightface_key(name, "layer") if top not in tops else name.replace(top, tops[top])] = value
    return File(content, {"identity": network})


def flat(role: str, network: nn.Module) -> File:
    """Layout F: a plain state dict."""
    return File(seeded(network).state_dict(), {role: network})


def arcface() -> File:
    file = flat("identity", FaceNetwork(32, **BODY, embedding=7))
    file.content = OrderedDict((n, v) for n, v in file.content.items() if not n.endswith("num_batches_tracked"))
    return file


def moco() -> File:
    network = seeded(MocoNetwork(224, (1, 2, 1, 1), (2, 3, 4, 5)))
    state = under("module.encoder_q.", network) | under("module.encoder_k.", network)
    state |= {"module.encoder_q.fc.0.weight": torch.zeros(4, 20), "module.queue": torch.zeros(4, 9)}
    content = {"epoch": 800, "arch": "resnet50", "state_dict": state, "optimizer": {"state": {}, "param_groups": []}}
    return File(content, {"similarity": network})


def resnet() -> File:
    file = flat("features", ResNet((1, 2, 1, 1), False, (2, 3, 4, 5)))
    file.content |= {"fc.weight": torch.zeros(10, 5), "fc.bias": torch.zeros(10)}
    return file


def dex() -> File:
    network = seeded(AgeNetwork(8, ((2, 3), (4,)), hidden=5, classes=11))
    state = {
        name.replace("_", "-") if name.startswith(("conv", "fc8")) else name: v
        for name, v in network.state_dict().items()
    }
    return File({"state_dict": state}, {"age": network})


def idinvert_encoder() -> File:
    return flat("encoder", InDomainEncoder(16, 6, 5, (2, 3, 3)))


def idinvert_generator() -> File:
    network = seeded(stylegan1.Generator(32, 6, 5, 2, {4: 4, 8: 4, 16: 3, 32: 3}, fused_from=16))
    content = {name: value for name, value in network.state_dict().items() if name != "truncation.truncation"}
    network.truncation = stylegan1.Truncation(5, 8, 8, 0.7)
    network.truncation.w_avg.copy_(content["truncation.w_avg"])
    return File(content, {"generator": network.eval()}, content["truncation.w_avg"])


def vgg() -> File:
    return flat("features", Vgg16(widths=(2, 2, 0, 3, 3, 0, 4, 4, 4, 0, 5, 5, 5, 0, 5, 5, 5)))


FILES = {
    "psp": psp_gradual,
    "psp of labels": psp_labels,
    "psp of one style": psp_single,
    "psp without a pyramid": psp_naive,
    "e4e in training": e4e_training,
    "restyle-psp": lambda: restyle("ir_se", False, "BackboneEncoder"),
    "restyle-psp on resnet": lambda: restyle("resnet", False, "ResNetBackboneEncoder"),
    "restyle-e4e": lambda: restyle("ir_se", True, "ProgressiveBackboneEncoder"),
    "e2style": e2style,
    "hfgi": hfgi,
    "hyperinverter": hyperinverter,
    "hyperinverter on resnet": lambda: hyperinverter(body="resnet", adversarial=False),
    "hyperinverter-w": hyperinverter_w,
    "stylegan2-rosinality": rosinality,
    "stylegan2-rosinality in training": lambda: rosinality(training=True),
    "feature-style-encoder": feature_style,
    "idinvert-encoder": idinvert_encoder,
    "idinvert-generator": idinvert_generator,
    "idinvert-vgg16": vgg,
    "arcface-ir-se-50": arcface,
    "curricularface-101": lambda: flat("identity", FaceNetwork(32, **BODY, embedding=7, excite=False, affine=False)),
    "insightface-50": insightface,
    "moco-resnet50": moco,
    "resnet": resnet,
    "bisenet": lambda: flat("parser", BiSeNet(5, 512, (1, 2, 1, 1), (2, 3, 4, 5), channels=4, hidden=3)),
    "parsing-unet": lambda: flat("parser", ParsingUNet(5, (2, 3, 4))),
    "dex-age": dex,
    "hopenet": lambda: flat("pose", PoseNetwork(66, (2, 3, 4, 5), (1, 2, 1, 1))),
    "mtcnn of patches": lambda: flat("pnet", ProposalNetwork()),
    "mtcnn": lambda: flat("onet", OutputNetwork()),
}
"""Name of the layout, and maybe of a variant after a blank -> the file."""


def layout_of(name: str) -> str:
    return name.split(" ")[0]


def as_arrays(network: nn.Module) -> np.ndarray:
    """What MTCNN's ``.npy`` files hold."""
    return np.array({name: value.numpy() for name, value in network.state_dict().items()}, dtype=object)


def small_stylegan3(rotation: bool) -> stylegan3.Generator:
    return seeded(stylegan3.Generator(**STYLEGAN3[rotation]), 7)


STYLEGAN3: dict[bool, dict[str, Any]] = {
    rotation: {
        "size": 32,
        "style_dim": STYLE_DIM,
        "channel_base": 128,
        "channel_max": 6,
        "kernel": 1 if rotation else 3,
        "radial": rotation,
        "layers": 5,
    }
    for rotation in (False, True)
}

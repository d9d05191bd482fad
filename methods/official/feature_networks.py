"""The networks that the papers' losses and metrics are computed with: faces, similarity, parsing, age, pose.

======================  =====================================  =======================================================
layout                  file                                   content
======================  =====================================  =======================================================
arcface-ir-se-50        model_ir_se50.pth                      state dict
curricularface-101      CurricularFace_Backbone.pth            state dict
insightface-50          backbone.pth (iresnet50)               state dict in insightface's names
moco-resnet50           moco_v2_800ep_pretrain.pth.tar         ``state_dict`` under ``module.encoder_q.``; the head
                                                               ``fc`` and what else training left are left out
resnet                  resnet34-333f7ec4.pth                  torchvision's state dict; ``fc`` is left out
bisenet                 79999_iter.pth                         state dict
parsing-unet            parsing.pth                            state dict
dex-age                 dex_age_classifier.pth                 ``state_dict`` with dashes in names
hopenet                 hopenet_robust_alpha1.pkl              state dict (a file of PyTorch's, despite its name)
======================  =====================================  =======================================================

A state dict may also stand under ``state_dict``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from methods.official import shapes
from methods.official.layout import LAYOUTS, Content, Layout, MismatchError, Official, count, derived, network, tensors
from metrics.judges import age, moco
from metrics.judges.bisenet import BiSeNet
from metrics.judges.ir_se import FaceNetwork, insightface_names
from metrics.judges.parsing_unet import ParsingUNet
from metrics.judges.pose import PoseNetwork
from metrics.judges.resnet import ResNet

_QUERY = "module.encoder_q."
EXCITATION = "body.0.res_layer.5.fc1.weight"
State = dict[str, Tensor]


def _flat(content: Content) -> Content:
    inner = content.get("state_dict")
    return inner if isinstance(inner, Mapping) else content


def _face_arguments(state: State, excite: bool) -> dict[str, Any]:
    body = shapes.ir_body(state)
    if excite != (EXCITATION in state):
        raise MismatchError(f"{'lacks' if excite else 'has an unknown'} '{EXCITATION}'")
    side = shapes.square_root(state["output_layer.3.weight"].shape[1] // body["widths"][-1])
    return body | {
        "size": 16 * side,
        "embedding": len(state["output_layer.3.weight"]),
        "excite": excite,
        "dropout": 0.6 if excite else 0.4,
        "affine": "output_layer.4.weight" in state,
    }


def _insightface_arguments(state: State) -> dict[str, Any]:
    widths = tuple(len(state[f"layer{stage}.0.conv1.weight"]) for stage in range(1, 5))
    return {
        "size": 16 * shapes.square_root(state["fc.weight"].shape[1] // widths[-1]),
        "widths": widths,
        "units": tuple(count(state, rf"layer{stage}\.(\d+)\.") for stage in range(1, 5)),
        "embedding": len(state["fc.weight"]),
        "excite": False,
        "insightface": True,
    }


def _bisenet_arguments(state: State) -> dict[str, Any]:
    trunk = {name.removeprefix("cp.resnet."): value for name, value in state.items()}
    return shapes.resnet(trunk, bottleneck=False) | {
        "classes": len(state["conv_out.conv_out.weight"]),
        "channels": len(state["cp.arm16.conv.conv.weight"]),
        "hidden": len(state["conv_out16.conv.conv.weight"]),
    }


def _unet_arguments(state: State) -> dict[str, Any]:
    levels = range(1, count(state, r"conv(\d+)\.conv1\.") + 1)
    widths = tuple(len(state[f"conv{level}.conv1.0.weight"]) for level in levels)
    return {"classes": len(state["final.weight"]), "widths": (*widths, len(state["center.conv1.0.weight"]))}


def _age_arguments(state: State) -> dict[str, Any]:
    groups = range(1, count(state, r"conv(\d+)_") + 1)
    widths = tuple(
        tuple(len(state[f"conv{group}_{i}.weight"]) for i in range(1, count(state, rf"conv{group}_(\d+)\.") + 1))
        for group in groups
    )
    area = state["fc6.weight"].shape[1] // widths[-1][-1]
    return {
        "size": shapes.square_root(area) * 2 ** len(widths),
        "widths": widths,
        "hidden": len(state["fc6.weight"]),
        "classes": len(state["fc8_101.weight"]),
    }


def _without_head(state: State) -> State:
    return {name: value for name, value in state.items() if not name.startswith("fc.")}


def _plain_resnet_arguments(state: State) -> dict[str, Any]:
    bottleneck = "layer1.0.conv3.weight" in state
    return shapes.resnet(state, bottleneck) | {
        "bottleneck": bottleneck,
        "in_channels": state["conv1.weight"].shape[1],
    }


def _register(
    layout: str,
    description: str,
    role: str,
    build: Callable[..., nn.Module],
    arguments: Callable[[State], dict[str, Any]],
    telling: str,
    absent: str = "",
    renamed: Callable[[State, dict[str, Any]], Mapping[str, Tensor]] = lambda state, _: state,
    chosen: Callable[[Content], Mapping[str, Any]] = lambda content: content,
) -> None:
    """A layout of one network.

    Args:
        layout: its name.
        description: with its article.
        role: the module's name in what is returned.
        build: the class.
        arguments: read off the chosen part of the file.
        telling: a key that the chosen part has.
        absent: a key that it does not have, where ``telling`` is not enough.
        renamed: the chosen part, given the arguments -> in our names.
        chosen: the state dict in the file -> the part that belongs to the network.
    """

    def read(content: Content, _domain: str | None) -> Official:
        state = tensors(chosen(_flat(content)), "a state dict of this network")
        found = derived(arguments, state)
        module = network(lambda: build(**found), renamed(state, found))
        return Official({role: module}, None, {}, layout, {role: found})

    def resembles(content: Content) -> bool:
        part = chosen(_flat(content))
        return telling in part and absent not in part

    LAYOUTS.register(layout)(Layout(description, read, resembles))


_register(
    "arcface-ir-se-50",
    "ArcFace's IR-SE-50",
    "identity",
    FaceNetwork,
    lambda state: _face_arguments(state, excite=True),
    telling=EXCITATION,
    absent="styles.0.linear.weight",
)
_register(
    "curricularface-101",
    "CurricularFace's IR-101",
    "identity",
    FaceNetwork,
    lambda state: _face_arguments(state, excite=False),
    telling="output_layer.3.weight",
    absent=EXCITATION,
)
_register(
    "insightface-50",
    "insightface's iResNet-50",
    "identity",
    FaceNetwork,
    _insightface_arguments,
    telling="layer1.0.prelu.weight",
    renamed=lambda state, arguments: insightface_names(state, arguments["units"]),
)
_register(
    "moco-resnet50",
    "a MoCo checkpoint",
    "similarity",
    moco.MocoNetwork,
    lambda state: shapes.resnet(moco.moco_names(state), bottleneck=True),
    telling=f"{_QUERY}conv1.weight",
    renamed=lambda state, _: moco.moco_names(state),
    chosen=lambda content: {name: value for name, value in content.items() if str(name).startswith(_QUERY)},
)
_register(
    "bisenet",
    "a BiSeNet face parser",
    "parser",
    BiSeNet,
    _bisenet_arguments,
    telling="cp.resnet.conv1.weight",
)
_register(
    "parsing-unet",
    "a U-Net face parser",
    "parser",
    ParsingUNet,
    _unet_arguments,
    telling="up_concat1.up.weight",
)
_register(
    "dex-age",
    "DEX's age network",
    "age",
    age.AgeNetwork,
    lambda state: _age_arguments(age.published_names(state)),
    telling="fc6.weight",
    renamed=lambda state, _: age.published_names(state),
)
_register(
    "hopenet",
    "HopeNet",
    "pose",
    PoseNetwork,
    lambda state: shapes.resnet(state, bottleneck=True) | {"bins": len(state["fc_yaw.weight"])},
    telling="fc_yaw.weight",
)
_register(
    "resnet",
    "torchvision's ResNet",
    "features",
    ResNet,
    _plain_resnet_arguments,
    telling="layer1.0.conv1.weight",
    absent="fc_yaw.weight",
    renamed=lambda state, _: _without_head(state),
)

"""The identity, similarity and parsing networks of the published losses and metrics, with what is around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from metrics.judges.bisenet import BiSeNet
from metrics.judges.ir_se import ARCFACE_IR_SE_50, CURRICULAR_101, INSIGHTFACE_50, FaceNetwork, insightface_names
from metrics.judges.moco import MocoNetwork
from metrics.judges.parsing_unet import ParsingUNet
from metrics.judges.similarity import cropped_faces, layer_cosines, layer_distance, nearest_pixels, unit_distance
from pipelines.conformance.cases import CASES, TOLERANCES, Outputs, Tolerance
from pipelines.conformance.data import Goldens
from pipelines.conformance.measures import area, channel_statistics, corners, crop, loaded

FROM_COSINES = Tolerance(relative=0.0, absolute=3e-6)
"""Differences of one and a cosine lose the digits they have in common; README-A, section 2."""
FROM_LONG_COSINES = Tolerance(relative=0.0, absolute=5e-4)
"""The official float32 cosine of five million entries is itself off by 1.4e-4; README-A, section 2."""
PAIR = (2, 3, 256, 256)

TOLERANCES["arcface_irse50"] = {"id_loss": FROM_COSINES}
TOLERANCES["moco_resnet50"] = {"moco_loss": FROM_COSINES}
TOLERANCES["fse_arcface_iresnet50"] = {"cos_per_layer": FROM_COSINES, "multi_id_loss": FROM_COSINES}
TOLERANCES["fse_bisenet_parsing"] = {"cos_per_head": FROM_LONG_COSINES, "parsing_loss": FROM_LONG_COSINES}
TOLERANCES["e2style_multi_id"] = {"cos_per_layer": FROM_COSINES, "loss": FROM_COSINES}
TOLERANCES["e2style_parsing_unet"] = {"cos_per_layer": FROM_COSINES, "loss": FROM_COSINES}


def _pair(data: Goldens, shape: tuple[int, ...] = PAIR) -> tuple[Tensor, Tensor]:
    return data.input("image", shape, clip=True), data.input("image_b", shape, clip=True)


def _layer_summaries(letter: str, layers: Sequence[Tensor]) -> Outputs:
    """What the goldens of E2Style's losses hold of each layer."""
    outputs: Outputs = {}
    for number, layer in enumerate(layers, start=1):
        flat = layer.flatten(1)
        if layer.dim() == 4:
            statistics = channel_statistics(layer[:1])[0]
            outputs[f"{letter}{number}_chan_mean"] = statistics[:, 0]
            outputs[f"{letter}{number}_chan_std"] = statistics[:, 1]
        outputs[f"{letter}{number}_strided64"] = flat[:, :: flat.shape[1] // 64][:, :64]
        outputs[f"{letter}{number}_l2norm"] = flat.double().norm(dim=1)
        outputs[f"{letter}{number}_numel"] = np.array([flat.shape[1]])
    return outputs


@CASES.register("arcface_irse50")
def arcface_irse50(data: Goldens) -> Outputs:
    """The identity loss of pSp and its successors."""
    network = loaded(lambda: FaceNetwork(**ARCFACE_IR_SE_50), data.weights("arcface_irse50"))
    ours, theirs = (network(cropped_faces(images, network.size)) for images in _pair(data))
    places = {"feat_input_layer_112": "input_layer"}
    places |= {f"feat_body{unit}_112": f"body.{unit}" for unit in (0, 2, 6, 20, 23)}
    with corners(network, places) as maps:
        embedding = network(data.input("face112", (1, 3, 112, 112), clip=True))
    loss = unit_distance(ours, theirs)[None]
    return {"embed_256": ours, "embed_256_b": theirs, "embed_112": embedding, "id_loss": loss, **maps}


@CASES.register("curricularface_ir101")
def curricularface_ir101(data: Goldens) -> Outputs:
    """The identity metric of pSp and ReStyle."""
    network = loaded(lambda: FaceNetwork(**CURRICULAR_101), data.weights("curricularface_ir101"))
    places = {"feat_input_layer": "input_layer"} | {f"feat_body{i}": f"body.{i}" for i in (0, 2, 15, 45, 48)}
    with corners(network, places) as maps:
        embedding = network(data.input("face112", (2, 3, 112, 112), clip=True))
    return {"embed_112": embedding, **maps}


@CASES.register("moco_resnet50")
def moco_resnet50(data: Goldens) -> Outputs:
    """The similarity loss where there are no faces, cars' 192 x 256 px included."""
    network = loaded(MocoNetwork, data.weights("moco_resnet50"))
    ours, theirs = (network(images) for images in _pair(data))
    cars = network(data.input("image_cars", (2, 3, 192, 256), clip=True))
    return {"feat": ours, "feat_b": theirs, "feat_192x256": cars, "moco_loss": unit_distance(ours, theirs)[None]}


@CASES.register("fse_arcface_iresnet50")
def fse_arcface_iresnet50(data: Goldens) -> Outputs:
    """The identity loss of the Feature-Style encoder."""
    weights = insightface_names(data.weights("fse_arcface_iresnet50"))
    network = loaded(lambda: FaceNetwork(**INSIGHTFACE_50), weights)
    ours, theirs = (network.features(nearest_pixels(images, network.size)) for images in _pair(data, (1, *PAIR[1:])))
    outputs: Outputs = {}
    for number, layer in enumerate(ours, start=1):
        outputs[f"feat{number}_first64"] = layer.flatten(1)[:, :64]
        outputs[f"feat{number}_l2norm"] = layer.flatten(1).double().norm(dim=1)
    outputs["embedding"] = ours[-1]
    return outputs | {
        "cos_per_layer": layer_cosines(ours, theirs),
        "multi_id_loss": layer_distance(ours, theirs)[None],
    }


@CASES.register("fse_bisenet_parsing")
def fse_bisenet_parsing(data: Goldens) -> Outputs:
    """The parsing loss of the Feature-Style encoder."""
    network = loaded(BiSeNet, data.weights("fse_bisenet_parsing"))
    image, other = _pair(data, (1, *PAIR[1:]))
    ours, theirs = network(image), network(other)
    outputs: Outputs = {"preproc_crop16": crop(network.prepared(image), 16)}
    for name, logits in zip(("out8", "out16", "out32"), ours, strict=True):
        outputs |= {f"{name}_area16": area(logits, 16), f"{name}_crop8": crop(logits, 8)}
    return outputs | {
        "cos_per_head": layer_cosines(ours, theirs),
        "parsing_loss": layer_distance(ours, theirs)[None],
    }


@CASES.register("e2style_multi_id")
def e2style_multi_id(data: Goldens) -> Outputs:
    """The identity loss of E2Style."""
    network = loaded(lambda: FaceNetwork(**ARCFACE_IR_SE_50), data.weights("e2style_multi_id"))
    ours, theirs = (network.features(cropped_faces(images, network.size)) for images in _pair(data))
    outputs = _layer_summaries("R", ours) | {"R5": ours[-1]}
    return outputs | {"cos_per_layer": layer_cosines(ours, theirs), "loss": layer_distance(ours, theirs)[None]}


@CASES.register("e2style_parsing_unet")
def e2style_parsing_unet(data: Goldens) -> Outputs:
    """The parsing loss of E2Style."""
    network = loaded(ParsingUNet, data.weights("e2style_parsing_unet"))
    image, other = _pair(data)
    ours, theirs, logits = network.features(image), network.features(other), network(image)
    outputs = _layer_summaries("P", ours)
    outputs |= {"logits_area16": area(logits, 16), "logits_crop16": crop(logits[:1], 16)}
    return outputs | {"cos_per_layer": layer_cosines(ours, theirs), "loss": layer_distance(ours, theirs)[None]}

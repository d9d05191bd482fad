"""What measures faces and brings them into place: age, head pose, MTCNN with its crop, FFHQ's alignment."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from metrics import five_point
from metrics.alignment import DATASET, PSP, Setting, align, place
from metrics.judges import mtcnn_boxes
from metrics.judges.age import AgeNetwork, aging_loss, expected_age
from metrics.judges.mtcnn import FaceDetector, OutputNetwork, ProposalNetwork, RefinementNetwork
from metrics.judges.pose import ANGLES, PoseNetwork, expected_angles, imagenet_input, plain_input
from pipelines.conformance.cases import CASES, TOLERANCES, Outputs, Tolerance
from pipelines.conformance.data import Goldens
from pipelines.conformance.measures import crop, loaded, structured_image
from pipelines.conformance.pictures import as_bytes, scene

FEW, SMALL = 4, 8
AGE_TARGETS = (0.30, 0.65)
BOXES = 60
FIRST_SCALE, FIRST_THRESHOLD = 0.6, 0.08
SMALLEST_FACE = 24.0
THRESHOLDS = (FIRST_THRESHOLD, 0.25, 0.35)
SCENES = {"A": (960, 1280, 20), "B": (620, 700, 10), "C": (4700, 4300, 50)}
"""Height, width and block of the pictures that faces are aligned in."""

EXACT = Tolerance(relative=0.0)
DEGREES = Tolerance(relative=0.0, absolute=1e-3)
"""An expectation near its zero crossing has no meaningful relative error."""
PIXELS = Tolerance(relative=0.0, absolute=1e-3)
GREY_LEVEL = Tolerance(relative=0.0, absolute=1.0)
"""Bytes may round the other way."""


def _outputs_of(network: nn.Module, names: list[str]) -> dict[str, Tensor]:
    """Collects the outputs of submodules as the network runs."""
    found: dict[str, Tensor] = {}

    def collect(name: str) -> None:
        network.get_submodule(name).register_forward_hook(lambda _, __, output: found.update({name: output}))

    for name in names:
        collect(name)
    return found


def _few(maps: Tensor) -> Tensor:
    return crop(maps[:, :FEW], min(SMALL, maps.shape[-1]))


@CASES.register("dex_vgg16")
def dex_vgg16(data: Goldens) -> Outputs:
    """The age estimator and the loss on its output."""
    network = loaded(AgeNetwork, data.weights("dex_vgg16"))
    images = network.resized(structured_image(data, "age.image", 2, 256))
    maps = _outputs_of(network, ["conv1_2", "conv3_3", "conv5_3", "fc6", "fc7"])
    logits = network.logits(images)
    age = expected_age(logits)
    last = {name: F.relu(output) for name, output in maps.items()}
    return {
        "logits": logits,
        "age": age,
        "aging_loss": aging_loss(age.flip(0), torch.tensor(AGE_TARGETS)),
        "resized_crop8": crop(images, SMALL),
        "r12_crop8": _few(last["conv1_2"]),
        "p1_crop8": _few(F.max_pool2d(last["conv1_2"], 2)),
        "p3_crop8": _few(F.max_pool2d(last["conv3_3"], 2)),
        "r53_crop8": _few(last["conv5_3"]),
        "fc6_first64": last["fc6"][:, :64],
        "fc7_first64": last["fc7"][:, :64],
    }


@CASES.register("hopenet_resnet50")
def hopenet_resnet50(data: Goldens) -> Outputs:
    """The head pose estimator and the three ways of preparing its input."""
    network = loaded(PoseNetwork, data.weights("hopenet_resnet50"))
    stages = ["bn1", "layer1", "layer2", "layer3", "layer4"]
    maps = _outputs_of(network, stages)
    logits = network.logits(structured_image(data, "pose.x224", 2, 224))
    maps["maxpool"] = F.max_pool2d(F.relu(maps.pop("bn1")), 3, 2, padding=1)
    outputs: Outputs = {f"feat_{name}": _few(output[:1]) for name, output in maps.items()}
    outputs |= {f"{name}_logits": logits[:, index] for index, name in enumerate(ANGLES)}
    outputs |= {"angles": expected_angles(logits), "bins": logits.argmax(dim=2)}
    images = structured_image(data, "pose.image", 2, 256)
    normalised = imagenet_input(as_bytes(images))
    return outputs | {
        "angles_sg3editing_antialias": network(plain_input(images)),
        "angles_sg3editing_noantialias": network(plain_input(images, antialias=False)),
        "pil_input_crop8": crop(normalised, SMALL),
        "angles_imagenet_pil": network(normalised),
    }


TOLERANCES["hopenet_resnet50"] = {
    "angles": DEGREES,
    "angles_sg3editing_antialias": DEGREES,
    "angles_sg3editing_noantialias": DEGREES,
    "angles_imagenet_pil": DEGREES,
    "bins": EXACT,
}


def _detector_networks(data: Goldens) -> tuple[FaceDetector, Outputs]:
    detector = FaceDetector(min_face=SMALLEST_FACE, thresholds=THRESHOLDS).eval().requires_grad_(False)
    detector.pnet = loaded(ProposalNetwork, data.weights("mtcnn_pnet"))
    detector.rnet = loaded(RefinementNetwork, data.weights("mtcnn_rnet"))
    detector.onet = loaded(OutputNetwork, data.weights("mtcnn_onet"))
    proposal = detector.pnet(0.5 * data.input("mtcnn.pnet", (1, 3, 40, 53)))
    refinement = detector.rnet(0.5 * data.input("mtcnn.rnet", (8, 3, 24, 24)))
    output = detector.onet(0.5 * data.input("mtcnn.onet", (8, 3, 48, 48)))
    names = ["pnet_offsets", "pnet_probs", "rnet_offsets", "rnet_probs"]
    names += ["onet_landmarks", "onet_offsets", "onet_probs"]
    return detector, dict(zip(names, [*proposal, *refinement, *output], strict=True))


def _box_functions(data: Goldens, boxes: NDArray[np.float64], picture: NDArray[np.uint8]) -> Outputs:
    suppress = mtcnn_boxes.suppress
    calibrated = mtcnn_boxes.calibrate(boxes, 0.1 * data.input("mtcnn.offsets", (BOXES, 4)).double().numpy())
    squares = mtcnn_boxes.squares(calibrated)
    rounded = mtcnn_boxes.rounded(squares)
    cut, parts = mtcnn_boxes.clipped(rounded, picture.shape[1], picture.shape[0])
    _, refined = mtcnn_boxes.patches(rounded, picture, 24)
    _, detailed = mtcnn_boxes.patches(rounded, picture, 48)
    outputs: Outputs = {
        "boxes": boxes,
        "nms_union_05": suppress(boxes, 0.5),
        "nms_union_07": suppress(boxes, 0.7),
        "nms_min_07": suppress(boxes, 0.7, "min"),
        "nms_union_02": suppress(boxes, 0.2),
        "calibrated": calibrated,
        "squared": squares,
        "rounded": rounded,
        "corrected": parts,
        "boxes_after_cut": cut,
    }
    if refined is not None and detailed is not None:
        outputs["image_boxes24_mean"] = refined.astype(np.float64).mean(axis=(2, 3))
        outputs["image_boxes24_sel"] = refined[[0, 7, 19]]
        outputs["image_boxes48_sel"] = detailed[[3]]
    relative = 0.5 + 0.2 * data.input("mtcnn.lm", (8, 10)).double().numpy()
    return outputs | {"landmarks_decoded": mtcnn_boxes.landmarks_in_picture(rounded[:8], relative)}


def _proposals(data: Goldens) -> Outputs:
    scores = (1 / (1 + np.exp(-data.input("mtcnn.probs", (17, 23)).double().numpy()))).astype(np.float32)
    offsets = (np.float32(0.1) * data.input("mtcnn.pofs", (1, 4, 17, 23)).numpy())[0]
    return {
        "generated": mtcnn_boxes.proposals(scores, offsets, 0.6 * 0.707, 0.6),
        "scales_1024_20": mtcnn_boxes.pyramid_scales(1024, 1024, 20.0),
        "scales_256_20": mtcnn_boxes.pyramid_scales(256, 256, 20.0),
        "scales_640x480_30": mtcnn_boxes.pyramid_scales(640, 480, 30.0),
    }


def _crops(faces: NDArray[np.float64], picture: NDArray[np.uint8]) -> Outputs:
    fits = np.stack([five_point.similarity(face.reshape(2, 5).T) for face in faces])
    outputs: Outputs = {"face_landmarks": faces, "reference_points": five_point.TEMPLATE, "tfm": fits}
    for version, exact in (("cv4", False), ("cv5", True)):
        warped = [five_point.warp(picture, fit, exact=exact) for fit in fits]
        outputs[f"warp0_{version}"] = warped[0]
        outputs[f"warp12_{version}_sel"] = np.stack(warped[1:])[:, ::4, ::4]
    return outputs


@CASES.register("mtcnn")
def mtcnn(data: Goldens) -> Outputs:
    """The networks, what is done with boxes between them, the cascade, and the five-point crop."""
    golden = data.golden("mtcnn")  # boxes and landmarks are inputs that stand beside the outputs
    picture = scene(data, "mtcnn.image", 120, 160, block=8)
    detector, outputs = _detector_networks(data)
    outputs |= _box_functions(data, golden["boxes"], picture)
    outputs |= _proposals(data)
    faces = detector.detect(Image.fromarray(picture))
    outputs |= {
        "first_stage": detector.proposals(Image.fromarray(picture), FIRST_SCALE),
        "detect_boxes": faces.boxes,
        "detect_landmarks": faces.landmarks,
    }
    return outputs | _crops(golden["face_landmarks"], scene(data, "mtcnn.face", 240, 200, block=5, tile=40))


TOLERANCES["mtcnn"] = {
    "first_stage": PIXELS,
    "detect_boxes": PIXELS,
    "detect_landmarks": PIXELS,
    "warp0_cv4": EXACT,
    "warp12_cv4_sel": EXACT,
    "warp0_cv5": GREY_LEVEL,
    "warp12_cv5_sel": GREY_LEVEL,
}


def _aligned(data: Goldens, module: str, setting: Setting, whole_pixels: bool) -> Outputs:
    golden = data.golden(module)
    outputs: Outputs = {}
    for name, (height, width, block) in SCENES.items():
        picture = Image.fromarray(scene(data, f"align.{name}", height, width, block))
        landmarks = golden[f"{name}_landmarks"]
        used = np.rint(landmarks) if whole_pixels else landmarks
        placement = place(used, picture.size, setting.output_size)
        pixels = np.asarray(align(picture, used, setting))
        side = setting.output_size
        middle = slice(side // 2 - 8, side // 2 + 8)
        values = pixels.astype(np.float64)
        found: Outputs = {
            "landmarks": landmarks,
            "quad": placement.quad,
            "qsize": placement.side,
            "shrink": placement.shrink,
            "size_shrunk": placement.shrunk_size,
            "border": placement.border,
            "crop": placement.crop,
            "pad_needed": placement.pad_needed,
            "pad": placement.pad,
            "quad_final": placement.quad_final,
            "area64": values.reshape(64, side // 64, 64, side // 64, 3).mean(axis=(1, 3)),
            "crop16": pixels[middle, middle],
            "corner8": pixels[:8, :8],
            "stats": np.stack([values.mean(axis=(0, 1)), values.std(axis=(0, 1))], axis=1),
        }
        outputs |= {f"{name}_{array}": value for array, value in found.items()}
    return outputs


@CASES.register("ffhq_align_1024")
def ffhq_align_1024(data: Goldens) -> Outputs:
    """The dataset's own alignment."""
    return _aligned(data, "ffhq_align_1024", DATASET, whole_pixels=False)


@CASES.register("ffhq_align_256")
def ffhq_align_256(data: Goldens) -> Outputs:
    """The alignment of pSp and its successors, whose landmarks are whole pixels."""
    return _aligned(data, "ffhq_align_256", PSP, whole_pixels=True)


_CORNERS = Tolerance(relative=0.0, absolute=1e-6)
_AREAS = Tolerance(relative=0.0, absolute=0.05)
_OF_ARRAY = {"quad": _CORNERS, "quad_final": _CORNERS, "qsize": _CORNERS, "landmarks": EXACT} | {
    "area64": _AREAS,
    "stats": _AREAS,
    "crop16": GREY_LEVEL,
    "corner8": GREY_LEVEL,
}
for _module in ("ffhq_align_1024", "ffhq_align_256"):
    TOLERANCES[_module] = {"*": EXACT} | {
        f"{_scene}_{_array}": _allowed for _scene in SCENES for _array, _allowed in _OF_ARRAY.items()
    }

"""Scores under a protocol: what becomes of images, which network looks at them, what a failure counts as.

`scorer` and `feature_extractor` build what measures once; the functions they give take batches. Images are float
(B, 3, H, W) in [-1, 1], or uint8 (B, 3, H, W) as an image file holds them: those are already quantised, so neither
truncation nor JPEG is applied to them again. An image's numbers depend neither on its batch nor on its place in it
beyond float32 rounding inside networks (1e-6).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from core.errors import ReinvertError
from metrics.five_point import crop_face
from metrics.judges.mtcnn import FaceDetector
from metrics.protocols import MTCNN, Network, Protocol

JPEG_QUALITY = 75
INCEPTION_FEATURE = 3
"""Position of the 2048 features among what both packages' networks give."""


@dataclass(frozen=True)
class Scores:
    """Scores of a batch under one protocol.

    Attributes:
        values: (B,) float64 on the CPU; a failure holds what it counts as, NaN where the rule is to drop it.
        failed: (B,) bool.
    """

    values: Tensor
    failed: Tensor


Scorer = Callable[[Tensor, Tensor], Scores]
Networks = Mapping[str, nn.Module]


class LpipsDistance(nn.Module):
    """The lpips package's network as (a, b) in [-1, 1] -> (B,)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @torch.no_grad()
    def forward(self, real: Tensor, fake: Tensor) -> Tensor:
        """See the class."""
        distances: Tensor = self.network(real, fake)
        return distances.flatten()


def networks_of(protocols: Iterable[Protocol]) -> dict[str, Network]:
    """What must be given as `networks` to measure under these protocols, by name."""
    found: dict[str, Network] = {}
    for protocol in protocols:
        if protocol.network is not None:
            found[protocol.network.name] = protocol.network
        if protocol.face_thresholds is not None:
            found[MTCNN.name] = MTCNN
    return found


# ---- what becomes of images ------------------------------------------------------------------------------------------


def rounded_to_bytes(images: Tensor) -> Tensor:
    """Images in [-1, 1] as the nearest 8-bit values: uint8, clipped; NaN has none."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def truncated_to_bytes(images: Tensor) -> Tensor:
    """Images in [-1, 1] as the papers write them: uint8, clipped and cut off instead of rounded."""
    return ((images + 1) * 127.5).clamp(0, 255).to(torch.uint8)


def from_bytes(pixels: Tensor) -> Tensor:
    """uint8 as images in [-1, 1], float32."""
    return pixels.float() / 127.5 - 1


def pictures(pixels: Tensor) -> list[NDArray[np.uint8]]:
    """(B, 3, H, W) uint8 as B pictures (H, W, 3) on the CPU."""
    return list(pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy())


def _from_pictures(found: list[NDArray[np.uint8]], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).contiguous().to(device)


def through_jpeg(pixels: Tensor) -> Tensor:
    """uint8 pictures after being written and read as JPEG of PIL's default quality 75."""
    read = []
    for picture in pictures(pixels):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=JPEG_QUALITY)
        read.append(np.asarray(Image.open(file).convert("RGB")))
    return _from_pictures(read, pixels.device)


def resized(pixels: Tensor, size: int, bicubic: bool = False) -> Tensor:
    """(B, 3, H, W) uint8 -> (B, 3, size, size) by PIL's antialiased bilinear or bicubic filter."""
    if tuple(pixels.shape[2:]) == (size, size):
        return pixels
    kind = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    small = [np.asarray(Image.fromarray(picture).resize((size, size), kind)) for picture in pictures(pixels)]
    return _from_pictures(small, pixels.device)


def _reduced(images: Tensor, protocol: Protocol) -> Tensor:
    size = protocol.size
    if protocol.reduction == "none" or size is None or tuple(images.shape[2:]) == (size, size):
        return images
    if not images.is_floating_point():
        raise ReinvertError(
            f"{protocol.id} takes reconstructions of {size} px as its paper's code writes them, these pictures are "
            f"{images.shape[3]}x{images.shape[2]}; write them at {size} px ({protocol.reduction})"
        )
    if protocol.reduction == "means of blocks":
        return F.adaptive_avg_pool2d(images, (size, size))
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)


def prepare(protocol: Protocol, images: Tensor, is_real: bool) -> Tensor:
    """Images as the protocol measures them.

    Args:
        protocol: the protocol.
        images: finite, see the module.
        is_real: real images are 8-bit pictures, so their values are rounded and never truncated or compressed.

    Returns:
        Float images in [-1, 1] under a float protocol, uint8 ones under all others, at the protocol's size.

    Raises:
        ReinvertError: images of another size, where the protocol has no filter for them.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ReinvertError(f"images must be (B, 3, H, W), these are {tuple(images.shape)}; give RGB images")
    if protocol.quantisation == "float":
        ready = from_bytes(images) if images.dtype == torch.uint8 else images.clamp(-1, 1)
    else:
        ready = _quantised(protocol, images, is_real)
        # A real image meets a reduced reconstruction at its size, brought there as the encoders' inputs are.
        if protocol.size is not None and (protocol.resize != "none" or (is_real and protocol.reduction != "none")):
            ready = resized(ready, protocol.size, protocol.resize.startswith("PIL bicubic"))
    if protocol.size is not None and tuple(ready.shape[2:]) != (protocol.size, protocol.size):
        raise ReinvertError(
            f"{protocol.id} measures images of {protocol.size}x{protocol.size} pixels, these are "
            f"{ready.shape[3]}x{ready.shape[2]}; choose a protocol for that size"
        )
    return ready


def _quantised(protocol: Protocol, images: Tensor, is_real: bool) -> Tensor:
    if not is_real:
        images = _reduced(images, protocol)
    if images.dtype == torch.uint8:
        return images
    if is_real or protocol.quantisation == "8 bits, rounded":
        return rounded_to_bytes(images)
    cut = truncated_to_bytes(images)
    return through_jpeg(cut) if "JPEG" in protocol.quantisation else cut


# ---- failures --------------------------------------------------------------------------------------------------------


def blank_where_failed(images: Tensor) -> tuple[Tensor, Tensor]:
    """Reconstructions with mid-grey pictures in place of those that hold a value which is not finite.

    Returns:
        The images, clipped to [-1, 1] where they are float, and (B,) bool: which ones failed.
    """
    if not images.is_floating_point():
        return images, torch.zeros(len(images), dtype=torch.bool, device=images.device)
    failed = ~images.isfinite().flatten(1).all(dim=1)
    return torch.where(failed[:, None, None, None], 0.0, images).clamp(-1, 1), failed


def apply_failure_rule(protocol: Protocol, scores: Tensor, failed: Tensor) -> Tensor:
    """(B,) float64 scores, in which a failed reconstruction (scored as a blank) counts as the protocol says."""
    scores = scores.double()
    if protocol.failure == "the worst value":
        return torch.where(failed, torch.tensor(protocol.worst, dtype=torch.float64, device=scores.device), scores)
    if protocol.failure == "dropped":
        return torch.where(failed, torch.nan, scores)
    return scores


def entering(protocol: Protocol, failed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of n images enter the mean: all, unless the protocol drops failures or a remainder.

    Args:
        protocol: the protocol.
        failed: (n,) in the order in which the images were read.

    Returns:
        (n,) bool. What is left out must be counted and printed with the mean.
    """
    kept = np.ones(len(failed), dtype=bool)
    if protocol.failure == "dropped":
        kept &= ~failed
    if protocol.batch_dropping_remainder is not None:
        kept[len(failed) - len(failed) % protocol.batch_dropping_remainder :] = False
    return kept


# ---- scores ----------------------------------------------------------------------------------------------------------


def scorer(
    protocol: Protocol, networks: Networks, function: Callable[[Tensor, Tensor], Tensor] | None = None
) -> Scorer:
    """What scores batches under a protocol of one number per image.

    Args:
        protocol: the protocol.
        networks: those that `networks_of` names, by name, on the device of the images.
        function: computes what the protocol's own function does, in another way.

    Returns:
        (real, fake) -> `Scores`; raises ReinvertError for images of another size or a network that gives a value
        which is not finite on finite images.

    Raises:
        ReinvertError: a network is missing.
        ValueError: the protocol compares sets of features.
    """
    if not protocol.per_image:
        raise ValueError(f"{protocol.id} compares sets of images; use feature_extractor and distance")
    measure: Callable[..., Any] = function or protocol.load()
    if protocol.network is not None:
        measure = measure(_network(protocol, protocol.network, networks)).eval()
    detector = None
    if protocol.face_thresholds is not None:
        detector = _detector(protocol, networks)

    @torch.no_grad()
    def score(real: Tensor, fake: Tensor) -> Scores:
        shown, failed = blank_where_failed(fake)
        one, other = prepare(protocol, real, is_real=True), prepare(protocol, shown, is_real=False)
        if detector is not None:
            one, found = _faces(detector, one)
            other, found_too = _faces(detector, other)
            failed = failed | ~(found & found_too).to(failed.device)
        elif one.shape != other.shape:
            raise ReinvertError(
                f"{protocol.id} compares images of one size, these are {one.shape[3]}x{one.shape[2]} and "
                f"{other.shape[3]}x{other.shape[2]}; resize the reconstructions, or choose a protocol that does"
            )
        images = [from_bytes(part) if part.dtype == torch.uint8 else part for part in (one, other)]
        values = measure(*images).double()
        if not bool(values.isfinite().all()):
            raise ReinvertError(f"{protocol.id} is not finite on finite images; get its network's weights again")
        return Scores(apply_failure_rule(protocol, values, failed).cpu(), failed.cpu())

    return score


def _network(protocol: Protocol, network: Network, networks: Networks) -> nn.Module:
    if network.name not in networks:
        files = ", ".join(file for file, _ in network.files) or "a judge of the domain"
        raise ReinvertError(f"{protocol.id} needs the network '{network.name}'; provide {files}")
    found = networks[network.name]
    # A table once said VGG where its code built AlexNet: the lpips package's networks know what they are.
    kind = getattr(found, "pnet_type", None)
    if network.name.startswith("lpips-") and f"lpips-{kind}" != network.name:
        raise ReinvertError(f"{protocol.id} measures with '{network.name}', not with '{kind}'; give that network")
    return found


def _detector(protocol: Protocol, networks: Networks) -> FaceDetector:
    detector = _network(protocol, MTCNN, networks)
    if not isinstance(detector, FaceDetector) or detector.thresholds != protocol.face_thresholds:
        raise ValueError(f"{protocol.id} detects faces with thresholds {protocol.face_thresholds}")
    return detector


def _faces(detector: FaceDetector, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """The best face of every picture, cropped to 112 px (uint8; grey where there is none), and where there is one."""
    crops, found = [], []
    for picture in pictures(pixels):
        faces = detector.detect(Image.fromarray(picture))
        found.append(len(faces.landmarks) > 0)
        crops.append(crop_face(picture, faces.landmarks[0]) if found[-1] else np.full((112, 112, 3), 128, np.uint8))
    return _from_pictures(crops, pixels.device), torch.tensor(found)


# ---- distances between sets ------------------------------------------------------------------------------------------


def feature_extractor(protocol: Protocol, networks: Networks) -> Callable[[Tensor, bool], Tensor]:
    """What gives the features that FID and KID compare.

    Returns:
        (images, is_real) -> (B, d) on the CPU. Reconstructions go through `blank_where_failed` first.

    Raises:
        ReinvertError: the network is missing.
        ValueError: the protocol has one number per image.
    """
    if protocol.per_image or protocol.network is None:
        raise ValueError(f"{protocol.id} compares no sets of features; use scorer")
    network = _network(protocol, protocol.network, networks)
    kind = protocol.network.name

    @torch.no_grad()
    def extract(images: Tensor, is_real: bool) -> Tensor:
        ready = prepare(protocol, images, is_real)
        if kind == "inception-torch-fidelity":
            found = network(ready if ready.dtype == torch.uint8 else rounded_to_bytes(ready))[INCEPTION_FEATURE]
        else:
            shown = from_bytes(ready) if ready.dtype == torch.uint8 else ready
            if kind == "inception-pytorch-fid":
                found = network((shown + 1) / 2)[INCEPTION_FEATURE].mean(dim=(2, 3))
            else:
                found = network(shown)
        return torch.as_tensor(found).float().cpu()

    return extract


def distance(protocol: Protocol, real: Tensor, fake: Tensor) -> float:
    """FID or KID between features (n, d) and (m, d); see `metrics.distribution` for what is refused."""
    if protocol.per_image:
        raise ValueError(f"{protocol.id} has one number per image; use scorer")
    return float(protocol.load()(real, fake, **protocol.settings))

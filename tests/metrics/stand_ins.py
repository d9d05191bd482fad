"""Networks that need no weights file and give the same numbers everywhere, in the place of those that measure."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from metrics.judges.mtcnn import FaceDetector, Faces
from metrics.judges.perceptual import AlexNetFeatures
from metrics.protocols import MTCNN, Protocol
from metrics.registry import JUDGE
from metrics.strict_protocols import FACE_THRESHOLDS

LANDMARKS = (0.35, 0.65, 0.5, 0.38, 0.62, 0.4, 0.4, 0.55, 0.7, 0.7)
"""x then y of five points of an upright face, as parts of the picture's side."""


def waves(shape: tuple[int, ...], step: float) -> Tensor:
    """Numbers in [-1, 1] without a random generator; growing steps keep rows from depending on one another."""
    index = np.arange(1, int(np.prod(shape)) + 1, dtype=np.float64)
    return torch.from_numpy(np.sin(step * index * index)).float().reshape(shape)


class Distance(nn.Module):
    """In the place of the lpips package's network; `pnet_type` is what that one calls its backbone."""

    def __init__(self, pnet_type: str = "alex") -> None:
        super().__init__()
        self.pnet_type = pnet_type
        self.kernel = nn.Parameter(waves((4, 3, 5, 5), 0.7) / 5, requires_grad=False)

    def forward(self, real: Tensor, fake: Tensor) -> Tensor:
        maps = [torch.nn.functional.conv2d(images, self.kernel, stride=4).relu() for images in (real, fake)]
        return (maps[0] - maps[1]).square().mean(dim=(1, 2, 3), keepdim=True)


class Embedding(nn.Module):
    """Images of any size -> (B, 6); in the place of identity networks and of judges that give features."""

    def __init__(self, step: float = 0.37) -> None:
        super().__init__()
        self.weight = nn.Parameter(waves((6, 48), step), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        small = torch.nn.functional.adaptive_avg_pool2d(images, 4).flatten(1)
        return torch.tanh(small @ self.weight.T) + 0.1


class Inception(nn.Module):
    """In the place of both packages' networks: pytorch-fid's gives maps, torch-fidelity's features of bytes."""

    def __init__(self, of_bytes: bool) -> None:
        super().__init__()
        self.of_bytes = of_bytes
        self.embedding = Embedding(0.53)

    def forward(self, images: Tensor) -> list[Tensor]:
        if self.of_bytes != (images.dtype == torch.uint8):
            raise TypeError(f"{images.dtype} is not what this Inception reads")
        found = self.embedding(images.float() / 255 if self.of_bytes else images)
        return [found[:, :1]] * 3 + [found if self.of_bytes else found[:, :, None, None]]


class Detector(FaceDetector):
    """Finds a face at one place of every picture, and none in one that is flat."""

    def __init__(self) -> None:
        super().__init__(thresholds=FACE_THRESHOLDS)

    def detect(self, picture: Image.Image) -> Faces:
        if np.asarray(picture).std() < 1:
            return Faces.none()
        side = np.float32(picture.size[0])
        return Faces(np.array([[0, 0, side, side, 1.0]]), np.array([LANDMARKS], np.float32) * side)


def perceptual() -> nn.Module:
    """The embedded LPIPS' backbone."""
    network = AlexNetFeatures().eval().requires_grad_(False)
    state = network.state_dict()
    network.load_state_dict(
        {
            key: waves(tuple(value.shape), 1.7) * (2 / max(value[0].numel(), 1)) ** 0.5
            if value.dim() > 1
            else 0 * value
            for key, value in state.items()
        }
    )
    return network


def networks() -> dict[str, nn.Module]:
    """One for every name that a protocol asks for."""
    return {
        "lpips-alex": Distance(),
        "curricularface-ir101": Embedding(),
        MTCNN.name: Detector(),
        "inception-pytorch-fid": Inception(of_bytes=False),
        "inception-torch-fidelity": Inception(of_bytes=True),
        JUDGE + "perceptual": perceptual(),
        JUDGE + "identity-judge": Embedding(0.41),
        JUDGE + "features": Embedding(0.29),
    }


def scene(size: int, shift: float = 0.0) -> Tensor:
    """A smooth picture (1, 3, size, size) in [-1, 1] with some detail."""
    place = torch.linspace(0, 1, size, dtype=torch.float64)
    y, x = place[:, None], place[None, :]
    channels = [
        0.5 * torch.sin(6 * x + 3 * k * y + shift) + 0.3 * torch.cos(40 * (x + shift) * (y + 0.1 * k)) + 0.1 * (k - 1)
        for k in range(3)
    ]
    return torch.stack(channels)[None].float().clamp(-1, 1)


def damaged(images: Tensor) -> Tensor:
    """A reconstruction of it: darker, with noise that is the same everywhere."""
    return (0.9 * images + 0.08 * waves(tuple(images.shape), 2.3) - 0.05).clamp(-1, 1)


def reduced(protocol: Protocol, largest: int) -> Protocol:
    """The same protocol at no more than `largest` pixels, for tests that must be fast."""
    from dataclasses import replace

    return protocol if protocol.size is None else replace(protocol, size=min(protocol.size, largest))

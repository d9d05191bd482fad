"""The AlexNet behind the embedded LPIPS (Zhang et al., CVPR 2018; AlexNet: Krizhevsky 2014, arXiv 1404.5997).

The layers, their names and the input scaling are those of torchvision's `alexnet().features`, so that the weights
load into the `lpips` package's own module; the weights are trained from scratch, to read every scene attribute and
the identity vector off a 64 px image. The calibration layers of LPIPS ("lin") are fitted to ImageNet features and
human judgements of them; they mean nothing for other weights. So this is the paper's uncalibrated variant: channels
summed, positions averaged, the five layers added with equal weight. Its scale is not that of published LPIPS
(0 to 10 by construction, against about 0 to 1), and tables must not mix the two.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from core.compat import import_torchvision
from metrics.judges.registry import ARCHITECTURES

# Positions of the five ReLUs inside torchvision's Sequential, whose outputs LPIPS compares.
_COMPARED = (1, 4, 7, 9, 11)
# Which of lpips' slices holds which torchvision layer.
_SLICES = {0: "slice1", 3: "slice2", 6: "slice3", 8: "slice4", 10: "slice5"}
# lpips' ScalingLayer: ImageNet's mean and deviation, carried over from [0, 1] to [-1, 1].
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


@ARCHITECTURES.register("alexnet-features")
class AlexNetFeatures(nn.Module):
    """Images (B, 3, H, W) in [-1, 1] -> the five compared feature maps, finest first (64, 192, 384, 256, 256 channels).

    Images must be 31 px or larger. The widths are AlexNet's and no arguments: the lpips package fixes them.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
        )
        # Constants, not weights: they stay out of the state dict.
        self.register_buffer("shift", torch.tensor(_SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        features = (images - self.shift) / self.scale
        compared = []
        for position, layer in enumerate(self.features):
            features = layer(features)
            if position in _COMPARED:
                compared.append(features)
        return tuple(compared)


def lpips_module(state_dict: Mapping[str, Tensor]) -> nn.Module:
    """The lpips package's module with our features.

    For example `lpips_module(metrics.judges.load(domain, "perceptual", weights_root).state_dict())`.

    Args:
        state_dict: of an `AlexNetFeatures`.

    Returns:
        A frozen module in eval mode; called with images a, b (B, 3, H, W) in [-1, 1] it gives distances (B, 1, 1, 1),
        0 for equal images. Gradients flow to the images.

    Raises:
        RuntimeError: keys or shapes are not those of an `AlexNetFeatures`.
    """
    import_torchvision()
    import lpips

    # The package first draws a whole random AlexNet, whose weights are then replaced: the caller's random numbers must
    # not depend on that. It also asks torchvision for it in a deprecated way.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = lpips.LPIPS(net="alex", lpips=False, pnet_rand=True, verbose=False)
    renamed = {}
    for key, value in state_dict.items():
        _, position, kind = key.split(".")
        renamed[f"{_SLICES[int(position)]}.{position}.{kind}"] = value
    module.net.load_state_dict(renamed, strict=True)
    return module.eval().requires_grad_(False)

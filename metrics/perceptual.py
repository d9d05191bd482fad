"""LPIPS (Zhang et al. 2018) through the lpips package, on the embedded domain's AlexNet.

The uncalibrated variant: the package's `lin` layers are fitted to ImageNet features and mean nothing for others, so
channels are summed, positions averaged and the five layers added with equal weight. Its scale is therefore its own
(0 to 10 by construction); it is labelled as embedded and stands in no column with published values.

Deviation, in the gradient only: the package divides by the norm of a feature vector and so gives a NaN gradient where
a vector is all zero (a flat region can switch every ReLU off). Such vectors are replaced by a constant, 1e-18, which
changes no distance by more than 1e-12 and has gradient zero.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from metrics.judges.perceptual import lpips_module


class _Trunk(nn.Module):
    """A trunk whose feature maps (B, C, H, W) have no position with an all-zero vector.

    On a CPU in float32 it goes image by image, which costs little at this size and gives an image the same bits
    whatever its batch: distances are minimised over hundreds of steps, and those make a last bit visible.
    """

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self._last: tuple[Tensor, list[Tensor]] | None = None

    def forward(self, images: Tensor) -> list[Tensor]:
        # An optimiser asks for the same targets at every step; comparing pixels is far cheaper than features anew.
        if self._last is not None and not images.requires_grad and torch.equal(images, self._last[0]):
            return self._last[1]
        alone = images.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
        parts = images.split(1) if alone else (images,)
        layers = [torch.cat(maps) for maps in zip(*(self.trunk(part) for part in parts), strict=True)]
        layers = [torch.where((found != 0).any(dim=1, keepdim=True), found, 1e-18) for found in layers]
        if not images.requires_grad:
            self._last = (images, layers)
        return layers


class Perceptual(nn.Module):
    """LPIPS distance of paired images; frozen, usable as a metric and, since gradients reach the images, as a loss.

    Args:
        network: the judge `perceptual` (`metrics.judges.load(domain, "perceptual", weights_root)`).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        # The package first draws a whole random AlexNet; the caller's random numbers must not depend on that.
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the package asks torchvision for it in a deprecated way
            self.distance = lpips_module(network.state_dict())
        self.distance.net = _Trunk(self.distance.get_submodule("net"))
        parameter = next(network.parameters())
        # Channels last is how pictures arrive; other weights would be rearranged at every call.
        self.to(device=parameter.device, dtype=parameter.dtype).requires_grad_(False).eval()
        for weight in self.parameters():
            if weight.dim() == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)

    def forward(self, real: Tensor, fake: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] twice -> (B,) distances, 0 for equal images, in the network's dtype."""
        layout = torch.channels_last
        distances: Tensor = self.distance(real.contiguous(memory_format=layout), fake.contiguous(memory_format=layout))
        return distances.flatten()

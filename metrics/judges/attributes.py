"""The network that reads scalar attributes (age in years, yaw in degrees) off an image.

Plain convolutions; each output is an affine map of a unit-free number, so that the network starts at the middle of
the range and its last layer stays of order one. Origin: ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from metrics.judges.layers import convolution, grid_after
from metrics.judges.registry import ARCHITECTURES


@ARCHITECTURES.register("attribute-regressor")
class AttributeRegressor(nn.Module):
    """Images (B, 3, size, size) in [-1, 1] -> dict of (B,) tensors in the attributes' own units.

    Args:
        size: side of the images, a multiple of 2 ** len(channels).
        channels: channels of each stage; the first stage is one convolution, the others two, all with stride 2.
        hidden: width of the layer before the outputs.
        outputs: attribute name -> (centre, spread) in its unit.
    """

    centre: Tensor
    spread: Tensor

    def __init__(
        self, size: int, channels: Sequence[int], hidden: int, outputs: Mapping[str, tuple[float, float]]
    ) -> None:
        super().__init__()
        grid = grid_after(size, len(channels))
        layers: list[nn.Module] = [convolution(3, channels[0], stride=2)]
        for before, after in pairwise(channels):
            layers += [convolution(before, after, stride=2), convolution(after, after, stride=1)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels[-1] * grid * grid, hidden), nn.ReLU(), nn.Linear(hidden, len(outputs))
        )
        self.names = tuple(outputs)
        # The ranges are arguments, written on the card; buffers only so that they follow the device.
        self.register_buffer("centre", torch.tensor([outputs[name][0] for name in self.names]), persistent=False)
        self.register_buffer("spread", torch.tensor([outputs[name][1] for name in self.names]), persistent=False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """See the class."""
        values = self.centre + self.spread * self.head(self.features(images)).float()
        return dict(zip(self.names, values.unbind(1), strict=True))

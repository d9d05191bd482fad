"""DEX: the apparent age of a face, from a VGG-16 over 101 classes of a year each.

Papers: Rothe et al., "Deep Expectation of Real and Apparent Age from a Single Image" (IJCV 2018); VGG-16: Simonyan &
Zisserman (arXiv 1409.1556), configuration D. The age is the expectation of the softmax. SAM (Alaluf et al., arXiv
2102.02754) trains with it and edits are judged by it; both feed it [-1, 1] images without subtracting a mean, although
the network was trained on mean-free ones: kept, since published ages were measured so. Parameter names are those of
SAM's conversion with dashes turned to underscores (`published_names`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PUBLISHED_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the convolutions in each group; a max-pooling that halves the size follows every group."""


class AgeNetwork(nn.Module):
    """Faces (B, 3, H, W), RGB in [-1, 1] -> ages in years (B,), in [0, classes - 1].

    Args:
        size: the side that images are resized to, a multiple of two to the number of groups.
        widths: channels of the convolutions by group.
        hidden: units of the two fully connected layers.
        classes: ages told apart, from 0 in steps of a year.
    """

    def __init__(
        self,
        size: int = 224,
        widths: Sequence[Sequence[int]] = PUBLISHED_WIDTHS,
        hidden: int = 4096,
        classes: int = 101,
    ) -> None:
        super().__init__()
        self.size = size
        self.groups: list[list[str]] = []
        channels = 3
        for group, group_widths in enumerate(widths, start=1):
            names = []
            for index, width in enumerate(group_widths, start=1):
                names.append(f"conv{group}_{index}")
                self.add_module(names[-1], nn.Conv2d(channels, width, 3, padding=1))
                channels = width
            self.groups.append(names)
        self.fc6 = nn.Linear(channels * (size // 2 ** len(widths)) ** 2, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.fc8_101 = nn.Linear(hidden, classes)

    def resized(self, images: Tensor) -> Tensor:
        """Images at the network's size: bilinear, without antialiasing."""
        return F.interpolate(images, size=(self.size, self.size), mode="bilinear", align_corners=False)

    def logits(self, images: Tensor) -> Tensor:
        """Images of the network's size -> (B, classes)."""
        hidden = images
        for names in self.groups:
            for name in names:
                hidden = F.relu(self.get_submodule(name)(hidden))
            hidden = F.max_pool2d(hidden, 2)
        hidden = F.relu(self.fc6(hidden.flatten(1)))
        return self.fc8_101(F.relu(self.fc7(hidden)))

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return expected_age(self.logits(self.resized(images)))


def expected_age(logits: Tensor) -> Tensor:
    """The expectation of the class index under the softmax: (B, classes) -> (B,) years."""
    return logits.softmax(dim=1) @ torch.arange(logits.shape[1], dtype=logits.dtype, device=logits.device)


def aging_loss(ages: Tensor, targets: Tensor) -> Tensor:
    """SAM's aging loss: mean squared error of ``ages`` in years over 100 and ``targets`` in [0, 1], both (B,)."""
    return F.mse_loss(ages / 100, targets)


def published_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict (``conv1-1.weight``, ``fc8-101.bias``) in the names of `AgeNetwork`."""
    return {name.replace("-", "_"): value for name, value in state.items()}

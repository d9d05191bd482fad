"""MoCo v2's ResNet-50: the similarity of images that show no faces.

Paper: Chen et al., "Improved Baselines with Momentum Contrastive Learning" (arXiv 2003.04297). e4e (arXiv 2102.02766,
section 3.2), ReStyle and HyperInverter use its pooled features where pSp uses identity. The embedded judge
`similarity` is a small one of these, trained by `contrastive` on the domain's own images at their own size.

Kept oddities: images stay in [-1, 1] although the network was trained on ImageNet's mean and deviation, they are shrunk
to 224 px by the nearest pixel, and other shapes are squashed to squares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor

from metrics.judges.registry import ARCHITECTURES
from metrics.judges.resnet import ResNet
from metrics.judges.similarity import nearest_pixels

_PREFIX = "module.encoder_q."


@ARCHITECTURES.register("moco-resnet")
class MocoNetwork(ResNet):
    """Images (B, 3, H, W) in [-1, 1] -> unit features (B, 4 * widths[-1]).

    Args:
        size: pixels per side the images are shrunk to.
        units: units of the four stages; the default is ResNet-50.
        widths: as in `ResNet`.
    """

    def __init__(
        self, size: int = 224, units: Sequence[int] = (3, 4, 6, 3), widths: Sequence[int] = (64, 128, 256, 512)
    ) -> None:
        super().__init__(units, bottleneck=True, widths=widths)
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return F.normalize(super().forward(nearest_pixels(images, self.size)).float(), dim=1)


def moco_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A MoCo checkpoint's ``state_dict`` -> that of `MocoNetwork`: the query encoder without its contrastive head."""
    return {
        name.removeprefix(_PREFIX): value
        for name, value in state.items()
        if name.startswith(_PREFIX) and not name.startswith(f"{_PREFIX}fc.")
    }

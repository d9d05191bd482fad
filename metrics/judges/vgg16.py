"""VGG-16 features up to a chosen layer (Simonyan & Zisserman, arXiv 1409.1556), with weights in Caffe's convention.

In-domain inversion (Zhu et al., arXiv 2004.00049) compares images by the ReLU of conv4_3, layer 22 when convolutions,
ReLUs and poolings are counted from 0. Parameters are named by that count (``layer0.weight``, ..., ``layer28.bias``) as
in the published file, which holds all thirteen convolutions: the later ones are loaded and do not run.

Caffe's weights expect BGR in [0, 255] minus the mean colour of ImageNet.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONV4_3 = 22
"""Position of the ReLU after conv4_3."""
WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)
"""Output channels of the convolutions; 0 is a max-pooling."""
MEAN_BGR = (103.939, 116.779, 123.68)


class Vgg16(nn.Module):
    """Images (B, 3, H, W), RGB in [-1, 1] -> the feature map after layer `last`.

    Args:
        last: position of the layer whose output is wanted.
        widths: channels of each convolution, 0 for a pooling that halves the size.
    """

    mean: Tensor

    def __init__(self, last: int = CONV4_3, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.kinds: list[str] = []
        channels = 3
        for width in widths:
            if width == 0:
                self.kinds.append("pool")
                continue
            self.add_module(f"layer{len(self.kinds)}", nn.Conv2d(channels, width, 3, padding=1))
            self.kinds += ["conv", "relu"]
            channels = width
        if not 0 <= last < len(self.kinds):
            raise ValueError(f"this network has layers 0 ... {len(self.kinds) - 1}, not {last}")
        self.last = last
        # A constant, not a weight: built on the CPU so that it exists where weights are only declared.
        self.register_buffer("mean", torch.tensor(MEAN_BGR, device="cpu")[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        hidden = ((images + 1) * 127.5).flip(1) - self.mean
        for position, kind in enumerate(self.kinds[: self.last + 1]):
            if kind == "conv":
                hidden = self.get_submodule(f"layer{position}")(hidden)
            else:
                hidden = F.relu(hidden) if kind == "relu" else F.max_pool2d(hidden, 2)
        return hidden

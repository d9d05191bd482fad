"""ID: cosine similarity of identity embeddings (Deng et al. 2019 and the pSp family), measured by a judge.

The judge that measures is another network than the one in the training losses (another architecture, seed and loss),
as in the pSp family, where ArcFace trains and CurricularFace measures. There is no face detector: test images are
aligned by construction, so no pair is ever dropped.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def cosine_similarity(first: Tensor, second: Tensor) -> Tensor:
    """Cosine of the angle between paired embeddings: (B, d) twice -> (B,) float64 in [-1, 1]."""
    return (F.normalize(first.double(), dim=1) * F.normalize(second.double(), dim=1)).sum(dim=1)


class IdentitySimilarity(nn.Module):
    """Cosine similarity of what `network` (images in [-1, 1] -> (B, d)) sees in two batches of images."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @torch.no_grad()
    def forward(self, real: Tensor, fake: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] twice -> (B,) float64 in [-1, 1], higher is more alike."""
        return cosine_similarity(self.network(real), self.network(fake))

"""A second critic in generator training that looks at frozen features instead of pixels.

Sauer et al. 2021, "Projected GANs Converge Faster" (arXiv 2111.01007): small discriminators on several layers of a
frozen, pretrained network give the generator a useful gradient long before a pixel discriminator has learnt what to
look at; hinge loss and spectral normalisation as there. It makes a StyleGAN2 affordable on a few CPU cores.

Deviations: features of the domain's own perceptual judge, at unit length per position (what LPIPS compares), without
the paper's random mixing of channels and scales; beside StyleGAN2's own discriminator, not in its place; no
augmentation, because a training passes each image only a few times.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm


class FeatureCritic(nn.Module):
    """Feature maps -> one map of logits per layer, higher for real.

    Args:
        channels: of each layer's map.
        width: hidden channels of each head.
    """

    def __init__(self, channels: Sequence[int], width: int = 64) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                spectral_norm(nn.Conv2d(count, width, 1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(width, width, 3, padding=1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(width, 1, 1)),
            )
            for count in channels
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """(B, C, H, W) maps of unit-length vectors, as `unit_features` gives -> (B, 1, H, W) logits."""
        # Vectors of length 1 have entries of about 1 / sqrt(C): brought to 1, which suits the heads' first layer.
        return [head(found * found.shape[1] ** 0.5) for head, found in zip(self.heads, maps, strict=True)]


def critic_loss(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Hinge loss of the critic, averaged over positions and layers: 0 when every margin is kept, 2 for logits of 0."""
    parts = [functional.relu(1 - a).mean() + functional.relu(1 + b).mean() for a, b in zip(real, fake, strict=True)]
    return torch.stack(parts).mean()


def generator_loss(fake: Sequence[Tensor]) -> Tensor:
    """What the generator minimises: minus the mean logit over positions and layers."""
    return -torch.stack([logits.mean() for logits in fake]).mean()

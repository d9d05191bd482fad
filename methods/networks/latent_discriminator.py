"""e4e's latent discriminator and its pool: does a style come from the mapping network or from the encoder?

Paper: Tov et al., "Designing an Encoder for StyleGAN Image Manipulation" (arXiv 2102.02766), section 4: a small network
on single styles, with the logistic loss and the R1 penalty (Mescheder et al., arXiv 1801.04406) on real ones. Parameter
names equal those of the published checkpoints. Its layers are ordinary ones, without StyleGAN2's equalised learning
rate.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAKY_SLOPE = 0.2


class LatentDiscriminator(nn.Module):
    """Styles (B, D), one w each -> logits (B, 1), higher for the mapping network's.

    Args:
        style_dim: D.
        layers: linear layers, the one that gives the logit among them.
    """

    def __init__(self, style_dim: int = 512, layers: int = 4) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        for _ in range(layers - 1):
            modules += [nn.Linear(style_dim, style_dim), nn.LeakyReLU(LEAKY_SLOPE)]
        self.mlp = nn.Sequential(*modules, nn.Linear(style_dim, 1))

    def forward(self, styles: Tensor) -> Tensor:
        """See the class."""
        return self.mlp(styles)


class LatentPool(nn.Module):
    """Past styles, so that the discriminator also sees those of earlier encoders (arXiv 1612.07828, section 2.3).

    Its memory is in buffers, which a checkpoint of the training keeps.

    Args:
        size: styles remembered; 0 for none.
        style_dim: D.
    """

    kept: Tensor
    filled: Tensor

    def __init__(self, size: int, style_dim: int) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(size, style_dim))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def forward(self, styles: Tensor) -> Tensor:
        """Styles (B, D) -> as many, each the new one or, half of the time once the pool is full, one it takes the place
        of. Draws from torch's global generator on the CPU.
        """
        size = len(self.kept)
        if size == 0:
            return styles
        returned = []
        for style, swap, place in zip(
            styles, torch.rand(len(styles)).tolist(), torch.randint(size, (len(styles),)).tolist(), strict=True
        ):
            filled = int(self.filled)
            if filled < size:
                self.kept[filled] = style
                self.filled += 1
                returned.append(style)
            elif swap < 0.5:
                returned.append(self.kept[place].clone())
                self.kept[place] = style
            else:
                returned.append(style)
        return torch.stack(returned)


def encoder_loss(fake_logits: Tensor) -> Tensor:
    """What the encoder minimises: the mean of softplus(-logit) over its own styles."""
    return F.softplus(-fake_logits).mean()


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """What the discriminator minimises: mean softplus(-real) + mean softplus(fake)."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def gradient_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """R1: the mean over real styles (B, D) of the squared norm of the logit's gradient; differentiable."""
    with torch.enable_grad():
        styles = real.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(discriminator(styles).sum(), styles, create_graph=True)
    return gradient.square().flatten(1).sum(dim=1).mean()

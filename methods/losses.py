"""Reconstruction losses, per image.

pSp's objective (Richardson et al. 2021, Eqs. 4-8): L2 + LPIPS + identity + distance of the styles from the mean
latent. Each term is a (B,) vector: sums or means over the batch are the caller's, so that an optimiser can treat every
image on its own.

Deviation: the perceptual and the identity network are the domain's own training judges, not AlexNet on ImageNet and
ArcFace on photographs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from methods.training_config import LossWeights


def l2(image: Tensor, target: Tensor) -> Tensor:
    """(B,) mean squared difference of (B, 3, H, W) images in [-1, 1]; 0 to 4. Eq. 4 as implemented: a mean, no root."""
    return (image - target).square().mean(dim=(1, 2, 3))


def identity(embedding: Tensor, target_embedding: Tensor) -> Tensor:
    """(B,) one minus cosine similarity of (B, d) unit embeddings; 0 to 2. Eq. 7."""
    return 1 - (embedding * target_embedding).sum(dim=1)


def latent_norm(styles: Tensor, latent_mean: Tensor) -> Tensor:
    """(B,) Euclidean distance of (B, L, D) styles from the mean latent (D,), over all L x D numbers. Eq. 6."""
    return (styles - latent_mean).flatten(1).norm(dim=1)


class ReconstructionLoss(nn.Module):
    """The terms that have a weight, unweighted, by name.

    Args:
        weights: weight of each term; networks of terms without weight are not needed.
        perceptual: (image, target) -> (B,), for `lpips`.
        embed: image -> (B, d) unit embeddings, for `identity`.
        latent_mean: (D,), for `latent_norm`.
    """

    def __init__(
        self,
        weights: LossWeights,
        perceptual: Callable[[Tensor, Tensor], Tensor] | None = None,
        embed: Callable[[Tensor], Tensor] | None = None,
        latent_mean: Tensor | None = None,
    ) -> None:
        super().__init__()
        needed = {"lpips": perceptual, "identity": embed, "latent_norm": latent_mean}
        for name, source in needed.items():
            if getattr(weights, name) > 0 and source is None:
                raise ValueError(f"the {name} loss has a weight but nothing to compute it with")
        self.weights = weights
        self.perceptual = perceptual
        self.embed = embed
        self.latent_mean = latent_mean

    def forward(self, image: Tensor, target: Tensor, styles: Tensor | None = None) -> dict[str, Tensor]:
        """Terms by name, each (B,).

        Args:
            image: (B, 3, H, W) reconstruction in [-1, 1].
            target: the same of the real image.
            styles: (B, L, D), needed for `latent_norm` only.
        """
        terms: dict[str, Tensor] = {}
        if self.weights.l2 > 0:
            terms["l2"] = l2(image, target)
        if self.weights.lpips > 0 and self.perceptual is not None:
            terms["lpips"] = self.perceptual(image, target)
        if self.weights.identity > 0 and self.embed is not None:
            with torch.no_grad():
                wanted = self.embed(target)
            terms["identity"] = identity(self.embed(image), wanted)
        if self.weights.latent_norm > 0 and self.latent_mean is not None:
            if styles is None:
                raise ValueError("the latent_norm loss needs the styles")
            terms["latent_norm"] = latent_norm(styles, self.latent_mean)
        return terms

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """(B,) weighted sum of the terms. Eq. 8."""
        return torch.stack([getattr(self.weights, name) * term for name, term in terms.items()]).sum(dim=0)


def load_reconstruction_loss(
    weights: LossWeights, domain: str, weights_root: str | Path, device: torch.device, latent_mean: Tensor | None = None
) -> ReconstructionLoss:
    """The loss of `domain` with its training judges, frozen; only those that have a weight are read.

    Raises:
        ReinvertError: weights of a judge are missing or altered.
    """
    from metrics import judges  # here, so that losses without networks need none

    perceptual: nn.Module | None = None
    embed: nn.Module | None = None
    if weights.lpips > 0:
        from metrics.perceptual import Perceptual

        network = judges.load(domain, "perceptual", Path(weights_root))
        perceptual = Perceptual(network).eval().requires_grad_(False).to(device)
    if weights.identity > 0:
        embed = judges.load(domain, "identity-train", Path(weights_root)).requires_grad_(False).to(device)
    return ReconstructionLoss(weights, perceptual, embed, latent_mean)

"""Reconstruction losses, per image.

pSp's objective (Richardson et al. 2021, Eqs. 4-8): L2 + LPIPS + identity + distance of the styles from the mean
latent; and E2Style's (Wei et al. 2022, Eqs. 4 and 5): cosines between all layers of the identity network and of the
parser. Each term is a (B,) vector: sums or means over the batch are the caller's, so that an optimiser can treat every
image on its own.

Where a domain shows no identities, the identity term compares the features of its `similarity` network, as e4e, ReStyle
and HyperInverter do with MoCo (Tov et al. 2021, Section 3.2), and there is no term over identity layers, as in E2Style
(Section IV-C).

Deviation: perceptual, identity and similarity network and parser are the domain's own training judges, not AlexNet and
MoCo on ImageNet, ArcFace on photographs and a parser of CelebA.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from core.errors import ReinvertError
from core.weights import CARD_FILE, load_card
from methods.training_config import LossWeights
from metrics.judges.similarity import layer_cosines


class Layered(Protocol):
    """A network that shows its layers."""

    def features(self, images: Tensor, /) -> list[Tensor]:
        """(B, 3, H, W) images -> layers, each with the image first."""
        ...


def l2(image: Tensor, target: Tensor) -> Tensor:
    """(B,) mean squared difference of (B, 3, H, W) images in [-1, 1]; 0 to 4. Eq. 4 as implemented: a mean, no root."""
    return (image - target).square().mean(dim=(1, 2, 3))


def identity(embedding: Tensor, target_embedding: Tensor) -> Tensor:
    """(B,) one minus cosine similarity of (B, d) unit embeddings; 0 to 2. Eq. 7."""
    return 1 - (embedding * target_embedding).sum(dim=1)


def layers(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """(B,) sum over layers of one minus the cosine similarity of an image's layers, each one long vector; 0 to 2 each.

    E2Style, Eqs. 4 and 5.
    """
    return (1 - layer_cosines(found, wanted)).sum(dim=0)


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
        identity_network: for `identity_layers`.
        parser: for `parser_layers`.
    """

    def __init__(
        self,
        weights: LossWeights,
        perceptual: Callable[[Tensor, Tensor], Tensor] | None = None,
        embed: Callable[[Tensor], Tensor] | None = None,
        latent_mean: Tensor | None = None,
        identity_network: Layered | None = None,
        parser: Layered | None = None,
    ) -> None:
        super().__init__()
        needed = {
            "lpips": perceptual,
            "identity": embed,
            "latent_norm": latent_mean,
            "identity_layers": identity_network,
            "parser_layers": parser,
        }
        for name, source in needed.items():
            if getattr(weights, name) > 0 and source is None:
                raise ValueError(f"the {name} loss has a weight but nothing to compute it with")
        self.weights = weights
        self.perceptual = perceptual
        self.embed = embed
        self.latent_mean = latent_mean
        self.identity_network = identity_network
        self.parser = parser

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
        for name, network in (("identity_layers", self.identity_network), ("parser_layers", self.parser)):
            if getattr(self.weights, name) > 0 and network is not None:
                with torch.no_grad():
                    wanted_layers = network.features(target)
                terms[name] = layers(network.features(image), wanted_layers)
        if self.weights.latent_norm > 0 and self.latent_mean is not None:
            if styles is None:
                raise ValueError("the latent_norm loss needs the styles")
            terms["latent_norm"] = latent_norm(styles, self.latent_mean)
        return terms

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """(B,) weighted sum of the terms. Eq. 8."""
        return torch.stack([getattr(self.weights, name) * term for name, term in terms.items()]).sum(dim=0)


def shows_identities(domain: str, weights_root: str | Path) -> bool:
    """Whether `domain` has identity networks, be it the one that measures; else `similarity` plays their part.

    Raises:
        ReinvertError: it has neither.
    """
    folder = Path(weights_root) / domain
    names = ("identity-train", "identity-judge", "similarity")
    found = [name for name in names if (folder / name / CARD_FILE).is_file()]
    if not found:
        raise ReinvertError(
            f"no identity-train and no similarity weights in '{folder}' for the identity term; "
            "get one with 'dvc pull' or train it"
        )
    return found[0] != "similarity"


def weights_in_domain(weights: LossWeights, domain: str, weights_root: str | Path) -> LossWeights:
    """`weights` as they apply to `domain`: without identities `similarity` weighs that term, and layers have no weight.

    Raises:
        ReinvertError: an identity term has a weight and the domain no network for it.
    """
    if (not weights.identity and not weights.identity_layers) or shows_identities(domain, weights_root):
        return weights
    weight = weights.identity if weights.similarity is None else weights.similarity
    return weights.model_copy(update={"identity": weight, "identity_layers": 0.0})


def loss_inputs(weights: LossWeights, domain: str, weights_root: str | Path) -> dict[str, str]:
    """SHA-256 by name of the judges that the loss of `domain` needs: what else than parameters decides a training.

    Raises:
        ReinvertError: weights of a judge are missing.
    """
    return {
        name: load_card(Path(weights_root) / domain / name).sha256 for name in _judges(weights, domain, weights_root)
    }


def _judges(weights: LossWeights, domain: str, weights_root: str | Path) -> list[str]:
    used = weights_in_domain(weights, domain, weights_root)
    names = ["perceptual"] if used.lpips > 0 else []
    if used.identity > 0 or used.identity_layers > 0:
        names.append("identity-train" if shows_identities(domain, weights_root) else "similarity")
    return [*names, "parser"] if used.parser_layers > 0 else names


def load_reconstruction_loss(
    weights: LossWeights, domain: str, weights_root: str | Path, device: torch.device, latent_mean: Tensor | None = None
) -> ReconstructionLoss:
    """The loss of `domain` with its training judges, frozen; only those that have a weight are read.

    Raises:
        ReinvertError: weights of a judge are missing or altered.
    """
    from metrics import judges  # here, so that losses without networks need none

    used = weights_in_domain(weights, domain, weights_root)
    networks = {
        name: judges.load(domain, name, Path(weights_root)).requires_grad_(False).to(device)
        for name in _judges(weights, domain, weights_root)
    }
    perceptual: nn.Module | None = None
    if "perceptual" in networks:
        from metrics.perceptual import Perceptual

        perceptual = Perceptual(networks["perceptual"]).eval().requires_grad_(False).to(device)
    embed = networks.get("identity-train", networks.get("similarity"))
    layered = cast(Layered, embed), cast(Layered, networks.get("parser"))
    return ReconstructionLoss(used, perceptual, embed, latent_mean, *layered)

"""The judges that say what an edit did to an image, loaded once per domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from metrics import judges
from metrics.identity import IdentitySimilarity
from metrics.perceptual import Perceptual
from pipelines import domains, generator_quality, label_samples
from pipelines.domains.domain import Domain
from pipelines.domains.shards import to_float
from pipelines.generator_quality import Pixels

Scores = NDArray[np.float64]
_BATCH = 32


@torch.no_grad()
def of_pairs(score: nn.Module, first: Pixels, second: Pixels, device: torch.device) -> Scores:
    """(n,) of two times (n, H, W, 3) uint8 by a module that compares images in [-1, 1]."""

    def tensors(pixels: Pixels) -> Sequence[Tensor]:
        return to_float(torch.from_numpy(np.ascontiguousarray(pixels)).to(device)).split(_BATCH)

    parts = [score(a, b).double().cpu() for a, b in zip(tensors(first), tensors(second), strict=True)]
    return np.asarray(torch.cat(parts).numpy())


@dataclass(frozen=True)
class EditJudges:
    """What reads images (n, H, W, 3) uint8 of a domain.

    Attributes:
        domain: whose label names the parser's classes are.
        parser: the domain's parser.
        attribute_network: the judge `attributes`; None where the domain has none.
        perceptual_distance: LPIPS on the embedded network.
        identity: None where the domain shows no identities.
        feature_network: what FID and KID compare; None where they are not asked for.
        device: where the networks are.
    """

    domain: Domain
    parser: nn.Module
    attribute_network: nn.Module | None
    perceptual_distance: nn.Module
    identity: nn.Module | None
    feature_network: nn.Module | None
    device: torch.device

    @classmethod
    def load(cls, domain_name: str, weights: Path, device: torch.device, for_runs: bool = False) -> EditJudges:
        """The judges of a domain; identity and features only `for_runs`.

        Raises:
            ReinvertError: an unknown domain, or weights missing or altered.
        """
        domain = domains.get(domain_name)

        def network(name: str) -> nn.Module:
            return judges.load(domain.name, name, weights).to(device)

        # A domain that shows identities is one whose judge of attributes reads faces.
        shows_faces = bool(generator_quality.content_of(domain.name).attributes)
        return cls(
            domain,
            network("parser"),
            network("attributes") if shows_faces else None,
            Perceptual(network("perceptual")).eval(),
            IdentitySimilarity(network("identity-judge")).eval() if shows_faces and for_runs else None,
            network("features") if for_runs else None,
            device,
        )

    def masks(self, pixels: Pixels) -> Pixels:
        """The class of every pixel, (n, H, W) uint8."""
        return generator_quality.read_masks(self.parser, pixels, self.device)

    def attributes(self, pixels: Pixels, masks: Pixels) -> dict[str, Scores]:
        """Every attribute, (n,) float64; masks are those of the same images."""
        read = label_samples.read_attributes(self.domain, masks, self.attribute_network, pixels, self.device)
        return {name: value.double().numpy() for name, value in read.items()}

    def perceptual(self, first: Pixels, second: Pixels) -> Scores:
        """(n,) LPIPS between pairs of images."""
        return of_pairs(self.perceptual_distance, first, second, self.device)

    def identities(self, first: Pixels, second: Pixels) -> Scores | None:
        """(n,) cosine between pairs of images; None where the domain shows no identities."""
        return None if self.identity is None else of_pairs(self.identity, first, second, self.device)

    def features(self, pixels: Pixels) -> Tensor:
        """(n, d) on the CPU."""
        assert self.feature_network is not None, "the judges were loaded without features"
        return generator_quality.features_of(self.feature_network, pixels, self.device)

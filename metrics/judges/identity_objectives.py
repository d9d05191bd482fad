"""Identity: margin losses on the unit sphere, scored by verification."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from metrics.judges import margins, scoring
from metrics.judges.layers import unit_length
from metrics.judges.objective import OBJECTIVES, GroundTruth, Objective, TestSet, attribute

ACROSS = {"yaw": 30.0, "age": 20.0}
"""Pairs that differ by more than so many degrees or years are also scored apart, where the domain has the attribute."""


class MarginSoftmax(Objective):
    """Identity as classification on the sphere, with class centres that know who the person is.

    Face recognition learns a free centre per class, which takes many passes over the data. A renderer knows each
    person's identity vector, so here a centre is a small learned function of it (Linear-SiLU-Linear), shared by all
    classes: it converges within an epoch, and carries over to people never seen. That also allows negatives which no
    image shows: for every image, `lookalikes` strangers who share a random part of the person's vector.

    Args:
        lookalikes: invented strangers per image.
        hidden: width of the centre function.
        scale: radius s of the sphere.
        margin: m in radians.
    """

    vectors: Tensor

    def __init__(
        self, truth: GroundTruth, output: Tensor, lookalikes: int, hidden: int, scale: float, margin: float
    ) -> None:
        super().__init__()
        identity = attribute(truth.attributes, "identity").long()
        described = attribute(truth.attributes, "identity_vector").float()
        vectors = torch.zeros(int(identity.max()) + 1, described.shape[1])
        vectors[identity] = described
        self.register_buffer("vectors", vectors, persistent=False)
        self.centre = nn.Sequential(
            nn.Linear(described.shape[1], hidden), nn.SiLU(), nn.Linear(hidden, output.shape[1])
        )
        self.lookalikes, self.scale, self.margin = lookalikes, scale, margin

    def invented_strangers(self, vectors: Tensor) -> Tensor:
        """(B, n) identity vectors -> (B, lookalikes, n): a random part of each replaced by somebody else's."""
        shape = (len(vectors), self.lookalikes)
        donors = self.vectors[torch.randint(len(self.vectors), shape, device=vectors.device)]
        kept_share = torch.rand((*shape, 1), device=vectors.device)
        return torch.where(torch.rand(donors.shape, device=vectors.device) < kept_share, vectors[:, None], donors)

    @abstractmethod
    def logits(self, cosine: Tensor, target: Tensor) -> Tensor:
        """(B, C) cosines -> logits with the paper's margin."""

    def loss(
        self, network: nn.Module, images: Tensor, labels: Tensor, attributes: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """See `Objective`."""
        embedding = network(images)
        target = attributes["identity"].long()
        cosine = embedding @ unit_length(self.centre(self.vectors)).float().T
        strangers = self.invented_strangers(self.vectors[target])
        centres = nn.functional.normalize(self.centre(strangers).float(), dim=-1)
        # The rounding of cosines beyond 1 would turn the sine of the margin into NaN.
        cosine = torch.cat([cosine, torch.einsum("bd,bkd->bk", embedding, centres)], 1).float().clamp(-1, 1)
        loss = nn.functional.cross_entropy(self.logits(cosine, target), target)
        correct = (cosine.argmax(1) == target).float().mean()
        return {"loss": loss, "accuracy": correct, "cosine": cosine.gather(1, target[:, None]).mean()}

    def scores(self, network: nn.Module, test: TestSet) -> dict[str, float]:
        """See `Objective`."""
        embedding = torch.cat([network(images).cpu() for images in test.images()])
        lookalike = torch.cat([network(images).cpu() for images in test.lookalikes()])
        identity = test.attributes["identity"].long()
        across = {name: (test.attributes[name], least) for name, least in ACROSS.items() if name in test.attributes}
        return scoring.identity_scores(embedding, lookalike, identity, test.out_of_distribution, 0, across)


@OBJECTIVES.register("arcface")
class ArcFace(MarginSoftmax):
    """Additive angular margin (Deng et al., CVPR 2019), see `margins.arcface_logits`."""

    def logits(self, cosine: Tensor, target: Tensor) -> Tensor:
        """See `MarginSoftmax`."""
        return margins.arcface_logits(cosine, target, self.scale, self.margin)


@OBJECTIVES.register("curricularface")
class CurricularFace(MarginSoftmax):
    """Adaptive curriculum (Huang et al., CVPR 2020), see `margins.curricular_logits`.

    Args (beyond MarginSoftmax):
        momentum: of the moving average behind the curriculum (the paper's alpha is 0.99).
    """

    difficulty: Tensor

    def __init__(self, truth: GroundTruth, output: Tensor, momentum: float, **arguments: Any) -> None:
        super().__init__(truth, output, **arguments)
        self.register_buffer("difficulty", torch.zeros(()))
        self.momentum = momentum

    def logits(self, cosine: Tensor, target: Tensor) -> Tensor:
        """See `MarginSoftmax`."""
        self.difficulty = margins.next_difficulty(self.difficulty, cosine, target, self.momentum)
        return margins.curricular_logits(cosine, target, self.difficulty, self.scale, self.margin)

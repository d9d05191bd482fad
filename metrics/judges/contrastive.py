"""Momentum contrast: a network learns to know an image again under another crop, light and colour.

Paper: Chen et al., "Improved Baselines with Momentum Contrastive Learning" (MoCo v2, arXiv 2003.04297), after He et
al., "Momentum Contrast" (MoCo, arXiv 1911.05722), equations 1 and 2 and algorithm 1. Deviations, all for one short run
on one device:

- Keys are made in a few shuffled groups, so that their batch statistics are not the queries'; MoCo shuffles between
  GPUs to the same end (section 3.3 there).
- The momentum is far below the paper's 0.999 and the queue is short, because a run has hundreds of steps, not a
  million: the keys must leave the random start behind, and yet change little in the time that one spends in the queue.
- The other images of the batch are strangers too (as in MoCo v3, arXiv 2104.02057): while the encoders change fast,
  keys in the queue could be told from the own one by their age.
- Batch norm at both ends of the head. The features are means after a ReLU and all point the same way; the paper's head
  has to learn to centre them, which takes longer than a run here.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config import validated
from metrics.judges import scoring
from metrics.judges.augment import view
from metrics.judges.config import Views
from metrics.judges.layers import unit_length
from metrics.judges.objective import OBJECTIVES, GroundTruth, Objective, TestSet

KEY_GROUPS = 4
"""Parts of a batch that keys are normalised in; a batch needs two images for each."""


def contrast(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """InfoNCE, the cross-entropy of telling an image's own key from strangers' (MoCo, equation 1).

    Args:
        query, key: (B, d) unit vectors, row by row of one image; every other row of ``key`` is a stranger's.
        queue: (K, d) unit vectors of further strangers.
        temperature: divides the cosines.

    Returns:
        The loss, and the share of queries that are nearest to their own key: scalars.
    """
    logits = query @ torch.cat([key, queue]).T / temperature
    own = torch.arange(len(logits), device=logits.device)
    return F.cross_entropy(logits, own), (logits.argmax(1) == own).float().mean()


@torch.no_grad()
def follow(target: nn.Module, source: nn.Module, momentum: float) -> None:
    """``target = momentum target + (1 - momentum) source`` (MoCo, equation 2), for the weights."""
    for ours, theirs in zip(target.parameters(), source.parameters(), strict=True):
        ours.lerp_(theirs, 1 - momentum)


@OBJECTIVES.register("momentum-contrast")
class MomentumContrast(Objective):
    """MoCo v2's task; nothing of the ground truth is used.

    Args:
        views: fields of `config.Views`.
        queue: strangers kept.
        projection: length of the vectors compared in training.
        temperature: of the loss (v2: 0.2).
        momentum: of the key encoder.
    """

    queue: Tensor
    steps: Tensor
    key_network: nn.Module
    key_head: nn.Module

    def __init__(
        self,
        truth: GroundTruth,
        output: Tensor,
        views: Mapping[str, float],
        queue: int,
        projection: int,
        temperature: float,
        momentum: float,
    ) -> None:
        super().__init__()
        width = output.shape[1]
        self.views = validated(Views, views, "objective_arguments.views")
        self.temperature, self.momentum = temperature, momentum
        self.head = nn.Sequential(
            nn.BatchNorm1d(width),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, projection, bias=False),
            nn.BatchNorm1d(projection, affine=False),
        )
        self.register_buffer("queue", unit_length(torch.randn(queue, projection)))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def attach(self, network: nn.Module) -> None:
        """See `Objective`."""
        self.key_network = copy.deepcopy(network).requires_grad_(False)
        self.key_head = copy.deepcopy(self.head).requires_grad_(False)

    @staticmethod
    def project(network: nn.Module, head: nn.Module, images: Tensor) -> Tensor:
        """(B, projection) unit vectors, float32."""
        return unit_length(head(network(images)))

    def loss(
        self, network: nn.Module, images: Tensor, labels: Tensor, attributes: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """See `Objective`."""
        seed = int(torch.randint(2**62, ()))
        generator = torch.Generator(images.device).manual_seed(seed)
        with torch.autocast(images.device.type, enabled=False):  # coordinates in half precision would be off by pixels
            first, second = view(images, self.views, generator), view(images, self.views, generator)
        with torch.no_grad():
            follow(self.key_network, network, self.momentum)
            follow(self.key_head, self.head, self.momentum)
            order = torch.randperm(len(images), device=images.device)
            groups = [self.project(self.key_network, self.key_head, second[rows]) for rows in order.chunk(KEY_GROUPS)]
            key = torch.cat(groups)[order.argsort()]
        query = self.project(network, self.head, first)
        with torch.autocast(images.device.type, enabled=False):  # half precision would cost the cosines digits
            loss, recognised = contrast(query, key, self.queue.clone(), self.temperature)
        self.enqueue(key)
        return {"loss": loss, "recognised": recognised}

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Put (B, projection) keys in place of the oldest ones."""
        places = torch.arange(len(keys), device=keys.device) + self.steps * len(keys)
        self.queue[places % len(self.queue)] = keys
        self.steps += 1

    def scores(self, network: nn.Module, test: TestSet) -> dict[str, float]:
        """See `Objective`. "retrieval_top1": share of images whose other view is the nearest of all images' others."""
        views: tuple[list[Tensor], list[Tensor]] = ([], [])
        for number, images in enumerate(test.images()):
            generator = torch.Generator(images.device).manual_seed(number)
            for found in views:
                found.append(network(view(images, self.views, generator)).cpu())
        return scoring.retrieval_scores(torch.cat(views[0]), torch.cat(views[1]), test.out_of_distribution)

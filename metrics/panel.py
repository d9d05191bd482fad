"""All metrics of one domain, ready to measure: judges are loaded once and the failure rule is applied in one place.

The numbers of an image do not depend on the batch it is measured in beyond float32 rounding in the judges (1e-6), nor
on the order of the images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import ReinvertError
from core.weights import CARD_FILE
from metrics import jackknife, registry
from metrics.measure import apply_failure_rule, blank_where_failed
from metrics.registry import Metric
from metrics.statistics import Scores, summarise

__all__ = ["Panel", "blank_where_failed", "feature_distances", "sampled_distances"]

IDENTITY_NETWORKS = ("identity-judge", "identity-train")
"""Networks that only domains with identities have; the first one measures."""
PairScore = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Panel:
    """The scores by metric name, and the network whose features FID and KID compare."""

    scorers: Mapping[str, PairScore]
    feature_network: Callable[[Tensor], Tensor]

    @classmethod
    def load(cls, domain: str, weights_root: str | Path, device: str | torch.device = "cpu") -> Panel:
        """The panel of `domain`; missing or altered judges raise ReinvertError.

        A domain without any identity network shows no identities, and identity is not measured there.
        """
        from metrics import judges

        root = Path(weights_root)
        names = {metric.judge for metric in map(registry.get, registry.names()) if metric.judge}
        if not any((root / domain / name / CARD_FILE).is_file() for name in IDENTITY_NETWORKS):
            names -= set(IDENTITY_NETWORKS)
        return cls.of({name: judges.load(domain, name, root).to(device) for name in sorted(names)})

    @classmethod
    def of(cls, networks: Mapping[str, nn.Module]) -> Panel:
        """A panel of given networks, one for each judge that a metric names; without one, no such metric."""
        scorers: dict[str, PairScore] = {}
        for metric in registry.per_image_metrics():
            if metric.judge and metric.judge not in networks:
                continue
            function = metric.how.load()
            scorers[metric.name] = function(networks[metric.judge]).eval() if metric.judge else function
        judge = registry.get("fid").judge
        return cls(scorers, networks[str(judge)])

    @property
    def metrics(self) -> list[Metric]:
        """What it measures, in the order of the tables."""
        return [one for one in map(registry.get, registry.names()) if one.name in self.scorers or not one.per_image]

    @torch.no_grad()
    def score(self, real: Tensor, fake: Tensor, failed: Tensor, metrics: Sequence[Metric]) -> dict[str, Tensor]:
        """Every image's score under the failure rule.

        Args:
            real: (B, 3, H, W) in [-1, 1].
            fake: reconstructions in [-1, 1], a blank in the place of each failed one (`blank_where_failed`).
            failed: (B,) bool.
            metrics: which to compute, per-image ones.

        Returns:
            (B,) float64 on the CPU by name.

        Raises:
            ReinvertError: an image has another size than the metric's protocol, or a judge gives a value that is not
                finite on finite images.
        """
        scores: dict[str, Tensor] = {}
        for metric in metrics:
            if tuple(real.shape[-2:]) != (metric.how.size, metric.how.size):
                raise ReinvertError(
                    f"{metric.protocol} measures images of {metric.how.size}x{metric.how.size} pixels, these are "
                    f"{real.shape[-2]}x{real.shape[-1]}; use a domain of that size"
                )
            score = apply_failure_rule(metric.how, self.scorers[metric.name](real, fake), failed)
            if not bool(score.isfinite().all()):
                raise ReinvertError(
                    f"metric '{metric.name}' is not finite on finite images; get the weights again with "
                    "'dvc pull --force'"
                )
            scores[metric.name] = score.cpu()
        return scores

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """What FID and KID compare: (B, 3, H, W) in [-1, 1] -> (B, d) on the CPU."""
        return self.feature_network(images).float().cpu()


def feature_distances(real: Tensor, fake: Tensor, subsets: int, subset_size: int, seed: int) -> dict[str, Any]:
    """FID and KID by metric name; arguments as in `metrics.distribution.kid`."""
    fid, kid = registry.get("fid").how.load(), registry.get("kid").how.load()
    return {"fid": fid(real, fake), "kid": kid(real, fake, subsets, subset_size, seed)}


def sampled_distances(
    real: Tensor, fake: Tensor, owners: NDArray[np.int64], real_owners: NDArray[np.int64] | None, subsets: int,
    subset_size: int, resamples: int, seed: int,
) -> tuple[dict[str, dict[str, float | None]], dict[str, Scores]]:  # fmt: skip
    """FID and KID with 95 % intervals over the choice of images.

    Args:
        real, fake, owners, real_owners: see `metrics.jackknife.fid_shares`.
        subsets, subset_size, seed: of KID.
        resamples: of the bootstrap, which `seed` begins, too.

    Returns:
        By metric name `value`, `low` and `high`; and one score per image whose mean is the value. Of fewer images than
        `metrics.jackknife.FEWEST_IMAGES` the ends are None, and there are no scores.
    """
    values = feature_distances(real, fake, subsets, subset_size, seed)
    images = int(owners.max()) + 1
    if images < jackknife.FEWEST_IMAGES:
        return {name: {"value": value, "low": None, "high": None} for name, value in values.items()}, {}
    shares = {"fid": jackknife.fid_shares, "kid": jackknife.kid_shares}
    scores = {name: value + shares[name](real, fake, owners, real_owners) for name, value in values.items()}
    none_failed = np.zeros(images, dtype=bool)  # a blank's features are counted like any others
    entries: dict[str, dict[str, float | None]] = {}
    for name, score in scores.items():
        summary = summarise(score, none_failed, resamples, seed)
        entries[name] = {"value": values[name], "low": summary.low, "high": summary.high}
    return entries, scores

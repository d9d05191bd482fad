"""The metrics by name: direction, label, decimals and protocol of each. Imports no torch, so reports may read it.

A protocol is a metric with every choice that changes its number; its id is `<name>@<size in pixels>/<version>` and a
change of numbers raises the version. All protocols here are strict ones:

- images are compared as an image file holds them: RGB, 8 bits a channel, at the domain's size, paired by index;
- every image of the sample enters the mean; a reconstruction with a non-finite value counts as failed and enters by
  the rule in `failure_score`: the worst value the metric can take where it has one, otherwise the score of a blank
  (mid-grey) picture in the reconstruction's place. FID and KID see the blank too.
- metrics with a judge use a network trained on the embedded domain (`embedded`), because the usual backbones cannot
  be shipped: they are labelled so, and never belong in a column with published numbers.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from core.registry import Registry

Direction = Literal["lower", "higher"]


@dataclass(frozen=True)
class Metric:
    """One metric under its strict protocol.

    Attributes:
        name: key in metrics.json, in params.yaml and in the columns of per_image.parquet.
        direction: whether "lower" or "higher" is better.
        label: heading for tables, with an arrow for the direction.
        unit: unit or scale of the number, in words.
        decimals: decimals to print.
        protocol_name: the protocol's name without size and version.
        version: raised when the protocol's numbers change.
        function: "module:name" of a function (real, fake) -> (B,); with a judge, of a class built with its network.
        judge: the network of `metrics.judges` that measures, or None.
        failure_score: what a failed reconstruction counts as; None: what a blank picture scores.
        per_image: False for FID and KID, which compare two sets of features.
        anytime: whether it is measured at every yield of an inverter (the quality-time curve).
        size: image side in pixels.
    """

    name: str
    direction: Direction
    label: str
    unit: str
    decimals: int
    protocol_name: str
    function: str
    judge: str | None = None
    failure_score: float | None = None
    per_image: bool = True
    anytime: bool = False
    version: int = 1
    size: int = 64

    @property
    def protocol(self) -> str:
        """Protocol id, e.g. `lpips-alex-embedded@64/1`."""
        return f"{self.protocol_name}@{self.size}/{self.version}"

    @property
    def embedded(self) -> bool:
        """Whether it is measured by a network trained on the embedded domain."""
        return self.judge is not None

    def load(self) -> Callable[..., Any]:
        """The function or class behind the name, imported now."""
        module, name = self.function.split(":")
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return found

    def is_better(self, score: float, other: float) -> bool:
        """Whether `score` is strictly better than `other`."""
        return score < other if self.direction == "lower" else score > other


METRICS: Registry[Metric] = Registry("metric")

_IN_TABLE_ORDER = (
    Metric("l2", "lower", "L2 ↓", "mean squared error, images in [0, 1]", 4, "l2", "metrics.pixel:l2",
           failure_score=1.0, anytime=True),
    Metric("lpips", "lower", "LPIPS ↓", "embedded AlexNet, layers weighted equally", 4, "lpips-alex-embedded",
           "metrics.perceptual:Perceptual", judge="perceptual", anytime=True),
    Metric("ssim", "higher", "SSIM ↑", "Wang et al. 2004, images in [0, 1]", 3, "ssim", "metrics.structure:ssim",
           failure_score=-1.0),
    Metric("ms_ssim", "higher", "MS-SSIM ↑", "Wang et al. 2003, the 3 scales that fit 64 px", 3, "ms-ssim-3-scales",
           "metrics.structure:ms_ssim", failure_score=0.0),
    Metric("psnr", "higher", "PSNR ↑", "dB, peak 1 on images in [0, 1], at most 100", 2, "psnr",
           "metrics.pixel:psnr", failure_score=0.0, anytime=True),
    Metric("id", "higher", "ID ↑", "cosine of embedded identity embeddings", 3, "id-cosine-embedded",
           "metrics.identity:IdentitySimilarity", judge="identity-judge", failure_score=-1.0, anytime=True),
    Metric("fid", "lower", "FID ↓", "Fréchet distance of embedded features", 2, "fid-embedded",
           "metrics.distribution:fid", judge="features", per_image=False),
    Metric("kid", "lower", "KID x1000 ↓", "unbiased MMD² of embedded features x 1000", 3, "kid-embedded",
           "metrics.distribution:kid", judge="features", per_image=False),
)  # fmt: skip
for _metric in _IN_TABLE_ORDER:
    METRICS.register(_metric.name)(_metric)


def get(name: str) -> Metric:
    """The metric of that name; an unknown name raises ReinvertError with the nearest ones."""
    return METRICS.get(name)


def names() -> list[str]:
    """All names, in the order of the tables."""
    return [metric.name for metric in _IN_TABLE_ORDER]


def per_image_metrics() -> list[Metric]:
    """The metrics with one score per image, in the order of the tables."""
    return [metric for metric in _IN_TABLE_ORDER if metric.per_image]


def anytime_metrics() -> list[Metric]:
    """The metrics measured at every yield."""
    return [metric for metric in _IN_TABLE_ORDER if metric.anytime]

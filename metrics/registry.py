"""The metrics by name: direction, label, decimals, and the protocol of the embedded scale. Imports no torch.

On the embedded scale every metric is measured under one protocol of the suite `embedded` (`metrics.protocols`):

- images are compared as an image file holds them: RGB, 8 bits a channel, rounded, at the domain's size;
- every image of the sample enters the mean; a reconstruction with a non-finite value counts as failed and enters by
  the rule of the protocol: the worst value the metric can take where it has one, otherwise the score of a blank
  (mid-grey) picture in the reconstruction's place. FID and KID see the blank too.
- metrics with a judge use a network trained on the embedded domain (`embedded`), because the usual backbones cannot
  be shipped: they are labelled so, and never belong in a column with published numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from core.registry import Registry
from metrics import protocols
from metrics.protocols import Network, Protocol

Direction = Literal["lower", "higher"]
JUDGE = "judge:"
"""Begins the names of networks that are judges of a domain."""


@dataclass(frozen=True)
class Metric:
    """What is measured, and how it stands in tables.

    Attributes:
        name: key in metrics.json, in params.yaml and in the columns of per_image.parquet.
        direction: whether "lower" or "higher" is better.
        label: heading for tables, with an arrow for the direction.
        unit: unit or scale of the number on the embedded scale, in words.
        decimals: decimals to print.
        how: the protocol of the embedded scale.
    """

    name: str
    direction: Direction
    label: str
    unit: str
    decimals: int
    how: Protocol

    @property
    def protocol(self) -> str:
        """Id of the embedded scale's protocol, e.g. `lpips-alex-embedded@64/1`."""
        return self.how.id

    @property
    def per_image(self) -> bool:
        """False for FID and KID, which compare two sets of features."""
        return self.how.per_image

    @property
    def judge(self) -> str | None:
        """The network of `metrics.judges` that measures on the embedded scale, or None."""
        return self.how.network.name.removeprefix(JUDGE) if self.how.network else None

    @property
    def embedded(self) -> bool:
        """Whether it is measured by a network trained on the embedded domain."""
        return self.judge is not None

    def is_better(self, score: float, other: float) -> bool:
        """Whether `score` is strictly better than `other`."""
        return score < other if self.direction == "lower" else score > other


def _embedded(name: str, metric: str, function: str, judge: str | None = None, **choices: Any) -> Protocol:
    network = Network(JUDGE + judge) if judge else None
    if "worst" not in choices:
        choices["failure"] = "the score of a blank"
    return Protocol(
        name, protocols.EMBEDDED, metric, function, size=64, quantisation="8 bits, rounded", network=network, **choices
    )


METRICS: Registry[Metric] = Registry("metric")

_IN_TABLE_ORDER = (
    Metric("l2", "lower", "L2 ↓", "mean squared error, images in [0, 1]", 4,
           _embedded("l2-8bit", "l2", "metrics.pixel:l2", worst=1.0)),
    Metric("lpips", "lower", "LPIPS ↓", "embedded AlexNet, layers weighted equally", 4,
           _embedded("lpips-alex-embedded", "lpips", "metrics.perceptual:Perceptual", "perceptual",
                     value_range="[-1, 1]", note="no calibration: layers are weighted equally")),
    Metric("ssim", "higher", "SSIM ↑", "Wang et al. 2004, images in [0, 1]", 3,
           _embedded("ssim-8bit", "ssim", "metrics.structure:ssim", worst=-1.0)),
    Metric("ms_ssim", "higher", "MS-SSIM ↑", "Wang et al. 2003, the 3 scales that fit 64 px", 3,
           _embedded("ms-ssim-3-scales-8bit", "ms_ssim", "metrics.structure:ms_ssim", worst=0.0,
                     note="the first three of five scales, their weights divided by their sum")),
    Metric("psnr", "higher", "PSNR ↑", "dB, peak 1 on images in [0, 1], at most 100", 2,
           _embedded("psnr-8bit", "psnr", "metrics.pixel:psnr", worst=0.0)),
    Metric("id", "higher", "ID ↑", "cosine of embedded identity embeddings", 3,
           _embedded("id-cosine-embedded", "id", "metrics.identity:IdentitySimilarity", "identity-judge",
                     value_range="[-1, 1]", worst=-1.0,
                     note="no detection: test images are aligned by construction")),
    Metric("fid", "lower", "FID ↓", "Fréchet distance of embedded features", 2,
           _embedded("fid-embedded", "fid", "metrics.distribution:fid", "features", value_range="[-1, 1]")),
    Metric("kid", "lower", "KID x1000 ↓", "unbiased MMD² of embedded features x 1000", 3,
           _embedded("kid-embedded", "kid", "metrics.distribution:kid", "features", value_range="[-1, 1]",
                     settings={"subsets": 100, "subset_size": 48, "seed": 0},
                     note="as params.yaml's `evaluation` says; a test holds the two together")),
)  # fmt: skip
for _metric in _IN_TABLE_ORDER:
    METRICS.register(_metric.name)(_metric)
protocols.register(*(metric.how for metric in _IN_TABLE_ORDER))


def get(name: str) -> Metric:
    """The metric of that name; an unknown name raises ReinvertError with the nearest ones."""
    return METRICS.get(name)


def names() -> list[str]:
    """All names, in the order of the tables."""
    return [metric.name for metric in _IN_TABLE_ORDER]


def per_image_metrics() -> list[Metric]:
    """The metrics with one score per image, in the order of the tables."""
    return [metric for metric in _IN_TABLE_ORDER if metric.per_image]

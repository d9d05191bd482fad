"""The `evaluation:` and `tolerances:` sections of params.yaml, typed.

Everything here changes a number of the report or says how far a number may move, so nothing has a default: params.yaml
states every value. Only pydantic is imported, so that the command line starts quickly.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveInt

BatchSizes = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
Tolerance = Annotated[FiniteFloat, Field(ge=0)]


class EvaluationConfig(BaseModel):
    """How a run is measured.

    Attributes:
        images: number of test images, spread evenly over the split; in and out of distribution keep their share.
        batch: images inverted together in one resumable chunk of work.
        seed: seed of the choice of images, of the inverter and of the bootstrap.
        bootstrap_resamples: resamples behind each 95 % interval.
        kid_subsets: random subsets over which KID is averaged.
        kid_subset_size: images in each of these subsets, never more than there are images.
        timing_images: at most this many images are inverted one at a time for the seconds per image.
        timing_seconds: no further image is started once this much time was spent on those.
        timing_batches: batch sizes tried for the throughput (batch 1 always takes part).
        timing_steps: an iterative inverter is stopped after this many steps at each of them and the rest extrapolated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: int = Field(ge=2)
    batch: PositiveInt
    seed: int = Field(ge=0, lt=2**31)
    bootstrap_resamples: int = Field(ge=100)
    kid_subsets: PositiveInt
    kid_subset_size: int = Field(ge=2)
    timing_images: PositiveInt
    timing_seconds: float = Field(gt=0)
    timing_batches: BatchSizes
    timing_steps: PositiveInt


class Tolerances(BaseModel):
    """How much worse than the committed baseline each mean may be, in the metric's own unit.

    Attributes:
        l2, lpips, ssim, ms_ssim, psnr, id, fid, kid: absolute tolerances (psnr in dB, kid x1000), at least 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    l2: Tolerance
    lpips: Tolerance
    ssim: Tolerance
    ms_ssim: Tolerance
    psnr: Tolerance
    id: Tolerance
    fid: Tolerance
    kid: Tolerance

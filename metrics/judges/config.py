"""How a judge is trained, as written under `judges:` in params.yaml."""

from __future__ import annotations

from typing import Any, Literal

import pydantic

from core.config import Strict
from core.precision import Precision


class Augmentation(Strict):
    """What is done to training images, so that judges keep working on a generator's slightly wrong pictures.

    Amounts are largest values; each image draws its own. Images are in [-1, 1]. Geometry is never changed: it is what
    the judges read.
    """

    brightness: float = pydantic.Field(ge=0, le=1)
    """Added to all channels."""
    contrast: float = pydantic.Field(ge=0, lt=1)
    """Relative change of all channels."""
    colour: float = pydantic.Field(ge=0, lt=1)
    """Relative change of each channel on its own."""
    blur: float = pydantic.Field(ge=0, le=1)
    """Share of the 3x3 binomial blur mixed in; half of the images get none."""
    noise: float = pydantic.Field(ge=0, le=1)
    """Standard deviation of Gaussian noise; half of the images get none."""


class Views(Augmentation):
    """How two views of an image are made for self-supervised training (MoCo v2): geometry changes too."""

    crop: float = pydantic.Field(gt=0, le=1)
    """Smallest share of the area that is kept; each view draws its own, of the image's shape, and is enlarged again."""
    flip: float = pydantic.Field(ge=0, le=1)
    """Share of views that are mirrored."""
    grey: float = pydantic.Field(ge=0, le=1)
    """Share of views that lose their colour."""


class JudgeTraining(Strict):
    """One judge: network, objective and training run. Nothing has a default, because everything changes a number."""

    recipe: int = pydantic.Field(ge=1)
    """Version of the training procedure; raised when training changes meaning."""
    architecture: str
    """Name of the network class."""
    arguments: dict[str, Any]
    """Its keyword arguments."""
    objective: str
    """Name of what is minimised."""
    objective_arguments: dict[str, Any]
    """Its keyword arguments."""
    splits: dict[str, pydantic.PositiveInt]
    """Training splits of the domain, and how often an epoch goes through each."""
    steps: int = pydantic.Field(ge=1)
    batch: int = pydantic.Field(ge=2)
    """Images per step; batch norm needs two."""
    learning_rate: float = pydantic.Field(gt=0)
    """Peak of the one cycle (AdamW)."""
    warmup: float = pydantic.Field(ge=0, lt=1)
    """Share of the steps over which the rate rises to the peak; it then falls to zero along a cosine."""
    weight_decay: float = pydantic.Field(ge=0)
    precision: Precision
    """Of the forward pass: bf16-mixed is autocast to bfloat16, `auto` that where the device has it in hardware."""
    augmentation: Augmentation
    seed: int = pydantic.Field(ge=0)
    stored: Literal["float32", "float16"]
    """Of the weights file."""
    log_every: int = pydantic.Field(ge=1)
    checkpoint_every: int = pydantic.Field(ge=1)

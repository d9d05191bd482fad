"""What applications of inversions are measured on: the typed sections of `applications` in params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt, model_validator

from core.config import Strict

FEWEST = 8
"""Of fewer images or videos the bootstrap gives no interval, and no claim can be judged."""
Share = Annotated[float, Field(gt=0, lt=1)]


class Application(Strict):
    """What all applications say."""

    batch: PositiveInt
    seed: int = Field(ge=0, lt=2**31)
    shown: PositiveInt
    """Images or videos that are kept as pictures."""
    bootstrap_resamples: int = Field(ge=100)


class DeepHiding(Application):
    """How codes are rounded and hidden in pictures."""

    method: str
    images: int = Field(ge=FEWEST)
    """Test images whose codes are rounded."""
    hidden: int = Field(ge=FEWEST)
    """Those among them whose codes are also hidden and revealed, which takes a second each."""
    carrier_tiles: PositiveInt
    """A carrier shows so many times so many of the other images."""

    @model_validator(mode="after")
    def _makes_sense(self) -> DeepHiding:
        if self.hidden > self.images:
            raise ValueError(f"{self.hidden} codes cannot be hidden of {self.images} images; hide at most all")
        if self.carrier_tiles**2 >= self.images:
            raise ValueError(f"a carrier of {self.carrier_tiles**2} other images needs more than {self.images} images")
        return self


class FaceSwapping(Application):
    """How faces are pasted into each other."""

    method: str
    images: int = Field(ge=FEWEST)
    """Pairs of source and target."""
    largest_yaw: float = Field(gt=0)
    """Degrees that a source turns to the side at most, lest its features lie beside the box."""
    boxes: dict[str, tuple[Share, Share, Share, Share]] = Field(min_length=1)
    """What is pasted, by name: top, bottom, left and right as shares of the picture's side, rounded to whole pixels.
    Pictures are kept of the first."""

    @model_validator(mode="after")
    def _makes_sense(self) -> FaceSwapping:
        for name, (top, bottom, left, right) in self.boxes.items():
            if not (top < bottom and left < right):
                raise ValueError(f"boxes.{name} must end below and to the right of where it begins")
        return self


class Videos(Application):
    """Which videos are drawn, and who inverts them frame by frame."""

    methods: tuple[str, ...] = Field(min_length=1)
    videos: int = Field(ge=FEWEST)
    frames: int = Field(ge=2)
    cycles: tuple[float, float]
    """Fewest and most periods that a movement goes through in a video."""
    amplitudes: dict[str, Annotated[float, Field(gt=0, le=0.5)]] = Field(min_length=1)
    """What moves, by how much to either side, as a share of the whole range of that number over images."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Videos:
        if not 0 < self.cycles[0] <= self.cycles[1]:
            raise ValueError("cycles are the fewest, above 0, and the most")
        if len(set(self.methods)) < len(self.methods):
            raise ValueError("a method stands twice under methods")
        return self

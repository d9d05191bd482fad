"""What inspections look at: the typed section `inspection` of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt, model_validator

from core.config import Strict


class Inspection(Strict):
    """How the steps of a run are looked at; the same for all runs."""

    images: int = Field(ge=2)
    """Test images, spread evenly over the split; in and out of distribution keep their share."""
    fewer_images: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """Images for methods that search, by the name or kind of the method or of one that it starts from."""
    batch: PositiveInt
    seed: int = Field(ge=0, lt=2**31)
    groups: dict[str, tuple[int, int]] = Field(min_length=1)
    """Ranges of styles by name, coarsest first: the first and the one after the last."""
    shown: PositiveInt
    """Images that are kept as pictures, or all where a method gets fewer."""
    bootstrap_resamples: int = Field(ge=100)

    @model_validator(mode="after")
    def _makes_sense(self) -> Inspection:
        for name, (start, end) in self.groups.items():
            if not 0 <= start < end:
                raise ValueError(f"groups.{name} is {start} to {end}; give the first style and the one after the last")
        if max([self.images, *self.fewer_images.values()]) > self.images:
            raise ValueError(f"fewer_images has more than the {self.images} images of the other methods")
        return self

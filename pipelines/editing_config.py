"""How directions are found and edits measured: the typed sections `directions` and `editability` of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, FiniteFloat, PositiveInt, model_validator

from core.config import Strict

Gammas = Annotated[tuple[FiniteFloat, ...], Field(min_length=3)]


def _require_gammas(gammas: tuple[float, ...]) -> None:
    if list(gammas) != sorted(set(gammas)) or 0.0 not in gammas or gammas[0] >= 0 or gammas[-1] <= 0:
        raise ValueError(f"gammas {list(gammas)} must rise and hold 0 with values on either side of it")


class DomainDirections(Strict):
    """What to look for in one domain."""

    interfacegan: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Attribute -> the attributes that its direction should leave alone."""


class DirectionFinding(Strict):
    """How directions are found and checked; the same for all domains."""

    seed: int = Field(ge=0)
    """Of the codes on which components are named; the check takes the next seed."""
    deviations_per_gamma: float = Field(gt=0)
    """How many standard deviations of w along a direction make one gamma."""
    gammas: Gammas
    """The strengths at which directions are checked."""
    chosen: float = Field(gt=0, le=0.5)
    """InterFaceGAN: share of the labelled samples taken from either end of an attribute."""
    components: PositiveInt
    """GANSpace and SeFa: components tried on every range of layers."""
    rows: dict[str, tuple[int, int]] = Field(min_length=1)
    """Ranges of styles by name: the first and the one after the last."""
    kept: PositiveInt
    """Components that GANSpace and SeFa each keep, at most."""
    minimum_effect: float = Field(gt=0)
    """Change between the outermost gammas, in spreads of the attribute, below which a component gets no name."""
    naming_samples: PositiveInt
    """Codes on which components are named."""
    checking_samples: int = Field(ge=2)
    """Other codes, on which every direction is checked."""
    shown: PositiveInt
    """How many of those the picture of a direction shows."""
    bootstrap_resamples: int = Field(ge=100)
    domains: dict[str, DomainDirections]

    @model_validator(mode="after")
    def _makes_sense(self) -> DirectionFinding:
        _require_gammas(self.gammas)
        if self.shown > self.checking_samples:
            raise ValueError(f"shown is {self.shown}, but only {self.checking_samples} samples are checked")
        for name, (start, end) in self.rows.items():
            if not 0 <= start < end:
                raise ValueError(f"rows.{name} is {start} to {end}; give the first style and the one after the last")
        return self


class Editability(Strict):
    """How a run's edits are measured; the same for all runs."""

    images: int = Field(ge=2)
    """Test images, spread evenly over the split; in and out of distribution keep their share."""
    fewer_images: dict[str, Annotated[int, Field(ge=2)]] = Field(default_factory=dict)
    """Images for methods that search, by the name or kind of the method or of one that it starts from; the smallest
    number holds, and they are the first images of the others."""
    batch: PositiveInt
    seed: int = Field(ge=0, lt=2**31)
    gammas: Gammas
    directions: dict[str, tuple[str, ...]]
    """By domain, names of directions to edit along; the first is also that of the consistency score."""
    reference_images: int = Field(ge=2)
    """Real test images on the other side of FID and KID."""
    fid_images: int = Field(ge=2)
    """With fewer edited images FID is not given, because its bias would be larger than what it tells."""
    kid_subsets: PositiveInt
    kid_subset_size: int = Field(ge=2)
    consistency_images: int = Field(ge=2)
    """Images whose edit is inverted again, at most; never more than half of a method's images."""
    consistency_gamma: FiniteFloat
    mixing_row: PositiveInt
    """First style that style mixing takes from the other image."""
    interpolation_steps: int = Field(ge=2)
    """Pictures between two images, both ends included."""
    shown: PositiveInt
    """Images whose edits are kept as pictures."""
    bootstrap_resamples: int = Field(ge=100)

    @model_validator(mode="after")
    def _makes_sense(self) -> Editability:
        _require_gammas(self.gammas)
        if self.consistency_gamma == 0:
            raise ValueError("consistency_gamma is 0; an edit that changes nothing tests nothing")
        fewest = min([self.images, *self.fewer_images.values()])
        if max([self.images, *self.fewer_images.values()]) > self.images:
            raise ValueError(f"fewer_images has more than the {self.images} images of the other methods")
        if self.shown > fewest:
            raise ValueError(f"shown is {self.shown}, but some methods get only {fewest} images")
        for domain, names in self.directions.items():
            if not names or len(set(names)) != len(names):
                raise ValueError(f"directions.{domain} must name at least one direction, each once")
        return self

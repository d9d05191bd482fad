"""What is drawn from a finished generator: the typed sections `generator_quality` and `labelled_samples`."""

from pydantic import Field

from core.config import Strict
from methods.training_config import LossWeights


class GeneratorBars(Strict):
    """What a generator has to reach before a benchmark stands on it."""

    completeness: float = Field(ge=0, le=1)
    """Share of samples in which the parser finds every part."""
    fid_factor: float = Field(gt=0)
    """Times the FID between real images that the samples may be away, the gap between the splits aside."""
    coverage: float = Field(ge=0)
    """Range of an attribute over the samples, as a share of its range over real images."""
    psnr_w_plus: float
    """dB of W+ optimisation."""
    psnr_above_w: float
    """dB by which W+ has to be above W: a generator without that gap has no use for W+."""


class GeneratorQuality(Strict):
    """How generators are measured; the same for all domains."""

    samples: int = Field(ge=2)
    seed: int = Field(ge=0)
    minimum_pixels: int = Field(ge=1)
    """Pixels that a part needs to count as found; for one on both sides of another, on either side."""
    kid_subsets: int = Field(ge=1)
    kid_subset_size: int = Field(ge=2)
    inversion_images: int = Field(ge=1)
    """Test images like the training data that are inverted."""
    inversion_batch: int = Field(ge=1)
    inversion_steps: int = Field(ge=1)
    inversion_learning_rate: float = Field(gt=0)
    inversion_losses: LossWeights
    bars: GeneratorBars


class LabelledSampling(Strict):
    """How many codes are drawn and read for learning editing directions."""

    samples: int = Field(ge=10_000)
    """Fewer leave the two per cent at either end, between which boundaries are learnt, too small."""
    seed: int = Field(ge=0)

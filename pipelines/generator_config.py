"""How a domain's generator is trained: the typed `generators.<domain>` section of params.yaml."""

from typing import Self

from pydantic import Field, model_validator

from core.config import Strict
from core.precision import Precision


class AutoencoderPhase(Strict):
    """Training as an autoencoder at one size of images; see pipelines/autoencoder.py."""

    size: int
    images: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    """Of the synthesis network. Small images bear, and want, several times the usual one."""


class CodeFitting(Strict):
    """How the mapping network learns the autoencoder's codes; see pipelines/code_fitting.py."""

    codes: int = Field(20_000, ge=2)
    """Of the first training images."""
    steps: int = Field(ge=1)
    batch: int = Field(256, ge=2)
    learning_rate: float = Field(gt=0)
    """At the start. The mapping network's equalised rate (x 0.01) is made for days of training: here it is large."""


class GeneratorTraining(Strict):
    """Widths, schedule and losses of one generator training. Image counts are per training, not per process."""

    recipe: int = Field(ge=1)
    """Raised when training changes meaning; what the DAG looks at instead of the code."""
    seed: int = 0
    size: int = 64
    style_dim: int = 128
    mapping_layers: int = Field(4, ge=1)
    channels: dict[int, int]
    """Feature maps per resolution."""
    discriminator_channels: dict[int, int] | None = None
    """Those of the discriminator where they differ; with fewer at the large sizes it costs a fraction."""
    batch: int = Field(16, ge=2)
    autoencoder: tuple[AutoencoderPhase, ...] = Field(min_length=1)
    """The start as an autoencoder, from small images to full size."""
    code_fitting: CodeFitting
    """What follows it."""
    encoder_learning_rate: float = Field(0.002, gt=0)
    """Of the autoencoder's encoder, in every phase that it has a part in."""
    warmup_images: int = Field(3_000, ge=1)
    """Images over which the rates rise at the start of each of the autoencoder's sizes."""
    adversarial_images: int = Field(ge=0)
    """Images shown to the discriminator after those."""
    learning_rate: float = Field(0.002, gt=0)
    """Of generator and discriminator in the adversarial phase (StyleGAN2's)."""
    cooldown_images: int = Field(0, ge=0)
    """Images at the end over which that rate falls linearly to 0, so that the last steps average instead of wander."""
    discriminator_gain: float = Field(1.0, gt=0)
    """Multiplies that rate for discriminator and critic, which begin when the generator already draws well."""
    mapping_gain: float = Field(1.0, gt=0)
    """Multiplies that rate for the mapping network; 1 as in StyleGAN2, whose trainings are a thousand times longer."""
    anchor_weight: float = Field(0.0, ge=0)
    """Weight of the regression loss at the start of the adversarial phase."""
    anchor_images: int = Field(100_000, ge=1)
    """Adversarial images after which that weight has fallen linearly to 0."""
    anchor_perceptual: float = Field(0.0, ge=0)
    """Weight of the feature distance (LPIPS of the domain's perceptual judge) inside that regression loss, and at the
    autoencoder's full size."""
    class_power: float = Field(0.0, ge=0)
    """Pixels in that regression loss weigh their class's frequency to the minus this: small parts of an image (eyes,
    windows) more, large ones less. 0 for all alike."""
    critic_weight: float = Field(0.0, ge=0)
    """Weight of the feature critic's term in the adversarial phase; see pipelines/feature_critic.py."""
    r1_gamma: float = Field(1.0, ge=0)
    r1_every: int = Field(16, ge=1)
    path_length_weight: float = Field(0.0, ge=0)
    """0 leaves path-length regularisation out; StyleGAN2 uses 2."""
    path_length_every: int = Field(8, ge=1)
    style_mixing: float = Field(0.9, ge=0, le=1)
    ema_images: int = Field(10_000, ge=1)
    """Half-life of the averaged generator."""
    checkpoint_images: int = Field(8_000, ge=1)
    fid_images: int = Field(0, ge=0)
    """Images between two measurements of FID, half a minute each on a CPU core; 0 for none."""
    log_images: int = Field(1_600, ge=1)
    processes: int = Field(2, ge=1)
    """One-thread processes on a CPU; on GPUs one process per device is used instead."""
    precision: Precision = "auto"
    """`auto`: bf16-mixed where the device multiplies it in hardware, else 32-true."""

    @model_validator(mode="after")
    def _sizes_rise(self) -> Self:
        sizes = [phase.size for phase in self.autoencoder]
        if sizes != sorted(set(sizes)) or sizes[-1] != self.size:
            raise ValueError(f"the autoencoder's sizes are {sizes}; let them rise to {self.size}")
        return self

    @property
    def supervised_images(self) -> int:
        """Images before the adversarial phase."""
        return sum(phase.images for phase in self.autoencoder)

    @property
    def images(self) -> int:
        """Images of the whole training."""
        return self.supervised_images + self.adversarial_images

    def phase_at(self, images: int) -> AutoencoderPhase | None:
        """What is trained after so many images; None in the adversarial phase."""
        for phase in self.autoencoder:
            if images < phase.images:
                return phase
            images -= phase.images
        return None

    def start_of(self, wanted: AutoencoderPhase) -> int:
        """Images before a phase of the autoencoder."""
        return sum(phase.images for phase in self.autoencoder if phase.size < wanted.size)

    def rate_at(self, images: int) -> float:
        """Learning rate after so many images, in the adversarial phase."""
        left = self.images - images
        return self.learning_rate * (min(1.0, left / self.cooldown_images) if self.cooldown_images else 1.0)

    def anchor_at(self, images: int) -> float:
        """Weight of the regression loss after so many images, in the adversarial phase."""
        return self.anchor_weight * max(0.0, 1 - (images - self.supervised_images) / self.anchor_images)

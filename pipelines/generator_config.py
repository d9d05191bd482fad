"""How a domain's generator is trained: the typed `generators.<domain>` section of params.yaml."""

from pydantic import Field

from core.config import Strict
from core.precision import Precision


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
    regression_images: int = Field(0, ge=0)
    """Images of supervised pre-training: the generator learns to draw training image i from the latent that encodes
    its scene, before any discriminator is there. 0 trains a GAN from scratch."""
    adversarial_images: int = Field(ge=0)
    """Images shown to the discriminator after that."""
    regression_learning_rate: float = Field(0.003, gt=0)
    regression_mapping_gain: float = Field(1.0, gt=0)
    """Multiplies that rate for the mapping network, whose equalised rate (x 0.01) is made for the adversarial game
    and leaves it almost frozen in a short supervised phase."""
    learning_rate: float = Field(0.002, gt=0)
    """Of generator and discriminator in the adversarial phase (StyleGAN2's)."""
    mapping_gain: float = Field(1.0, gt=0)
    """Multiplies that rate for the mapping network; 1 as in StyleGAN2, whose trainings are a thousand times longer."""
    anchor_weight: float = Field(0.0, ge=0)
    """Weight of the regression loss at the start of the adversarial phase."""
    anchor_images: int = Field(100_000, ge=1)
    """Adversarial images after which that weight has fallen linearly to 0."""
    anchor_perceptual: float = Field(0.0, ge=0)
    """Weight of the feature distance (LPIPS of the domain's perceptual judge) inside that regression loss."""
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

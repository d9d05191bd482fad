"""Typed settings shared by the methods: which losses, and how an encoder is trained. No heavy imports."""

from __future__ import annotations

from typing import Literal

import pydantic
from pydantic import Field

from core.config import Strict
from core.precision import Precision
from core.weights import StoredDtype


class LossWeights(Strict):
    """Weights of the reconstruction losses (Richardson et al. 2021, Eq. 8); a term with weight 0 is not computed."""

    l2: float = Field(default=0.0, ge=0)
    """Mean squared difference of images in [-1, 1]."""
    lpips: float = Field(default=0.0, ge=0)
    """Perceptual distance, Eq. 5."""
    identity: float = Field(default=0.0, ge=0)
    """One minus cosine similarity of identity embeddings, Eq. 7."""
    similarity: float | None = Field(default=None, ge=0)
    """Weight of that term in domains without identities, where the `similarity` network judges (e4e and ReStyle weigh
    MoCo 0.5 where they weigh ArcFace 0.1); None for the weight of `identity`."""
    identity_layers: float = Field(default=0.0, ge=0)
    """One minus cosine similarity, summed over all layers of the identity network (Wei et al. 2022, Eq. 4); no term in
    domains without identities."""
    parser_layers: float = Field(default=0.0, ge=0)
    """The same over the layers of the parser's encoder (Eq. 5)."""
    latent_norm: float = Field(default=0.0, ge=0)
    """Distance of the styles from the mean latent, Eq. 6."""

    @pydantic.model_validator(mode="after")
    def _some(self) -> LossWeights:
        if not any(self.model_dump(exclude={"similarity"}).values()):
            raise ValueError("every loss has weight 0; give at least one a weight")
        return self


class TrainingConfig(Strict):
    """How the one encoder-training loop trains. Whoever raises `recipe` retrains."""

    recipe: int = Field(ge=1)
    """Version of the training procedure; raised when training changes meaning."""
    steps: int = Field(ge=1)
    """Optimiser steps."""
    batch: int = Field(ge=1)
    """Images per step."""
    learning_rate: float = Field(gt=0)
    optimizer: Literal["ranger", "adam"] = "ranger"
    """`ranger` is pSp's: rectified Adam with lookahead and gradient centralisation."""
    decay_from: float = Field(default=1.0, ge=0, le=1)
    """Fraction of the steps after which the learning rate falls to 0 along a cosine; 1 keeps it constant as pSp does.
    A short training gains from the decay."""
    losses: LossWeights
    flip: bool = True
    """Mirror half of the images at random; right for faces, whose yaw is symmetric."""
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    """Decay per step of a moving average of the weights that is evaluated and shipped; None ships the weights."""
    precision: Precision = "32-true"
    """`auto` is bf16-mixed on devices that compute it natively, 32-true on others."""
    seed: int = Field(ge=0)
    evaluate_every: int = Field(ge=1)
    """Steps between evaluations on held-out images; each also writes the sample grid."""
    checkpoint_every: int = Field(ge=1)
    """Steps between checkpoints; also the most that a kill can lose."""
    held_out: int = Field(default=64, ge=1)
    """Images at the end of the training split that are never trained on, for evaluation."""
    weights_dtype: StoredDtype = "float32"
    """How the final weights are stored."""

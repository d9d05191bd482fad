"""What the trainings of encoders share: images -> codes -> images, compared through the frozen generator.

Loss: pSp's (Richardson et al. 2021, Eq. 8) or any other set of `methods.losses`, as a mean over the images of a batch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from methods.code import Code
from methods.losses import load_reconstruction_loss, loss_inputs
from methods.registry import Context
from methods.training_config import TrainingConfig
from methods.training_data import seeded
from methods.training_task import TrainingTask


class EncoderTask(TrainingTask):
    """Networks that give codes of images; the module `encoder` is what is shipped.

    Args:
        context: of the method that is trained; its losses are read.
        training: how.
        architecture, arguments: for the card of the weights.
        new_modules: makes the networks, the encoder first; called with the seed of the training.
        inputs: whatever decides the result besides parameters, generator and judges; see `TrainingTask`.

    Raises:
        ReinvertError: weights of a judge are missing or altered.
    """

    def __init__(
        self,
        context: Context,
        training: TrainingConfig,
        architecture: str,
        arguments: dict[str, Any],
        new_modules: Callable[[], dict[str, nn.Module]],
        inputs: dict[str, str] | None = None,
    ) -> None:
        self.name, self.domain, self.config = context.name, context.domain, training
        self.generator = context.loaded_generator
        with seeded(training.seed):
            self.modules = new_modules()
        self.shipped = ("encoder",)
        self.architecture, self.arguments = architecture, arguments
        places = context.domain, context.weights_root
        self.inputs = loss_inputs(training.losses, *places) | (inputs or {}) | {"generator": self.generator.card.sha256}
        self.loss = load_reconstruction_loss(training.losses, *places, context.device, self.generator.latent_mean)

    @abstractmethod
    def encode(self, images: Tensor) -> Code:
        """The codes that inversion would give."""

    def compared(self, images: Tensor, code: Code, drawn: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of `code`, and its terms for the log: scalars, means over the images.

        Args:
            images: (B, 3, H, W) in [-1, 1].
            code: of the images.
            drawn: the image of `code` where it is known already.
        """
        terms = self.loss(self.generator.draw(code) if drawn is None else drawn, images, code.styles)
        return self.loss.total(terms).mean(), {name: term.mean() for name, term in terms.items()}

    def reconstruct(self, images: Tensor) -> Tensor:
        """See `TrainingTask.reconstruct`."""
        return self.generator.draw(self.encode(images))

    def score(self, images: Tensor, reconstructions: Tensor) -> dict[str, Tensor]:
        """PSNR, and the training judges' LPIPS and identity distance where the losses use them."""
        scores = super().score(images, reconstructions)
        terms = self.loss(reconstructions, images, self.generator.mean_code(len(images)).styles)
        return scores | {name: terms[name] for name in ("lpips", "identity") if name in terms}

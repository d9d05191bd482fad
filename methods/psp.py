"""pSp: one forward pass of a feature-pyramid encoder gives a W+ code.

Richardson et al. 2021, "Encoding in Style: a StyleGAN Encoder for Image-to-Image Translation" (arXiv 2008.00951): a
feature pyramid over a residual backbone, one small map-to-style network per style; codes are predicted relative to the
mean latent (Section 3.1); trained with L2, LPIPS, identity and optionally the norm of the offset (Eqs. 4-8).

Deviations: small width; trained from scratch, where the paper starts from an ArcFace backbone; perceptual and
identity losses use the domain's training judges; a learning rate that may fall towards the end, because the training is
short; images at the generator's size instead of 256 px.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from core.config import Strict
from methods.code import Code
from methods.generators import LoadedGenerator
from methods.inverter import Inverter, Step
from methods.losses import ReconstructionLoss, load_reconstruction_loss, loss_inputs
from methods.networks.encoders import GradualStyleEncoder
from methods.registry import KINDS, Context
from methods.training_config import TrainingConfig
from methods.training_data import seeded
from methods.training_task import Objective, Player, TrainingTask, load_modules


class EncoderArguments(Strict):
    """Size of the encoder; `GradualStyleEncoder` explains the fields."""

    widths: tuple[int, int, int, int] = (32, 64, 128, 128)
    units: tuple[int, int, int, int] = (2, 2, 3, 1)
    style_width: int = Field(default=64, ge=1)
    coarse_styles: int = Field(default=3, ge=0)
    middle_styles: int = Field(default=4, ge=0)


class PspArguments(Strict):
    """An entry of kind `psp`."""

    encoder: EncoderArguments = EncoderArguments()
    start_from_latent_mean: bool = True
    """Whether the encoder predicts an offset from the mean latent, as the paper does, or the code itself."""
    training: TrainingConfig


def new_encoder(arguments: PspArguments, generator: LoadedGenerator) -> GradualStyleEncoder:
    """The encoder that fits `generator`, with random weights."""
    layers, dimensions = generator.style_shape
    size = generator.resolution
    return GradualStyleEncoder(size, layers, dimensions, **arguments.encoder.model_dump())


def encode(encoder: nn.Module, images: Tensor, latent_mean: Tensor | None) -> Code:
    """The code of (B, 3, H, W) images; offsets are added to `latent_mean` (D,) when it is given."""
    styles: Tensor = encoder(images).float()
    return Code(styles=styles if latent_mean is None else styles + latent_mean)


class PspTask(TrainingTask):
    """The encoder, trained through the frozen generator."""

    def __init__(
        self,
        arguments: PspArguments,
        name: str,
        generator: LoadedGenerator,
        loss: ReconstructionLoss,
        inputs: dict[str, str],
    ) -> None:
        self.name, self.domain, self.config = name, generator.card.domain, arguments.training
        with seeded(arguments.training.seed):
            encoder = new_encoder(arguments, generator)
        self.modules = {"encoder": encoder}
        self.shipped = ("encoder",)
        self.architecture = "psp"
        self.arguments = arguments.model_dump(exclude={"training"})
        self.inputs = inputs
        self.generator = generator
        self.loss = loss
        self.offset = generator.latent_mean if arguments.start_from_latent_mean else None

    def players(self) -> list[Player]:
        """The encoder alone."""
        return [Player("encoder", list(self.modules["encoder"].parameters()), self.objectives)]

    def objectives(self, images: Tensor, step: int) -> Iterator[Objective]:
        """Eq. 8 on one batch: means over the images."""
        code = encode(self.modules["encoder"], images, self.offset)
        terms = self.loss(self.generator.draw(code), images, code.styles)
        total = self.loss.total(terms).mean()
        yield Objective(total, {"loss": total, **{name: term.mean() for name, term in terms.items()}})

    def reconstruct(self, images: Tensor) -> Tensor:
        """See `TrainingTask.reconstruct`."""
        return self.generator.draw(encode(self.modules["encoder"], images, self.offset))

    def score(self, images: Tensor, reconstructions: Tensor) -> dict[str, Tensor]:
        """PSNR, and the training judges' LPIPS and identity distance where the losses use them."""
        scores = super().score(images, reconstructions)
        terms = self.loss(reconstructions, images, self.generator.mean_code(len(images)).styles)
        return scores | {name: terms[name] for name in ("lpips", "identity") if name in terms}


@KINDS.register("psp")
class Psp(Inverter):
    """The trained encoder; yields once."""

    Arguments = PspArguments

    def __init__(self, generator: LoadedGenerator, encoder: nn.Module, offset: Tensor | None) -> None:
        super().__init__(generator)
        self.encoder = encoder
        self.offset = offset

    @classmethod
    def from_arguments(cls, arguments: PspArguments, context: Context) -> Psp:
        """See `Inverter.from_arguments`."""
        generator = context.loaded_generator
        encoder = new_encoder(arguments, generator)
        load_modules(context.weights_folder, context.domain, {"encoder": encoder})
        offset = generator.latent_mean if arguments.start_from_latent_mean else None
        return cls(generator, encoder.to(context.device), offset)

    @classmethod
    def training_task(cls, arguments: PspArguments, context: Context) -> PspTask:
        """See `Inverter.training_task`."""
        generator, losses = context.loaded_generator, arguments.training.losses
        loss = load_reconstruction_loss(
            losses, context.domain, context.weights_root, context.device, generator.latent_mean
        )
        inputs = loss_inputs(losses, context.domain, context.weights_root)
        return PspTask(arguments, context.name, generator, loss, inputs | {"generator": generator.card.sha256})

    @torch.no_grad()
    def _encode(self, images: Tensor) -> Code:
        return encode(self.encoder, images, self.offset)

    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        """See `Inverter.invert`. Yields one code; deterministic."""
        self.generator.check_images(images)
        yield Step(0, self._encode(images.to(self.generator.device, torch.float32)))

    def networks(self) -> list[nn.Module]:
        """The encoder."""
        return [self.encoder]

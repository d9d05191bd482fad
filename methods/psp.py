"""pSp: one forward pass of a feature-pyramid encoder gives a W+ code.

Richardson et al. 2021, "Encoding in Style: a StyleGAN Encoder for Image-to-Image Translation" (arXiv 2008.00951): a
feature pyramid over a residual backbone, one small map-to-style network per style; codes are predicted relative to the
mean latent (Section 3.1); trained with L2, LPIPS, identity and optionally the norm of the offset (Eqs. 4-8).

With `space: w` the styles come from the mean of the backbone's last map and are one for all layers: the W baseline of
pSp, and phase I of HyperInverter (Dinh et al. 2022, arXiv 2112.00719, Section 3.1), trained with Eq. 6 there.

Deviations: small width; trained from scratch, where the paper starts from an ArcFace backbone; perceptual and
identity losses use the domain's training judges; a learning rate that may fall towards the end, because the training is
short; images at the generator's size instead of 256 px.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from core.config import Strict
from methods.code import Code
from methods.encoder_task import EncoderTask
from methods.generators import LoadedGenerator
from methods.inverter import Inverter, Step
from methods.networks.encoders import GradualStyleEncoder
from methods.networks.last_layer_encoders import LastLayerEncoder
from methods.registry import KINDS, Context
from methods.training_config import TrainingConfig
from methods.training_task import Objective, Player, load_modules


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
    space: Literal["w", "w+"] = "w+"
    """One style for all layers, or one per layer."""
    start_from_latent_mean: bool = True
    """Whether the encoder predicts an offset from the mean latent, as the paper does, or the code itself."""
    training: TrainingConfig


class RepeatedStyle(nn.Module):
    """One style for all layers: images (B, 3, H, W) -> (B, L, D).

    Args:
        encoder: images -> one style (B, D).
        style_count: L.
    """

    def __init__(self, encoder: nn.Module, style_count: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.style_count = style_count

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        style: Tensor = self.encoder(images)
        return style[:, None].expand(-1, self.style_count, -1)


def new_encoder(arguments: PspArguments, generator: LoadedGenerator) -> nn.Module:
    """The encoder that fits `generator`, with random weights."""
    layers, dimensions = generator.style_shape
    size = generator.resolution
    if arguments.space == "w":
        encoder = LastLayerEncoder(size, dimensions, arguments.encoder.widths, arguments.encoder.units)
        return RepeatedStyle(encoder, layers)
    return GradualStyleEncoder(size, layers, dimensions, **arguments.encoder.model_dump())


def encode(encoder: Callable[[Tensor], Tensor], images: Tensor, latent_mean: Tensor | None) -> Code:
    """The code of (B, 3, H, W) images; offsets are added to `latent_mean` (D,) when it is given."""
    styles = encoder(images).float()
    return Code(styles=styles if latent_mean is None else styles + latent_mean)


class PspTask(EncoderTask):
    """The encoder, trained through the frozen generator."""

    def __init__(self, arguments: PspArguments, context: Context) -> None:
        super().__init__(
            context,
            arguments.training,
            "psp",
            arguments.model_dump(exclude={"training"}),
            lambda: {"encoder": new_encoder(arguments, context.loaded_generator)},
        )
        self.offset = self.generator.latent_mean if arguments.start_from_latent_mean else None

    def players(self) -> list[Player]:
        """The encoder alone."""
        return [Player("encoder", list(self.modules["encoder"].parameters()), self.objectives)]

    def objectives(self, images: Tensor, step: int) -> Iterator[Objective]:
        """Eq. 8 on one batch: means over the images."""
        total, terms = self.compared(images, self.encode(images))
        yield Objective(total, {"loss": total, **terms})

    def encode(self, images: Tensor) -> Code:
        """See `EncoderTask.encode`."""
        return encode(self.modules["encoder"], images, self.offset)


class EncoderInverter(Inverter):
    """A trained encoder; yields once.

    Args:
        generator: what the codes are for.
        encoder: images -> styles.
        offset: (D,) latent that the styles are relative to, or None.
    """

    def __init__(self, generator: LoadedGenerator, encoder: nn.Module, offset: Tensor | None) -> None:
        super().__init__(generator)
        self.encoder = encoder
        self.offset = offset

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


@KINDS.register("psp")
class Psp(EncoderInverter):
    """pSp's encoder."""

    Arguments = PspArguments

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
        return PspTask(arguments, context)

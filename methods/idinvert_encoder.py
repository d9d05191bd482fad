"""The in-domain encoder: a code that gives the image back and looks like an image of the domain when drawn.

Zhu, Shen, Zhao, Zhou 2020, "In-Domain GAN Inversion for Real Image Editing" (ECCV 2020, arXiv 2004.00049), Section 3.1:
the domain-guided encoder is trained through the frozen generator with pixels, features of a perceptual network and an
adversarial term (Eq. 2), against a discriminator that learns to tell its reconstructions from real images, with the R1
penalty (Eq. 3). `methods.idinvert` refines its codes. The network is `networks.idinvert.InDomainEncoder`.

Deviations:

- Small width; images at the generator's size.
- The feature term is LPIPS of the domain's perceptual network, with a weight on its scale: 5e-5 belongs to raw
  activations of VGG-16.
- The last normalisation starts at the mean and spread of W, where the official code starts at 0 and 1: StyleGAN2's W
  has another mean, and the training is short. For the same reason the rate is higher and falls along the loop's curve
  instead of to four fifths every quarter of the training.
- R1 comes every so many steps with as many times the weight (Karras et al. 2020, Appendix B), not at every step; the
  discriminator sees the reconstructions that the encoder has just been judged by.
- Adam's second momentum is 0.999 instead of 0.99.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from core.config import Strict
from methods.code import Code
from methods.encoder_task import EncoderTask
from methods.generators import LoadedGenerator, load_discriminator
from methods.inverter import Inverter, Step, alone
from methods.networks.idinvert import InDomainEncoder
from methods.networks.latent_discriminator import discriminator_loss, encoder_loss, gradient_penalty
from methods.networks.layers import without_autocast
from methods.registry import KINDS, Context
from methods.training_config import TrainingConfig
from methods.training_task import Objective, Player, load_modules


class AdversarialArguments(Strict):
    """The term that the discriminator gives."""

    weight: float = Field(default=0.08, ge=0)
    """Of the adversarial term in the encoder's loss."""
    r1_gamma: float = Field(default=10.0, ge=0)
    r1_every: int = Field(default=16, ge=1)
    """Steps between two R1 penalties."""


class InDomainEncoderArguments(Strict):
    """An entry of kind `idinvert_encoder`."""

    widths: tuple[int, ...] = (32, 64, 128, 128, 128)
    """Channels after the stem and after each block; each block halves the size, which must end at 4 px."""
    adversarial: AdversarialArguments = AdversarialArguments()
    training: TrainingConfig


def new_encoder(arguments: InDomainEncoderArguments, generator: LoadedGenerator) -> InDomainEncoder:
    """The encoder that fits `generator`, with random weights and the distribution of W.

    Raises:
        ReinvertError: `widths` do not fit the size of the images.
    """
    layers, dimensions = generator.style_shape
    encoder = InDomainEncoder(generator.resolution, layers, dimensions, arguments.widths)
    last = list(encoder.children())[-1].get_submodule("bn.bn")
    with torch.no_grad():
        last.get_parameter("weight").fill_(generator.latent_std / math.sqrt(dimensions))
        last.get_parameter("bias").copy_(generator.latent_mean.repeat(layers))
    return encoder


class InDomainTask(EncoderTask):
    """Encoder against discriminator, through the frozen generator."""

    def __init__(self, arguments: InDomainEncoderArguments, context: Context) -> None:
        discriminator, card = load_discriminator(context.domain, context.weights_root)
        super().__init__(
            context,
            arguments.training,
            "in-domain-encoder",
            arguments.model_dump(exclude={"training"}),
            lambda: {"encoder": new_encoder(arguments, context.loaded_generator), "discriminator": discriminator},
            {"discriminator": card.sha256},
        )
        self.adversarial = arguments.adversarial
        self.discriminator = discriminator
        self.drawn: Tensor | None = None

    def players(self) -> list[Player]:
        """The encoder, then the discriminator."""
        return [
            Player("encoder", list(self.modules["encoder"].parameters()), self.encoder_objectives),
            Player("discriminator", list(self.discriminator.parameters()), self.discriminator_objectives),
        ]

    def encode(self, images: Tensor) -> Code:
        """See `EncoderTask.encode`."""
        return Code(self.modules["encoder"](images).float())

    def encoder_objectives(self, images: Tensor, step: int) -> Iterator[Objective]:
        """Eq. 2 on one batch: means over the images."""
        code = self.encode(images)
        drawn = self.generator.draw(code)
        total, terms = self.compared(images, code, drawn)
        terms["adversarial"] = encoder_loss(self.modules["discriminator"].requires_grad_(False)(drawn))
        total = total + self.adversarial.weight * terms["adversarial"]
        self.drawn = drawn.detach()
        yield Objective(total, {"loss": total, **terms})

    def discriminator_objectives(self, images: Tensor, step: int) -> Iterator[Objective]:
        """Eq. 3 on the reconstructions of this batch."""
        assert self.drawn is not None  # the encoder moves first
        discriminator = self.modules["discriminator"].requires_grad_(True)
        loss = discriminator_loss(discriminator(images), discriminator(self.drawn))
        yield Objective(loss, {"discriminator": loss})
        if self.adversarial.r1_gamma > 0 and step % self.adversarial.r1_every == 0:
            with without_autocast(images):  # and not through the loop's wrapper, which would switch it on again
                penalty = gradient_penalty(self.discriminator, images)
            yield Objective(penalty * (self.adversarial.r1_gamma / 2 * self.adversarial.r1_every), {"r1": penalty})


@KINDS.register("idinvert_encoder")
class InDomainEncoding(Inverter):
    """The trained encoder; yields once."""

    Arguments = InDomainEncoderArguments

    def __init__(self, generator: LoadedGenerator, encoder: nn.Module) -> None:
        super().__init__(generator)
        self.encoder = encoder

    @classmethod
    def from_arguments(cls, arguments: InDomainEncoderArguments, context: Context) -> InDomainEncoding:
        """See `Inverter.from_arguments`."""
        encoder = new_encoder(arguments, context.loaded_generator)
        load_modules(context.weights_folder, context.domain, {"encoder": encoder})
        return cls(context.loaded_generator, encoder.to(context.device))

    @classmethod
    def training_task(cls, arguments: InDomainEncoderArguments, context: Context) -> InDomainTask:
        """See `Inverter.training_task`."""
        return InDomainTask(arguments, context)

    def encode(self, images: Tensor) -> Tensor:
        """Styles (B, L, D) of (B, 3, H, W) images, differentiable; on a CPU image by image, see `inverter.alone`."""
        return torch.cat([self.encoder(part) for part in alone(images)]).float()

    @torch.no_grad()
    def _encode(self, images: Tensor) -> Code:
        return Code(self.encoder(images).float())

    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        """See `Inverter.invert`. Yields one code; deterministic."""
        self.generator.check_images(images)
        yield Step(0, self._encode(images.to(self.generator.device, torch.float32)))

    def networks(self) -> list[nn.Module]:
        """The encoder."""
        return [self.encoder]

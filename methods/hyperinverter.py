"""HyperInverter: a W code, then changes of the generator's weights predicted from what that code could not draw.

Dinh, Tran, Nguyen and Hua 2022, "HyperInverter: Improving StyleGAN Inversion via Hypernetwork" (arXiv 2112.00719),
Section 3. Phase I is `start`, an encoder E1 into W: w = E1(x) and a first image G(w) (Eqs. 1 and 2). Phase II: one
shared encoder E2 reads the image and the first image (Eq. 3), both codes are fused, and a hypernetwork per convolution
predicts what is added to its weights (Eq. 4); the changed generator draws w again (Eq. 5). Edits move w alone and keep
the changed weights. Phase II is trained with L2, LPIPS and identity (Eq. 6), later also against the generator's own
discriminator, which goes on learning with the R1 penalty (Eqs. 7-9).

As in the official code: the discriminator's loss is halved, R1 comes every 16th step times 16 (Karras et al. 2020), and
both players have Adam. The regressors start so small that the first prediction changes no pixel by a grey level.

Deviations: small widths; codes of 2 px, which are to the 64 px that E2 reads as the published 8 px to 256; E2 is
trained from scratch and its body is IR-SE for every domain; the batch size stays when the adversarial term sets in,
after the same fraction of the steps, and the code's 20,000 "cold" steps after that, of which the paper says nothing,
are left out; gamma is that of the generator's own training, as theirs are; judges are the domain's own; a learning rate
that may fall towards the end.

Ablations (Table 3): without phase II `start` is left; `sees_first_image`, `layer_wise`, and `hidden` for D.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from core.config import Strict, ablated
from core.errors import ReinvertError
from methods.code import Code
from methods.encoder_task import EncoderTask
from methods.generators import LoadedGenerator, load_discriminator
from methods.inverter import Inverter, Step
from methods.networks.encoders import GradualStyleEncoder
from methods.networks.hyperinverter import weight_residuals
from methods.networks.hypernetwork import HyperNetwork
from methods.networks.latent_discriminator import discriminator_loss, encoder_loss, gradient_penalty
from methods.networks.layers import without_autocast
from methods.psp import EncoderArguments
from methods.registry import KINDS, Context
from methods.training_config import TrainingConfig
from methods.training_task import Objective, Player, load_modules


class AdversarialArguments(Strict):
    """The adversarial term of one domain."""

    weight: float = Field(gt=0)
    """Of the encoder's loss, -log D (Eq. 8)."""
    begin: float = Field(default=0.4, ge=0, lt=1)
    """Fraction of the steps after which it sets in."""
    r1_gamma: float = Field(ge=0)
    """Weight of the squared gradient on real images, halved (Eq. 9)."""
    r1_every: int = Field(default=16, ge=1)
    """Steps between two such penalties, each as many times as heavy."""


class HyperInverterArguments(Strict):
    """An entry of kind `hyperinverter`."""

    start: str
    """The method that gives the W code."""
    encoder: EncoderArguments = EncoderArguments()
    """Of E2; `style_width` is the width of its codes."""
    code_size: int = Field(default=2, ge=2)
    """Pixels per side of E2's codes."""
    hidden: int = Field(default=32, ge=1)
    """Width inside the weight regressors (D; published: 128 and 256 for 512 channels)."""
    fused_channels: int = Field(default=64, ge=1)
    extractor_channels: int = Field(default=32, ge=1)
    sees_first_image: bool = ablated(True)
    """Whether the first image's code is fused with that of the image."""
    layer_wise: bool = ablated(True)
    """Whether E2 gives a code for every layer, and not one, off its coarsest map, for all."""
    adversarial: dict[str, AdversarialArguments] = Field(default={})
    """By domain, because the paper weighs them differently; a domain that is not here has no such term."""
    training: TrainingConfig


def new_modules(arguments: HyperInverterArguments, generator: LoadedGenerator) -> dict[str, nn.Module]:
    """E2 and the hypernetwork that fit `generator`, with random weights.

    Raises:
        ReinvertError: `code_size` is no power of two, or too large for the maps of the encoder.
    """
    size, (layers, _) = generator.resolution, generator.style_shape
    coarsest = size // (16 if arguments.encoder.coarse_styles > 0 else 8)
    if 2 * arguments.code_size > coarsest:
        raise ReinvertError(
            f"code_size is {arguments.code_size}, but the coarsest map read has {coarsest} px; use at most half of that"
        )
    channels = {side: width for width, side, _ in map(generator.feature_shape, range(1, layers - 1))}
    hypernet = HyperNetwork(
        size,
        channels,
        arguments.encoder.style_width,
        arguments.code_size,
        arguments.hidden,
        arguments.fused_channels,
        arguments.extractor_channels,
        arguments.sees_first_image,
        arguments.layer_wise,
    )
    rows = max(layer.code for layer in hypernet.predicted) + 1
    encoder = GradualStyleEncoder(size, rows, None, **arguments.encoder.model_dump(), code_size=arguments.code_size)
    return {"w_bar_encoder": encoder, "hypernet": hypernet}


def first_code(start: Inverter, images: Tensor, seed: int) -> Code:
    """The W code of phase I.

    Raises:
        ReinvertError: the start's codes are not in W, or have other parts than styles.
    """
    code = start.answer(images, seed)
    alone = code.feature is None and code.weight_residuals is None and code.noise is None
    if not alone or not bool((code.styles == code.styles[:, :1]).all()):
        raise ReinvertError("hyperinverter starts from codes in W; set 'start' to a method with space 'w'")
    return code


class HyperInverterTask(EncoderTask):
    """E2 and the hypernetwork, trained through the generator behind the frozen W encoder."""

    def __init__(self, arguments: HyperInverterArguments, context: Context) -> None:
        if arguments.training.losses.latent_norm > 0:
            raise ReinvertError(f"{context.name} changes no styles; remove losses.latent_norm")
        self.start = context.start(arguments.start)
        self.adversarial = arguments.adversarial.get(context.domain)
        inputs = context.start_inputs(arguments.start)
        self.discriminator: nn.Module | None = None
        if self.adversarial is not None:
            self.discriminator, card = load_discriminator(context.domain, context.weights_root)
            inputs["discriminator"] = card.sha256
        super().__init__(
            context,
            arguments.training,
            "hyperinverter",
            arguments.model_dump(exclude={"training"}),
            lambda: new_modules(arguments, context.loaded_generator),
            inputs,
        )
        self.shipped = ("w_bar_encoder", "hypernet")
        if self.discriminator is not None:
            self.modules["discriminator"] = self.discriminator
        self._latest: Tensor | None = None

    def players(self) -> list[Player]:
        """E2 with the hypernetwork, and the discriminator where there is an adversarial term."""
        parameters = [parameter for name in self.shipped for parameter in self.modules[name].parameters()]
        players = [Player("encoder", parameters, self.objectives)]
        if self.adversarial is not None:
            parameters = list(self.modules["discriminator"].parameters())
            players.append(Player("discriminator", parameters, self.discriminator_objectives))
        return players

    def _competes(self, step: int) -> bool:
        return self.adversarial is not None and step >= self.adversarial.begin * self.config.steps

    def objectives(self, images: Tensor, step: int) -> Iterator[Objective]:
        """Eq. 7 on one batch: means over the images."""
        code = self.encode(images)
        drawn = self.generator.draw(code)
        total, terms = self.compared(images, code, drawn)
        if self.adversarial is not None and self._competes(step):
            discriminator = self.modules["discriminator"].requires_grad_(False)
            terms["adversarial"] = encoder_loss(discriminator(drawn))
            total = total + self.adversarial.weight * terms["adversarial"]
        self._latest = drawn.detach()
        yield Objective(total, {"loss": total, **terms})

    def discriminator_objectives(self, images: Tensor, step: int) -> Iterator[Objective]:
        """Eq. 9, halved as in the code, on the batch that the encoder has just moved on; the penalty every so often."""
        if self.adversarial is None or self.discriminator is None or not self._competes(step):
            return
        assert self._latest is not None
        discriminator = self.modules["discriminator"].requires_grad_(True)
        loss = 0.5 * discriminator_loss(discriminator(images), discriminator(self._latest))
        yield Objective(loss, {"discriminator": loss})
        if self.adversarial.r1_gamma > 0 and step % self.adversarial.r1_every == 0:
            with without_autocast(images):  # and not through the loop's wrapper, which would switch it on again
                penalty = gradient_penalty(self.discriminator, images)
            weight = 0.5 * self.adversarial.r1_gamma * self.adversarial.r1_every
            yield Objective(weight * penalty, {"r1": penalty})

    def encode(self, images: Tensor) -> Code:
        """See `EncoderTask.encode`."""
        with torch.no_grad():
            code = first_code(self.start, images, self.config.seed)
            first = self.generator.draw(code)
        residuals = weight_residuals(self.modules["w_bar_encoder"], self.modules["hypernet"], first, images)
        return Code(styles=code.styles, weight_residuals=residuals)


@KINDS.register("hyperinverter")
class HyperInverter(Inverter):
    """Yields the W code, then the same with changed weights; `edit` moves the styles alone, as every method's does."""

    Arguments = HyperInverterArguments

    def __init__(self, generator: LoadedGenerator, start: Inverter, modules: dict[str, nn.Module]) -> None:
        super().__init__(generator)
        self.start = start
        self.modules = modules

    @classmethod
    def from_arguments(cls, arguments: HyperInverterArguments, context: Context) -> HyperInverter:
        """See `Inverter.from_arguments`."""
        generator, start = context.loaded_generator, context.start(arguments.start)
        modules = new_modules(arguments, generator)
        load_modules(context.weights_folder, context.domain, modules)
        return cls(generator, start, {name: module.to(context.device) for name, module in modules.items()})

    @classmethod
    def training_task(cls, arguments: HyperInverterArguments, context: Context) -> HyperInverterTask:
        """See `Inverter.training_task`."""
        return HyperInverterTask(arguments, context)

    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        """See `Inverter.invert`. Deterministic unless the start is not."""
        self.generator.check_images(images)
        images = images.to(self.generator.device, torch.float32)
        with torch.no_grad():
            code = first_code(self.start, images, seed)
        yield Step(0, code)
        with torch.no_grad():
            first = self.generator.draw(code)
            residuals = weight_residuals(self.modules["w_bar_encoder"], self.modules["hypernet"], first, images)
        yield Step(1, Code(styles=code.styles, weight_residuals=residuals))

    def networks(self) -> list[nn.Module]:
        """Those of phase I, E2 and the hypernetwork."""
        return [*self.start.networks(), *self.modules.values()]

"""ReStyle: the encoder sees the image beside its reconstruction so far and corrects the code, several times.

Alaluf et al. 2021, "ReStyle: A Residual-Based StyleGAN Encoder via Iterative Refinement" (arXiv 2104.02699), Section 4:
starting from the average code and its image, w <- w + E([x; y]) and y <- G(w) (Eqs. 1-4), N = 5 times for each batch of
the training and up to ten times in inference. The encoder is pSp's or e4e's, simplified: all styles come from the last
map (Section 4.1). The losses are those of the encoder it is built on; with `adversary` also e4e's regularisers.

As in the official code: every step of a batch has its own loss and passes no gradient to the step before; the gradients
of all steps are added up into one update; the offset is added to the average code always; what is fed back is neither
clamped nor quantised; over e4e, norms and adversarial term concern the code so far, not the last offset alone, and the
discriminator learns from the codes after the first step.

Deviations: those of pSp and e4e (`methods/psp.py`, `methods/latent_adversary.py`). The input layer is drawn like any
other, where the code widens that of a pretrained one by channels drawn from N(0, 1). The log shows means over the steps
(of `adversarial` and the losses alike), the code's those of the last.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn

from core.config import Strict
from methods.code import Code
from methods.encoder_task import EncoderTask
from methods.generators import LoadedGenerator
from methods.inverter import Inverter, Step
from methods.latent_adversary import AdversaryArguments, LatentAdversary
from methods.networks.encoders import GradualStyleEncoder
from methods.networks.inference import restyle
from methods.psp import EncoderArguments
from methods.registry import KINDS, Context
from methods.training_config import TrainingConfig
from methods.training_task import Objective, Player, load_modules


class RestyleArguments(Strict):
    """An entry of kind `restyle`."""

    encoder: EncoderArguments = EncoderArguments()
    pyramid: bool = False
    """Keep the feature pyramid of pSp, with its `coarse_styles` and `middle_styles`, instead of reading all styles off
    the last map (Appendix C)."""
    steps: int = Field(default=10, ge=0)
    """Corrections in inference, each yielded."""
    training_steps: int = Field(default=5, ge=1)
    """Corrections of each batch in training, N in the paper."""
    adversary: AdversaryArguments | None = None
    """e4e's regularisers and its offsets from the first style, for ReStyle over e4e; None for ReStyle over pSp."""
    training: TrainingConfig


def new_encoder(arguments: RestyleArguments, generator: LoadedGenerator) -> GradualStyleEncoder:
    """The encoder that fits `generator`, with random weights."""
    layers, dimensions = generator.style_shape
    sizes = arguments.encoder.model_dump()
    if not arguments.pyramid:
        sizes["coarse_styles"] = layers
    return GradualStyleEncoder(
        generator.resolution,
        layers,
        dimensions,
        **sizes,
        in_channels=6,
        offsets_from_first=arguments.adversary is not None,
    )


class RestyleTask(EncoderTask):
    """The encoder, trained on its own corrections; with e4e's regularisers when there is an adversary.

    Attributes:
        released: e4e's offsets in use at the last step, for evaluations on the way; None for all.
    """

    released: int | None = None
    adversary: LatentAdversary | None = None

    def __init__(self, arguments: RestyleArguments, context: Context) -> None:
        generator, training = context.loaded_generator, arguments.training

        def new_modules() -> dict[str, nn.Module]:
            modules: dict[str, nn.Module] = {"encoder": new_encoder(arguments, generator)}
            if arguments.adversary is not None:
                self.adversary = LatentAdversary(arguments.adversary, generator, training.steps, modules)
            return modules

        super().__init__(context, training, "restyle", arguments.model_dump(exclude={"training"}), new_modules)
        self.corrections = arguments.training_steps

    def players(self) -> list[Player]:
        """The discriminator where there is one, then the encoder."""
        players = [Player("encoder", list(self.modules["encoder"].parameters()), self.objectives)]
        if self.adversary is not None:
            players.insert(0, self.adversary.player(self._first_styles))
        return players

    def _average(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The average code's styles (B, L, D) and its image (B, 3, H, W), drawn once for all."""
        code = self.generator.mean_code(len(images))
        with torch.no_grad():
            drawn = self.generator.draw(code[:1]).expand_as(images)
        return code.styles, drawn

    def _offset(self, images: Tensor, drawn: Tensor, offsets: int | None) -> Tensor:
        seen = torch.cat([images, drawn.to(images.dtype)], dim=1)
        styles: Tensor = self.modules["encoder"](seen, offsets=offsets)
        return styles.float()

    def _first_styles(self, images: Tensor, offsets: int) -> Tensor:
        styles, drawn = self._average(images)
        return styles + self._offset(images, drawn, offsets)

    def objectives(self, images: Tensor, step: int) -> Iterator[Objective]:
        """The loss after each correction of one batch: means over the images."""
        self.released = None if self.adversary is None else self.adversary.offsets(step)
        styles, drawn = self._average(images)
        for _ in range(self.corrections):
            styles = styles.detach() + self._offset(images, drawn.detach(), self.released)
            code = Code(styles=styles)
            drawn = self.generator.draw(code)
            total, terms = self.compared(images, code, drawn)
            if self.adversary is not None:
                near, near_terms = self.adversary.encoder_terms(styles, step)
                total, terms = total + near, terms | near_terms
            yield Objective(total, {"loss": total, **terms})

    def encode(self, images: Tensor) -> Code:
        """See `EncoderTask.encode`: after as many corrections as in training, with the offsets released so far."""
        styles, drawn = self._average(images)
        for _ in range(self.corrections):
            styles = styles + self._offset(images, drawn, self.released)
            drawn = self.generator.draw(Code(styles=styles))
        return Code(styles=styles)


@KINDS.register("restyle")
class Restyle(Inverter):
    """Yields the average code, then the code after each correction."""

    Arguments = RestyleArguments

    def __init__(self, generator: LoadedGenerator, encoder: nn.Module, steps: int) -> None:
        super().__init__(generator)
        self.encoder = encoder
        self.steps = steps

    @classmethod
    def from_arguments(cls, arguments: RestyleArguments, context: Context) -> Restyle:
        """See `Inverter.from_arguments`."""
        encoder = new_encoder(arguments, context.loaded_generator)
        load_modules(context.weights_folder, context.domain, {"encoder": encoder})
        return cls(context.loaded_generator, encoder.to(context.device), arguments.steps)

    @classmethod
    def training_task(cls, arguments: RestyleArguments, context: Context) -> RestyleTask:
        """See `Inverter.training_task`."""
        return RestyleTask(arguments, context)

    @torch.no_grad()
    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        """See `Inverter.invert`. Yields the average code as step 0, then every correction; deterministic."""
        self.generator.check_images(images)
        images = images.to(self.generator.device, torch.float32)
        yield Step(0, self.generator.mean_code(len(images)))
        corrected = restyle(self.encoder, self.generator.generator, images, self.generator.latent_mean, self.steps)
        for step, (styles, _) in enumerate(corrected, start=1):
            yield Step(step, Code(styles=styles))

    def networks(self) -> list[nn.Module]:
        """The encoder."""
        return [self.encoder]

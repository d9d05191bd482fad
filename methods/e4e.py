"""e4e: one forward pass gives a W+ code that stays near W, for the sake of editing.

Tov et al. 2021, "Designing an Encoder for StyleGAN Image Manipulation" (arXiv 2102.02766), Section 4: pSp's network
gives one style and an offset for every other layer, trained with pSp's losses, the norm of the offsets and a
discriminator of styles. `methods/latent_adversary.py` says how the last two work, and how they differ from the official
code. Off faces the identity term compares the domain's `similarity` features, as the paper does with MoCo.

Deviations: as for pSp (`methods/psp.py`): small width, trained from scratch, the domain's own judges, a learning rate
that may fall towards the end, images at the generator's size.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from torch import Tensor, nn

from core.config import Strict
from methods.code import Code
from methods.encoder_task import EncoderTask
from methods.generators import LoadedGenerator
from methods.latent_adversary import AdversaryArguments, LatentAdversary
from methods.networks.encoders import GradualStyleEncoder
from methods.psp import EncoderArguments, EncoderInverter, encode
from methods.registry import KINDS, Context
from methods.training_config import TrainingConfig
from methods.training_task import Objective, Player, load_modules


class E4eArguments(Strict):
    """An entry of kind `e4e`."""

    encoder: EncoderArguments = EncoderArguments()
    adversary: AdversaryArguments = AdversaryArguments()
    training: TrainingConfig


def new_encoder(arguments: E4eArguments, generator: LoadedGenerator) -> GradualStyleEncoder:
    """The encoder that fits `generator`, with random weights."""
    layers, dimensions = generator.style_shape
    size = generator.resolution
    return GradualStyleEncoder(size, layers, dimensions, **arguments.encoder.model_dump(), offsets_from_first=True)


class E4eTask(EncoderTask):
    """The encoder against the discriminator of styles.

    Attributes:
        released: offsets in use at the last step, for evaluations on the way; None for all.
    """

    released: int | None = None

    def __init__(self, arguments: E4eArguments, context: Context) -> None:
        def new_modules() -> dict[str, nn.Module]:
            modules: dict[str, nn.Module] = {"encoder": new_encoder(arguments, context.loaded_generator)}
            self.adversary = LatentAdversary(
                arguments.adversary, context.loaded_generator, arguments.training.steps, modules
            )
            return modules

        super().__init__(
            context, arguments.training, "e4e", arguments.model_dump(exclude={"training", "adversary"}), new_modules
        )
        self.inputs["adversary"] = repr(arguments.adversary)

    def players(self) -> list[Player]:
        """The discriminator, then the encoder."""
        encoder = Player("encoder", list(self.modules["encoder"].parameters()), self.objectives)
        return [self.adversary.player(lambda images, offsets: self._coded(images, offsets).styles), encoder]

    def _coded(self, images: Tensor, offsets: int | None) -> Code:
        return encode(partial(self.modules["encoder"], offsets=offsets), images, self.generator.latent_mean)

    def objectives(self, images: Tensor, step: int) -> Iterator[Objective]:
        """The encoder's loss on one batch: means over the images."""
        self.released = self.adversary.offsets(step)
        code = self._coded(images, self.released)
        total, terms = self.compared(images, code)
        near, near_terms = self.adversary.encoder_terms(code.styles, step)
        yield Objective(total + near, {"loss": total + near, **terms, **near_terms})

    def encode(self, images: Tensor) -> Code:
        """See `EncoderTask.encode`. While it trains, with the offsets released so far; in the end these are all."""
        return self._coded(images, self.released)


@KINDS.register("e4e")
class E4e(EncoderInverter):
    """e4e's encoder."""

    Arguments = E4eArguments

    @classmethod
    def from_arguments(cls, arguments: E4eArguments, context: Context) -> E4e:
        """See `Inverter.from_arguments`."""
        generator = context.loaded_generator
        encoder = new_encoder(arguments, generator)
        load_modules(context.weights_folder, context.domain, {"encoder": encoder})
        return cls(generator, encoder.to(context.device), generator.latent_mean)

    @classmethod
    def training_task(cls, arguments: E4eArguments, context: Context) -> E4eTask:
        """See `Inverter.training_task`."""
        return E4eTask(arguments, context)

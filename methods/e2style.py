"""E2Style: a shallow encoder with one light head per depth, refined by further encoders, each trained in its turn.

Wei et al. 2022, "E2Style: Improve the Efficiency and Effectiveness of StyleGAN Inversion" (arXiv 2104.07661): network
of Section III-A (`methods/networks/e2style.py`), losses of Section III-B (L2, LPIPS, identity and parsing over several
layers, Eqs. 2-6), stages of Section III-C: w_1 = E_1(x), w_t = w_{t-1} + E_t(x, G(w_{t-1})) (Eq. 7).

One entry is one stage: `start` names the entry of the stage before, whose networks are frozen, and its own weights are
those of its encoder alone. A stage may follow any method with codes in W+. Off faces the parser is that of the domain's
own classes (Section IV-C, "multi-layer segmentation loss") and identity is left out, as in the paper.

The paper's heads give 9, 5 and 4 of 18 styles: half, and five and four ninths of the rest. `styles_per_head` does so
for any number of styles (5, 3 and 2 of 10).

Deviations: small width; trained from scratch, where every published stage starts from an ArcFace backbone; heads pool
to 4x4 instead of 7x7, since the maps have an eighth to a half of 64 px instead of 256; the fourth stage of the body,
which never runs, is left out (depth 0); perceptual, identity network and parser are the domain's training judges,
compared at all their levels (published: five of each); a learning rate that may fall towards the end.

Ablations: `encoder` says what is read by which heads (Table III, and the conv head of Table I), `absolute` makes a
refinement predict codes in the place of residuals (Table I, *).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import torch
from pydantic import Field
from torch import Tensor, nn

from core.config import Strict, ablated
from core.errors import ReinvertError
from methods.code import Code
from methods.encoder_task import EncoderTask
from methods.generators import LoadedGenerator
from methods.inverter import Inverter, Step
from methods.networks.e2style import Head, StageEncoder
from methods.registry import KINDS, Context
from methods.training_config import TrainingConfig
from methods.training_task import Objective, Player, load_modules


class StageArguments(Strict):
    """Size of a stage's encoder; `StageEncoder` explains the fields."""

    widths: tuple[int, int, int, int] = (32, 64, 128, 128)
    units: tuple[int, int, int, int] = (2, 2, 3, 0)
    grid: int = Field(default=4, ge=1)
    levels: tuple[int, ...] = ablated((3, 2, 1), min_length=1, max_length=3)
    """Stages whose maps are read, each of half the size of the one before: three, or fewer heads for all styles."""
    head: Head = ablated("pooled")
    pyramid: bool = ablated(False)
    """pSp's feature pyramid over the maps that are read."""


class E2StyleArguments(Strict):
    """An entry of kind `e2style`."""

    start: str = "mean"
    """`mean` for the first stage, which sees the image alone; else the method that this stage refines."""
    encoder: StageArguments = StageArguments()
    absolute: bool = ablated(False)
    """Whether a refinement predicts the code itself, from the mean latent as the first stage does, and not a change of
    the code before."""
    training: TrainingConfig


def styles_per_head(styles: int) -> tuple[int, int, int]:
    """How many of `styles` the coarse, middle and fine head give: 18 -> (9, 5, 4), 14 -> (7, 4, 3), 10 -> (5, 3, 2)."""
    coarse = styles // 2
    middle = round((styles - coarse) * 5 / 9)
    return coarse, middle, styles - coarse - middle


def new_encoder(arguments: E2StyleArguments, generator: LoadedGenerator) -> StageEncoder:
    """The stage's encoder that fits `generator`, with random weights.

    Raises:
        ReinvertError: two heads, whose share of the styles nobody says, or levels that are none.
    """
    layers, dimensions = generator.style_shape
    channels = 3 if arguments.start == "mean" else 6
    heads = {1: (layers,), 3: styles_per_head(layers)}.get(len(arguments.encoder.levels))
    if heads is None:
        raise ReinvertError("e2style has three heads, or one for all styles; give 'encoder.levels' 3 numbers or 1")
    return StageEncoder(channels, dimensions, heads, **arguments.encoder.model_dump(), size=generator.resolution)


def refined(encoder: nn.Module, images: Tensor, before: Code, drawn: Tensor | None) -> Code:
    """Eq. 7: `before` and the offset that the encoder gives of `images` (B, 3, H, W) and, unless None, `drawn`."""
    seen = images if drawn is None else torch.cat([images, drawn.to(images.dtype)], dim=1)
    offset: Tensor = encoder(seen)
    return Code(styles=before.styles + offset.float())


def require_styles_alone(code: Code) -> Code:
    """`code` itself.

    Raises:
        ReinvertError: it has other parts than styles, which a refinement of styles would leave behind.
    """
    others = [field.name for field in fields(code) if field.name != "styles" and getattr(code, field.name) is not None]
    if others:
        raise ReinvertError(f"e2style refines styles, not a {others[0]}; set 'start' to a method with codes in W+")
    return code


class E2StyleTask(EncoderTask):
    """One stage's encoder; the stages before it are frozen."""

    def __init__(self, arguments: E2StyleArguments, context: Context) -> None:
        self.start = None if arguments.start == "mean" else context.start(arguments.start)
        self.absolute = arguments.absolute
        super().__init__(
            context,
            arguments.training,
            "e2style",
            arguments.model_dump(exclude={"training"}),
            lambda: {"encoder": new_encoder(arguments, context.loaded_generator)},
            {} if arguments.start == "mean" else context.start_inputs(arguments.start),
        )

    def players(self) -> list[Player]:
        """The stage's encoder alone."""
        return [Player("encoder", list(self.modules["encoder"].parameters()), self.objectives)]

    def objectives(self, images: Tensor, step: int) -> Iterator[Objective]:
        """Eq. 6 on one batch, of this stage's output: means over the images."""
        total, terms = self.compared(images, self.encode(images))
        yield Objective(total, {"loss": total, **terms})

    def encode(self, images: Tensor) -> Code:
        """See `EncoderTask.encode`."""
        encoder = self.modules["encoder"]
        if self.start is None:
            return refined(encoder, images, self.generator.mean_code(len(images)), None)
        before = require_styles_alone(self.start.answer(images, self.config.seed))
        base = self.generator.mean_code(len(images)) if self.absolute else before
        return refined(encoder, images, base, self.start.draw(before))


@KINDS.register("e2style")
class E2Style(Inverter):
    """All stages up to one; yields what its start yields, then its own code."""

    Arguments = E2StyleArguments

    def __init__(
        self, generator: LoadedGenerator, encoder: nn.Module, start: Inverter | None, absolute: bool = False
    ) -> None:
        super().__init__(generator)
        self.encoder = encoder
        self.start = start
        self.absolute = absolute

    @classmethod
    def from_arguments(cls, arguments: E2StyleArguments, context: Context) -> E2Style:
        """See `Inverter.from_arguments`."""
        start = None if arguments.start == "mean" else context.start(arguments.start)
        encoder = new_encoder(arguments, context.loaded_generator)
        load_modules(context.weights_folder, context.domain, {"encoder": encoder})
        return cls(context.loaded_generator, encoder.to(context.device), start, arguments.absolute)

    @classmethod
    def training_task(cls, arguments: E2StyleArguments, context: Context) -> E2StyleTask:
        """See `Inverter.training_task`."""
        return E2StyleTask(arguments, context)

    @torch.no_grad()
    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        """See `Inverter.invert`. The stages count from 1; deterministic unless the start is not."""
        self.generator.check_images(images)
        images = images.to(self.generator.device, torch.float32)
        if self.start is None:
            yield Step(1, refined(self.encoder, images, self.generator.mean_code(len(images)), None))
            return
        before: Step | None = None
        for before in self.start.invert(images, seed):
            yield before
        assert before is not None
        code = require_styles_alone(before.code)
        base = self.generator.mean_code(len(images)) if self.absolute else code
        yield Step(before.step + 1, refined(self.encoder, images, base, self.draw(code)))

    def networks(self) -> list[nn.Module]:
        """Those of the stages before, and this stage's encoder."""
        return [*(self.start.networks() if self.start is not None else []), self.encoder]

"""HFGI: what an encoder's W+ code could not draw is aligned to the drawn image and consulted by one layer.

Wang et al. 2022, "High-Fidelity GAN Inversion for Image Attribute Editing" (arXiv 2109.06590), Sections 3.2 to 3.4. A
basic encoder (`start`; e4e in the paper) and the generator stay as they are. With x the image, w its code and G(w) the
image drawn from it:

- distortion map: D = x - G(w);
- distortion alignment: A = ADA([D; G(w)]), D brought where the drawn image has what it belongs to;
- consultation fusion: scale and shift = E_c(A), and one map of the generator becomes map (1 + scale) + shift;
- editing: the same D is aligned to G(w edited), whose map the new scale and shift change.

Training, on images alone: D is warped by a random perspective before alignment, and the loss is that of the image drawn
with consultation (L2, LPIPS, identity) plus L1 between the aligned and the unwarped D. The code keeps D, for edits.

As in the official code: the drawn image is clamped before D is taken; D has no gradient; no adversarial term.

Deviations: widths and the start are arguments; the map consulted has a quarter of the image's size (published: 64 px, a
quarter of the 256 px that the networks read and 1/16 of what the generator draws; here 16 px, a quarter of both); each
image has a warp of its own, where the code warps a batch alike; the basic encoder stays in eval mode, where the code
lets its batch norms drift; scale and shift start at 0, that is at the plain generator, because a short training spends
itself on unlearning random ones (after 45 steps 24 dB against 10); an image that its code already draws to the bit is
not consulted about, because nothing was lost; the losses use the domain's training judges; a learning rate that may
fall towards the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from core.config import Strict
from core.errors import ReinvertError
from methods.code import Code
from methods.encoder_task import EncoderTask
from methods.generators import LoadedGenerator
from methods.inverter import Inverter, Step
from methods.networks.hfgi import (
    ConsultationEncoder,
    DistortionAlignment,
    conditions,
    consulted,
    consulted_layer,
    resized,
)
from methods.registry import KINDS, Context
from methods.training_config import TrainingConfig
from methods.training_task import Objective, Player, load_modules

MAP_FRACTION = 4
"""Pixels per side of the image for one of the consulted map."""


class HfgiArguments(Strict):
    """An entry of kind `hfgi`."""

    start: str
    """The method whose W+ codes are consulted about; e4e in the paper."""
    alignment_widths: tuple[int, int, int, int] = (8, 16, 32, 48)
    """Channels at the image's size, a half, a quarter and an eighth."""
    consultation_widths: tuple[int, int, int] = (16, 32, 48)
    """Channels at the image's size, a half and a quarter."""
    alignment_weight: float = Field(default=0.1, ge=0)
    """Of the L1 distance between the aligned and the unwarped distortion map."""
    perspective: float = Field(default=0.15, ge=0, lt=1)
    """How far a corner of the distortion map moves at most in training, as a fraction of half a side."""
    perspective_probability: float = Field(default=0.9, ge=0, le=1)
    training: TrainingConfig


def new_modules(arguments: HfgiArguments, generator: LoadedGenerator) -> dict[str, nn.Module]:
    """Alignment and consultation that fit `generator`, random but for scale and shift, which start at 0."""
    channels, _, _ = generator.feature_shape(consulted_layer(generator.resolution // MAP_FRACTION))
    consultation = ConsultationEncoder(arguments.consultation_widths, channels)
    for head in (consultation.condition_scale3, consultation.condition_shift3):
        nn.init.zeros_(head.get_parameter("2.weight"))
    return {"alignment": DistortionAlignment(arguments.alignment_widths), "consultation": consultation}


def homography(source: Tensor, target: Tensor) -> Tensor:
    """(B, 3, 3) projective maps that take the four `source` points (B, 4, 2) to the `target` points (B, 4, 2)."""
    x, y = source.double().unbind(-1)
    u, v = target.double().unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    first = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=-1)
    second = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=-1)
    solved = torch.linalg.solve(torch.cat([first, second], dim=1), torch.cat([u, v], dim=1))
    return torch.cat([solved, one[:, :1]], dim=1).view(-1, 3, 3)


def warped(maps: Tensor, corners: Tensor) -> Tensor:
    """(B, C, H, W) maps in perspective: their corners are drawn at `corners`, with zeros outside.

    Args:
        maps: to be warped, bilinearly.
        corners: (B, 4, 2), x and y of the upper left, upper right, lower right and lower left corner, where -1 and 1
            are the centres of the outermost pixels.
    """
    square = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]).expand_as(corners)
    back = homography(corners, square)
    height, width = maps.shape[2:]
    rows = torch.linspace(-1, 1, height, dtype=torch.float64)[:, None].expand(height, width)
    columns = torch.linspace(-1, 1, width, dtype=torch.float64)[None].expand(height, width)
    x, y, z = (row[:, 0, None, None] * columns + row[:, 1, None, None] * rows + row[:, 2, None, None]
               for row in back.unbind(1))  # fmt: skip
    grid = torch.stack([x / z, y / z], dim=-1).to(maps.device, maps.dtype)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def random_corners(count: int, scale: float, probability: float) -> Tensor:
    """(count, 4, 2) corners as `warped` takes them, each moved inwards by up to `scale`, or all four left in place."""
    inwards = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    moved = (torch.rand(count, 1, 1) < probability).float() * scale * torch.rand(count, 4, 2)
    return -inwards + inwards * moved


def start_styles(start: Inverter, images: Tensor, seed: int) -> Tensor:
    """(B, L, D) styles of the basic encoder.

    Raises:
        ReinvertError: its codes have other parts, which a consultation would not know of.
    """
    code = start.answer(images, seed)
    others = [field.name for field in fields(code) if field.name != "styles" and getattr(code, field.name) is not None]
    if others:
        raise ReinvertError(f"hfgi cannot start from codes with a {others[0]}; set 'start' to a method in W or W+")
    return code.styles


class HfgiTask(EncoderTask):
    """Alignment and consultation, trained through the frozen generator behind the frozen encoder."""

    def __init__(self, arguments: HfgiArguments, context: Context) -> None:
        if arguments.training.losses.latent_norm > 0:
            raise ReinvertError(f"{context.name} changes no styles; remove losses.latent_norm")
        self.settings = arguments
        self.start = context.start(arguments.start)
        super().__init__(
            context,
            arguments.training,
            "hfgi",
            arguments.model_dump(exclude={"training"}),
            lambda: new_modules(arguments, context.loaded_generator),
            context.start_inputs(arguments.start),
        )
        self.shipped = ("alignment", "consultation")

    def players(self) -> list[Player]:
        """Both networks together."""
        parameters = [parameter for name in self.shipped for parameter in self.modules[name].parameters()]
        return [Player("consultation", parameters, self.objectives)]

    def _consulted(self, images: Tensor, corners: Tensor | None) -> tuple[Code, Tensor, Tensor]:
        """The code, the aligned and the unwarped distortion map; warped by `corners` in between."""
        layer = consulted_layer(self.generator.resolution // MAP_FRACTION)
        with torch.no_grad():
            styles = start_styles(self.start, images, self.config.seed)
            drawn, own = self.generator.generator.synthesis(styles, return_feature_of=layer)
            distortion = images - resized(drawn, images)
        lost = distortion if corners is None else warped(distortion, corners)
        aligned, scale, shift = conditions(self.modules["alignment"], self.modules["consultation"], drawn, lost)
        return Code(styles=styles, feature=consulted(scale, shift)(own), feature_layer=layer), aligned, distortion

    def objectives(self, images: Tensor, step: int) -> Iterator[Objective]:
        """Means over the images of one batch."""
        settings = self.settings
        corners = random_corners(len(images), settings.perspective, settings.perspective_probability)
        code, aligned, distortion = self._consulted(images, corners)
        total, terms = self.compared(images, code)
        terms["alignment"] = (aligned - distortion).abs().mean()
        total = total + settings.alignment_weight * terms["alignment"]
        yield Objective(total, {"loss": total, **terms})

    def encode(self, images: Tensor) -> Code:
        """See `EncoderTask.encode`."""
        return self._consulted(images, None)[0]


@KINDS.register("hfgi")
class Hfgi(Inverter):
    """Yields the basic encoder's code, then the consulted one."""

    Arguments = HfgiArguments

    def __init__(self, generator: LoadedGenerator, start: Inverter, modules: dict[str, nn.Module]) -> None:
        super().__init__(generator)
        self.start = start
        self.modules = modules
        self.layer = consulted_layer(generator.resolution // MAP_FRACTION)

    @classmethod
    def from_arguments(cls, arguments: HfgiArguments, context: Context) -> Hfgi:
        """See `Inverter.from_arguments`."""
        generator, start = context.loaded_generator, context.start(arguments.start)
        modules = new_modules(arguments, generator)
        load_modules(context.weights_folder, context.domain, modules)
        return cls(generator, start, {name: module.to(context.device) for name, module in modules.items()})

    @classmethod
    def training_task(cls, arguments: HfgiArguments, context: Context) -> HfgiTask:
        """See `Inverter.training_task`."""
        return HfgiTask(arguments, context)

    @torch.no_grad()
    def consult(self, styles: Tensor, distortion: Tensor) -> Code:
        """The code that draws `styles` (B, L, D), edited or not, with what `distortion` (B, 3, H, W) says was lost."""
        drawn, own = self.generator.generator.synthesis(styles, return_feature_of=self.layer)
        _, scale, shift = conditions(self.modules["alignment"], self.modules["consultation"], drawn, distortion)
        lost = (distortion != 0).flatten(1).any(dim=1)[:, None, None, None]
        feature = torch.where(lost, consulted(scale, shift)(own), own)
        return Code(styles=styles, feature=feature, feature_layer=self.layer, distortion=distortion)

    @torch.no_grad()
    def _distortion(self, styles: Tensor, images: Tensor) -> Tensor:
        return images - resized(self.generator.generator.synthesis(styles), images)

    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        """See `Inverter.invert`. Deterministic unless the start is not."""
        self.generator.check_images(images)
        images = images.to(self.generator.device, torch.float32)
        styles = start_styles(self.start, images, seed)
        yield Step(0, Code(styles=styles))
        yield Step(1, self.consult(styles, self._distortion(styles, images)))

    def edit(self, code: Code, direction: Tensor, strength: float) -> Code:
        """See `Inverter.edit`. The distortion map is aligned to the edited image.

        Raises:
            ReinvertError: the direction is of another space, or the code is not this method's.
        """
        edited = super().edit(code, direction, strength)
        self.generator.check_code(edited)
        if code.distortion is None:
            raise ReinvertError("hfgi edits only codes that hold a distortion map; use those of its own inversion")
        return self.consult(edited.styles, code.distortion)

    def networks(self) -> list[nn.Module]:
        """Those of the start, the alignment and the consultation."""
        return [*self.start.networks(), *self.modules.values()]

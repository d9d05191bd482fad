"""A domain's generator as inversion uses it: frozen, with the statistics of W and able to draw a Code; and its
discriminator, for methods that train against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.errors import ReinvertError
from core.weights import WeightsCard, load_weights
from methods.code import Code
from methods.networks.discriminator import Discriminator
from methods.networks.stylegan2 import Generator

_PREFIX = "generator."


def draw_code(generator: Generator, code: Code) -> Tensor:
    """(B, 3, size, size) images of a code of `generator`, nominally in [-1, 1], differentiable in every part of it."""
    return generator.synthesis(
        code.styles,
        noise=code.noise,
        feature=code.feature,
        feature_layer=code.feature_layer,
        weight_residuals=code.weight_residuals,
    )


@dataclass(frozen=True, eq=False)
class LoadedGenerator:
    """A trained generator.

    Attributes:
        generator: in eval mode, no parameter asks for gradients: inversion never pays for them by accident.
        latent_mean: (D,) mean of W, the "average latent" of pSp.
        latent_std: scalar, the spread of W (sum over D of the variance, square root), as in the StyleGAN2 projector.
        card: where the weights come from.
    """

    generator: Generator
    latent_mean: Tensor
    latent_std: float
    card: WeightsCard

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.latent_mean.device

    @property
    def resolution(self) -> int:
        """Side of an image in pixels."""
        return self.generator.size

    @property
    def style_shape(self) -> tuple[int, int]:
        """(L, D) of a W+ code."""
        return self.generator.style_count, int(self.latent_mean.shape[0])

    def feature_shape(self, layer: int) -> tuple[int, int, int]:
        """(C, R, R) of feature `layer`, the input of that convolution (see `methods.networks.stylegan2`).

        Raises:
            ReinvertError: no feature of that number can be replaced.
        """
        last = self.generator.style_count - 2
        if not 1 <= layer <= last:
            raise ReinvertError(f"the generator of domain {self.card.domain} has no feature {layer}; use 1 ... {last}")
        weight = self.generator.modulated_weights()[f"convs.{layer - 1}.conv.weight"]
        side = 2 ** (layer // 2 + 2)
        return int(weight.shape[2]), side, side

    def mean_code(self, count: int) -> Code:
        """`count` codes at the mean latent."""
        layers, dimensions = self.style_shape
        return Code(styles=self.latent_mean.expand(count, layers, dimensions).clone())

    def check_images(self, images: Tensor) -> None:
        """Raise ReinvertError unless `images` are (B, 3, size, size) floats in [-1, 1] at this generator's size."""
        expected = (3, self.resolution, self.resolution)
        if images.ndim != 4 or tuple(images.shape[1:]) != expected or not images.is_floating_point():
            raise ReinvertError(
                f"images of shape {tuple(images.shape)} and type {images.dtype} do not fit the generator of domain "
                f"{self.card.domain}; give float images of shape (B, {', '.join(map(str, expected))})"
            )
        if not bool(torch.isfinite(images).all()) or bool((images.abs() > 1 + 1e-4).any()):
            raise ReinvertError("image values are outside [-1, 1] or not finite; scale them as pixels / 127.5 - 1")

    def check_code(self, code: Code) -> None:
        """Raise ReinvertError unless `code` has this generator's numbers of layers and dimensions."""
        if tuple(code.styles.shape[1:]) != self.style_shape:
            raise ReinvertError(
                f"a code with {code.styles.shape[1]} styles of {code.styles.shape[2]} does not fit the generator of "
                f"domain {self.card.domain} ({self.style_shape[0]} of {self.style_shape[1]}); "
                "invert the image with this generator"
            )

    def draw(self, code: Code) -> Tensor:
        """(B, 3, size, size) images of `code`, nominally in [-1, 1], differentiable in every part of it.

        Raises:
            ReinvertError: the code belongs to a generator of another shape.
        """
        self.check_code(code)
        return draw_code(self.generator, code)


def _arguments(card: WeightsCard) -> dict[str, Any]:
    """Those of the network, with the numbers that JSON cannot have as keys."""
    arguments = dict(card.arguments)
    if arguments.get("channels"):
        arguments["channels"] = {int(side): width for side, width in arguments["channels"].items()}
    return arguments


def load_discriminator(domain: str, weights_root: str | Path) -> tuple[Discriminator, WeightsCard]:
    """The discriminator that the generator of `domain` was trained with, on the CPU, to be trained further.

    Raises:
        ReinvertError: the weights are missing, altered, of another domain, or do not fit the card's architecture.
    """
    folder = Path(weights_root) / domain / "discriminator"
    state, card = load_weights(folder)
    if card.domain != domain:
        raise ReinvertError(f"'{folder}' holds a discriminator of domain {card.domain}; get {domain}'s with 'dvc pull'")
    discriminator = Discriminator(**_arguments(card))
    try:
        discriminator.load_state_dict(state)
    except RuntimeError as error:
        raise ReinvertError(f"'{folder}' does not fit its own card; get it again with 'dvc pull --force'") from error
    return discriminator, card


def load(domain: str, weights_root: str | Path, device: str | torch.device = "cpu") -> LoadedGenerator:
    """The generator of `domain` from `weights_root/<domain>/generator`.

    Raises:
        ReinvertError: the weights are missing, altered, of another domain, or do not fit the card's architecture.
    """
    folder = Path(weights_root) / domain / "generator"
    state, card = load_weights(folder)
    if card.domain != domain:
        raise ReinvertError(f"'{folder}' holds a generator of domain {card.domain}; get {domain}'s with 'dvc pull'")
    missing = [key for key in ("latent_mean", "latent_std") if key not in state]
    if missing:
        raise ReinvertError(f"'{folder}' lacks {' and '.join(missing)}; train the generator again")
    generator = Generator(**_arguments(card))
    try:
        generator.load_state_dict({key[len(_PREFIX) :]: v for key, v in state.items() if key.startswith(_PREFIX)})
    except RuntimeError as error:
        raise ReinvertError(f"'{folder}' does not fit its own card; get it again with 'dvc pull --force'") from error
    generator.eval().requires_grad_(False).to(device)
    return LoadedGenerator(generator, state["latent_mean"].to(device), float(state["latent_std"]), card)

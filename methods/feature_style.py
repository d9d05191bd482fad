"""Feature-Style encoder: W+ styles for editing and a feature map for what they cannot draw, in one forward pass.

Yao, Newson, Gousseau and Hellier 2022, "A Style-Based GAN Encoder for High Fidelity Reconstruction of Images and
Videos" (arXiv 2202.02183). One backbone has two branches: styles w from all four stages, and a feature F that replaces
the generator's own map G_K(w) (Section 3.2). Both inversions, G(w) and G(w, F), are trained at once, on batches half
synthetic and half real (Section 4): squared error of G(w) on the synthetic half (Eq. 2), LPIPS at several scales of
both (Eq. 3), distance of F from G_K(w) (Eq. 4), and for faces all layers of the identity network and of the parser
(Eqs. 6 and 7). Synthetic images are inverted with their own noise maps, real ones with random ones (Section 4.1). An
edit moves F along: F + G_K(w edited) - G_K(w) (Eq. 1).

As in the official code: the weight of F in G(w, F) grows from 0 to 1 at the start of training; G_K(w) has no gradient.

Deviations from the code: G(w) is drawn without F, as the paper has it, where the code puts F into both; batch norms
train to the end, where the code freezes them after an epoch; a synthetic image is drawn afresh, clamped, where the code
reads stored JPEGs and draws other noise than theirs; inference uses the generator's own noise maps, not fresh ones.

Deviations for the embedded scale: K stays 5, the second 16 x 16 map, because what a layer decides depends on its size,
not on that of the image; so F is taken after the stage whose map has twice that size, the first at 64 px where it is
the third at 256 px. LPIPS cannot read images below 31 px, which leaves two scales of three. Judges are the domain's
own; small width, trained from scratch; a learning rate that falls along a cosine, not in one step.

Ablations (Table 4): `scales` of LPIPS, `feature` and `synthetic` images. Without the latter there is no squared error,
which Eq. 2 has of them alone. Appendix D: `layer` K = 4 ... 7, whose maps have 16, from 6 on 32 px, in images of 64 px
as of 1024; for 32 px the feature head must not stride, as with the code's own default.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from core.config import Strict, ablated
from core.errors import ReinvertError
from methods.code import Code
from methods.generators import LoadedGenerator
from methods.inverter import Inverter, Step
from methods.losses import ReconstructionLoss, l2, load_reconstruction_loss, loss_inputs, shows_identities
from methods.networks.feature_style import PUBLISHED_FEATURE_LAYER, FeatureStyleEncoder, blended, edited_feature
from methods.registry import KINDS, Context
from methods.training_config import LossWeights, TrainingConfig
from methods.training_data import seeded
from methods.training_task import Objective, Player, TrainingTask, load_modules


class EncoderArguments(Strict):
    """Size of the encoder; `FeatureStyleEncoder` explains the fields."""

    widths: tuple[int, int, int, int] = (24, 48, 64, 96)
    units: tuple[int, int, int, int] = (2, 2, 3, 1)
    grid: int = Field(default=3, ge=1)


class FeatureStyleArguments(Strict):
    """An entry of kind `feature_style`."""

    encoder: EncoderArguments = EncoderArguments()
    layer: int = Field(default=PUBLISHED_FEATURE_LAYER, ge=1)
    """K: the feature replaces the input of this convolution of the generator, counted from 0."""
    head_stride: Literal[1, 2] = ablated(2)
    """Of the feature head."""
    feature: bool = ablated(True)
    """Whether there is a feature at all, and not styles alone."""
    synthetic: bool = ablated(True)
    """Whether half of what the training sees is drawn by the generator; else a batch has real images alone."""
    feature_weight: float = Field(default=0.01, ge=0)
    """Of the mean squared distance of F from G_K(w)."""
    ramp: float = Field(default=1 / 12, ge=0, le=1)
    """Fraction of the steps over which the weight of F in G(w, F) grows to 1."""
    scales: int = Field(default=2, ge=1)
    """At how many sizes LPIPS compares, each half of the one before."""
    training: TrainingConfig
    """A batch has as many synthetic images again; `l2` weighs these alone. The terms over layers of the identity
    network and the parser apply to domains with identities only."""


def new_encoder(arguments: FeatureStyleArguments, generator: LoadedGenerator) -> FeatureStyleEncoder:
    """The encoder that fits `generator`, with random weights.

    Raises:
        ReinvertError: no stage of the encoder has twice the size of the generator's map.
    """
    sizes = arguments.encoder.model_dump()
    if not arguments.feature:
        return FeatureStyleEncoder(*generator.style_shape, **sizes, feature_channels=None)
    channels, side, _ = generator.feature_shape(arguments.layer)
    stage = int(math.log2(generator.resolution / (arguments.head_stride * side)))
    if not 1 <= stage <= 4:
        raise ReinvertError(
            f"feature {arguments.layer} of the generator has {side} px, which no stage of the encoder leads to from "
            f"{generator.resolution} px with stride {arguments.head_stride}; choose another 'layer' or 'head_stride'"
        )
    return FeatureStyleEncoder(
        *generator.style_shape,
        **sizes,
        feature_channels=channels,
        feature_stage=stage,
        feature_stride=arguments.head_stride,
    )


def encode(encoder: nn.Module, images: Tensor, latent_mean: Tensor, layer: int) -> Code:
    """Styles (B, L, D), offsets from `latent_mean` added to it, and the feature (B, C, R, R) of `layer`, if any."""
    offsets, feature = encoder(images)
    styles = offsets.float() + latent_mean
    return Code(styles=styles) if feature is None else Code(styles, feature=feature.float(), feature_layer=layer)


class MultiScale(nn.Module):
    """Eq. 3: the sum of a distance of images (B, 3, H, W) at `scales` sizes, halved by means of 2 x 2 pixels; (B,)."""

    def __init__(self, distance: Callable[[Tensor, Tensor], Tensor], scales: int) -> None:
        super().__init__()
        self.distance = distance
        self.scales = scales

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        """See the class."""
        total = self.distance(image, target)
        for _ in range(1, self.scales):
            image, target = F.avg_pool2d(image, 2), F.avg_pool2d(target, 2)
            total = total + self.distance(image, target)
        return total


class FeatureStyleTask(TrainingTask):
    """The encoder, trained through the frozen generator on two inversions of synthetic and real images."""

    def __init__(
        self,
        arguments: FeatureStyleArguments,
        name: str,
        generator: LoadedGenerator,
        loss: ReconstructionLoss,
        inputs: dict[str, str],
    ) -> None:
        self.name, self.domain, self.config = name, generator.card.domain, arguments.training
        with seeded(arguments.training.seed):
            self.modules = {"encoder": new_encoder(arguments, generator)}
        self.shipped = ("encoder",)
        self.architecture = "feature-style"
        self.arguments = arguments.model_dump(exclude={"training"})
        self.inputs = inputs
        self.settings = arguments
        self.generator = generator
        self.loss = loss

    def players(self) -> list[Player]:
        """The encoder alone."""
        return [Player("encoder", list(self.modules["encoder"].parameters()), self.objectives)]

    def _synthetic(self, count: int, real: int) -> tuple[Tensor, list[Tensor]]:
        """(count, 3, H, W) images of the generator in [-1, 1], and noise maps of count + real images: theirs first."""
        network, device = self.generator.generator, self.generator.device
        z = torch.randn(count, network.style_dim).to(device)
        noise = [torch.randn(count + real, *stored.shape[1:]).to(device) for stored in network.stored_noise()]
        if count == 0:
            return torch.zeros(0, 3, network.size, network.size, device=device), noise
        with torch.no_grad():
            images = network.synthesis(network.repeat(network.mapping(z)), noise=[one[:count] for one in noise])
        return images.clamp(-1, 1).to(torch.float32), noise

    def objectives(self, images: Tensor, step: int) -> Iterator[Objective]:
        """Eq. 8 (5 without identities) on as many synthetic as real images: means over the images."""
        settings, network = self.settings, self.generator.generator
        count = len(images) if settings.synthetic else 0
        synthetic, noise = self._synthetic(count, len(images))
        targets = torch.cat([synthetic, images])
        code = encode(self.modules["encoder"], targets, self.generator.latent_mean, settings.layer)
        plain, own = network.synthesis(code.styles, noise=noise, return_feature_of=settings.layer)
        terms = self.loss(plain, targets)
        distances: dict[str, Tensor] = {}
        total = torch.zeros((), device=images.device)
        if count:
            distances["l2"] = l2(plain[:count], synthetic).mean()
            total = total + self.config.losses.l2 * distances["l2"]
        if code.feature is not None:
            weight = min(1.0, step / (settings.ramp * self.config.steps)) if settings.ramp > 0 else 1.0
            full = network.synthesis(
                code.styles, noise=noise, feature=blended(code.feature, weight), feature_layer=settings.layer
            )
            of_full = self.loss(full, targets)
            terms = {name: term + of_full[name] for name, term in terms.items()}
            distances["feature"] = (code.feature - own.detach().float()).square().mean()
            total = total + settings.feature_weight * distances["feature"]
        if terms:
            total = total + self.loss.total(terms).mean()
        shown = {name: term.mean() for name, term in terms.items()}
        yield Objective(total, {"loss": total, **distances, **shown})

    def reconstruct(self, images: Tensor) -> Tensor:
        """See `TrainingTask.reconstruct`."""
        latent_mean = self.generator.latent_mean
        return self.generator.draw(encode(self.modules["encoder"], images, latent_mean, self.settings.layer))

    def score(self, images: Tensor, reconstructions: Tensor) -> dict[str, Tensor]:
        """PSNR, and LPIPS, summed over the scales, where the losses use it."""
        terms = self.loss(reconstructions, images)
        return super().score(images, reconstructions) | {name: terms[name] for name in ("lpips",) if name in terms}


def loss_weights(arguments: FeatureStyleArguments, context: Context) -> LossWeights:
    """Those of both inversions: without `l2`, which weighs one of them, and without the face terms of Eq. 8 in domains
    that show none.

    Raises:
        ReinvertError: a loss that this method has not.
    """
    losses = arguments.training.losses
    if losses.latent_norm > 0:
        raise ReinvertError(f"{context.name} has no latent_norm loss; remove losses.latent_norm")
    faces = losses.identity_layers > 0 or losses.parser_layers > 0
    dropped = {"l2": 0.0}
    if faces and not shows_identities(context.domain, context.weights_root):
        dropped |= {"identity_layers": 0.0, "parser_layers": 0.0}
    return losses.model_copy(update=dropped)


@KINDS.register("feature_style")
class FeatureStyle(Inverter):
    """Yields the styles alone, then the styles with the feature, from one forward pass."""

    Arguments = FeatureStyleArguments

    def __init__(self, generator: LoadedGenerator, encoder: nn.Module, layer: int) -> None:
        super().__init__(generator)
        self.encoder = encoder
        self.layer = layer

    @classmethod
    def from_arguments(cls, arguments: FeatureStyleArguments, context: Context) -> FeatureStyle:
        """See `Inverter.from_arguments`."""
        encoder = new_encoder(arguments, context.loaded_generator)
        load_modules(context.weights_folder, context.domain, {"encoder": encoder})
        return cls(context.loaded_generator, encoder.to(context.device), arguments.layer)

    @classmethod
    def training_task(cls, arguments: FeatureStyleArguments, context: Context) -> FeatureStyleTask:
        """See `Inverter.training_task`."""
        generator, weights = context.loaded_generator, loss_weights(arguments, context)
        loss = load_reconstruction_loss(weights, context.domain, context.weights_root, context.device)
        if loss.perceptual is not None:
            loss.perceptual = MultiScale(loss.perceptual, arguments.scales)
        inputs = loss_inputs(weights, context.domain, context.weights_root)
        return FeatureStyleTask(arguments, context.name, generator, loss, inputs | {"generator": generator.card.sha256})

    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        """See `Inverter.invert`. Deterministic."""
        self.generator.check_images(images)
        with torch.no_grad():
            images = images.to(self.generator.device, torch.float32)
            code = encode(self.encoder, images, self.generator.latent_mean, self.layer)
        yield Step(0, Code(styles=code.styles))
        if code.feature is not None:
            yield Step(1, code)

    @torch.no_grad()
    def own_feature(self, styles: Tensor) -> Tensor:
        """G_K(w): the map (B, C, R, R) that the feature replaces, drawn from (B, L, D) styles."""
        _, feature = self.generator.generator.synthesis(styles, return_feature_of=self.layer)
        return feature

    def edit(self, code: Code, direction: Tensor, strength: float) -> Code:
        """See `Inverter.edit`. The feature moves as the generator's own does (Eq. 1).

        Raises:
            ReinvertError: the direction is of another space, or the code's feature of another layer.
        """
        edited = super().edit(code, direction, strength)
        self.generator.check_code(edited)
        if code.feature is None:
            return edited
        if code.feature_layer != self.layer:
            raise ReinvertError(
                f"the code's feature belongs to layer {code.feature_layer}, this method's to {self.layer}; "
                "edit a code with the method that made it"
            )
        own, own_edited = self.own_feature(code.styles), self.own_feature(edited.styles)
        feature = edited_feature(code.feature, own, own_edited)
        return Code(styles=edited.styles, feature=feature, feature_layer=self.layer)

    def networks(self) -> list[nn.Module]:
        """The encoder."""
        return [self.encoder]

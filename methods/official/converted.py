"""An official file's networks as safetensors with a card, and back: what is used once the pickle has been read.

`save` writes the networks in our names, "<role>.<key>", and the mean latent as "latent_avg" beside them; the card keeps
what rebuilds them (class and arguments by role), the authors' options as far as JSON has words for them, and where the
file came from. `load` gives the networks that reading the original gives, bit for bit, without looking at the original.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from core.errors import ReinvertError
from core.weights import Source, WeightsCard, code_version, load_weights, save_weights
from methods.networks.discriminator import Discriminator
from methods.networks.e2style import E2Style, StageEncoder
from methods.networks.encoders import GradualStyleEncoder
from methods.networks.feature_style import FeatureStyleEncoder
from methods.networks.hfgi import HFGI, ConsultationEncoder, DistortionAlignment
from methods.networks.hyperinverter import HyperInverter
from methods.networks.hypernetwork import HyperNetwork
from methods.networks.idinvert import InDomainEncoder
from methods.networks.last_layer_encoders import LastLayerEncoder, LastLayerWPlusEncoder
from methods.networks.latent_discriminator import LatentDiscriminator
from methods.networks.stylegan1 import Generator as StyleGAN1
from methods.networks.stylegan2 import Generator as StyleGAN2
from methods.networks.stylegan3 import Generator as StyleGAN3
from methods.official.layout import MismatchError, Official, network
from metrics.judges.age import AgeNetwork
from metrics.judges.bisenet import BiSeNet
from metrics.judges.ir_se import FaceNetwork
from metrics.judges.moco import MocoNetwork
from metrics.judges.mtcnn import OutputNetwork, ProposalNetwork, RefinementNetwork
from metrics.judges.parsing_unet import ParsingUNet
from metrics.judges.pose import PoseNetwork
from metrics.judges.resnet import ResNet
from metrics.judges.vgg16 import Vgg16

MEAN = "latent_avg"


def _e2style(first: dict[str, Any], refinements: tuple[dict[str, Any], ...], generator: dict[str, Any]) -> E2Style:
    later = [StageEncoder(**arguments) for arguments in refinements]
    return E2Style(StageEncoder(**first), later, StyleGAN2(**generator))


def _hfgi(alignment: dict[str, Any], consultation: dict[str, Any]) -> HFGI:
    return HFGI(DistortionAlignment(**alignment), ConsultationEncoder(**consultation))


def _hyperinverter(
    w_encoder: dict[str, Any], w_bar_encoder: dict[str, Any], hypernet: dict[str, Any], size: int
) -> HyperInverter:
    encoders = LastLayerEncoder(**w_encoder), GradualStyleEncoder(**w_bar_encoder)
    return HyperInverter(*encoders, HyperNetwork(**hypernet), size=size)


KINDS: dict[str, tuple[type[nn.Module], Callable[..., nn.Module]]] = {
    "age-network": (AgeNetwork, AgeNetwork),
    "bisenet": (BiSeNet, BiSeNet),
    "e2style": (E2Style, _e2style),
    "face-network": (FaceNetwork, FaceNetwork),
    "feature-style-encoder": (FeatureStyleEncoder, FeatureStyleEncoder),
    "gradual-style-encoder": (GradualStyleEncoder, GradualStyleEncoder),
    "hfgi": (HFGI, _hfgi),
    "hyperinverter": (HyperInverter, _hyperinverter),
    "in-domain-encoder": (InDomainEncoder, InDomainEncoder),
    "last-layer-encoder": (LastLayerEncoder, LastLayerEncoder),
    "last-layer-w-plus-encoder": (LastLayerWPlusEncoder, LastLayerWPlusEncoder),
    "latent-discriminator": (LatentDiscriminator, LatentDiscriminator),
    "moco": (MocoNetwork, MocoNetwork),
    "mtcnn-output": (OutputNetwork, OutputNetwork),
    "mtcnn-proposal": (ProposalNetwork, ProposalNetwork),
    "mtcnn-refinement": (RefinementNetwork, RefinementNetwork),
    "parsing-u-net": (ParsingUNet, ParsingUNet),
    "pose-network": (PoseNetwork, PoseNetwork),
    "resnet": (ResNet, ResNet),
    "stylegan1": (StyleGAN1, StyleGAN1),
    "stylegan2": (StyleGAN2, StyleGAN2),
    "stylegan2-discriminator": (Discriminator, Discriminator),
    "stylegan3": (StyleGAN3, StyleGAN3),
    "vgg16": (Vgg16, Vgg16),
}
"""What a card may call a network -> its class, and what builds one from `Official.arguments`."""


def save(official: Official, folder: str | Path, name: str, domain: str, source: Source) -> WeightsCard:
    """Write ``weights.safetensors`` and ``card.json`` into ``folder``.

    Args:
        official: what was read.
        folder: made when missing; what it held under these names is replaced.
        name: of the checkpoint.
        domain: what its images show.
        source: the file it was read from.

    Returns:
        The card.

    Raises:
        ReinvertError: a value is not finite, or the disk is full.
    """
    names = {kind: name for name, (kind, _) in KINDS.items()}
    state = {f"{role}.{key}": value for role, module in official.modules.items() for key, value in _state(module)}
    if official.latent_avg is not None:
        state[MEAN] = official.latent_avg
    card = WeightsCard(
        name=name,
        domain=domain,
        architecture=official.layout,
        arguments={
            "networks": {
                role: {"kind": names[type(module)], "arguments": _as_json(official.arguments[role])}
                for role, module in official.modules.items()
            },
            "options": _as_json(official.options),
        },
        recipe=0,
        images_seen=None,
        seed=None,
        device="not stated",
        code_version=code_version(),
        source=source,
    )
    return save_weights(folder, state, card)


def load(folder: str | Path) -> Official:
    """What `save` wrote.

    Raises:
        ReinvertError: it is missing, altered, or not of official networks.
    """
    try:
        state, card = load_weights(folder)
    except ReinvertError as error:
        # What is wrong is the same for all weights; the remedy is another one here.
        wrong = str(error).partition(";")[0]
        raise ReinvertError(f"{wrong}; run 'reinvert weights convert {Path(folder).name}'") from error
    modules: dict[str, nn.Module] = {}
    arguments: dict[str, dict[str, Any]] = {}
    try:
        for role, saved in card.arguments["networks"].items():
            arguments[role] = _from_json(saved["arguments"])
            modules[role] = _rebuilt(saved["kind"], arguments[role], state, f"{role}.")
        options = dict(card.arguments["options"])
    except (KeyError, TypeError, AttributeError, MismatchError) as error:
        raise ReinvertError(f"'{folder}' does not hold a converted official checkpoint; convert it again") from error
    return Official(modules, state.get(MEAN), options, card.architecture, arguments)


def _rebuilt(kind: str, arguments: dict[str, Any], state: Mapping[str, Tensor], prefix: str) -> nn.Module:
    _, build = KINDS[kind]
    own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return network(lambda: build(**arguments), own, prefix)


def _state(module: nn.Module) -> list[tuple[str, Tensor]]:
    return list(module.state_dict().items())


def _as_json(value: object) -> Any:
    """``value`` with what JSON has no word for as text; keys are text."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _from_json(value: Any) -> Any:
    """Arguments as they were: sequences are tuples, and keys that look like numbers are resolutions, rising."""
    if isinstance(value, dict):
        if all(key.isdigit() for key in value):
            return {int(key): _from_json(value[key]) for key in sorted(value, key=int)}
        return {key: _from_json(inner) for key, inner in value.items()}
    return tuple(_from_json(inner) for inner in value) if isinstance(value, list) else value

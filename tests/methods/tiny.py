"""A whole domain in miniature: random generator and judges with cards, as the shipped ones have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.config import Config, DomainConfig, MethodConfig
from core.weights import WeightsCard, save_weights
from methods.networks.stylegan2 import Generator

STYLE_DIM = 8


def card(name: str, architecture: str, arguments: dict[str, Any], domain: str = "faces") -> WeightsCard:
    return WeightsCard(
        name=name, domain=domain, architecture=architecture, arguments=arguments, recipe=1, images_seen=0, seed=0,
        device="cpu", code_version="test",
    )  # fmt: skip


def write_generator(root: Path, size: int, domain: str = "faces") -> None:
    channels = {4 * 2**k: 8 for k in range(size.bit_length() - 2)}
    arguments = {"size": size, "style_dim": STYLE_DIM, "mapping_layers": 2, "channels": channels}
    torch.manual_seed(1)
    generator = Generator(**arguments)
    with torch.no_grad():  # a random generator's colours reach 5; a trained one's stay in [-1, 1]
        for name, weight in generator.modulated_weights().items():
            if name.startswith("to_rgb"):
                weight.mul_(0.15)
    mean, std = generator.latent_statistics(samples=256, seed=0)
    state = {f"generator.{key}": value for key, value in generator.state_dict().items()}
    state |= {"latent_mean": mean, "latent_std": torch.as_tensor(std)}
    saved = arguments | {"channels": {str(side): width for side, width in channels.items()}}
    save_weights(root / domain / "generator", state, card("generator", "stylegan2", saved, domain))


def write_discriminator(root: Path, size: int, domain: str = "faces") -> None:
    from methods.networks.discriminator import Discriminator

    channels = {4 * 2**k: 8 for k in range(size.bit_length() - 2)}
    torch.manual_seed(6)
    state = Discriminator(size, channels).state_dict()
    saved = {"size": size, "channels": {str(side): width for side, width in channels.items()}}
    save_weights(
        root / domain / "discriminator", state, card("discriminator", "stylegan2-discriminator", saved, domain)
    )


def write_perceptual(root: Path) -> None:
    from metrics.judges.perceptual import AlexNetFeatures

    torch.manual_seed(2)
    save_weights(
        root / "faces" / "perceptual", AlexNetFeatures().state_dict(), card("perceptual", "alexnet-features", {})
    )


def write_judges(root: Path, size: int) -> None:
    """Identity network and parser of faces."""
    from metrics.judges import ARCHITECTURES

    networks: dict[str, tuple[str, dict[str, Any]]] = {
        "identity-train": (
            "ir-se",
            {"size": size, "stem_stride": 2, "widths": [4, 8], "units": [1, 2], "embedding": 6},
        ),
        "parser": ("u-net", {"size": size, "classes": 3, "channels": [4, 6, 8]}),
    }
    for name, (architecture, arguments) in networks.items():
        torch.manual_seed(4)
        network = ARCHITECTURES.get(architecture)(**arguments)
        save_weights(root / "faces" / name, network.state_dict(), card(name, architecture, arguments))


def write_similarity(root: Path, size: int, domain: str) -> None:
    """What stands for identity in a domain without: any network that gives unit vectors."""
    from metrics.judges import ARCHITECTURES

    arguments = {"size": size, "stem_stride": 2, "widths": [4, 8], "units": [1, 1], "embedding": 5}
    torch.manual_seed(5)
    network = ARCHITECTURES.get("ir-se")(**arguments)
    save_weights(root / domain / "similarity", network.state_dict(), card("similarity", "ir-se", arguments, domain))


def config(methods: dict[str, dict[str, Any]]) -> Config:
    """Only what methods look at; how runs are measured is left out."""
    return Config.model_construct(
        domains={"faces": DomainConfig(recipe=1)},
        methods={name: MethodConfig.model_validate(entry) for name, entry in methods.items()},
        runs={},
    )


class NoiseImages:
    """Smooth random pictures, each a function of its index."""

    def __init__(self, count: int, size: int) -> None:
        source = torch.Generator().manual_seed(3)
        small = torch.rand(count, 3, 4, 4, generator=source)
        large = torch.nn.functional.interpolate(small, size=(size, size), mode="bilinear")
        self.pixels = (large.permute(0, 2, 3, 1) * 255).to(torch.uint8).numpy()

    def __len__(self) -> int:
        return len(self.pixels)

    def images(self, indices: Any) -> np.ndarray:
        return self.pixels[np.asarray(indices)]

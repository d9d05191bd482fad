"""The state of a generator training: built, kept as a checkpoint, taken up again, and published as weights.

A checkpoint in the work folder resumes exactly. Where there is none, published weights of the same training are taken
up: averaged generator, discriminator and encoder go on with fresh optimisers, which costs a few thousand images.
"""

import copy
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from core.errors import ReinvertError
from core.files import atomic_path
from core.weights import CARD_FILE, StoredDtype, WeightsCard, code_version, load_card, load_weights, save_weights
from methods.networks.discriminator import Discriminator
from methods.networks.stylegan2 import Generator
from pipelines.autoencoder import CodeEncoder
from pipelines.domains import shards
from pipelines.domains.domain import Domain
from pipelines.feature_critic import FeatureCritic
from pipelines.generator_config import GeneratorTraining

State = dict[str, Any]
CRITIC_CHANNELS = (64, 192, 384, 256, 256)
"""Of the perceptual judge's layers."""
_LATENT_SAMPLES = 10_000
_SAMPLE_COLUMNS = 12
_SAMPLE_ROWS = 8
# What may differ between a checkpoint and the configuration that goes on from it.
_FREE_TO_CHANGE = {
    "autoencoder",
    "anchor_weight",
    "learning_rate",
    "anchor_images",
    "anchor_perceptual",
    "class_power",
    "adversarial_images",
    "cooldown_images",
    "critic_weight",
    "discriminator_gain",
    "processes",
    "checkpoint_images",
    "fid_images",
    "mapping_gain",
    "log_images",
    "precision",
    "r1_gamma",
}


def build_state(config: GeneratorTraining, device: torch.device | str = "cpu") -> State:
    """Networks, optimisers and counters at the start of a training; a function of the configuration alone."""
    torch.manual_seed(config.seed)
    generator = Generator(
        size=config.size, style_dim=config.style_dim, mapping_layers=config.mapping_layers, channels=config.channels
    ).to(device)
    discriminator = Discriminator(size=config.size, channels=_discriminator_channels(config)).to(device)
    critic = FeatureCritic(CRITIC_CHANNELS).to(device)
    encoder = CodeEncoder(config.size, config.style_dim).to(device)
    # Lazy regularisation scales the momenta of the discriminator's optimiser (StyleGAN2, appendix B), and its rate.
    ratio = config.r1_every / (config.r1_every + 1)
    mapping = {id(parameter) for parameter in generator.style.parameters()}
    synthesis = [parameter for parameter in generator.parameters() if id(parameter) not in mapping]
    return {
        "generator": generator,
        "average": copy.deepcopy(generator).requires_grad_(False),
        "discriminator": discriminator,
        # Two groups, mapping and synthesis: the supervised phase gives them different rates.
        "generator_optimizer": torch.optim.Adam(
            [{"params": list(generator.style.parameters())}, {"params": synthesis}],
            lr=config.learning_rate,
            betas=(0.0, 0.99),
        ),
        "discriminator_optimizer": torch.optim.Adam(
            discriminator.parameters(), lr=config.learning_rate * ratio, betas=(0.0, 0.99**ratio)
        ),
        "critic": critic,
        "critic_optimizer": torch.optim.Adam(critic.parameters(), lr=config.learning_rate, betas=(0.0, 0.99)),
        "encoder": encoder,
        "encoder_optimizer": torch.optim.Adam(encoder.parameters(), lr=config.encoder_learning_rate),
        "mapping_fitted": False,
        "images": 0,
        "steps": 0,
        "mean_path_length": torch.zeros((), device=device),
    }


def _plain(state: State) -> State:
    return {k: v.state_dict() if hasattr(v, "state_dict") else v for k, v in state.items()}


def save_checkpoint(path: Path, state: State, config: GeneratorTraining) -> None:
    """Write the whole state, with the configuration it belongs to."""
    with atomic_path(path) as temporary:
        torch.save({"config": config.model_dump(), "state": _plain(state)}, temporary)


def load_checkpoint(path: Path, state: State, config: GeneratorTraining) -> None:
    """Put a checkpoint into `state`.

    Raises:
        ReinvertError: it belongs to a training with other arguments.
    """
    device = next(state["generator"].parameters()).device
    saved = torch.load(path, map_location=device, weights_only=True)
    wanted = config.model_dump()
    fields = GeneratorTraining.model_fields
    begun = {k: saved["config"].get(k, fields[k].default) for k in wanted}  # some are newer than the checkpoint
    changed = [k for k, v in wanted.items() if k not in _FREE_TO_CHANGE and begun[k] != v]
    if changed:
        raise ReinvertError(
            f"{path} belongs to a training with other {', '.join(changed)}; restore them in params.yaml or "
            f"delete {path.parent}"
        )
    for key, value in saved["state"].items():  # what is not in it starts anew
        if hasattr(state.get(key), "load_state_dict"):
            state[key].load_state_dict(value)
        else:
            state[key] = value


@torch.no_grad()
def sample(generator: Generator, count: int, seed: int, device: torch.device | str = "cpu") -> Tensor:
    """Uncurated samples without truncation: (count, 3, H, W)."""
    z = torch.randn(count, generator.style_dim, generator=torch.Generator().manual_seed(seed)).to(device)
    images = []
    for part in z.split(32):
        styles = generator.mapping(part)[:, None].expand(-1, generator.style_count, -1)
        images.append(generator.synthesis(styles))
    return torch.cat(images)


def save_samples(generator: Generator, path: Path, device: torch.device | str = "cpu") -> None:
    """A grid of uncurated samples as PNG."""
    pixels = shards.to_bytes(sample(generator, _SAMPLE_ROWS * _SAMPLE_COLUMNS, 0, device)).cpu()
    side = pixels.shape[1]
    grid = pixels.view(_SAMPLE_ROWS, _SAMPLE_COLUMNS, side, side, 3).permute(0, 2, 1, 3, 4)
    with atomic_path(path) as temporary:
        Image.fromarray(grid.reshape(_SAMPLE_ROWS * side, -1, 3).numpy()).save(temporary)


def take_up_weights(folder: Path, state: State, config: GeneratorTraining) -> bool:
    """Go on from published weights when they are of this training and it is not at its end yet.

    Args:
        folder: `weights/<domain>`, with `generator`, `discriminator` and `code-encoder`.
        state: changed in place; optimisers and critic stay at their start.
        config: of the training; recipe, seed and network sizes decide whether the weights are of it.

    Returns:
        Whether there were such weights.
    """
    if not all((folder / name / CARD_FILE).is_file() for name in ("generator", "discriminator", "code-encoder")):
        return False
    card = load_card(folder / "generator")
    if (card.recipe, card.seed, card.arguments) != (config.recipe, config.seed, _generator_arguments(config)):
        return False
    if card.images_seen is None:
        return False
    tensors, _ = load_weights(folder / "generator")
    prefix = "generator."
    averaged = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    for name in ("generator", "average"):
        state[name].load_state_dict(averaged)
    state["discriminator"].load_state_dict(load_weights(folder / "discriminator")[0])
    state["encoder"].load_state_dict(load_weights(folder / "code-encoder")[0])
    state["images"], state["steps"] = card.images_seen, card.images_seen // config.batch
    state["mapping_fitted"] = True
    return True


def _discriminator_channels(config: GeneratorTraining) -> dict[int, int]:
    return config.discriminator_channels or config.channels


def _generator_arguments(config: GeneratorTraining) -> dict[str, Any]:
    """As the card of the weights has them: JSON, so resolutions are text."""
    return {
        "size": config.size,
        "channels": {str(resolution): width for resolution, width in config.channels.items()},
        "style_dim": config.style_dim,
        "mapping_layers": config.mapping_layers,
    }


def export(
    domain: Domain, config: GeneratorTraining, work_dir: Path, weights_dir: Path, device: str, precision: str
) -> None:
    """From the last checkpoint to `weights/<domain>/generator` (averaged), `discriminator` and `code-encoder`."""
    state = build_state(config)
    load_checkpoint(work_dir / "checkpoint.pt", state, config)
    average = state["average"].eval()
    mean, std = average.latent_statistics(_LATENT_SAMPLES, seed=0)
    generator_arguments = _generator_arguments(config)
    channels = {str(resolution): width for resolution, width in _discriminator_channels(config).items()}
    common = {
        "domain": domain.name,
        "recipe": config.recipe,
        "images_seen": state["images"],
        "seed": config.seed,
        "device": device,
        "precision": precision,
        "code_version": code_version(),
    }
    # These only train: the encoder's codes may be coarser than the discriminator's verdicts.
    helpers: list[tuple[str, str, str, dict[str, Any], StoredDtype]] = [
        ("discriminator", "discriminator", "stylegan2-discriminator", {"size": config.size, "channels": channels},
         "float16"),
        ("encoder", "code-encoder", "code-encoder", {"size": config.size, "style_dim": config.style_dim}, "int8"),
    ]  # fmt: skip
    for key, name, architecture, arguments, dtype in helpers:
        card = WeightsCard(name=name, architecture=architecture, arguments=arguments, dtype=dtype, **common)
        save_weights(weights_dir / domain.name / name, state[key].state_dict(), card)
    tensors = {f"generator.{key}": value for key, value in average.state_dict().items()}
    folder = weights_dir / domain.name / "generator"
    save_samples(average, folder / "samples.png")
    with atomic_path(folder / "training.csv") as temporary:
        temporary.write_bytes((work_dir / "losses.csv").read_bytes())
    save_weights(
        folder,
        {**tensors, "latent_mean": mean, "latent_std": torch.as_tensor(std)},
        WeightsCard(name="generator", architecture="stylegan2", arguments=generator_arguments, **common),
    )

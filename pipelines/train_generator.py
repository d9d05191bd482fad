"""Train a domain's StyleGAN2.

Karras et al. 2020 (StyleGAN2): non-saturating logistic loss, lazy R1 (every 16 steps, weight gamma/2 * 16), style
mixing, averaged generator (EMA), optional path-length regularisation. One plain loop on Lightning Fabric.

Before it, optionally, a supervised phase of our own: rendered images come with the numbers they were drawn from, so
each training image has a natural latent (its uniforms as Gaussian quantiles, on the sphere that the mapping network's
normalisation projects to), and the generator first learns to draw image i from latent i. That gives recognisable
faces after a few CPU minutes. The adversarial phase starts from there; a regression "anchor" fades out during its
first part, so the finished network is an ordinary StyleGAN2, trained adversarially on images alone at the end.

Everything random in a step is a function of (seed, process, step), and the state holds everything else, so a resumed
training equals an uninterrupted one bit for bit.
"""

import copy
import csv
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from core.errors import ReinvertError
from core.files import atomic_path
from core.weights import WeightsCard, code_version, save_weights
from methods.networks.discriminator import Discriminator
from methods.networks.stylegan2 import Generator
from pipelines import domains
from pipelines.domains import shards
from pipelines.domains.domain import Domain
from pipelines.generator_config import GeneratorTraining

State = dict[str, Any]
_LATENT_SAMPLES = 10_000
_SAMPLE_COLUMNS = 12
_SAMPLE_ROWS = 8
# What may differ between a checkpoint and the configuration that goes on from it.
_FREE_TO_CHANGE = {
    "regression_images",
    "anchor_weight",
    "anchor_images",
    "adversarial_images",
    "processes",
    "checkpoint_images",
    "log_images",
}


# ----------------------------------------------------------------------------------------------------------------------
# Pure parts


def latents_of_images(domain: Domain, split: str, indices: Tensor, dim: int, seed: int) -> Tensor:
    """The latent z that stands for each rendered image in supervised pre-training.

    The first C entries are the image's uniforms as standard normal quantiles, the others fill the norm up to
    sqrt(dim) in a random direction, so that the mapping network's input normalisation changes nothing.

    Returns:
        (B, dim) float32 with norm sqrt(dim).

    Raises:
        ReinvertError: the domain describes an image by more numbers than `dim` can carry.
    """
    rows = domain.uniforms_of_split(split, indices)
    known = math.sqrt(2) * torch.erfinv(rows * 2 - 1)
    free = dim - known.shape[1]
    if free < known.shape[1] // 2:
        raise ReinvertError(
            f"z of {dim} is too small for the {known.shape[1]} numbers behind an image; raise style_dim"
        )
    generator = torch.Generator().manual_seed(seed)
    filling = torch.randn(len(known), free, generator=generator)
    missing = (dim - known.square().sum(1, keepdim=True)).clamp(min=1.0).sqrt()
    z = torch.cat([known, functional.normalize(filling, dim=1) * missing], 1)
    return functional.normalize(z, dim=1) * math.sqrt(dim)


def regression_loss(fake: Tensor, real: Tensor) -> Tensor:
    """Mean absolute difference at three scales plus that of the image gradients (sharp edges), a scalar."""
    loss = torch.zeros((), device=fake.device)
    for level in range(3):
        loss = loss + functional.l1_loss(fake, real)
        if level == 0:
            loss = loss + functional.l1_loss(fake.diff(dim=2), real.diff(dim=2))
            loss = loss + functional.l1_loss(fake.diff(dim=3), real.diff(dim=3))
        fake, real = functional.avg_pool2d(fake, 2), functional.avg_pool2d(real, 2)
    return loss


def mixed_styles(first: Tensor, second: Tensor, style_count: int, probability: float, rng: torch.Generator) -> Tensor:
    """Style mixing (StyleGAN): per image, with `probability`, styles from a random layer on come from `second`.

    Args:
        first, second: (B, D) w codes.

    Returns:
        (B, style_count, D).
    """
    count = len(first)
    crossover = torch.randint(1, style_count, (count,), generator=rng)
    mixed = torch.rand(count, generator=rng) < probability
    crossover = torch.where(mixed, crossover, torch.full_like(crossover, style_count))
    from_second = torch.arange(style_count)[None, :] >= crossover[:, None]
    return torch.where(from_second[:, :, None].to(first.device), second[:, None], first[:, None])


def r1_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """R1 (Mescheder et al. 2018): mean squared norm of the discriminator's gradient at real images."""
    real = real.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def path_length_penalty(
    images: Tensor, styles: Tensor, mean_length: Tensor, noise: Tensor, decay: float = 0.01
) -> tuple[Tensor, Tensor]:
    """StyleGAN2's path-length regularisation; returns the penalty and the updated running mean length."""
    noise = noise / math.sqrt(images.shape[2] * images.shape[3])
    (gradient,) = torch.autograd.grad((images * noise).sum(), styles, create_graph=True)
    lengths = gradient.square().sum(2).mean(1).sqrt()
    updated = mean_length + decay * (lengths.mean().detach() - mean_length)
    return (lengths - updated).square().mean(), updated


def step_seed(seed: int, rank: int, images: int) -> int:
    """The seed of one training step of one process."""
    return ((seed * 1_000_003 + rank) * 1_000_000_007 + images) % (2**63 - 1)


# ----------------------------------------------------------------------------------------------------------------------
# State


def build_state(config: GeneratorTraining, device: torch.device | str = "cpu") -> State:
    """Networks, optimisers and counters at the start of a training; a function of the configuration alone."""
    torch.manual_seed(config.seed)
    generator = Generator(
        size=config.size, style_dim=config.style_dim, mapping_layers=config.mapping_layers, channels=config.channels
    ).to(device)
    discriminator = Discriminator(size=config.size, channels=config.channels).to(device)
    # Lazy regularisation scales rate and momenta of the discriminator's optimiser (StyleGAN2, appendix B).
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
    changed = [k for k, v in wanted.items() if k not in _FREE_TO_CHANGE and saved["config"].get(k) != v]
    if changed:
        raise ReinvertError(
            f"{path} belongs to a training with other {', '.join(changed)}; restore them in params.yaml or "
            f"delete {path.parent}"
        )
    for key, value in saved["state"].items():
        if hasattr(state[key], "load_state_dict"):
            state[key].load_state_dict(value)
        else:
            state[key] = value


# ----------------------------------------------------------------------------------------------------------------------
# Training


def _average_gradients(fabric: Fabric, module: nn.Module) -> None:
    """Mean of the gradients over processes; without the usual wrapper, which double backward (R1) does not suit."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    if fabric.world_size > 1 and gradients:
        flat = fabric.all_reduce(torch.cat([g.flatten() for g in gradients]), reduce_op="mean")
        assert isinstance(flat, Tensor)
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))


def _optimise(fabric: Fabric, module: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    _average_gradients(fabric, module)
    optimizer.step()


def _update_average(state: State, config: GeneratorTraining) -> None:
    # The half-life grows with training (StyleGAN2-ADA's ramp), so that early averages are not stuck at the start.
    half_life = min(config.ema_images, max(state["images"] * 0.05, 1.0))
    keep = 0.5 ** (config.batch / half_life)
    with torch.no_grad():
        for mean, value in zip(state["average"].parameters(), state["generator"].parameters(), strict=True):
            mean.lerp_(value, 1 - keep)
        for mean, value in zip(state["average"].buffers(), state["generator"].buffers(), strict=True):
            mean.copy_(value)


def train_step(fabric: Fabric, state: State, data: shards.Shards, config: GeneratorTraining) -> dict[str, float]:
    """One step on `config.batch` images over all processes. Changes `state`; returns the losses for the log."""
    device, count = fabric.device, config.batch // fabric.world_size
    seed = step_seed(config.seed, fabric.global_rank, state["images"])
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    generator, discriminator = state["generator"], state["discriminator"]
    adversarial_images = state["images"] - config.regression_images
    indices = torch.randint(len(data), (count,), generator=rng)
    real = data.tensors(indices, device)
    z = latents_of_images(data.domain, data.split, indices, config.style_dim, seed).to(device)
    log: dict[str, float] = {}

    if adversarial_images < 0:
        gains = (config.regression_mapping_gain, 1.0)
        for group, gain in zip(state["generator_optimizer"].param_groups, gains, strict=True):
            group["lr"], group["betas"] = config.regression_learning_rate * gain, (0.9, 0.99)
        with fabric.autocast():
            styles = generator.mapping(z)[:, None].expand(-1, generator.style_count, -1)
            fake = generator.synthesis(styles, noise="random")
        loss = regression_loss(fake.float(), real)
        _optimise(fabric, generator, state["generator_optimizer"], loss)
        log["regression"] = float(loss.detach())
    else:
        for group in state["generator_optimizer"].param_groups:
            group["lr"], group["betas"] = config.learning_rate, (0.0, 0.99)
        anchor = config.anchor_weight * max(0.0, 1 - adversarial_images / config.anchor_images)
        # While the anchor holds, half of the latents stand for training images; the others are free.
        anchored = count // 2 if anchor > 0 else 0
        free = torch.randn(count - anchored, config.style_dim, generator=rng).to(device)
        other = torch.randn(count, config.style_dim, generator=rng).to(device)
        with fabric.autocast():
            first, second = generator.mapping(torch.cat([z[:anchored], free])).float(), generator.mapping(other).float()
            mixing = mixed_styles(first, second, generator.style_count, config.style_mixing, rng)
            plain = first[:, None].expand(-1, generator.style_count, -1)
            styles = torch.cat([plain[:anchored], mixing[anchored:]])
            fake = generator.synthesis(styles, noise="random")
            generator_loss = functional.softplus(-discriminator(fake).float()).mean()
        log["generator"] = float(generator_loss.detach())
        if anchored:
            regression = regression_loss(fake[:anchored].float(), real[:anchored])
            generator_loss = generator_loss + anchor * regression
            log["regression"] = float(regression.detach())
        discriminator.requires_grad_(False)
        _optimise(fabric, generator, state["generator_optimizer"], generator_loss)
        if config.path_length_weight and state["steps"] % config.path_length_every == 0:
            log["path_length"] = _path_length_step(fabric, state, config, free)
        discriminator.requires_grad_(True)

        with fabric.autocast():
            fake_score, real_score = discriminator(fake.detach()).float(), discriminator(real).float()
        loss = functional.softplus(fake_score).mean() + functional.softplus(-real_score).mean()
        _optimise(fabric, discriminator, state["discriminator_optimizer"], loss)
        log |= {"discriminator": float(loss.detach()), "real_score": float(real_score.detach().mean())}
        log["fake_score"] = float(fake_score.detach().mean())
        if config.r1_gamma and state["steps"] % config.r1_every == 0:
            penalty = r1_penalty(discriminator, real)
            weighted = penalty * (config.r1_gamma / 2 * config.r1_every)
            _optimise(fabric, discriminator, state["discriminator_optimizer"], weighted)
            log["r1"] = float(penalty.detach())
    state["images"] += config.batch
    state["steps"] += 1
    _update_average(state, config)
    return log


def _path_length_step(fabric: Fabric, state: State, config: GeneratorTraining, z: Tensor) -> float:
    generator = state["generator"]
    styles = generator.mapping(z[: max(1, len(z) // 2)])[:, None].expand(-1, generator.style_count, -1)
    images = generator.synthesis(styles, noise="random")
    penalty, state["mean_path_length"] = path_length_penalty(
        images, styles, state["mean_path_length"], torch.randn_like(images)
    )
    weighted = penalty * config.path_length_weight * config.path_length_every
    _optimise(fabric, generator, state["generator_optimizer"], weighted)
    state["mean_path_length"] = fabric.all_reduce(state["mean_path_length"], reduce_op="mean")
    return float(penalty.detach())


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


def fit(fabric: Fabric, state: State, data: shards.Shards, config: GeneratorTraining, work_dir: Path) -> None:
    """Train until the configured number of images, logging and saving into `work_dir` on the way."""
    total = config.regression_images + config.adversarial_images
    parent = os.getppid()
    with tqdm(total=total, initial=state["images"], desc="generator", unit="img", disable=None) as bar:
        while state["images"] < total:
            if os.getppid() != parent:
                raise SystemExit("the process that started this training is gone")  # or workers would train on unseen
            log = train_step(fabric, state, data, config)
            bar.update(config.batch)
            done = state["images"] >= total
            if fabric.global_rank == 0:
                if _due(state, config.log_images, config.batch):
                    _append_log(work_dir / "losses.csv", state["images"], log)
                if done or _due(state, config.checkpoint_images, config.batch):
                    save_checkpoint(work_dir / "checkpoint.pt", state, config)
                    save_samples(state["average"], work_dir / f"samples-{state['images']:08d}.png", fabric.device)


def _due(state: State, every: int, batch: int) -> bool:
    return state["images"] // every != (state["images"] - batch) // every


_LOG_COLUMNS = ("images", "regression", "generator", "discriminator", "real_score", "fake_score", "r1", "path_length")


def _append_log(path: Path, images: int, log: dict[str, float]) -> None:
    """Add a line to the loss log; lines of a run that was killed after its last checkpoint are dropped first."""
    rows = []
    if path.exists():
        with open(path, newline="") as handle:
            rows = [row for row in csv.DictReader(handle) if int(row["images"]) < images]
    rows.append({"images": str(images), **{key: f"{value:.5g}" for key, value in log.items()}})
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as handle:
        writer = csv.DictWriter(handle, _LOG_COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)


def main(fabric: Fabric, domain_name: str, config: GeneratorTraining, work_dir: Path, cache: Path) -> None:
    """One process of the training: build or resume the state, then `fit`."""
    if config.batch % fabric.world_size:
        raise ReinvertError(f"batch {config.batch} does not divide among {fabric.world_size} processes; change it")
    if fabric.device.type == "cpu":
        torch.set_num_threads(1)
    state = build_state(config, fabric.device)
    checkpoint = work_dir / "checkpoint.pt"
    if checkpoint.exists():
        load_checkpoint(checkpoint, state, config)
    data = shards.load(shards.folder_of(domains.get(domain_name), "train", cache))
    fit(fabric, state, data, config, work_dir)


def export(domain: Domain, config: GeneratorTraining, work_dir: Path, weights_dir: Path, device: str) -> None:
    """From the last checkpoint to `weights/<domain>/generator` (averaged) and `.../discriminator`."""
    state = build_state(config)
    load_checkpoint(work_dir / "checkpoint.pt", state, config)
    average = state["average"].eval()
    mean, std = average.latent_statistics(_LATENT_SAMPLES, seed=0)
    arguments = {"size": config.size, "channels": config.channels}
    common = {
        "domain": domain.name,
        "recipe": config.recipe,
        "images_seen": state["images"],
        "seed": config.seed,
        "device": device,
        "code_version": code_version(),
    }
    generator_arguments = {**arguments, "style_dim": config.style_dim, "mapping_layers": config.mapping_layers}
    save_weights(
        weights_dir / domain.name / "discriminator",
        state["discriminator"].state_dict(),
        WeightsCard(
            name="discriminator", architecture="stylegan2-discriminator", arguments=arguments, dtype="float16", **common
        ),
    )
    tensors = {f"generator.{key}": value for key, value in average.state_dict().items()}
    folder = weights_dir / domain.name / "generator"
    save_samples(average, folder / "samples.png")
    save_weights(
        folder,
        {**tensors, "latent_mean": mean, "latent_std": torch.as_tensor(std)},
        WeightsCard(name="generator", architecture="stylegan2", arguments=generator_arguments, **common),
    )


def train_generator(
    domain_name: str,
    config: GeneratorTraining,
    weights_dir: Path = Path("weights"),
    cache: Path = Path(".cache"),
) -> None:
    """Train (or go on training, or just export what is finished) the generator of a domain.

    Args:
        domain_name: a registered domain.
        config: its `generators.<domain>` section.
        weights_dir: where the finished networks go.
        cache: rendered images and checkpoints, outside the DAG; what makes the training resumable.

    Raises:
        ReinvertError: unknown domain, another size than the domain's, or a checkpoint of another training.
    """
    domain = domains.get(domain_name)
    if config.size != domain.resolution:
        raise ReinvertError(f"generators.{domain_name}.size is {config.size}, the images are {domain.resolution}")
    work_dir = cache / "train" / f"{domain_name}-generator-{config.recipe}"
    work_dir.mkdir(parents=True, exist_ok=True)
    shards.ensure(domain, "train", cache)
    if torch.cuda.is_available():
        fabric = Fabric(accelerator="cuda", devices="auto", precision=config.precision)
        device = torch.cuda.get_device_name(0)
    elif config.processes > 1:
        fabric = Fabric(accelerator="cpu", devices=config.processes, strategy="ddp_spawn", precision=config.precision)
        device = f"cpu x {config.processes}"
    else:
        fabric = Fabric(accelerator="cpu", devices=1, precision=config.precision)
        device = "cpu"
    # Fabric hands itself to the launched function, followed by these arguments; its type does not say so.
    work: Callable[..., None] = main
    fabric.launch(work, domain_name, config, work_dir, cache)
    export(domain, config, work_dir, weights_dir, device)

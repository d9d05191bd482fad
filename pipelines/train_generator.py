"""Train a domain's StyleGAN2.

Karras et al. 2020 (StyleGAN2): non-saturating logistic loss, lazy R1 (every 16 steps, weight gamma/2 * 16), style
mixing, averaged generator (EMA), optional path-length regularisation. One plain loop on Lightning Fabric.

Before it, optionally, a supervised phase of our own: rendered images come with the numbers they were drawn from, so
each training image has a natural latent (its uniforms as Gaussian quantiles, on the sphere that the mapping network's
normalisation projects to), and the generator first learns to draw image i from latent i. That gives recognisable
faces after a few CPU minutes. The adversarial phase starts from there; a regression "anchor" fades out during its
first part, so the finished network is an ordinary StyleGAN2, trained adversarially on images alone at the end.

Two helpers make that cheap enough for a few CPU cores: the anchor also compares features (`anchor_perceptual`), and a
second critic looks at frozen features (`critic_weight`, see pipelines/feature_critic.py).

Everything random in a step is a function of (seed, process, step), and the state holds everything else, so a training
resumed from its checkpoint equals an uninterrupted one bit for bit.
"""

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from core.errors import ReinvertError
from core.files import atomic_path, atomic_write_csv
from core.precision import resolve
from methods.networks.stylegan2 import Generator
from metrics import judges
from pipelines import domains
from pipelines.domains import shards
from pipelines.feature_critic import critic_loss, generator_loss
from pipelines.generator_config import GeneratorTraining
from pipelines.generator_losses import (
    feature_distance,
    latents_of_images,
    mixed_styles,
    path_length_penalty,
    r1_penalty,
    regression_loss,
    unit_features,
)
from pipelines.generator_quality import features_of, fid_of_generator
from pipelines.generator_state import (
    State,
    build_state,
    export,
    load_checkpoint,
    save_checkpoint,
    save_samples,
    take_up_weights,
)

_FID_SAMPLES = 2824
"""As many as there are test images; the bars are measured with the same number."""


def step_seed(seed: int, rank: int, images: int) -> int:
    """The seed of one training step of one process."""
    return ((seed * 1_000_003 + rank) * 1_000_000_007 + images) % (2**63 - 1)


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


def train_step(
    fabric: Fabric,
    state: State,
    data: shards.Shards,
    config: GeneratorTraining,
    perceptual: Callable[[Tensor], Sequence[Tensor]] | None,
) -> dict[str, float]:
    """One step on `config.batch` images over all processes. Changes `state`; returns the losses for the log.

    `perceptual` is the frozen network of `anchor_perceptual` and `critic_weight`: images -> feature maps.
    """
    device, count = fabric.device, config.batch // fabric.world_size
    seed = step_seed(config.seed, fabric.global_rank, state["images"])
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    generator, discriminator, critic = state["generator"], state["discriminator"], state["critic"]
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
        log["regression"] = float(loss.detach())
        if config.anchor_perceptual:
            distance = feature_distance(*_features(fabric, perceptual, real, fake))
            loss = loss + config.anchor_perceptual * distance
            log["perceptual"] = float(distance.detach())
        _optimise(fabric, generator, state["generator_optimizer"], loss)
    else:
        for group, gain in zip(state["generator_optimizer"].param_groups, (config.mapping_gain, 1.0), strict=True):
            group["lr"], group["betas"] = config.learning_rate * gain, (0.0, 0.99)
        anchor = config.anchor_weight * max(0.0, 1 - adversarial_images / config.anchor_images)
        for network in (discriminator, critic):
            network.requires_grad_(False)  # their gradients are not wanted before their own turn
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
            loss = functional.softplus(-discriminator(fake).float()).mean()
        log["generator"] = float(loss.detach())
        features_real, features_fake = _features(fabric, perceptual, real, fake)
        if anchored:
            regression = regression_loss(fake[:anchored].float(), real[:anchored])
            log["regression"] = float(regression.detach())
            if config.anchor_perceptual:
                distance = feature_distance(
                    [f[:anchored] for f in features_fake], [f[:anchored] for f in features_real]
                )
                regression = regression + config.anchor_perceptual * distance
                log["perceptual"] = float(distance.detach())
            loss = loss + anchor * regression
        if config.critic_weight:
            critic_score = generator_loss(critic(features_fake))
            loss = loss + config.critic_weight * critic_score
            log["critic_generator"] = float(critic_score.detach())
        _optimise(fabric, generator, state["generator_optimizer"], loss)
        if config.path_length_weight and state["steps"] % config.path_length_every == 0:
            log["path_length"] = _path_length_step(fabric, state, config, free)
        for network in (discriminator, critic):
            network.requires_grad_(True)

        if config.critic_weight:
            loss = critic_loss(critic(features_real), critic([found.detach() for found in features_fake]))
            _optimise(fabric, critic, state["critic_optimizer"], loss)
            log["critic"] = float(loss.detach())
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


def _features(
    fabric: Fabric, perceptual: Callable[[Tensor], Sequence[Tensor]] | None, real: Tensor, fake: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Unit-length feature maps of real and generated images; nothing where nobody asks for them."""
    if perceptual is None:
        return [], []
    with fabric.autocast():
        with torch.no_grad():
            of_real = unit_features(perceptual(real))
        return of_real, unit_features(perceptual(fake))


def fit(
    fabric: Fabric,
    state: State,
    data: shards.Shards,
    config: GeneratorTraining,
    work_dir: Path,
    perceptual: nn.Module | None = None,
    fid: Callable[[Generator], float] | None = None,
) -> None:
    """Train until the configured number of images, logging and saving into `work_dir` on the way.

    Args:
        fabric, state, data, config, perceptual: see `train_step`.
        work_dir: receives checkpoint, log and sample grids.
        fid: measures the averaged generator every `fid_images` images and at the end.
    """
    total = config.regression_images + config.adversarial_images
    parent = os.getppid()
    with tqdm(total=total, initial=state["images"], desc="generator", unit="img", disable=None) as bar:
        while state["images"] < total:
            if os.getppid() != parent:
                raise SystemExit("the process that started this training is gone")  # or workers would train on unseen
            log = train_step(fabric, state, data, config, perceptual)
            bar.update(config.batch)
            done = state["images"] >= total
            if fabric.global_rank == 0:
                if fid is not None and (done or _due(state, config.fid_images, config.batch)):
                    log["fid"] = fid(state["average"])
                if "fid" in log or _due(state, config.log_images, config.batch):
                    _append_log(work_dir / "losses.csv", state["images"], log)
                if done or _due(state, config.checkpoint_images, config.batch):
                    save_checkpoint(work_dir / "checkpoint.pt", state, config)
                    save_samples(state["average"], work_dir / f"samples-{state['images']:08d}.png", fabric.device)


def _fid_against_test(
    domain_name: str, cache: Path, weights_dir: Path, device: torch.device
) -> Callable[[Generator], float]:
    """What measures a generator by its FID to the test images that are like the training data."""
    domain = domains.get(domain_name)
    data = shards.load(shards.folder_of(domain, "test", cache))
    indices = torch.arange(len(data))
    alike = indices[~domain.attributes("test", indices)["out_of_distribution"]]
    network = judges.load(domain_name, "features", weights_dir).to(device)
    real = features_of(network, data.images(alike.numpy()), device)
    return lambda average: fid_of_generator(average, network, real, _FID_SAMPLES, seed=0)


def _due(state: State, every: int, batch: int) -> bool:
    return every > 0 and state["images"] // every != (state["images"] - batch) // every


_LOG_COLUMNS = (
    "images",
    "regression",
    "perceptual",
    "generator",
    "discriminator",
    "real_score",
    "fake_score",
    "r1",
    "path_length",
    "critic",
    "critic_generator",
    "fid",
)


def _append_log(path: Path, images: int, log: dict[str, float]) -> None:
    """Add a line to the loss log; lines of a run that was killed after its last checkpoint are dropped first."""
    rows: list[Mapping[str, str | float]] = []
    if path.exists():
        with open(path, newline="") as handle:
            rows += [row for row in csv.DictReader(handle) if int(row["images"]) < images]
    atomic_write_csv(path, [*rows, {"images": str(images), **log}], _LOG_COLUMNS)


def _take_up_log(published: Path, path: Path) -> None:
    """What the published weights have been through is the first part of this training's log."""
    if published.is_file():
        with atomic_path(path) as temporary:
            temporary.write_bytes(published.read_bytes())


def main(
    fabric: Fabric, domain_name: str, config: GeneratorTraining, work_dir: Path, cache: Path, weights_dir: Path
) -> None:
    """One process of the training: build or resume the state, then `fit`."""
    if config.batch % fabric.world_size:
        raise ReinvertError(f"batch {config.batch} does not divide among {fabric.world_size} processes; change it")
    if fabric.device.type == "cpu":
        torch.set_num_threads(1)
    state = build_state(config, fabric.device)
    checkpoint = work_dir / "checkpoint.pt"
    if checkpoint.exists():
        load_checkpoint(checkpoint, state, config)
    elif take_up_weights(weights_dir / domain_name, state, config) and fabric.global_rank == 0:
        _take_up_log(weights_dir / domain_name / "generator" / "training.csv", work_dir / "losses.csv")
    data = shards.load(shards.folder_of(domains.get(domain_name), "train", cache))
    perceptual = None
    if config.anchor_perceptual or config.critic_weight:
        perceptual = judges.load(domain_name, "perceptual", weights_dir).to(fabric.device)
    fid = None
    if config.fid_images:
        fid = _fid_against_test(domain_name, cache, weights_dir, fabric.device)
    fit(fabric, state, data, config, work_dir, perceptual, fid)


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
    work_dir = cache / "training" / f"{domain_name}-generator-{config.recipe}"
    work_dir.mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        shards.ensure(domain, split, cache)
    precision = resolve(config.precision, "cuda" if torch.cuda.is_available() else "cpu")
    if torch.cuda.is_available():
        fabric = Fabric(accelerator="cuda", devices="auto", precision=precision)
        device = torch.cuda.get_device_name(0)
    elif config.processes > 1:
        fabric = Fabric(accelerator="cpu", devices=config.processes, strategy="ddp_spawn", precision=precision)
        device = f"cpu x {config.processes}"
    else:
        fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
        device = "cpu"
    # Fabric hands itself to the launched function, followed by these arguments; its type does not say so.
    work: Callable[..., None] = main
    fabric.launch(work, domain_name, config, work_dir, cache, weights_dir)
    export(domain, config, work_dir, weights_dir, device, precision)

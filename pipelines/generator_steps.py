"""One step of a generator's training: as an autoencoder or adversarial. See pipelines/train_generator.py.

Everything random in a step is a function of (seed, process, images seen), and `state` holds everything else.
"""

from collections.abc import Callable, Sequence

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn import functional

from pipelines.autoencoder import reconstruct, shrunk
from pipelines.domains import shards
from pipelines.feature_critic import critic_loss, generator_loss
from pipelines.generator_config import AutoencoderPhase, GeneratorTraining
from pipelines.generator_losses import (
    class_weights,
    feature_distance,
    mixed_styles,
    path_length_penalty,
    r1_penalty,
    regression_loss,
    unit_features,
)
from pipelines.generator_state import State

Features = Callable[[Tensor], Sequence[Tensor]]
"""The frozen network of `anchor_perceptual` and `critic_weight`: images -> feature maps."""


def step_seed(seed: int, rank: int, images: int) -> int:
    """The seed of one training step of one process."""
    return ((seed * 1_000_003 + rank) * 1_000_000_007 + images) % (2**63 - 1)


def _optimise(fabric: Fabric, state: State, names: Sequence[str], loss: Tensor) -> None:
    """One step of the optimisers of the networks so named, with the mean of their gradients over processes.

    Averaged here and not by the usual wrapper, which double backward (R1) does not suit.
    """
    for name in names:
        state[f"{name}_optimizer"].zero_grad(set_to_none=True)
    loss.backward()
    gradients = [p.grad for name in names for p in state[name].parameters() if p.grad is not None]
    if fabric.world_size > 1:
        flat = fabric.all_reduce(torch.cat([g.flatten() for g in gradients]), reduce_op="mean")
        assert isinstance(flat, Tensor)
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))
    for name in names:
        state[f"{name}_optimizer"].step()


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
    fabric: Fabric, state: State, data: shards.Shards, config: GeneratorTraining, perceptual: Features | None
) -> dict[str, float]:
    """One step on `config.batch` images over all processes. Changes `state`; returns the losses for the log."""
    count = config.batch // fabric.world_size
    seed = step_seed(config.seed, fabric.global_rank, state["images"])
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    indices = torch.randint(len(data), (count,), generator=rng)
    real = data.tensors(indices, fabric.device)
    phase = config.phase_at(state["images"])
    if phase is not None:
        log = _autoencoder_step(fabric, state, data, config, perceptual, phase, indices, real)
    else:
        log = _adversarial_step(fabric, state, data, config, perceptual, indices, real, rng)
    state["images"] += config.batch
    state["steps"] += 1
    _update_average(state, config)
    return log


def _set_rates(state: State, mapping: float, synthesis: float, encoder: float, momentum: float) -> None:
    """Learning rates of the generator's groups of parameters and of the encoder, and Adam's first moment of all."""
    groups = [*state["generator_optimizer"].param_groups, *state["encoder_optimizer"].param_groups]
    for group, rate in zip(groups, (mapping, synthesis, encoder), strict=True):
        group["lr"], group["betas"] = rate, (momentum, 0.99)


def _autoencoder_step(
    fabric: Fabric, state: State, data: shards.Shards, config: GeneratorTraining, perceptual: Features | None,
    phase: AutoencoderPhase, indices: Tensor, real: Tensor,
) -> dict[str, float]:  # fmt: skip
    """Draw images of the phase's size from the encoder's codes. The mapping network has no part in it.

    Features are compared at full size only: the frozen network knows no other.
    """
    generator, encoder = state["generator"], state["encoder"]
    warm = min(1.0, (state["images"] - config.start_of(phase) + config.batch) / config.warmup_images)
    _set_rates(state, 0.0, phase.learning_rate * warm, config.encoder_learning_rate * warm, momentum=0.9)
    with fabric.autocast():
        fake, wanted = reconstruct(generator, encoder, real, phase.size)
    weight = config.anchor_perceptual if phase.size == config.size else 0.0
    features = _features(fabric, perceptual if weight else None, wanted, fake)
    weights = _pixel_weights(data, config, indices, real)
    weights = None if weights is None else shrunk(weights, phase.size)
    loss, log = _difference(weight, fake, wanted, *features, weights=weights)
    _optimise(fabric, state, ("generator", "encoder"), loss)
    return log


def _adversarial_step(
    fabric: Fabric, state: State, data: shards.Shards, config: GeneratorTraining, perceptual: Features | None,
    indices: Tensor, real: Tensor, rng: torch.Generator,
) -> dict[str, float]:  # fmt: skip
    """The generator against the discriminator and the critic of features, then those against it."""
    generator, discriminator, critic = state["generator"], state["discriminator"], state["critic"]
    rate = config.rate_at(state["images"])
    _set_rates(state, rate * config.mapping_gain, rate, config.encoder_learning_rate, momentum=0.0)
    # Lazy regularisation scales the rate of the discriminator's optimiser (StyleGAN2, appendix B).
    gain, ratio = config.discriminator_gain, config.r1_every / (config.r1_every + 1)
    state["discriminator_optimizer"].param_groups[0]["lr"] = rate * gain * ratio
    state["critic_optimizer"].param_groups[0]["lr"] = rate * gain
    anchor = config.anchor_at(state["images"])
    for network in (discriminator, critic):
        network.requires_grad_(False)  # their gradients are not wanted before their own turn
    # While the anchor holds, half of the latents stand for training images; the others are free.
    anchored = len(real) // 2 if anchor > 0 else 0
    free = torch.randn(len(real) - anchored, config.style_dim, generator=rng).to(fabric.device)
    other = torch.randn(len(real) - anchored, config.style_dim, generator=rng).to(fabric.device)
    with fabric.autocast():
        first, second = generator.mapping(free).float(), generator.mapping(other).float()
        styles = mixed_styles(first, second, generator.style_count, config.style_mixing, rng)
        if anchored:
            codes = state["encoder"](real)[:anchored]  # of the whole batch, over which it normalises
            styles = torch.cat([generator.repeat(codes.float()), styles])
        fake = generator.synthesis(styles, noise="random")
        loss = functional.softplus(-discriminator(fake).float()).mean()
    log = {"generator": float(loss.detach())}
    features_real, features_fake = _features(fabric, perceptual, real, fake)
    if anchored:
        wanted, drawn = ([found[:anchored] for found in maps] for maps in (features_real, features_fake))
        weights = _pixel_weights(data, config, indices[:anchored], real)
        difference, parts = _difference(
            config.anchor_perceptual, fake[:anchored], real[:anchored], wanted, drawn, weights=weights
        )
        loss, log = loss + anchor * difference, log | parts
    if config.critic_weight:
        critic_score = generator_loss(critic(features_fake))
        loss = loss + config.critic_weight * critic_score
        log["critic_generator"] = float(critic_score.detach())
    _optimise(fabric, state, ("generator", "encoder"), loss)
    if config.path_length_weight and state["steps"] % config.path_length_every == 0:
        log["path_length"] = _path_length_step(fabric, state, config, free)
    for network in (discriminator, critic):
        network.requires_grad_(True)

    if config.critic_weight:
        loss = critic_loss(critic(features_real), critic([found.detach() for found in features_fake]))
        _optimise(fabric, state, ("critic",), loss)
        log["critic"] = float(loss.detach())
    with fabric.autocast():
        fake_score, real_score = discriminator(fake.detach()).float(), discriminator(real).float()
    loss = functional.softplus(fake_score).mean() + functional.softplus(-real_score).mean()
    _optimise(fabric, state, ("discriminator",), loss)
    log |= {"discriminator": float(loss.detach()), "real_score": float(real_score.detach().mean())}
    log["fake_score"] = float(fake_score.detach().mean())
    if config.r1_gamma and state["steps"] % config.r1_every == 0:
        penalty = r1_penalty(discriminator, real)
        _optimise(fabric, state, ("discriminator",), penalty * (config.r1_gamma / 2 * config.r1_every))
        log["r1"] = float(penalty.detach())
    return log


def _path_length_step(fabric: Fabric, state: State, config: GeneratorTraining, z: Tensor) -> float:
    generator = state["generator"]
    styles = generator.repeat(generator.mapping(z[: max(1, len(z) // 2)]))
    images = generator.synthesis(styles, noise="random")
    penalty, state["mean_path_length"] = path_length_penalty(
        images, styles, state["mean_path_length"], torch.randn_like(images)
    )
    weighted = penalty * config.path_length_weight * config.path_length_every
    _optimise(fabric, state, ("generator",), weighted)
    state["mean_path_length"] = fabric.all_reduce(state["mean_path_length"], reduce_op="mean")
    return float(penalty.detach())


def _pixel_weights(data: shards.Shards, config: GeneratorTraining, indices: Tensor, real: Tensor) -> Tensor | None:
    """(B, 1, H, W) weights of the pixels of training images on the device of `real`; None for all alike."""
    if not config.class_power:
        return None
    labels = torch.from_numpy(data.labels(indices.numpy())).long()
    return class_weights(data.label_frequencies, config.class_power)[labels][:, None].to(real.device)


def _difference(
    perceptual: float, fake: Tensor, real: Tensor, features_real: Sequence[Tensor], features_fake: Sequence[Tensor],
    weights: Tensor | None = None,
) -> tuple[Tensor, dict[str, float]]:  # fmt: skip
    """How far drawn images are from those they stand for, and what of it to log.

    `perceptual` is the weight of the distance of features, `weights` are those of the pixels.
    """
    loss = regression_loss(fake.float(), real, weights)
    log = {"regression": float(loss.detach())}
    if perceptual:
        distance = feature_distance(features_fake, features_real)
        loss = loss + perceptual * distance
        log["perceptual"] = float(distance.detach())
    return loss, log


def _features(
    fabric: Fabric, perceptual: Features | None, real: Tensor, fake: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Unit-length feature maps of real and generated images; nothing where nobody asks for them."""
    if perceptual is None:
        return [], []
    with fabric.autocast():
        with torch.no_grad():
            of_real = unit_features(perceptual(real))
        return of_real, unit_features(perceptual(fake))

"""The losses of generator training, as pure functions.

Mescheder et al. 2018 (R1), Karras et al. 2019 (style mixing) and 2020 (path length), Zhang et al. 2018 (distance of
unit-length features); the difference of images is ours.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def class_weights(frequencies: Tensor, power: float) -> Tensor:
    """Weights of pixels by the class of their label: frequency to the minus `power`, their mean over all pixels 1.

    An absolute difference wants the median, and where an eye may be here or a pixel further on that is skin; with its
    pixels weighing more, the eye is drawn.

    Args:
        frequencies: (C,) shares of the classes in all pixels; classes that never occur weigh nothing.
        power: 0 weighs all pixels alike.
    """
    weights = torch.where(frequencies > 0, frequencies.clamp(min=1e-6) ** -power, 0.0)
    return weights / (weights * frequencies).sum()


def regression_loss(fake: Tensor, real: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean absolute difference at three scales plus that of the image gradients (sharp edges), a scalar.

    Args:
        fake, real: (B, 3, H, W).
        weights: (B, 1, H, W) of the pixels, about 1 on average; None for all alike.
    """
    loss = torch.zeros((), device=fake.device)
    weights = torch.ones_like(real[:, :1]) if weights is None else weights
    for level in range(3):
        loss = loss + ((fake - real).abs() * weights).mean()
        if level == 0:
            loss = loss + ((fake.diff(dim=2) - real.diff(dim=2)).abs() * weights[:, :, 1:]).mean()
            loss = loss + ((fake.diff(dim=3) - real.diff(dim=3)).abs() * weights[:, :, :, 1:]).mean()
        fake, real, weights = (functional.avg_pool2d(images, 2) for images in (fake, real, weights))
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
    return gradient.square().flatten(1).sum(1).mean()


def path_length_penalty(
    images: Tensor, styles: Tensor, mean_length: Tensor, noise: Tensor, decay: float = 0.01
) -> tuple[Tensor, Tensor]:
    """StyleGAN2's path-length regularisation; returns the penalty and the updated running mean length."""
    noise = noise / math.sqrt(images.shape[2] * images.shape[3])
    (gradient,) = torch.autograd.grad((images * noise).sum(), styles, create_graph=True)
    lengths = gradient.square().sum(2).mean(1).sqrt()
    updated = mean_length + decay * (lengths.mean().detach() - mean_length)
    return (lengths - updated).square().mean(), updated


def unit_features(maps: Sequence[Tensor]) -> list[Tensor]:
    """Feature maps (B, C, H, W), each position's vector scaled to length 1 (all-zero vectors stay zero)."""
    return [functional.normalize(found.float(), dim=1, eps=1e-6) for found in maps]


def feature_distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """LPIPS without calibration, from `unit_features` of both sides: squared differences summed over channels, averaged
    over positions and images, added over layers; a scalar."""
    parts = [(a - b).square().sum(1).mean() for a, b in zip(first, second, strict=True)]
    return torch.stack(parts).sum()

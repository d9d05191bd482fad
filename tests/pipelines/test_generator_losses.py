"""The losses of generator training against closed forms."""

import pytest
import torch
from torch import nn

from core.compat import import_torchvision
from pipelines import domains, generator_losses

FACES = domains.get("faces")


def test_regression_loss_closed_form() -> None:
    real = torch.zeros(1, 3, 8, 8)
    # A constant offset of 0.5 has no gradients and is 0.5 at each of three scales.
    assert generator_losses.regression_loss(real + 0.5, real).item() == pytest.approx(1.5)
    # A checkerboard of +-1 vanishes at the coarser scales; neighbours differ by 2 in both directions.
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4).expand(1, 3, 8, 8)
    assert generator_losses.regression_loss(board, real).item() == pytest.approx(1 + 2 + 2)


def test_small_classes_weigh_more() -> None:
    frequencies = torch.tensor([0.64, 0.32, 0.04, 0.0])
    weights = generator_losses.class_weights(frequencies, 0.5)
    assert (weights * frequencies).sum().item() == pytest.approx(1.0)
    assert (weights[2] / weights[0]).item() == pytest.approx(4.0)  # the root of 0.64 / 0.04
    assert weights[3] == 0
    torch.testing.assert_close(generator_losses.class_weights(frequencies, 0.0), torch.tensor([1.0, 1.0, 1.0, 0.0]))


def test_regression_loss_weighs_pixels() -> None:
    real = torch.zeros(1, 3, 8, 8)
    fake = real.clone()
    fake[:, :, :4] = 0.5  # one step of 0.5 across the middle row
    weights = torch.ones(1, 1, 8, 8)
    weights[:, :, :4], weights[:, :, 4:] = 3.0, 0.0
    # 0.25 on average times 3 at three scales; the step from row 3 to 4 counts by its lower row, which weighs nothing.
    assert generator_losses.regression_loss(fake, real, weights).item() == pytest.approx(3 * 0.75)


def test_r1_of_a_linear_critic_is_the_squared_weight() -> None:
    critic = nn.Sequential(nn.Flatten(), nn.Linear(12, 1))
    penalty = generator_losses.r1_penalty(critic, torch.randn(5, 3, 2, 2))
    torch.testing.assert_close(penalty, critic[1].weight.square().sum())


def test_path_length_of_a_linear_generator() -> None:
    # images = styles[:, 0] as pixels, so the Jacobian-vector product is the noise itself.
    styles = torch.randn(6, 2, 12, requires_grad=True)
    images = styles[:, 0].view(6, 3, 2, 2)
    noise = torch.randn(6, 3, 2, 2)
    penalty, mean = generator_losses.path_length_penalty(images, styles, torch.zeros(()), noise)
    lengths = ((noise / 2).flatten(1).square().sum(1) / 2).sqrt()  # mean over two rows, the second zero
    torch.testing.assert_close(mean, 0.01 * lengths.mean())
    torch.testing.assert_close(penalty, (lengths - 0.01 * lengths.mean()).square().mean())


def test_mixed_styles() -> None:
    first, second = torch.zeros(400, 3), torch.ones(400, 3)
    rng = torch.Generator().manual_seed(0)
    styles = generator_losses.mixed_styles(first, second, 10, 0.5, rng)
    changes = styles[:, 1:, 0] - styles[:, :-1, 0]
    assert (styles[:, 0] == 0).all()
    assert (changes >= 0).all()
    assert (changes.sum(1) <= 1).all()
    assert abs((changes.sum(1) == 1).float().mean().item() - 0.5) < 0.1  # four standard errors of 1/sqrt(1600)
    assert (generator_losses.mixed_styles(first, second, 10, 0.0, rng) == 0).all()


def test_feature_distance_is_that_of_the_lpips_package() -> None:
    import_torchvision()
    import lpips

    torch.manual_seed(0)
    first = [torch.randn(2, 5, 4, 4), torch.randn(2, 7, 2, 2)]
    second = [torch.randn_like(found) for found in first]
    ours = generator_losses.feature_distance(*(generator_losses.unit_features(maps) for maps in (first, second)))
    # The package's own normalisation and spatial mean; its epsilon of 1e-10 beside the norm moves nothing visible.
    theirs = sum(
        lpips.spatial_average(
            (lpips.normalize_tensor(a) - lpips.normalize_tensor(b)).square().sum(1, keepdim=True)
        ).mean()
        for a, b in zip(first, second, strict=True)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_flat_feature_map_has_a_finite_gradient() -> None:
    flat = torch.zeros(1, 3, 2, 2, requires_grad=True)
    distance = generator_losses.feature_distance(
        generator_losses.unit_features([flat]), generator_losses.unit_features([torch.ones(1, 3, 2, 2)])
    )
    distance.backward()
    assert distance.item() == pytest.approx(1.0)  # a unit vector against none
    assert flat.grad is not None and bool(flat.grad.isfinite().all())

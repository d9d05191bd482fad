"""e4e's latent discriminator and its losses against closed forms."""

from __future__ import annotations

import math

import torch
from torch import nn

from methods.networks.latent_discriminator import (
    LatentDiscriminator,
    LatentPool,
    discriminator_loss,
    encoder_loss,
    gradient_penalty,
)


def test_shape_and_depth() -> None:
    network = LatentDiscriminator(6, layers=3)
    assert network(torch.randn(5, 6)).shape == (5, 1)
    assert sorted({name.split(".")[1] for name in network.state_dict()}) == ["0", "2", "4"]


def test_losses_at_a_known_logit() -> None:
    two = torch.full((3, 1), 2.0)
    assert abs(encoder_loss(two).item() - math.log1p(math.exp(-2.0))) < 1e-7
    expected = math.log1p(math.exp(-2.0)) + math.log1p(math.exp(1.0))
    assert abs(discriminator_loss(two, torch.ones(4, 1)).item() - expected) < 1e-6


def test_penalty_of_a_linear_network_is_the_squared_norm_of_its_weight() -> None:
    network = nn.Linear(6, 1)
    penalty = gradient_penalty(network, torch.randn(5, 6))
    expected = network.weight.square().sum()
    torch.testing.assert_close(penalty, expected)
    penalty.backward()
    torch.testing.assert_close(network.weight.grad, 2.0 * network.weight.detach())


def test_pool_remembers_and_gives_back_without_losing_or_inventing_styles() -> None:
    torch.manual_seed(0)
    pool = LatentPool(3, 1)
    first = torch.tensor([[1.0], [2.0], [3.0]])
    assert torch.equal(pool(first), first)
    new = torch.arange(4.0, 204.0)[:, None]
    returned = torch.cat([pool(part) for part in new.split(8)])
    assert sorted(torch.cat([returned, pool.kept]).flatten().tolist()) == [float(n) for n in range(1, 204)]
    # Half of 200 fair draws come back as they went in; 4 deviations of a binomial are 28.
    assert abs(int((returned == new).sum()) - 100) < 28


def test_pool_goes_on_from_its_state_and_an_empty_one_lets_everything_through() -> None:
    pool, other = LatentPool(2, 1), LatentPool(2, 1)
    pool(torch.tensor([[1.0], [2.0], [3.0]]))
    other.load_state_dict(pool.state_dict())
    answers = []
    for which in (pool, other):
        torch.manual_seed(7)
        answers.append(which(torch.tensor([[4.0], [5.0]])))
    assert torch.equal(*answers) and torch.equal(pool.kept, other.kept)
    styles = torch.randn(4, 1)
    assert torch.equal(LatentPool(0, 1)(styles), styles)

"""e4e's latent discriminator and its losses against closed forms."""

from __future__ import annotations

import math

import torch
from torch import nn

from methods.networks.latent_discriminator import (
    LatentDiscriminator,
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

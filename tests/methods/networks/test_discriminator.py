"""The discriminator: minibatch deviation by hand, sizes, R1."""

from __future__ import annotations

import pytest
import torch

from methods.networks.discriminator import Discriminator, append_minibatch_deviation

WIDTHS = {4: 8, 8: 6, 16: 5}


@pytest.mark.parametrize(("batch", "group"), [(1, 1), (2, 2), (4, 4), (8, 4), (6, 3), (5, 1)])
def test_minibatch_deviation_of_strided_groups(batch: int, group: int) -> None:
    features = torch.randn(batch, 3, 4, 4)
    appended = append_minibatch_deviation(features)
    assert torch.equal(appended[:, :3], features)
    stride = batch // group
    for index in range(batch):
        members = features[index % stride :: stride]
        assert len(members) == group
        expected = ((members - members.mean(dim=0)).square().mean(dim=0) + 1e-8).sqrt().mean()
        torch.testing.assert_close(appended[index, 3], expected.expand(4, 4))


@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("batch", [1, 4, 5])
def test_sizes(size: int, batch: int) -> None:
    assert Discriminator(size, WIDTHS)(torch.randn(batch, 3, size, size)).shape == (batch, 1)


def test_r1_gradient_agrees_with_finite_differences() -> None:
    torch.manual_seed(0)
    network = Discriminator(8, WIDTHS).double()
    images = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    weight = network.convs[1].conv2[1].weight

    def penalty() -> torch.Tensor:
        real = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(network(real).sum(), real, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3)).mean()

    penalty().backward()
    assert weight.grad is not None
    direction = torch.randn_like(weight)
    slope = (weight.grad * direction).sum().item()
    step = 1e-5
    values = []
    for sign in (1.0, -1.0):
        with torch.no_grad():
            weight += sign * step * direction
        values.append(penalty().item())
        with torch.no_grad():
            weight -= sign * step * direction
    assert slope != 0.0
    # float64: the error of the central difference, of the order of the step squared.
    assert slope == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5)


def test_bfloat16_autocast_stays_close_and_trains() -> None:
    torch.manual_seed(0)
    network = Discriminator(16, WIDTHS)
    images = torch.randn(4, 3, 16, 16)
    exact = network(images)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images)
    logits.float().mean().backward()
    assert (logits.float() - exact).abs().max() < 0.05 * max(exact.abs().max().item(), 1.0)
    assert all(parameter.grad is not None for parameter in network.parameters())

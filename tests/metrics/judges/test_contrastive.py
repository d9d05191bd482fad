"""Momentum contrast: the loss and the moving average against closed forms, the queue, and that it learns."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.errors import ReinvertError
from metrics.judges.contrastive import MomentumContrast, contrast, follow
from metrics.judges.objective import GroundTruth, TestSet

VIEWS = {"brightness": 0.1, "contrast": 0.1, "colour": 0.1, "blur": 0.2, "noise": 0.05}
VIEWS |= {"crop": 0.6, "flip": 0.5, "grey": 0.1}
NO_TRUTH = GroundTruth({}, torch.zeros(1))


class _Unit(nn.Module):
    """Images -> unit features, by one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 5, 2)
        self.pooled = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(3))

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.normalize(self.pooled(self.convolution(images)).flatten(1).float(), dim=1)


def _objective(network: nn.Module, queue: int = 12, **more: Any) -> MomentumContrast:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"views": VIEWS, "queue": queue, "projection": 6, "temperature": 0.2, "momentum": 0.9}
    objective = MomentumContrast(NO_TRUTH, network(_images(2)), **arguments | more)
    objective.attach(network)
    return objective


def _images(count: int = 4, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_the_loss_is_the_papers() -> None:
    generator = torch.Generator().manual_seed(1)
    query, key, queue = (nn.functional.normalize(torch.randn(n, 5, generator=generator), dim=1) for n in (3, 3, 7))
    expected, nearest = 0.0, 0
    for i, q in enumerate(query):
        others = [math.exp(float(q @ s) / 0.2) for s in [*key[:i], *key[i + 1 :], *queue]]
        own = math.exp(float(q @ key[i]) / 0.2)
        expected -= math.log(own / (own + sum(others))) / 3
        nearest += own > max(others)
    loss, recognised = contrast(query, key, queue, 0.2)
    assert float(loss) == pytest.approx(expected, rel=1e-5)  # float32
    assert float(recognised) == pytest.approx(nearest / 3)


def test_the_follower_moves_towards_the_weights() -> None:
    source, target = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    nn.init.constant_(source.weight, 5.0)
    follow(target, source, 0.75)
    assert target.weight.tolist() == [2.0, 2.0]


def test_keys_replace_the_oldest() -> None:
    objective = _objective(_Unit(), queue=5)
    for step in range(3):
        objective.enqueue(torch.full((2, 6), float(step)))
    assert objective.queue[:, 0].tolist() == [2.0, 0.0, 1.0, 1.0, 2.0]


def test_keys_get_no_gradient_and_follow_the_network() -> None:
    network = _Unit()
    objective = _objective(network)
    assert isinstance(objective.key_network, _Unit)
    before = objective.key_network.convolution.weight.clone()
    with torch.no_grad():
        network.convolution.weight.add_(1.0)
    objective.loss(network, _images(8), torch.zeros(0), {})["loss"].backward()
    assert all(parameter.grad is None for parameter in objective.key_network.parameters())
    assert network.convolution.weight.grad is not None
    torch.testing.assert_close(objective.key_network.convolution.weight, before + 0.1)
    assert "key_network.convolution.weight" in objective.state_dict()


def test_a_key_stays_with_its_image_through_the_shuffled_groups() -> None:
    network = _Unit()
    nothing = dict.fromkeys(VIEWS, 0.0) | {"crop": 1.0}
    objective = _objective(network, queue=40, views=nothing)
    images = _images(40)
    for module in (network, objective):
        module.eval()  # without batch statistics a group gives what the whole gives
    assert float(objective.loss(network, images, torch.zeros(0), {})["recognised"]) == 1.0
    torch.testing.assert_close(objective.queue, objective.project(network, objective.head, images).detach())


def test_a_small_step_down_the_gradient_lowers_the_loss() -> None:
    network = _Unit()
    objective = _objective(network, momentum=1.0)  # the keys stay where they are

    def loss() -> Tensor:
        """Of the same views and strangers."""
        torch.manual_seed(7)
        queue, steps = objective.queue.clone(), objective.steps.clone()
        found = objective.loss(network, _images(8), torch.zeros(0), {})["loss"]
        objective.queue.copy_(queue)
        objective.steps.copy_(steps)
        return found

    for parameters in (network.parameters(), objective.head.parameters()):
        optimizer = torch.optim.SGD(parameters, 1e-2)
        before = loss()
        optimizer.zero_grad()
        before.backward()
        optimizer.step()
        assert float(loss().detach()) < float(before.detach())


def test_retrieval_compares_views_of_the_same_image() -> None:
    images = _images(40)
    test = TestSet(lambda: iter(images.split(16)), lambda: iter([]), torch.zeros(0), {
        "out_of_distribution": torch.arange(40) % 3 == 0
    }, ())  # fmt: skip
    nothing = dict.fromkeys(VIEWS, 0.0) | {"crop": 1.0}
    network = _Unit().eval()
    with torch.no_grad():
        assert set(_objective(network, views=nothing).scores(network, test).values()) == {1.0}
        scores = _objective(network).scores(network, test)
        assert scores == _objective(network).scores(network, test)
    assert 0 < scores["retrieval_top1"] < 1
    assert "retrieval_top1_out_of_distribution" in scores


def test_a_mistake_in_the_views_is_named() -> None:
    with pytest.raises(ReinvertError, match=r"objective_arguments.views: crop"):
        _objective(_Unit(), views=VIEWS | {"crop": 0.0})

"""Pivotal tuning at tiny sizes: each image has its own generator and its own end; against a copy tuned by hand."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from methods.code import Code
from methods.generators import draw_code
from methods.losses import l2
from methods.networks.stylegan2 import Generator
from methods.pivotal_tuning import Locality, Tuning, TuningProtocol, tune


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    generator = Generator(16, 8, 2, channels={4: 6, 8: 6, 16: 6}).eval().requires_grad_(False)
    with torch.no_grad():
        for name, weight in generator.named_parameters():
            if name.endswith("noise.weight"):
                weight.fill_(0.1)
    return generator


def setting(generator: Generator) -> tuple[Code, Tensor]:
    """Three pivots, and targets at different distances from their images."""
    pivot = Code(generator.repeat(torch.randn(3, 8)).clone())
    with torch.no_grad():
        return pivot, draw_code(generator, pivot) + torch.tensor([0.15, 0.2, 0.5])[:, None, None, None]


def tuned(generator: Generator, pivot: Code, targets: Tensor, **changes: float) -> list[Tuning]:
    return list(tune(generator, pivot, targets, l2, replace(TuningProtocol(learning_rate=0.01), **changes)))


def test_it_is_adam_on_a_copy_of_the_generator(generator: Generator) -> None:
    pivot, targets = setting(generator)
    path = tuned(generator, pivot, targets, steps=5, threshold=-1.0)
    own = copy.deepcopy(generator).requires_grad_(True)
    optimizer = torch.optim.Adam(own.parameters(), lr=0.01)
    for step in path:
        optimizer.zero_grad()
        distance = (own.synthesis(pivot.styles[1:2]) - targets[1:2]).square().mean()
        assert step.total[1].item() == pytest.approx(2 * distance.item(), rel=1e-4)
        (2 * distance).backward()
        optimizer.step()
    with torch.no_grad():
        expected = own.synthesis(pivot.styles[1:2])
    torch.testing.assert_close(draw_code(generator, path[-1].code[1:2]), expected, atol=1e-4, rtol=0)
    # Adam's step has the size of the rate wherever there is a gradient: all of the synthesis network was learned.
    changes = path[0].code.weight_residuals or {}
    assert changes.keys() == generator.synthesis_parameters().keys()
    assert all(change[1].abs().max().item() == pytest.approx(0.01, rel=0.05) for change in changes.values())


def test_every_image_stops_at_the_threshold_alone(generator: Generator) -> None:
    pivot, targets = setting(generator)
    before = copy.deepcopy(generator.state_dict())
    path = tuned(generator, pivot, targets, steps=200, threshold=0.01)
    last = path[-1]
    assert len(path) == last.step < 200
    assert (l2(draw_code(generator, last.code), targets) <= 0.01).all()
    ends = []
    for index in range(3):
        alone = tuned(generator, pivot[index : index + 1], targets[index : index + 1], steps=200, threshold=0.01)
        ends.append(len(alone))
        assert all(step.perceptual.item() > 0.01 for step in alone[:-1])
        for name, change in (alone[-1].code.weight_residuals or {}).items():
            together = (last.code.weight_residuals or {})[name][index]
            torch.testing.assert_close(together, change[0], atol=1e-3, rtol=0)  # a tenth of one step of Adam
        torch.testing.assert_close(
            draw_code(generator, last.code[index : index + 1]), draw_code(generator, alone[-1].code), atol=1e-4, rtol=0
        )
    assert len(set(ends)) == 3 and max(ends) == len(path)
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())


def test_an_image_that_has_ended_costs_nothing_more(generator: Generator) -> None:
    pivot, targets = setting(generator)
    drawn: list[int] = []

    def counted(image: Tensor, target: Tensor) -> Tensor:
        drawn.append(len(image))
        return l2(image, target)

    path = list(tune(generator, pivot, targets, counted, TuningProtocol(learning_rate=0.01, steps=200, threshold=0.01)))
    assert drawn == sorted(drawn, reverse=True) and set(drawn) == {3, 2, 1}
    # Losses stand for every image all the time, those of ended ones as they were when they ended; the last image's are
    # from before the update that took it below the threshold.
    assert all(step.perceptual.shape == (3,) for step in path)
    assert (path[-1].perceptual <= 0.01).sum() == 2


def test_nothing_is_done_where_the_pivot_is_good_enough(generator: Generator) -> None:
    pivot, targets = setting(generator)
    assert tuned(generator, pivot, targets, threshold=10.0) == []
    assert tuned(generator, pivot, targets, steps=0) == []


def test_what_the_pivot_changes_already_is_kept(generator: Generator) -> None:
    pivot, targets = setting(generator)
    own = {name: 0.1 * torch.randn_like(zero) for name, zero in list(generator.zero_residuals(3).items())[:4]}
    noise = [torch.randn(3, *one.shape[1:]) for one in generator.stored_noise()]
    pivot = replace(pivot, weight_residuals=own, noise=noise)
    (step,) = tuned(generator, pivot, targets, steps=1, threshold=-1.0)
    torch.testing.assert_close(step.l2, l2(draw_code(generator, pivot), targets))
    assert step.code.noise is noise
    changes = step.code.weight_residuals or {}
    assert all((changes[name] - value).abs().max() < 0.0101 for name, value in own.items())


def test_locality_codes_lie_on_a_sphere_around_the_pivot(generator: Generator) -> None:
    pivot, _ = setting(generator)
    locality = Locality(torch.randn(8), lambda _: torch.randn(1, 8), distance=4.0)
    codes = locality.codes(generator, pivot.styles, 0)
    torch.testing.assert_close((codes - pivot.styles).flatten(1).norm(dim=1), torch.full((3,), 4.0))
    assert torch.equal(locality.loss(generator, pivot, pivot, l2, 0), torch.zeros(3))  # nothing has been tuned
    bias = {"to_rgb1.bias": torch.tensor([0.0, 0.5, 1.0])[:, None, None, None].expand(3, 3, 1, 1)}
    # The first RGB layer's bias reaches the image through two upsamplings that keep constants inside the image.
    loss = locality.loss(generator, replace(pivot, weight_residuals=bias), pivot, l2, 0)
    assert loss.tolist() == pytest.approx([0.0, 0.2 * 0.25, 0.2], rel=0.5)


def test_locality_holds_the_generator_back(generator: Generator) -> None:
    pivot, targets = setting(generator)
    locality = Locality(torch.zeros(8), lambda step: torch.full((1, 8), 1.0 + step % 2), distance=1.0, weight_l2=5.0)
    protocol = TuningProtocol(learning_rate=0.01, steps=40, threshold=-1.0)
    free, held = (list(tune(generator, pivot, targets, l2, protocol, term, 40))[-1].code for term in (None, locality))
    drift = [locality.loss(generator, code, pivot, l2, 0) for code in (free, held)]
    assert (drift[1] < 0.7 * drift[0]).all()

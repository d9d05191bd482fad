from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.errors import ReinvertError
from methods import registry
from methods.code import Code
from methods.dni import Dni
from methods.losses import l2
from tests.methods import tiny

START: dict[str, Any] = {"kind": "optimization", "steps": 2, "learning_rate": 0.01, "losses": {"l2": 1.0}}


def build(weights_root: Path, **arguments: Any) -> Dni:
    entry = {
        "kind": "dni", "start": "start", "steps": 8, "learning_rate": 0.1, "losses": {"l2": 1.0}, "yield_every": 3,
        **arguments,
    }  # fmt: skip
    inverter = registry.build("dni", tiny.config({"dni": entry, "start": START}), "faces", weights_root)
    assert isinstance(inverter, Dni)
    with torch.no_grad():  # a random generator has no noise
        for name, weight in inverter.generator.generator.named_parameters():
            if name.endswith("noise.weight"):
                weight.fill_(0.2)
    return inverter


def photos(inverter: Dni, count: int) -> Tensor:
    torch.manual_seed(5)
    mean = inverter.generator.mean_code(count).styles
    return inverter.draw(Code(mean + 0.5 * torch.randn_like(mean))).clamp(-1, 1)


def test_zero_steps_are_the_start(weights_root: Path) -> None:
    inverter = build(weights_root, steps=0)
    images = photos(inverter, 2)
    (step,) = inverter.invert(images, seed=0)
    assert step.step == 0
    start = inverter.start.answer_alone(images, 0)
    assert torch.equal(step.code.styles, start.styles)
    assert torch.equal(inverter.draw(step.code), inverter.draw(start))


def test_only_the_maps_are_searched_and_the_image_comes_nearer(weights_root: Path) -> None:
    inverter = build(weights_root, steps=40, losses={"l2": 1.0, "lpips": 0.1}, yield_every=40)
    images = photos(inverter, 2)
    before, after = inverter.invert(images, seed=0)
    assert torch.equal(before.code.styles, after.code.styles)
    stored = inverter.generator.generator.stored_noise()
    assert all(one.shape == (2, *own.shape[1:]) for one, own in zip(after.code.noise or [], stored, strict=True))
    assert not any(torch.equal(one[:1], own) for one, own in zip(after.code.noise or [], stored, strict=True))
    totals = [inverter.loss.total(inverter.loss(inverter.draw(step.code), images)) for step in (before, after)]
    assert bool((totals[1] < 0.7 * totals[0]).all()), totals


def test_a_batch_gives_what_single_images_give_every_time(weights_root: Path) -> None:
    inverter = build(weights_root)
    images = photos(inverter, 3)
    batch, again = list(inverter.invert(images, seed=0)), list(inverter.invert(images, seed=0))
    assert [step.step for step in batch] == [0, 3, 6, 8]
    for index in range(3):
        alone = inverter.invert(images[index : index + 1], seed=0)
        for together, repeated, step in zip(batch, again, alone, strict=True):
            drawn = inverter.draw(together.code)
            assert torch.equal(drawn, inverter.draw(repeated.code))
            assert float((drawn[index] - inverter.draw(step.code)[0]).abs().max()) < 1e-4


def test_it_goes_on_from_maps_that_the_start_found(weights_root: Path) -> None:
    first = build(weights_root)
    images = photos(first, 1)
    second = Dni(first.generator, first.loss, first.arguments, first)
    steps = list(second.invert(images, seed=0))
    assert torch.equal(first.draw(steps[0].code), first.draw(first.answer(images, 0)))
    assert float(l2(second.draw(steps[-1].code), images)) < float(l2(second.draw(steps[0].code), images))


def test_images_of_another_size_are_refused(weights_root: Path) -> None:
    with pytest.raises(ReinvertError, match="do not fit the generator"):
        next(build(weights_root).invert(torch.zeros(1, 3, 16, 16), seed=0))

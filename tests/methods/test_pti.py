from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.errors import ReinvertError
from methods import registry
from methods.code import Code
from methods.inverter import Inverter
from methods.losses import l2
from methods.pti import Pti
from tests.methods import tiny

PIVOT: dict[str, Any] = {
    "kind": "optimization", "space": "w", "steps": 3, "learning_rate": 0.05, "losses": {"l2": 1.0},
    "latent_noise": 0.05, "noise_regularization": 1e5,
}  # fmt: skip
PTI: dict[str, Any] = {
    "kind": "pti", "start": "pivot", "steps": 7, "learning_rate": 0.003, "threshold": -1.0, "weight_lpips": 0.1,
    "yield_every": 3,
}  # fmt: skip


def build(weights_root: Path, name: str = "pti", **arguments: Any) -> Inverter:
    refined = {"kind": "optimization", "start": "pti", "steps": 2, "learning_rate": 0.05, "losses": {"l2": 1.0}}
    config = tiny.config({"pti": PTI | arguments, "pivot": PIVOT, "refined": refined})
    return registry.build(name, config, "faces", weights_root)


def photos(inverter: Inverter, count: int) -> Tensor:
    torch.manual_seed(5)
    mean = inverter.generator.mean_code(count).styles
    return inverter.draw(Code(mean + 0.5 * torch.randn_like(mean))).clamp(-1, 1).flip(3)


def test_zero_steps_are_the_plain_generator_at_the_pivot(weights_root: Path) -> None:
    inverter = build(weights_root, steps=0)
    assert isinstance(inverter, Pti)
    images = photos(inverter, 2)
    (step,) = inverter.invert(images, seed=0)
    pivot = inverter.start.answer_alone(images, 0)
    plain = inverter.generator.generator.synthesis(pivot.styles)
    assert torch.equal(inverter.draw(step.code), plain)
    assert bool((pivot.styles == pivot.styles[:, :1]).all())  # in W


@pytest.mark.parametrize("locality", [None, {"distance": 0.3}], ids=["plain", "locality"])
def test_a_batch_of_generators_gives_what_single_ones_give(weights_root: Path, locality: Any) -> None:
    inverter = build(weights_root, locality=locality)
    images = photos(inverter, 3)
    before = {name: value.clone() for name, value in inverter.generator.generator.state_dict().items()}
    batch, again = list(inverter.invert(images, seed=0)), list(inverter.invert(images, seed=0))
    assert [step.step for step in batch] == [0, 3, 6, 7]
    drawn = [inverter.draw(step.code) for step in batch]
    assert all(torch.equal(one, inverter.draw(step.code)) for one, step in zip(drawn, again, strict=True))
    for index in range(3):
        for together, step in zip(drawn, inverter.invert(images[index : index + 1], seed=0), strict=True):
            assert float((together[index] - inverter.draw(step.code)[0]).abs().max()) < 1e-4
    after = inverter.generator.generator.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_tuning_comes_nearer_and_ends_at_the_threshold(weights_root: Path) -> None:
    inverter = build(weights_root, steps=30)
    assert isinstance(inverter, Pti) and inverter.loss.perceptual is not None
    images = photos(inverter, 2)
    path = list(inverter.invert(images, seed=0))
    distances = [inverter.loss.perceptual(inverter.draw(step.code), images) for step in path]
    errors = [l2(inverter.draw(step.code), images) for step in path]
    assert bool((distances[-1] < 0.7 * distances[0]).all() and (errors[-1] < 0.7 * errors[0]).all())
    assert all(torch.equal(step.code.styles, path[0].code.styles) for step in path)
    half = float((distances[0] + distances[-1]).max() / 2)
    ended = list(build(weights_root, steps=30, threshold=half).invert(images, seed=0))
    assert ended[-1].step < 30
    assert bool((inverter.loss.perceptual(inverter.draw(ended[-1].code), images) <= half).all())


def test_the_locality_terms_codes_follow_the_seed(weights_root: Path) -> None:
    inverter = build(weights_root, locality={})
    assert isinstance(inverter, Pti)
    first, again, other = (inverter._locality(seed) for seed in (0, 0, 1))
    assert first is not None and again is not None and other is not None
    assert torch.equal(first.draw(2), again.draw(2))
    assert not torch.equal(first.draw(2), other.draw(2)) and not torch.equal(first.draw(2), first.draw(3))
    pivot = inverter.generator.mean_code(1).styles
    moved = first.codes(inverter.generator.generator, pivot, 0) - pivot
    # 30 of the official code is this for 18 x 512 numbers.
    assert float(moved.square().mean().sqrt()) == pytest.approx(30 / (18 * 512) ** 0.5, rel=1e-4)


def test_codes_survive_files_edits_and_further_methods(weights_root: Path, tmp_path: Path) -> None:
    refined = build(weights_root, "refined")
    images = photos(refined, 2)
    start, end = refined.invert(images, seed=0)
    kept = end.code.weight_residuals or {}
    assert kept.keys() == refined.generator.generator.synthesis_parameters().keys()
    assert all(torch.equal(value, (start.code.weight_residuals or {})[name]) for name, value in kept.items())
    end.code.save(tmp_path / "code.safetensors")
    assert torch.equal(refined.draw(Code.load(tmp_path / "code.safetensors")), refined.draw(end.code))
    edited = refined.edit(end.code, torch.ones(tiny.STYLE_DIM), 0.1)
    assert edited.weight_residuals is end.code.weight_residuals
    plain = refined.generator.generator.synthesis(edited.styles)
    assert not torch.allclose(refined.draw(edited), plain, atol=1e-3)


def test_wrong_images_and_arguments_are_refused(weights_root: Path) -> None:
    with pytest.raises(ReinvertError, match="do not fit the generator"):
        next(build(weights_root).invert(torch.zeros(1, 3, 16, 16), seed=0))
    with pytest.raises(ReinvertError, match="weight_lpips"):
        build(weights_root, weight_lpips=0.0)
    with pytest.raises(ReinvertError, match="starts from itself"):
        build(weights_root, start="pti")

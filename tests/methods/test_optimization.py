from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.errors import ReinvertError
from methods import projector, registry
from methods.code import Code
from methods.inverter import Inverter, Step
from methods.losses import l2
from methods.optimization import Optimization
from tests.methods import tiny


def build(weights_root: Path, **arguments: Any) -> Optimization:
    entry = {"kind": "optimization", "steps": 12, "learning_rate": 0.05, "yield_every": 5, **arguments}
    inverter = registry.build("w-plus", tiny.config({"w-plus": entry}), "faces", weights_root)
    assert isinstance(inverter, Optimization)
    return inverter


def known(inverter: Inverter, count: int) -> tuple[Code, Tensor]:
    """Codes a little off the mean, and their images as an inversion would be given them."""
    torch.manual_seed(5)
    mean = inverter.generator.mean_code(count)
    code = replace(mean, styles=mean.styles + 0.5 * torch.randn_like(mean.styles))
    return code, inverter.draw(code)


class FixedStart(Inverter):
    """Stands for an encoder: the rows of a given code, in the order in which images come."""

    def __init__(self, inner: Inverter, code: Code) -> None:
        super().__init__(inner.generator)
        self.code = code
        self.answered = 0

    @classmethod
    def from_arguments(cls, arguments: Any, context: Any) -> "FixedStart":
        raise AssertionError("built by hand")

    def invert(self, images: Tensor, seed: int):
        yield Step(0, self.generator.mean_code(len(images)))
        first, self.answered = self.answered, self.answered + len(images)
        yield Step(1, self.code[first : self.answered])


def test_a_batch_gives_what_single_images_give(weights_root: Path) -> None:
    # Convolutions may take another algorithm for another batch size, and Adam divides by the gradient, so rounding
    # grows along the path. 1e-4 is the promise; 2e-7 is measured here.
    inverter = build(weights_root, steps=20)
    images = known(inverter, 3)[1]
    batch = [inverter.draw(step.code) for step in inverter.invert(images, seed=0)]
    for index in range(3):
        for together, step in zip(batch, inverter.invert(images[index : index + 1], seed=0), strict=True):
            alone = inverter.draw(step.code)
            assert float((together[index] - alone[0]).abs().max()) < 1e-4


@pytest.mark.parametrize("space", ["w", "w+"])
def test_it_finds_the_image_of_a_known_code(weights_root: Path, space: str) -> None:
    inverter = build(weights_root, steps=150, yield_every=150, space=space, losses={"l2": 1.0})
    code, _ = known(inverter, 2)
    if space == "w":
        code = replace(code, styles=code.styles[:, :1].expand_as(code.styles))
    images = inverter.draw(code)
    start, end = [step.code for step in inverter.invert(images, seed=0)]
    before, after = l2(inverter.draw(start), images), l2(inverter.draw(end), images)
    # Measured: 70 times smaller in W+.
    assert bool((after < before / 30).all()), (before, after)
    if space == "w":
        assert bool((end.styles == end.styles[:, :1]).all())


def test_the_real_loss_falls_and_runs_repeat_exactly(weights_root: Path) -> None:
    inverter = build(weights_root, steps=30, yield_every=30)
    images = known(inverter, 2)[1]
    first, again = (list(inverter.invert(images, seed=seed)) for seed in (0, 0))
    assert [step.step for step in first] == [0, 30]
    assert all(torch.equal(a.code.styles, b.code.styles) for a, b in zip(first, again, strict=True))
    start, end = (inverter.loss.total(inverter.loss(inverter.draw(step.code), images)) for step in first)
    assert bool((end < start / 2).all()), (start, end)


def build_projector(weights_root: Path, **arguments: Any) -> Optimization:
    entry = {"space": "w", "latent_noise": 0.05, "noise_regularization": 10.0, "losses": {"l2": 1.0}, **arguments}
    inverter = build(weights_root, **entry)
    with torch.no_grad():  # a random generator has no noise
        for name, weight in inverter.generator.generator.named_parameters():
            if name.endswith("noise.weight"):
                weight.fill_(0.1)
    return inverter


def test_the_projector_is_the_published_one(weights_root: Path) -> None:
    inverter = build_projector(weights_root, yield_every=1)
    image = known(inverter, 1)[1]
    generator = inverter.generator.generator
    protocol = replace(projector.NVIDIA_W, learning_rate=0.05, steps=12, regularization=10.0)
    statistics = inverter.generator.latent_mean, inverter.generator.latent_std

    def features(pixels: Tensor) -> Tensor:
        return pixels.flatten(1) / 127.5 / pixels[0].numel() ** 0.5

    draws = projector.random_draws(generator, 1, "w", seed=3)
    expected = projector.project(generator, image, features, protocol, statistics, *draws)
    found = list(inverter.invert(image, seed=3))
    assert [step.step for step in found] == list(range(13))
    for ours, theirs in zip(found[1:], expected, strict=True):
        assert ours.code.noise is None
        # Pixels are scaled to 255 and back there; Adam divides what that rounds by the gradient's size.
        torch.testing.assert_close(ours.code.styles, theirs.styles.expand_as(ours.code.styles), atol=1e-4, rtol=0)
    other = list(inverter.invert(image, seed=4))[-1]
    assert not torch.allclose(other.code.styles, found[-1].code.styles, atol=1e-3)


@pytest.mark.parametrize("space", ["w", "w+"])
def test_the_projectors_noise_does_not_tie_images_together(weights_root: Path, space: str) -> None:
    inverter = build_projector(weights_root, space=space)
    images = known(inverter, 3)[1]
    batch = list(inverter.invert(images, seed=0))[-1].code
    for index in range(3):
        alone = list(inverter.invert(images[index : index + 1], seed=0))[-1].code
        assert float((inverter.draw(batch)[index] - inverter.draw(alone)[0]).abs().max()) < 1e-4


def test_hybrid_starts_at_the_starts_answer_and_keeps_its_other_parts(weights_root: Path) -> None:
    plain = build(weights_root)
    code, images = known(plain, 2)
    images = images.flip(3)  # so that the start is not the answer already
    noise = [torch.zeros(2, *stored.shape[1:]) for stored in plain.generator.generator.stored_noise()]
    start = FixedStart(plain, replace(code, noise=noise))
    hybrid = Optimization(plain.generator, plain.loss, plain.arguments, start)
    steps = list(hybrid.invert(images, seed=0))
    assert [step.step for step in steps] == [0, 5, 10, 12]
    assert torch.equal(steps[0].code.styles, code.styles)
    assert not torch.equal(steps[-1].code.styles, code.styles)
    assert all(torch.equal(a, b) for a, b in zip(steps[-1].code.noise or [], noise, strict=True))
    assert torch.equal(code.styles, start.code.styles)  # the start's own code is not written into


def test_w_refuses_a_start_in_w_plus(weights_root: Path) -> None:
    plain = build(weights_root, space="w")
    code, images = known(plain, 1)
    hybrid = Optimization(plain.generator, plain.loss, plain.arguments, FixedStart(plain, code))
    with pytest.raises(ReinvertError, match="cannot start from a code in W\\+"):
        next(hybrid.invert(images, seed=0))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 3, 16, 16), "do not fit the generator"),
        (torch.zeros(1, 1, 32, 32), "do not fit the generator"),
        (torch.zeros(3, 32, 32), "do not fit the generator"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "give float images"),
        (torch.full((1, 3, 32, 32), 255.0), "outside \\[-1, 1\\]"),
        (torch.full((1, 3, 32, 32), torch.nan), "not finite"),
    ],
    ids=["size", "channels", "rank", "bytes", "range", "nan"],
)
def test_images_that_do_not_fit_are_refused(weights_root: Path, images: Tensor, message: str) -> None:
    with pytest.raises(ReinvertError, match=message):
        next(build(weights_root).invert(images, seed=0))


def test_edits_move_styles_and_refuse_foreign_directions(weights_root: Path) -> None:
    inverter = build(weights_root)
    code = inverter.generator.mean_code(2)
    direction = torch.randn(tiny.STYLE_DIM)
    moved = inverter.edit(code, direction, 2.0)
    assert torch.allclose(moved.styles - code.styles, (2 * direction).expand_as(code.styles), atol=1e-6)
    assert inverter.draw(moved).shape == (2, 3, 32, 32)
    for shape in [(tiny.STYLE_DIM + 1,), (1,), (3, *code.styles.shape[1:])]:
        with pytest.raises(ReinvertError, match="direction of shape"):
            inverter.edit(code, torch.randn(shape), 1.0)


def test_codes_of_another_generator_are_refused(weights_root: Path) -> None:
    with pytest.raises(ReinvertError, match="does not fit the generator of domain faces"):
        build(weights_root).draw(Code(torch.zeros(1, 10, tiny.STYLE_DIM)))

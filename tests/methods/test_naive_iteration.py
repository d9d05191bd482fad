from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.errors import ReinvertError
from methods import generators, registry
from methods.code import Code
from methods.generators import LoadedGenerator
from methods.inverter import Inverter, Step
from methods.naive_iteration import NaiveIteration
from tests.methods import tiny


class Brightness(Inverter):
    """An encoder that reads one number off an image: its mean, in every style."""

    def __init__(self, generator: LoadedGenerator) -> None:
        super().__init__(generator)
        self.seen: list[Tensor] = []

    @classmethod
    def from_arguments(cls, arguments: Any, context: Any) -> "Brightness":
        raise NotImplementedError

    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        self.generator.check_images(images)
        self.seen.append(images)
        mean = images.mean(dim=(1, 2, 3))[:, None, None]
        yield Step(0, Code(mean.expand(-1, *self.generator.style_shape)))


def test_each_pass_reads_what_the_last_one_drew(weights_root: Path) -> None:
    encoder = Brightness(generators.load("faces", weights_root))
    images = torch.rand(2, 3, 32, 32).mul(2).sub(1)
    steps = list(NaiveIteration(encoder.generator, encoder, 3).invert(images, seed=0))
    assert [step.step for step in steps] == [1, 2, 3]
    assert len(encoder.seen) == 3
    assert torch.equal(encoder.seen[0], images)
    for before, after, seen in zip(steps, steps[1:], encoder.seen[1:], strict=False):
        drawn = encoder.draw(before.code).clamp(-1, 1)
        assert torch.equal(seen, drawn)
        assert torch.equal(after.code.styles[:, 0, 0], drawn.mean(dim=(1, 2, 3)))


def test_it_starts_from_a_method_by_name(weights_root: Path) -> None:
    start = {"kind": "optimization", "steps": 1, "learning_rate": 0.01, "losses": {"l2": 1.0}}
    config = tiny.config({"start": start, "again": {"kind": "naive_iteration", "start": "start", "steps": 1}})
    images = torch.rand(2, 3, 32, 32).mul(2).sub(1)
    (step,) = registry.build("again", config, "faces", weights_root).invert(images, seed=0)
    alone = registry.build("start", config, "faces", weights_root).answer(images, seed=0)
    assert torch.equal(step.code.styles, alone.styles)
    with pytest.raises(ReinvertError, match="starts from itself"):
        loop = tiny.config({"again": {"kind": "naive_iteration", "start": "again"}})
        registry.build("again", loop, "faces", weights_root)

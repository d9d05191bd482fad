from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.errors import ReinvertError
from methods import registry, training
from methods.code import Code
from methods.losses import l2
from methods.restyle import Restyle, RestyleTask
from tests.methods import tiny

CPU = torch.device("cpu")
ENTRY: dict[str, Any] = {
    "kind": "restyle",
    "encoder": {"widths": [8, 8, 8, 8], "units": [1, 1, 1, 1], "style_width": 8},
    "steps": 3,
    "training_steps": 2,
    "training": {
        "recipe": 1, "steps": 4, "batch": 4, "learning_rate": 0.01, "losses": {"l2": 1.0}, "seed": 0,
        "evaluate_every": 2, "checkpoint_every": 2, "held_out": 4,
    },
}  # fmt: skip
ADVERSARY = {"adversary": {"progressive_start": 0.0, "progressive_every": 0.2}}
CONFIG = tiny.config({"restyle-psp": ENTRY, "restyle-e4e": ENTRY | ADVERSARY, "still": ENTRY | {"steps": 0}})
IMAGES = tiny.NoiseImages(16, 32)


def batch(*indices: int) -> Tensor:
    return training.to_float(IMAGES.images(list(indices)), CPU)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A domain with ReStyle over pSp and over e4e, trained for a moment."""
    root = tmp_path_factory.mktemp("trained")
    tiny.write_generator(root, 32)
    for name in CONFIG.methods:
        task = registry.training_task(name, CONFIG, "faces", root)
        training.train(task, IMAGES, root / "work", root / "faces" / name, CPU)
    return root


def task_of(name: str, root: Path) -> RestyleTask:
    task = registry.training_task(name, CONFIG, "faces", root)
    assert isinstance(task, RestyleTask)
    return task


def test_no_steps_are_the_plain_generator_at_the_mean(root: Path) -> None:
    inverter = registry.build("still", CONFIG, "faces", root)
    (step,) = inverter.invert(batch(0, 1), seed=0)
    assert step.step == 0
    assert torch.equal(step.code.styles, inverter.generator.mean_code(2).styles)
    mean = inverter.generator.latent_mean[None]
    plain = inverter.generator.generator.synthesis(inverter.generator.generator.repeat(mean))
    assert torch.allclose(inverter.draw(step.code), plain.expand(2, -1, -1, -1), atol=1e-6)


@pytest.mark.parametrize("name", ["restyle-psp", "restyle-e4e"])
def test_every_step_adds_what_the_encoder_says_of_image_and_reconstruction(root: Path, name: str) -> None:
    inverter = registry.build(name, CONFIG, "faces", root)
    assert isinstance(inverter, Restyle)
    images = batch(0, 1)
    steps = list(inverter.invert(images, seed=0))
    assert [step.step for step in steps] == [0, 1, 2, 3]
    for before, after in pairwise(steps):
        offset = inverter.encoder(torch.cat([images, inverter.draw(before.code)], dim=1))
        assert torch.allclose(after.code.styles, before.code.styles + offset, atol=1e-5)
        assert bool((offset != 0).any())
    alone = [step.code.styles for step in inverter.invert(images[1:], seed=5)]
    for one, both in zip(alone, steps, strict=True):
        # Forward passes whose rounding is fed back.
        assert torch.allclose(one[0], both.code.styles[1], atol=1e-4)


def test_gradients_are_summed_over_the_steps_and_none_reaches_the_step_before(root: Path) -> None:
    task, reference = task_of("restyle-psp", root), task_of("restyle-psp", root)
    images = batch(0, 1, 2, 3)
    count = 0
    for objective in task.objectives(images, 0):
        objective.total.backward()
        count += 1
    assert count == 2

    # The same in one graph, cut by hand: first step from the mean, second from the first one's values.
    encoder, generator = reference.modules["encoder"], reference.generator
    mean = generator.mean_code(4).styles
    first = mean + encoder(torch.cat([images, generator.draw(Code(mean))], dim=1))
    shown = generator.draw(Code(first))
    second = first.detach() + encoder(torch.cat([images, shown.detach()], dim=1))
    (l2(shown, images).mean() + l2(generator.draw(Code(second)), images).mean()).backward()
    for ours, theirs in zip(task.modules["encoder"].parameters(), encoder.parameters(), strict=True):
        assert ours.grad is not None and theirs.grad is not None
        # Sums in another order.
        assert torch.allclose(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5)


def test_all_styles_come_from_the_last_map_unless_the_pyramid_is_kept(root: Path) -> None:
    encoder = task_of("restyle-psp", root).modules["encoder"]
    assert not hasattr(encoder, "latlayer1")
    assert encoder.get_parameter("input_layer.0.weight").shape[1] == 6
    kept = registry.training_task("p", tiny.config({"p": ENTRY | {"pyramid": True}}), "faces", root)
    assert hasattr(kept.modules["encoder"], "latlayer1")


def test_over_e4e_the_discriminator_moves_first_and_learns_from_the_first_codes(root: Path) -> None:
    task = task_of("restyle-e4e", root)
    assert [player.name for player in task.players()] == ["discriminator", "encoder"]
    assert [player.name for player in task_of("restyle-psp", root).players()] == ["encoder"]
    images = batch(0, 1, 2, 3)
    for module in task.modules.values():
        module.eval()  # batch norms would tell two calls apart
    torch.manual_seed(0)
    next(task.players()[0].objectives(images, 0))
    generator = task.generator
    mean = generator.mean_code(4).styles
    first = mean + task.modules["encoder"](torch.cat([images, generator.draw(Code(mean))], dim=1), offsets=1)
    shown = task.modules["fake_pool"].get_buffer("kept")[:4]
    distance = (first - shown[:, None]).abs().amax(dim=2)
    # One of the two styles released at step 0.
    assert bool((distance[:, :2].amin(dim=1) < 1e-5).all())
    terms = next(task.objectives(images, 0)).terms
    assert {"loss", "l2", "adversarial", "delta_norm"} == terms.keys()


def test_weights_of_the_other_encoder_are_refused(root: Path) -> None:
    wider = {"restyle-psp": ENTRY | {"pyramid": True}}
    with pytest.raises(ReinvertError, match="trained with other arguments"):
        registry.build("restyle-psp", tiny.config(wider), "faces", root)
    with pytest.raises(ReinvertError, match="do not fit the generator"):
        next(iter(registry.build("restyle-psp", CONFIG, "faces", root).invert(torch.zeros(1, 3, 64, 64), seed=0)))

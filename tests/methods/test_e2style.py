from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.errors import ReinvertError
from core.weights import load_weights, weights_folder
from methods import generators, registry, training
from methods.code import Code
from methods.e2style import E2Style, E2StyleTask, styles_per_head
from methods.inverter import Inverter, Step
from tests.methods import tiny

CPU = torch.device("cpu")
TRAINING = {
    "recipe": 1, "steps": 4, "batch": 4, "learning_rate": 0.01, "losses": {"l2": 1.0, "identity_layers": 0.5,
    "parser_layers": 1.0}, "seed": 0, "evaluate_every": 2, "checkpoint_every": 2, "held_out": 4,
}  # fmt: skip
FIRST: dict[str, Any] = {
    "kind": "e2style",
    "encoder": {"widths": [4, 6, 8, 8], "units": [1, 1, 1, 0], "grid": 2},
    "training": TRAINING,
}
STAGES = ["e2style/1-stage", "e2style/2-stage", "e2style/3-stage"]
CONFIG = tiny.config(
    {STAGES[0]: FIRST, STAGES[1]: FIRST | {"start": STAGES[0]}, STAGES[2]: FIRST | {"start": STAGES[1]}}
)
IMAGES = tiny.NoiseImages(16, 32)


def batch(*indices: int) -> Tensor:
    return training.to_float(IMAGES.images(list(indices)), CPU)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A domain with three stages, trained one after another."""
    root = tmp_path_factory.mktemp("trained")
    tiny.write_generator(root, 32)
    tiny.write_judges(root, 32)
    for name in STAGES:
        task = registry.training_task(name, CONFIG, "faces", root)
        training.train(task, IMAGES, root / "work", weights_folder(root, "faces", name), CPU)
    return root


def inverter_of(name: str, root: Path) -> E2Style:
    inverter = registry.build(name, CONFIG, "faces", root)
    assert isinstance(inverter, E2Style)
    return inverter


def test_heads_share_the_styles_as_published_ones_do() -> None:
    assert styles_per_head(18) == (9, 5, 4)
    assert styles_per_head(10) == (5, 3, 2)
    for styles in range(6, 20, 2):
        heads = styles_per_head(styles)
        assert sum(heads) == styles and min(heads) > 0 and list(heads) == sorted(heads, reverse=True)


def test_stages_follow_equation_7(root: Path) -> None:
    images = batch(0, 1)
    third = inverter_of(STAGES[2], root)
    steps = list(third.invert(images, seed=0))
    assert [step.step for step in steps] == [1, 2, 3]
    encoders = [inverter_of(name, root).encoder for name in STAGES]
    styles = third.generator.latent_mean + encoders[0](images)
    assert torch.allclose(steps[0].code.styles, styles, atol=1e-6)
    for encoder, step in zip(encoders[1:], steps[1:], strict=True):
        offset = encoder(torch.cat([images, third.draw(Code(styles))], dim=1))
        assert bool((offset != 0).any())
        styles = styles + offset
        assert torch.allclose(step.code.styles, styles, atol=1e-5)
    for index in range(2):
        alone = third.answer(images[index : index + 1], seed=1)
        # Three forward passes: convolutions may add up in another order for another batch size.
        assert torch.allclose(alone.styles[0], styles[index], atol=1e-4)


def test_a_stage_is_the_start_of_the_next_and_only_its_own_encoder_is_stored(root: Path) -> None:
    images = batch(2, 3)
    second = inverter_of(STAGES[1], root)
    steps = list(second.invert(images, seed=0))
    assert torch.equal(steps[0].code.styles, inverter_of(STAGES[0], root).answer(images, seed=0).styles)
    assert len(second.networks()) == 2
    stored, card = load_weights(weights_folder(root, "faces", STAGES[1]))
    assert {name.removeprefix("encoder.") for name in stored} == set(second.encoder.state_dict())
    assert card.arguments["start"] == STAGES[0]


def test_training_a_stage_leaves_those_before_as_they_are(root: Path) -> None:
    task = registry.training_task(STAGES[1], CONFIG, "faces", root)
    assert isinstance(task, E2StyleTask) and task.start is not None
    (frozen,) = task.start.networks()
    before = {name: value.clone() for name, value in frozen.state_dict().items()}
    state = training.fit(task, IMAGES, root / "other", CPU)
    assert all(torch.equal(value, before[name]) for name, value in frozen.state_dict().items())
    assert all(parameter.grad is None for parameter in frozen.parameters())
    row = state["log"][-1]
    assert row["loss"] == pytest.approx(row["l2"] + 0.5 * row["identity_layers"] + row["parser_layers"], rel=1e-4)


def test_another_first_stage_makes_another_training(root: Path) -> None:
    key = registry.training_task(STAGES[1], CONFIG, "faces", root).key()
    other = dict(CONFIG.methods)
    deeper = FIRST | {"training": TRAINING | {"seed": 1}}
    other |= tiny.config({STAGES[0]: deeper}).methods
    config = CONFIG.model_copy(update={"methods": other})
    assert registry.training_task(STAGES[1], config, "faces", root).key() != key


def test_no_layer_is_left_that_never_runs(root: Path) -> None:
    inverter = inverter_of(STAGES[0], root)
    for parameter in inverter.encoder.parameters():
        parameter.requires_grad_(True)
    inverter.encoder(batch(0)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in inverter.encoder.parameters())


def test_a_stage_without_the_one_before_is_refused(root: Path, tmp_path: Path) -> None:
    tiny.write_generator(tmp_path, 32)
    with pytest.raises(ReinvertError, match="no weights in '.*e2style-1-stage'"):
        registry.training_task(STAGES[1], CONFIG, "faces", tmp_path)


def test_only_styles_are_refined(root: Path) -> None:
    class Noisy(Inverter):
        """A method whose codes have noise maps."""

        @classmethod
        def from_arguments(cls, arguments: Any, context: Any) -> "Noisy":
            raise NotImplementedError

        def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
            yield Step(0, replace(self.generator.mean_code(len(images)), noise=[torch.zeros(len(images), 1, 4, 4)]))

    generator = generators.load("faces", root)
    inverter = E2Style(generator, inverter_of(STAGES[1], root).encoder, Noisy(generator))
    with pytest.raises(ReinvertError, match="refines styles, not a noise"):
        list(inverter.invert(batch(0), seed=0))

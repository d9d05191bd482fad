import csv
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import ReinvertError
from core.weights import weights_folder
from methods import registry, training
from methods.hyperinverter import HyperInverter, HyperInverterTask
from methods.networks.hyperinverter import weight_residuals
from tests.methods import tiny

CPU = torch.device("cpu")
ENCODER = {"widths": [4, 4, 4, 4], "units": [1, 1, 1, 1], "style_width": 4}
TRAINING: dict[str, Any] = {
    "recipe": 1, "steps": 1, "batch": 4, "learning_rate": 0.01, "losses": {"l2": 1.0}, "seed": 0,
    "evaluate_every": 1, "checkpoint_every": 50, "held_out": 4,
}  # fmt: skip
W = "hyperinverter/w-encoder"
ENTRY: dict[str, Any] = {
    "kind": "hyperinverter",
    "start": W,
    "encoder": ENCODER | {"coarse_styles": 0},  # at 32 px the coarsest map has no 2 px left to stop at
    "hidden": 4,
    "fused_channels": 6,
    "extractor_channels": 4,
    "adversarial": {"faces": {"weight": 0.01, "begin": 0.5, "r1_gamma": 2.0, "r1_every": 3}},
    "training": TRAINING | {"steps": 12, "evaluate_every": 6, "optimizer": "adam"},
}
PLAIN = {key: value for key, value in ENTRY.items() if key != "adversarial"}
CONFIG = tiny.config(
    {
        W: {"kind": "psp", "space": "w", "encoder": ENCODER, "training": TRAINING},
        "psp": {"kind": "psp", "encoder": ENCODER, "training": TRAINING},
        "hyperinverter": ENTRY,
        "from-w-plus": PLAIN | {"start": "psp"},
        "too-coarse": PLAIN | {"encoder": ENCODER},
    }
)
IMAGES = tiny.NoiseImages(16, 32)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A domain with both phases trained, and pSp."""
    root = tmp_path_factory.mktemp("trained")
    tiny.write_generator(root, 32)
    tiny.write_discriminator(root, 32)
    for name in (W, "psp", "hyperinverter"):
        task = registry.training_task(name, CONFIG, "faces", root)
        training.train(task, IMAGES, root / "work", weights_folder(root, "faces", name), CPU)
    return root


@pytest.fixture(scope="module")
def method(root: Path) -> HyperInverter:
    inverter = registry.build("hyperinverter", CONFIG, "faces", root)
    assert isinstance(inverter, HyperInverter)
    return inverter


def images(*indices: int) -> Tensor:
    return training.to_float(IMAGES.images(list(indices)), CPU)


def opened(root: Path, name: str = "hyperinverter") -> HyperInverterTask:
    task = registry.training_task(name, CONFIG, "faces", root)
    assert isinstance(task, HyperInverterTask)
    return task


def test_training_lowers_the_loss_and_the_discriminator_joins_later(root: Path) -> None:
    task = opened(root)
    frozen = [task.generator.generator, *task.start.networks()]
    weights = [{name: value.clone() for name, value in module.state_dict().items()} for module in frozen]
    assert task.discriminator is not None
    critic = {name: value.clone() for name, value in task.discriminator.state_dict().items()}
    state = training.fit(task, IMAGES, root / "other", CPU, stop_after=6)
    assert all(torch.equal(value, critic[name]) for name, value in task.discriminator.state_dict().items())
    state = training.fit(opened(root), IMAGES, root / "other", CPU)
    first, last = state["log"]
    assert last["l2"] < first["l2"]
    assert {"adversarial", "discriminator", "r1"} <= last.keys() - first.keys()
    before, after = csv.DictReader((root / "other" / training.LOG_FILE).open())
    assert before["r1"] == "" and float(after["r1"]) == pytest.approx(last["r1"], rel=1e-5)
    assert last["loss"] == pytest.approx(last["l2"] + 0.01 * last["adversarial"], rel=1e-4)
    trained = torch.load(next((root / "other").glob("checkpoint.pt")), weights_only=True)["modules"]["discriminator"]
    assert any(not torch.equal(value, critic[name]) for name, value in trained.items())
    for module, kept in zip(frozen, weights, strict=True):
        assert all(torch.equal(value, kept[name]) for name, value in module.state_dict().items())
    assert {W, "discriminator", "generator"} <= task.inputs.keys()


def test_resuming_is_exact_with_both_players(root: Path, tmp_path: Path) -> None:
    whole = training.fit(opened(root), IMAGES, tmp_path / "whole", CPU, stop_after=9)
    training.fit(opened(root), IMAGES, tmp_path / "parts", CPU, stop_after=7)
    parts = training.fit(opened(root), IMAGES, tmp_path / "parts", CPU, stop_after=9)
    assert whole["step"] == parts["step"] == 9
    ours, theirs = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "parts"))
    for name, module in ours["modules"].items():
        assert all(torch.equal(value, theirs["modules"][name][key]) for key, value in module.items()), name


def test_players_minimise_the_papers_losses(root: Path) -> None:
    task = opened(root)
    for module in task.modules.values():
        module.eval()
    real = images(0, 1, 2, 3)
    (objective,) = task.objectives(real, 6)
    drawn = task.reconstruct(real)
    critic = task.modules["discriminator"]
    fake, true = torch.sigmoid(critic(drawn)).log(), torch.sigmoid(critic(real)).log()
    assert torch.allclose(objective.terms["adversarial"], -fake.mean(), rtol=1e-4)
    first, penalty = task.discriminator_objectives(real, 6)
    against = (1 - torch.sigmoid(critic(drawn))).log()
    assert torch.allclose(first.total, -0.5 * (true.mean() + against.mean()), rtol=1e-4)
    assert torch.allclose(penalty.total, 0.5 * 2.0 * 3 * penalty.terms["r1"])
    assert len(list(task.discriminator_objectives(real, 7))) == 1
    assert not list(task.discriminator_objectives(real, 5))
    # The gradient's squared norm by finite differences along itself: D(x + t g) - D(x - t g) = 2 t |g|^2.
    real = real.double().requires_grad_(True)
    critic.double()
    (gradient,) = torch.autograd.grad(critic(real).sum(), real)
    step = 1e-6
    with torch.no_grad():
        difference = (critic(real + step * gradient) - critic(real - step * gradient)).sum() / (2 * step)
    # The minibatch deviation ties the images together, so their sum is compared: sum of squares = 4 times the mean.
    assert penalty.terms["r1"].item() == pytest.approx(difference.item() / 4, rel=1e-3)


def test_the_first_prediction_is_the_plain_generator(root: Path) -> None:
    task = opened(root)  # not trained yet
    for module in task.modules.values():
        module.eval()
    real = images(0, 1, 2)
    with torch.no_grad():
        plain = task.generator.draw(task.start.answer(real, 0))
        drawn = task.reconstruct(real)
    # Two maps drawn with a deviation of 0.01 each leave 1e-4 of a weight: far below a grey level, 2 / 255.
    assert 0 < (drawn - plain).abs().max() < 1e-3


def test_a_w_code_then_changed_weights(root: Path, method: HyperInverter) -> None:
    real = images(0, 1, 2)
    first, second = method.invert(real, seed=0)
    w_code = registry.build(W, CONFIG, "faces", root).answer(real, 0)
    assert torch.equal(first.code.styles, w_code.styles)
    assert torch.equal(w_code.styles, w_code.styles[:, :1].expand(-1, 8, -1))
    assert torch.equal(second.code.styles, w_code.styles)
    assert second.code.weight_residuals is not None
    assert second.code.weight_residuals.keys() == method.generator.generator.modulated_weights().keys()
    for index in range(3):
        alone = method.answer(real[index : index + 1], seed=1)
        assert torch.allclose(method.draw(alone), method.draw(second.code)[index : index + 1], atol=1e-4)
        # The generator with the changed weights put in, instead of given along.
        network = method.generator.generator
        weights = {name: value[index : index + 1] for name, value in second.code.weight_residuals.items()}
        kept = {name: weight.clone() for name, weight in network.modulated_weights().items()}
        with torch.no_grad():
            for name, weight in network.modulated_weights().items():
                weight.add_(weights[name])
            changed = network.synthesis(w_code.styles[index : index + 1])
            for name, weight in network.modulated_weights().items():
                weight.copy_(kept[name])
        assert torch.allclose(changed, method.draw(second.code)[index : index + 1], atol=1e-4)


def test_residuals_follow_image_and_first_image(method: HyperInverter) -> None:
    real = images(0, 1)
    code = method.answer(real, seed=0)
    encoder, hypernet = method.modules["w_bar_encoder"], method.modules["hypernet"]
    with torch.no_grad():
        first = method.generator.generator.synthesis(code.styles)
        expected = weight_residuals(encoder, hypernet, first, real)
        swapped = weight_residuals(encoder, hypernet, real, first)
    assert code.weight_residuals is not None
    for name, residual in code.weight_residuals.items():
        assert torch.allclose(residual, expected[name], atol=1e-6)
    assert any(not torch.allclose(swapped[name], value, atol=1e-6) for name, value in expected.items())


def test_an_edit_moves_w_and_keeps_the_weights(method: HyperInverter) -> None:
    code = method.answer(images(3), seed=0)
    direction = F.normalize(torch.arange(1.0, tiny.STYLE_DIM + 1), dim=0)
    edited = method.edit(code, direction, 2.0)
    assert torch.allclose(edited.styles, code.styles + 2 * direction)
    assert edited.weight_residuals is code.weight_residuals


def test_mistakes_are_one_line(root: Path, method: HyperInverter, tmp_path: Path) -> None:
    with pytest.raises(ReinvertError, match="do not fit the generator of domain faces"):
        method.answer(torch.zeros(1, 3, 16, 16), seed=0)
    with pytest.raises(ReinvertError, match="starts from codes in W"):
        opened(root, "from-w-plus").reconstruct(images(0))
    with pytest.raises(ReinvertError, match="code_size"):
        opened(root, "too-coarse")
    tiny.write_generator(tmp_path, 32)
    with pytest.raises(ReinvertError, match="no weights in .*hyperinverter-w-encoder"):
        registry.training_task("hyperinverter", CONFIG, "faces", tmp_path)

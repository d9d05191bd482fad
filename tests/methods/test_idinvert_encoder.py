"""The in-domain encoder's training, and the refinement that starts from it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import ReinvertError
from core.weights import load_weights
from methods import registry, training
from methods.idinvert import InDomain
from methods.idinvert_encoder import InDomainTask
from tests.methods import tiny

CPU = torch.device("cpu")
ENCODER: dict[str, Any] = {
    "kind": "idinvert_encoder",
    "widths": [4, 6, 8, 8],
    "adversarial": {"weight": 0.08, "r1_gamma": 1.0, "r1_every": 4},
    "training": {
        "recipe": 1, "steps": 12, "batch": 4, "learning_rate": 0.003, "optimizer": "adam",
        "losses": {"l2": 1.0, "lpips": 0.1}, "seed": 0, "evaluate_every": 6, "checkpoint_every": 6, "held_out": 4,
    },
}  # fmt: skip
REFINED: dict[str, Any] = {
    "kind": "idinvert", "start": "idinvert/encoder", "steps": 6, "weight_lpips": 0.1, "yield_every": 4,
}  # fmt: skip
FOREIGN = REFINED | {"start": "w-plus"}
W_PLUS = {"kind": "optimization", "steps": 2, "learning_rate": 0.1, "losses": {"l2": 1.0}}
METHODS = {"idinvert/encoder": ENCODER, "idinvert": REFINED, "foreign": FOREIGN, "w-plus": W_PLUS}
CONFIG = tiny.config(METHODS)
IMAGES = tiny.NoiseImages(16, 32)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A domain with a trained encoder; `work` keeps what training left."""
    root = tmp_path_factory.mktemp("trained")
    tiny.write_generator(root, 32)
    tiny.write_discriminator(root, 32)
    tiny.write_perceptual(root)
    task = registry.training_task("idinvert/encoder", CONFIG, "faces", root)
    training.train(task, IMAGES, root / "work", root / "faces" / "idinvert-encoder", CPU)
    return root


def test_the_first_codes_have_the_mean_and_spread_of_w(root: Path) -> None:
    task = registry.training_task("idinvert/encoder", CONFIG, "faces", root)
    assert isinstance(task, InDomainTask)
    styles = task.modules["encoder"].train()(training.to_float(IMAGES.images(range(8)), CPU))
    expected = task.generator.latent_mean.expand(styles.shape[1:])
    torch.testing.assert_close(styles.mean(dim=0), expected, atol=1e-5, rtol=1e-4)
    deviation = styles.var(dim=0, unbiased=False).sum(dim=1).sqrt()
    torch.testing.assert_close(deviation, torch.full_like(deviation, task.generator.latent_std), rtol=0.05, atol=0)


def test_both_players_learn_the_generator_does_not_and_training_resumes(root: Path, tmp_path: Path) -> None:
    task = registry.training_task("idinvert/encoder", CONFIG, "faces", root)
    before = {name: value.clone() for name, value in task.generator.generator.state_dict().items()}
    first = {name: next(module.parameters()).detach().clone() for name, module in task.modules.items()}
    training.fit(task, IMAGES, tmp_path, CPU, stop_after=6)
    task = registry.training_task("idinvert/encoder", CONFIG, "faces", root)
    state = training.fit(task, IMAGES, tmp_path, CPU)
    columns = {"loss", "l2", "lpips", "adversarial", "discriminator", "r1", "held_out_psnr", "held_out_lpips"}
    early, late = state["log"]
    assert columns <= early.keys() and columns <= late.keys()
    assert late["held_out_psnr"] > early["held_out_psnr"]
    assert early["loss"] == pytest.approx(early["l2"] + 0.1 * early["lpips"] + 0.08 * early["adversarial"], rel=1e-3)
    assert all(not torch.equal(first[name], next(task.modules[name].parameters())) for name in first)
    after = task.generator.generator.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    straight, _ = load_weights(root / "faces" / "idinvert-encoder")
    for name, value in training._raw(task.modules["encoder"]).state_dict().items():
        assert torch.equal(straight[f"encoder.{name}"], value.to(straight[f"encoder.{name}"].dtype))


def test_the_discriminator_is_the_generators_own_and_needed(root: Path, tmp_path: Path) -> None:
    tiny.write_generator(tmp_path, 32)
    tiny.write_perceptual(tmp_path)
    with pytest.raises(ReinvertError, match="no weights in .*discriminator"):
        registry.training_task("idinvert/encoder", CONFIG, "faces", tmp_path)
    with pytest.raises(ReinvertError, match="change widths"):
        wrong = {"idinvert/encoder": ENCODER | {"widths": [4, 4]}}
        registry.training_task("idinvert/encoder", tiny.config(wrong), "faces", root)


def test_refinement_starts_at_the_encoders_code_and_lowers_its_objective(root: Path) -> None:
    images = training.to_float(IMAGES.images(range(3)), CPU)
    inverter = registry.build("idinvert", CONFIG, "faces", root)
    assert isinstance(inverter, InDomain)
    steps = list(inverter.invert(images, seed=0))
    assert [step.step for step in steps] == [0, 4, 6]
    (encoded,) = registry.build("idinvert/encoder", CONFIG, "faces", root).invert(images, seed=0)
    torch.testing.assert_close(steps[0].code.styles, encoded.code.styles, atol=1e-5, rtol=1e-5)

    def objective(styles: torch.Tensor) -> torch.Tensor:
        drawn = inverter.generator.generator.synthesis(styles)
        domain = (styles - inverter.start.encoder(drawn)).square().mean(dim=(1, 2))
        return inverter.loss.total(inverter.loss(drawn, images)) + 2.0 * domain

    with torch.no_grad():
        assert bool((objective(steps[-1].code.styles) < objective(steps[0].code.styles)).all())
    zero = registry.build("idinvert", tiny.config(METHODS | {"idinvert": REFINED | {"steps": 0}}), "faces", root)
    (only,) = zero.invert(images, seed=0)
    assert torch.equal(only.code.styles, steps[0].code.styles)


def test_a_batch_gives_what_single_images_give_every_time(root: Path) -> None:
    images = training.to_float(IMAGES.images(range(3)), CPU)
    inverter = registry.build("idinvert", CONFIG, "faces", root)
    batch, again = list(inverter.invert(images, seed=0)), list(inverter.invert(images, seed=1))
    assert all(torch.equal(a.code.styles, b.code.styles) for a, b in zip(batch, again, strict=True))
    for index in range(3):
        for together, step in zip(batch, inverter.invert(images[index : index + 1], seed=0), strict=True):
            assert float((inverter.draw(together.code)[index] - inverter.draw(step.code)[0]).abs().max()) < 1e-4


def test_wrong_starts_and_images_are_refused(root: Path) -> None:
    with pytest.raises(ReinvertError, match="'foreign' starts from 'w-plus', which has no in-domain encoder"):
        registry.build("foreign", CONFIG, "faces", root)
    for name in ("idinvert", "idinvert/encoder"):
        with pytest.raises(ReinvertError, match="do not fit the generator"):
            next(registry.build(name, CONFIG, "faces", root).invert(torch.zeros(1, 3, 16, 16), seed=0))

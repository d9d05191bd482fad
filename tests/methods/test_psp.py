from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import ReinvertError
from methods import registry, training
from methods.code import Code
from methods.psp import Psp, PspTask
from tests.methods import tiny

CPU = torch.device("cpu")
ENTRY: dict[str, Any] = {
    "kind": "psp",
    "encoder": {"widths": [8, 8, 8, 8], "units": [1, 1, 1, 1], "style_width": 8},
    "training": {
        "recipe": 1, "steps": 30, "batch": 4, "learning_rate": 0.01, "losses": {"l2": 1.0, "lpips": 0.1}, "seed": 0,
        "evaluate_every": 15, "checkpoint_every": 15, "held_out": 4,
    },
}  # fmt: skip
HYBRID = {"kind": "optimization", "start": "psp", "steps": 3, "learning_rate": 0.05, "losses": {"l2": 1.0}}
CONFIG = tiny.config({"psp": ENTRY, "hybrid-psp": HYBRID})
IMAGES = tiny.NoiseImages(16, 32)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A domain with a trained pSp."""
    root = tmp_path_factory.mktemp("trained")
    tiny.write_generator(root, 32)
    tiny.write_perceptual(root)
    task = registry.training_task("psp", CONFIG, "faces", root)
    training.train(task, IMAGES, root / "work", root / "faces" / "psp", CPU)
    return root


def test_training_lowers_the_loss_and_only_moves_the_encoder(root: Path) -> None:
    task = registry.training_task("psp", CONFIG, "faces", root)
    assert isinstance(task, PspTask)
    before = {name: value.clone() for name, value in task.generator.generator.state_dict().items()}
    state = training.fit(task, IMAGES, root / "other", CPU)
    first, last = state["log"][0], state["log"][-1]
    assert last["loss"] < first["loss"]
    assert {"l2", "lpips", "held_out_psnr", "held_out_lpips"} <= first.keys()
    assert first["loss"] == pytest.approx(first["l2"] + 0.1 * first["lpips"], rel=1e-4)
    after = task.generator.generator.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_codes_are_offsets_from_the_mean_latent_one_image_at_a_time(root: Path) -> None:
    inverter = registry.build("psp", CONFIG, "faces", root)
    assert isinstance(inverter, Psp)
    images = training.to_float(IMAGES.images([0, 1, 2]), CPU)
    (step,) = inverter.invert(images, seed=0)
    offsets = inverter.encoder(images)
    assert torch.allclose(step.code.styles, inverter.generator.latent_mean + offsets, atol=1e-6)
    assert not step.code.styles.requires_grad
    for index in range(3):
        (alone,) = inverter.invert(images[index : index + 1], seed=1)
        # One forward pass: convolutions may add up in another order for another batch size.
        assert torch.allclose(alone.code.styles[0], step.code.styles[index], atol=1e-5)
    shipped = sum(p.numel() for p in inverter.encoder.parameters())
    drawn = sum(p.numel() for p in inverter.generator.generator.parameters())
    assert inverter.parameter_count() == shipped + drawn


def test_the_hybrid_starts_at_psps_code(root: Path) -> None:
    images = training.to_float(IMAGES.images([3, 4]), CPU)
    psp = registry.build("psp", CONFIG, "faces", root)
    # The hybrid asks its start image by image, so that its own result does not depend on the batch.
    start = Code.concatenate([step.code for image in images.split(1) for step in psp.invert(image, seed=0)])
    steps = list(registry.build("hybrid-psp", CONFIG, "faces", root).invert(images, seed=0))
    assert torch.equal(steps[0].code.styles, start.styles)
    assert [step.step for step in steps] == [0, 3]


def test_weights_of_other_arguments_are_refused(root: Path) -> None:
    wider = ENTRY | {"encoder": {"widths": [8, 8, 8, 16], "units": [1, 1, 1, 1], "style_width": 8}}
    with pytest.raises(ReinvertError, match="trained with other arguments"):
        registry.build("psp", tiny.config({"psp": wider}), "faces", root)
    with pytest.raises(ReinvertError, match="no weights in"):
        registry.build("other", tiny.config({"other": ENTRY}), "faces", root)


def test_initial_weights_are_a_function_of_the_seed(root: Path) -> None:
    first, second = (registry.training_task("psp", CONFIG, "faces", root) for _ in range(2))
    for one, two in zip(
        first.modules["encoder"].state_dict().values(), second.modules["encoder"].state_dict().values(), strict=True
    ):
        assert torch.equal(one, two)


def test_description_shows_the_weights_card(root: Path) -> None:
    text = registry.describe("psp", CONFIG, root)
    assert "Richardson" in text
    assert "Weights for faces:" in text
    assert "held_out_psnr" in text

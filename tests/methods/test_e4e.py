from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import ReinvertError
from core.weights import load_weights
from methods import registry, training
from methods.e4e import E4e, E4eTask
from tests.methods import tiny

CPU = torch.device("cpu")
ENTRY: dict[str, Any] = {
    "kind": "e4e",
    "encoder": {"widths": [8, 8, 8, 8], "units": [1, 1, 1, 1], "style_width": 8},
    "adversary": {"r1_every": 2, "pool": 6},
    "training": {
        "recipe": 1, "steps": 6, "batch": 4, "learning_rate": 0.01, "losses": {"l2": 1.0}, "seed": 0,
        "evaluate_every": 3, "checkpoint_every": 3, "held_out": 4, "precision": "bf16-mixed",
    },
}  # fmt: skip
CONFIG = tiny.config({"e4e": ENTRY})
IMAGES = tiny.NoiseImages(16, 32)


def batch(*indices: int) -> torch.Tensor:
    return training.to_float(IMAGES.images(list(indices)), CPU)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A domain with a trained e4e."""
    root = tmp_path_factory.mktemp("trained")
    tiny.write_generator(root, 32)
    task = registry.training_task("e4e", CONFIG, "faces", root)
    training.train(task, IMAGES, root / "work", root / "faces" / "e4e", CPU)
    return root


def test_training_moves_encoder_and_discriminator_and_ships_the_encoder(root: Path) -> None:
    task = registry.training_task("e4e", CONFIG, "faces", root)
    assert isinstance(task, E4eTask)
    players = {player.name: player for player in task.players()}
    assert list(players) == ["discriminator", "encoder"]
    assert (players["discriminator"].optimizer, players["discriminator"].rate) == ("adam", 0.2)
    before = {name: [p.detach().clone() for p in player.parameters] for name, player in players.items()}
    state = training.fit(task, IMAGES, root / "other", CPU)
    assert {"loss", "l2", "adversarial", "delta_norm", "discriminator", "r1", "held_out_psnr"} <= state["log"][
        -1
    ].keys()
    for player in task.players():
        moved = [not torch.equal(p, q) for p, q in zip(player.parameters, before[player.name], strict=True)]
        assert all(moved) if player.name == "discriminator" else sum(moved) > len(moved) / 2
    assert all(name.startswith("encoder.") for name in load_weights(root / "faces" / "e4e")[0])


def test_resuming_is_exact_with_the_pools_and_both_optimisers(root: Path, tmp_path: Path) -> None:
    # Half of the pooled styles come from before the interruption.
    training.fit(registry.training_task("e4e", CONFIG, "faces", root), IMAGES, tmp_path / "a", CPU)
    for stop in (3, None):
        training.fit(registry.training_task("e4e", CONFIG, "faces", root), IMAGES, tmp_path / "b", CPU, stop)
    one, two = (torch.load(tmp_path / name / training.CHECKPOINT_FILE, weights_only=True) for name in "ab")
    assert int(one["modules"]["fake_pool"]["filled"]) == 6
    for module in ("encoder", "discriminator", "real_pool", "fake_pool"):
        for key, value in one["modules"][module].items():
            assert torch.equal(value, two["modules"][module][key]), f"{module}.{key}"


def test_offsets_are_released_one_by_one(root: Path) -> None:
    schedule = {"adversary": {"progressive_start": 0.5, "progressive_every": 1 / 6}}
    task = registry.training_task("e4e", tiny.config({"e4e": ENTRY | schedule}), "faces", root)
    assert isinstance(task, E4eTask)
    for step, released in ((2, 0), (3, 1), (4, 2)):
        next(task.objectives(batch(0, 1), step))
        styles = task.encode(batch(0, 1)).styles
        apart = (styles - styles[:, :1]).abs().amax(dim=(0, 2)) > 0
        assert apart.tolist() == [0 < row <= released for row in range(styles.shape[1])]


def test_codes_are_offsets_from_the_mean_latent_one_image_at_a_time(root: Path) -> None:
    inverter = registry.build("e4e", CONFIG, "faces", root)
    assert isinstance(inverter, E4e)
    images = batch(0, 1, 2)
    (step,) = inverter.invert(images, seed=0)
    assert torch.allclose(step.code.styles, inverter.generator.latent_mean + inverter.encoder(images), atol=1e-6)
    assert len(step.code.styles.unique(dim=1)[0]) > 1
    for index in range(3):
        (alone,) = inverter.invert(images[index : index + 1], seed=1)
        # One forward pass: convolutions may add up in another order for another batch size.
        assert torch.allclose(alone.code.styles[0], step.code.styles[index], atol=1e-5)


def test_wrong_images_weights_and_arguments_are_refused(root: Path) -> None:
    inverter = registry.build("e4e", CONFIG, "faces", root)
    with pytest.raises(ReinvertError, match="do not fit the generator of domain faces"):
        next(iter(inverter.invert(torch.zeros(1, 3, 16, 16), seed=0)))
    with pytest.raises(ReinvertError, match="no weights in"):
        registry.build("other", tiny.config({"other": ENTRY}), "faces", root)
    with pytest.raises(ReinvertError, match="adversary.pool"):
        registry.training_task("e4e", tiny.config({"e4e": ENTRY | {"adversary": {"pool": -1}}}), "faces", root)


def test_the_adversarys_settings_decide_the_training(root: Path) -> None:
    other = tiny.config({"e4e": ENTRY | {"adversary": {"delta_norm": 0.0}}})
    keys = {registry.training_task("e4e", config, "faces", root).key() for config in (CONFIG, other)}
    assert len(keys) == 2

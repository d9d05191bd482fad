import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from core.errors import ReinvertError
from core.weights import load_weights
from methods import training
from methods.training_config import LossWeights, TrainingConfig
from methods.training_data import batch_indices, training_batch
from methods.training_task import Objective, Player, TrainingTask, load_modules
from tests.methods.tiny import NoiseImages

CPU = torch.device("cpu")
IMAGES = NoiseImages(24, 8)


def settings(**changes: Any) -> TrainingConfig:
    values: dict[str, Any] = {
        "recipe": 1, "steps": 10, "batch": 4, "learning_rate": 1e-2, "losses": {"l2": 1.0}, "seed": 7,
        "evaluate_every": 4, "checkpoint_every": 3, "held_out": 4,
    }  # fmt: skip
    return TrainingConfig.model_validate(values | changes)


class TinyTask(TrainingTask):
    """An auto-encoder with all that makes resuming hard (batch statistics, dropout) and a critic as second player."""

    def __init__(self, config: TrainingConfig) -> None:
        self.name, self.domain, self.config = "tiny", "faces", config
        with training_seed(config.seed):
            encoder = nn.Sequential(
                nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.PReLU(), nn.Dropout(0.2), nn.Conv2d(4, 3, 1)
            )
            critic = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 1))
        self.modules = {"encoder": encoder, "critic": critic}
        self.shipped = ("encoder",)
        self.architecture, self.arguments, self.inputs = "tiny", {"width": 4}, {}

    def players(self) -> list[Player]:
        critic, encoder = self.modules["critic"], self.modules["encoder"]
        return [
            Player("critic", list(critic.parameters()), self.critic_objectives),
            Player("encoder", list(encoder.parameters()), self.encoder_objectives),
        ]

    def critic_objectives(self, images: Tensor, step: int) -> Iterator[Objective]:
        drawn = self.modules["encoder"](images).detach()
        loss = (self.modules["critic"](drawn) - self.modules["critic"](images)).tanh().mean()
        yield Objective(loss, {"critic": loss})

    def encoder_objectives(self, images: Tensor, step: int) -> Iterator[Objective]:
        # Two refinement steps, each differentiated on its own, as ReStyle does.
        drawn = self.modules["encoder"](images)
        for _ in range(2):
            loss = (drawn - images).square().mean() - 0.01 * self.modules["critic"](drawn).tanh().mean()
            yield Objective(loss, {"loss": loss})
            drawn = self.modules["encoder"](images + 0.1 * drawn.detach())

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.modules["encoder"](images)


def training_seed(seed: int):
    from methods.training_data import seeded

    return seeded(seed)


def tensors_of(path: Path) -> dict[str, Tensor]:
    """Every tensor and number of a checkpoint by its path, but for the time it took."""
    found: dict[str, Tensor] = {}

    def visit(name: str, value: Any) -> None:
        if isinstance(value, Tensor):
            found[name] = value
        elif isinstance(value, dict):
            for key, inner in value.items():
                visit(f"{name}/{key}", inner)
        elif isinstance(value, list | tuple):
            for key, inner in enumerate(value):
                visit(f"{name}/{key}", inner)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = torch.tensor(float(value), dtype=torch.float64)

    visit("", torch.load(path / training.CHECKPOINT_FILE, weights_only=True))
    assert found.pop("/seconds") > 0
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "adam", "precision": "bf16-mixed", "decay_from": 0.5},
        {"ema_decay": 0.9, "flip": False},
    ],
    ids=["ranger", "adam-bf16-decay", "average"],
)
def test_resuming_is_exact(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = settings(**changes)
    training.fit(TinyTask(config), IMAGES, tmp_path / "whole", CPU)
    training.fit(TinyTask(config), IMAGES, tmp_path / "parts", CPU, stop_after=5)  # between two evaluations
    torch.manual_seed(123)  # whatever another process has drawn
    training.fit(TinyTask(config), IMAGES, tmp_path / "parts", CPU)
    whole, parts = tensors_of(tmp_path / "whole"), tensors_of(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert any("slow_buffer" in name or "exp_avg" in name for name in whole)
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name
    for file in (training.LOG_FILE, training.SAMPLES_FILE):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "parts" / file).read_bytes()


def test_a_kill_loses_at_most_the_steps_since_the_checkpoint(tmp_path: Path) -> None:
    class Killed(TinyTask):
        def encoder_objectives(self, images: Tensor, step: int) -> Iterator[Objective]:
            if step == 7:
                raise KeyboardInterrupt
            yield from super().encoder_objectives(images, step)

    with pytest.raises(KeyboardInterrupt):
        training.fit(Killed(settings()), IMAGES, tmp_path / "killed", CPU)
    assert torch.load(tmp_path / "killed" / training.CHECKPOINT_FILE, weights_only=True)["step"] == 6
    training.fit(TinyTask(settings()), IMAGES, tmp_path / "killed", CPU)
    training.fit(TinyTask(settings()), IMAGES, tmp_path / "whole", CPU)
    whole, killed = tensors_of(tmp_path / "whole"), tensors_of(tmp_path / "killed")
    assert all(torch.equal(value, killed[name]) for name, value in whole.items())


def test_training_learns_and_ships_weights_with_scores(tmp_path: Path) -> None:
    config = settings(steps=120, evaluate_every=20, checkpoint_every=60, weights_dtype="float16")
    card = training.train(TinyTask(config), IMAGES, tmp_path / "work", tmp_path / "out", CPU)
    rows = list(csv.DictReader((tmp_path / "out" / training.LOG_FILE).open()))
    assert [row["step"] for row in rows] == ["20", "40", "60", "80", "100", "120"]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"]) / 1.5
    assert card.scores.keys() == {"held_out_psnr"}
    assert card.images_seen == 480
    assert card.precision == "32-true"
    assert card.training_seconds is not None
    assert card.training_seconds > 0
    # Half precision of the stored weights moves the score by about 2^-11 of the signal: well below 0.02 dB.
    assert card.scores["held_out_psnr"] == pytest.approx(float(rows[-1]["held_out_psnr"]), abs=0.02)
    assert Image.open(tmp_path / "out" / training.SAMPLES_FILE).size == (4 * 8 * 2, 2 * 8 * 2)
    state, _ = load_weights(tmp_path / "out")
    assert all(name.startswith("encoder.") for name in state)

    task = TinyTask(config)
    load_modules(tmp_path / "out", "faces", {"encoder": task.modules["encoder"]})
    held_out = training.to_float(IMAGES.images([20, 21, 22, 23]), CPU)
    shown = task.score(held_out, task.reconstruct(held_out).clamp(-1, 1))["psnr"].mean()
    assert float(shown) == pytest.approx(card.scores["held_out_psnr"], rel=1e-6)


def test_finished_work_is_only_moved_into_place(tmp_path: Path) -> None:
    class Spent(TinyTask):
        def encoder_objectives(self, images: Tensor, step: int) -> Iterator[Objective]:
            raise AssertionError("trained again")

    first = training.train(TinyTask(settings()), IMAGES, tmp_path / "work", tmp_path / "one", CPU)
    second = training.train(Spent(settings()), IMAGES, tmp_path / "work", tmp_path / "two", CPU)
    assert first.sha256 == second.sha256


def test_a_player_may_have_its_own_optimiser_and_rate(tmp_path: Path) -> None:
    class Slow(TinyTask):
        def players(self) -> list[Player]:
            critic, encoder = super().players()
            return [replace(critic, optimizer="adam", rate=0.1), encoder]

    task = Slow(settings(steps=1))
    before = [parameter.detach().clone() for parameter in task.modules["critic"].parameters()]
    state = training.fit(task, IMAGES, tmp_path, CPU)
    assert type(state["optimizers"]["critic"]).__name__ == "Adam"
    assert type(state["optimizers"]["encoder"]).__name__ == "Ranger"
    moved = torch.cat([(b - a).flatten() for a, b in zip(before, task.modules["critic"].parameters(), strict=True)])
    # Adam's first step is the rate, whatever the gradient; 1e-8 in its denominator makes it a little less.
    assert moved.abs().max().item() == pytest.approx(0.1 * 1e-2, rel=1e-2)


def test_average_is_the_recursion(tmp_path: Path) -> None:
    config = settings(steps=3, ema_decay=0.75, evaluate_every=3, checkpoint_every=1)
    paths = []
    for stop in (1, 2, 3):
        training.fit(TinyTask(config), IMAGES, tmp_path / str(stop), CPU, stop_after=stop)
        paths.append(torch.load(tmp_path / str(stop) / training.CHECKPOINT_FILE, weights_only=True))
    expected = dict(TinyTask(config).modules["encoder"].named_parameters())["0.weight"].detach()
    for content in paths:
        expected = 0.75 * expected + 0.25 * content["modules"]["encoder"]["0.weight"]
    # One rounding per step in float32.
    assert torch.allclose(paths[-1]["averaged"]["encoder"]["0.weight"], expected, atol=1e-6)
    assert torch.equal(
        paths[-1]["averaged"]["encoder"]["1.running_var"], paths[-1]["modules"]["encoder"]["1.running_var"]
    )


def test_batches_visit_every_image_once_per_epoch() -> None:
    seen = torch.cat([batch_indices(step, batch=3, count=10, seed=0) for step in range(10)])  # three epochs
    for epoch in seen.reshape(3, 10):
        assert Counter(epoch.tolist()) == Counter(range(10))
    assert not torch.equal(seen[:10], seen[10:20])
    assert torch.equal(batch_indices(4, 3, 10, 0), seen[12:15])
    assert not torch.equal(batch_indices(4, 3, 10, 1), seen[12:15])


def test_flips_mirror_about_half_of_the_images() -> None:
    config, plain = settings(batch=20), settings(batch=20, flip=False)
    mirrored = 0
    for step in range(10):
        flipped, straight = (training_batch(IMAGES, 20, step, c, CPU) for c in (config, plain))
        for a, b in zip(flipped, straight, strict=True):
            mirrored += torch.equal(a, b.flip(2))
            assert torch.equal(a, b) or torch.equal(a, b.flip(2))
    assert 70 <= mirrored <= 130  # 200 fair coins: five standard deviations are 35


def test_learning_rate_decays_along_a_cosine() -> None:
    assert training.learning_rate_factor(0.99, decay_from=1.0) == 1.0
    assert training.learning_rate_factor(0.5, decay_from=0.5) == 1.0
    assert training.learning_rate_factor(0.75, decay_from=0.5) == pytest.approx(0.5)
    assert training.learning_rate_factor(1.0, decay_from=0.5) == pytest.approx(0.0, abs=1e-15)


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ReinvertError, match="fewer than one batch"):
        training.fit(TinyTask(settings(held_out=22)), IMAGES, tmp_path, CPU)
    with pytest.raises(ReinvertError, match="diverged"):
        training.fit(TinyTask(settings(learning_rate=1e30, optimizer="adam")), IMAGES, tmp_path / "high", CPU)
    (tmp_path / training.CHECKPOINT_FILE).write_bytes(b"not a checkpoint")
    with pytest.raises(ReinvertError, match="damaged; delete it"):
        training.fit(TinyTask(settings()), IMAGES, tmp_path, CPU)
    training.train(TinyTask(settings(steps=1)), IMAGES, tmp_path / "work", tmp_path / "out", CPU)
    with pytest.raises(ReinvertError, match="other arguments"):
        load_modules(tmp_path / "out", "faces", {"encoder": nn.Conv2d(3, 3, 1)})
    with pytest.raises(ReinvertError, match="domain faces"):
        load_modules(tmp_path / "out", "cars", {})


def test_the_work_folder_is_keyed_by_what_decides_the_result() -> None:
    keys = {TinyTask(config).key() for config in (settings(), settings(seed=8), settings(losses={"l2": 2.0}))}
    assert len(keys) == 3
    assert TinyTask(settings()).key() == TinyTask(settings(losses=LossWeights(l2=1.0))).key()

"""Generator training on a tiny network: exact resume, going on from published weights, the supervised phase."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from core.errors import ReinvertError
from core.weights import load_weights
from pipelines import domains
from pipelines import generator_state as states
from pipelines import train_generator as training
from pipelines.generator_config import GeneratorTraining

FACES = domains.get("faces")


class TinyData:
    """Stands in for a rendered split: images of one colour, which depends on their index."""

    def __init__(self, size: int) -> None:
        self.size = size

    domain, split = FACES, "train"
    label_frequencies = torch.tensor([0.75, 0.25])

    def __len__(self) -> int:
        return 50

    def tensors(self, indices: Tensor, device: torch.device) -> Tensor:
        rows = FACES.uniforms_of_split("train", torch.as_tensor(indices))
        return (rows[:, :3, None, None] * 2 - 1).expand(-1, -1, self.size, self.size).contiguous().to(device)

    def labels(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        labels = np.zeros((len(indices), self.size, self.size), np.uint8)
        labels[:, ::2, ::2] = 1
        return labels


class FeatureMaps(nn.Module):
    """Stands in for the perceptual judge: maps of its channel counts."""

    def forward(self, images: Tensor) -> list[Tensor]:
        pooled = functional.avg_pool2d(images, 2)
        repeats = [-(-count // 3) for count in states.CRITIC_CHANNELS]
        return [pooled.repeat(1, n, 1, 1)[:, :c] for n, c in zip(repeats, states.CRITIC_CHANNELS, strict=True)]


PHASES = [{"size": 8, "images": 8, "learning_rate": 0.01}, {"size": 16, "images": 12, "learning_rate": 0.01}]


def tiny(**changes: object) -> GeneratorTraining:
    arguments: dict[str, object] = {
        "recipe": 1, "size": 16, "style_dim": 96, "mapping_layers": 2, "channels": {4: 8, 8: 8, 16: 6}, "batch": 4,
        "discriminator_channels": {4: 6, 8: 5, 16: 4}, "autoencoder": PHASES, "warmup_images": 8,
        "code_fitting": {"codes": 20, "steps": 20, "batch": 8, "learning_rate": 1.0},
        "adversarial_images": 24, "anchor_weight": 1.0, "anchor_images": 8, "anchor_perceptual": 0.1,
        "class_power": 0.5, "critic_weight": 0.5, "r1_every": 2, "path_length_weight": 2.0, "path_length_every": 3,
        "checkpoint_images": 12, "log_images": 4, "processes": 1, "precision": "32-true",
    }  # fmt: skip
    return GeneratorTraining.model_validate(arguments | changes)


def _run(work_dir: Path, config: GeneratorTraining, stop_after: int | None = None) -> states.State:
    fabric = Fabric(accelerator="cpu", devices=1, precision=config.precision)
    state = states.build_state(config)
    if (work_dir / "checkpoint.pt").exists():
        states.load_checkpoint(work_dir / "checkpoint.pt", state, config)
    shortened = config if stop_after is None else config.model_copy(update={"adversarial_images": stop_after})
    training.fit(fabric, state, TinyData(config.size), shortened, work_dir, FeatureMaps())  # type: ignore[arg-type]
    return state


@pytest.mark.parametrize("stop_after", [-16, -8, 0, 8], ids=["8 px", "16 px", "before the codes", "adversarial"])
def test_resume_is_exact(tmp_path: Path, stop_after: int) -> None:
    config = tiny()
    assert (config.supervised_images, config.images) == (20, 44)
    whole = _run(tmp_path / "whole", config)
    # Stop there, go on from the file, in a freshly built state.
    _run(tmp_path / "parts", config, stop_after)
    parts = _run(tmp_path / "parts", config)
    assert whole["images"] == parts["images"] == 44
    for name in ("generator", "average", "discriminator", "critic", "encoder"):
        ours, theirs = whole[name].state_dict(), parts[name].state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name
    assert torch.equal(whole["mean_path_length"], parts["mean_path_length"])
    logs = [(tmp_path / name / "losses.csv").read_text() for name in ("whole", "parts")]
    assert logs[0] == logs[1]
    assert len(logs[0].splitlines()) == 12
    assert (tmp_path / "whole" / "code-fitting.csv").read_text().startswith("step,difference\n0,")


def test_an_autoencoder_learns_and_hands_its_codes_to_the_mapping_network(tmp_path: Path) -> None:
    changes = {
        "autoencoder": [
            {"size": 8, "images": 1200, "learning_rate": 0.01},
            {"size": 16, "images": 400, "learning_rate": 0.01},
        ],
        "code_fitting": {"codes": 40, "steps": 600, "batch": 64, "learning_rate": 3.0},
    }
    config = tiny(**changes, adversarial_images=4)
    state = _run(tmp_path, config)
    rows = [line.split(",")[1] for line in (tmp_path / "losses.csv").read_text().splitlines()[1:-1]]
    losses = [float(value) for value in rows]
    assert sum(losses[280:300]) < 0.5 * sum(losses[:20])  # at 8 px
    with torch.no_grad():
        drawn = state["generator"].mapping(torch.randn(2000, 96))
    # The encoder's entries have deviation 1 over training images, and the mapping network has learnt that; of 40 codes,
    # and so short a training ends elsewhere on every kind of processor: at 1.35 on one without AVX-512.
    assert drawn.std(0).mean().item() == pytest.approx(1.0, abs=0.5)
    states.export(FACES, config, tmp_path, tmp_path / "weights", "cpu", "32-true")
    tensors, card = load_weights(tmp_path / "weights" / "faces" / "generator")
    assert card.images_seen == 1604
    assert torch.equal(tensors["generator.conv1.conv.weight"], state["average"].state_dict()["conv1.conv.weight"])
    assert tensors["latent_mean"].shape == (96,)
    assert tensors["latent_std"].item() > 0
    assert (tmp_path / "weights" / "faces" / "generator" / "samples.png").exists()


def test_rates_fall_at_the_end_and_the_anchor_after_the_start() -> None:
    config = tiny(adversarial_images=40, cooldown_images=20, anchor_images=16)  # after 20
    assert [config.rate_at(images) for images in (20, 40, 50, 60)] == [0.002, 0.002, 0.001, 0.0]
    assert [config.anchor_at(images) for images in (20, 28, 36, 60)] == [1.0, 0.5, 0.0, 0.0]
    assert tiny().rate_at(31) == 0.002


def test_the_sizes_of_the_start_are_checked() -> None:
    for phases, message in ((PHASES[:1], "rise to 16"), (PHASES[::-1], "rise to 16"), ([], "at least 1")):
        with pytest.raises(ValueError, match=message):
            tiny(autoencoder=phases)


def test_published_weights_are_taken_up_where_they_stopped(tmp_path: Path) -> None:
    config = tiny(path_length_weight=0.0)
    finished = _run(tmp_path / "work", config)
    weights = tmp_path / "weights"
    states.export(FACES, config, tmp_path / "work", weights, "cpu", "32-true")
    taken = states.build_state(config)
    assert states.take_up_weights(weights / "faces", taken, config)
    assert (taken["images"], taken["steps"]) == (44, 11)
    for key, value in finished["average"].state_dict().items():
        assert torch.equal(taken["generator"].state_dict()[key], value)
        assert torch.equal(taken["average"].state_dict()[key], value)
    for key, value in finished["discriminator"].state_dict().items():
        torch.testing.assert_close(taken["discriminator"].state_dict()[key], value, rtol=1e-3, atol=1e-6)  # as halves
    for key, value in finished["encoder"].state_dict().items():  # as whole numbers up to 127: half a step at most
        step = float(value.abs().max()) / 127
        torch.testing.assert_close(taken["encoder"].state_dict()[key], value, rtol=0, atol=step / 2 + 1e-6)
    # It goes on from there, and weights of another training are left alone.
    longer = config.model_copy(update={"adversarial_images": 32})
    fabric = Fabric(accelerator="cpu", devices=1, precision=config.precision)
    work = tmp_path / "longer"
    work.mkdir()
    training.fit(fabric, taken, TinyData(config.size), longer, work, FeatureMaps())  # type: ignore[arg-type]
    assert taken["images"] == 52
    for other in (tiny(seed=1), tiny(recipe=2), tiny(mapping_layers=3)):
        fresh = states.build_state(other)
        assert not states.take_up_weights(weights / "faces", fresh, other)
        assert fresh["images"] == 0
    assert not states.take_up_weights(tmp_path / "nothing", states.build_state(config), config)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    _run(tmp_path, tiny(), stop_after=0)
    with pytest.raises(ReinvertError, match="other seed"):
        _run(tmp_path, tiny(seed=1))

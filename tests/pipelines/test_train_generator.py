"""Generator training: its formulas against closed forms, and exact resume on a tiny network."""

import math
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from core.errors import ReinvertError
from core.weights import load_weights
from pipelines import domains
from pipelines import train_generator as training
from pipelines.domains.faces import scene as scenes
from pipelines.generator_config import GeneratorTraining

FACES = domains.get("faces")


class TinyData:
    """Stands in for a rendered split: 8 px images that depend on their index."""

    domain, split = FACES, "train"

    def __len__(self) -> int:
        return 50

    def tensors(self, indices: Tensor, device: torch.device) -> Tensor:
        rows = FACES.uniforms_of_split("train", torch.as_tensor(indices))
        return (rows[:, :3, None, None] * 2 - 1).expand(-1, -1, 8, 8).contiguous().to(device)


def tiny(**changes: object) -> GeneratorTraining:
    arguments: dict[str, object] = {
        "recipe": 1, "size": 8, "style_dim": 96, "mapping_layers": 2, "channels": {4: 8, 8: 8}, "batch": 4,
        "regression_images": 8, "adversarial_images": 24, "anchor_weight": 1.0, "anchor_images": 8, "r1_every": 2,
        "path_length_weight": 2.0, "path_length_every": 3, "checkpoint_images": 12, "log_images": 4, "processes": 1,
        "precision": "32-true",
    }  # fmt: skip
    return GeneratorTraining.model_validate(arguments | changes)


def test_latents_lie_on_the_sphere_and_encode_the_scene() -> None:
    indices = torch.arange(200)
    z = training.latents_of_images(FACES, "train", indices, 128, seed=0)
    torch.testing.assert_close(z.norm(dim=1), torch.full((200,), math.sqrt(128)))
    rows = FACES.uniforms_of_split("train", indices)
    # The normal distribution function of z gives the uniforms back; only images whose quantiles alone are longer
    # than the sphere are scaled, which at 57 of 128 numbers practically never happens.
    back = torch.special.ndtr(z[:, : scenes.CHANNELS])
    torch.testing.assert_close(back, rows, atol=1e-4, rtol=0)
    with pytest.raises(ReinvertError, match="raise style_dim"):
        training.latents_of_images(FACES, "train", indices, 64, seed=0)


def test_regression_loss_closed_form() -> None:
    real = torch.zeros(1, 3, 8, 8)
    # A constant offset of 0.5 has no gradients and is 0.5 at each of three scales.
    assert training.regression_loss(real + 0.5, real).item() == pytest.approx(1.5)
    # A checkerboard of +-1 vanishes at the coarser scales; neighbours differ by 2 in both directions.
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4).expand(1, 3, 8, 8)
    assert training.regression_loss(board, real).item() == pytest.approx(1 + 2 + 2)


def test_r1_of_a_linear_critic_is_the_squared_weight() -> None:
    critic = nn.Sequential(nn.Flatten(), nn.Linear(12, 1))
    penalty = training.r1_penalty(critic, torch.randn(5, 3, 2, 2))
    torch.testing.assert_close(penalty, critic[1].weight.square().sum())


def test_path_length_of_a_linear_generator() -> None:
    # images = styles[:, 0] as pixels, so the Jacobian-vector product is the noise itself.
    styles = torch.randn(6, 2, 12, requires_grad=True)
    images = styles[:, 0].view(6, 3, 2, 2)
    noise = torch.randn(6, 3, 2, 2)
    penalty, mean = training.path_length_penalty(images, styles, torch.zeros(()), noise)
    lengths = ((noise / 2).flatten(1).square().sum(1) / 2).sqrt()  # mean over two rows, the second zero
    torch.testing.assert_close(mean, 0.01 * lengths.mean())
    torch.testing.assert_close(penalty, (lengths - 0.01 * lengths.mean()).square().mean())


def test_mixed_styles() -> None:
    first, second = torch.zeros(400, 3), torch.ones(400, 3)
    rng = torch.Generator().manual_seed(0)
    styles = training.mixed_styles(first, second, 10, 0.5, rng)
    changes = styles[:, 1:, 0] - styles[:, :-1, 0]
    assert (styles[:, 0] == 0).all()
    assert (changes >= 0).all()
    assert (changes.sum(1) <= 1).all()
    assert abs((changes.sum(1) == 1).float().mean().item() - 0.5) < 0.1  # four standard errors of 1/sqrt(1600)
    assert (training.mixed_styles(first, second, 10, 0.0, rng) == 0).all()


def _run(work_dir: Path, config: GeneratorTraining, stop_after: int | None = None) -> training.State:
    fabric = Fabric(accelerator="cpu", devices=1, precision=config.precision)
    state = training.build_state(config)
    if (work_dir / "checkpoint.pt").exists():
        training.load_checkpoint(work_dir / "checkpoint.pt", state, config)
    shortened = config if stop_after is None else config.model_copy(update={"adversarial_images": stop_after})
    training.fit(fabric, state, TinyData(), shortened, work_dir)  # type: ignore[arg-type]
    return state


def test_resume_is_exact(tmp_path: Path) -> None:
    config = tiny()
    whole = _run(tmp_path / "whole", config)
    # Stop in the adversarial phase, go on from the file, in a freshly built state.
    _run(tmp_path / "parts", config, stop_after=8)
    parts = _run(tmp_path / "parts", config)
    assert whole["images"] == parts["images"] == 32
    for name in ("generator", "average", "discriminator"):
        ours, theirs = whole[name].state_dict(), parts[name].state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name
    assert torch.equal(whole["mean_path_length"], parts["mean_path_length"])
    logs = [(tmp_path / name / "losses.csv").read_text() for name in ("whole", "parts")]
    assert logs[0] == logs[1]
    assert len(logs[0].splitlines()) == 9


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    _run(tmp_path, tiny(), stop_after=0)
    with pytest.raises(ReinvertError, match="other seed"):
        _run(tmp_path, tiny(seed=1))


def test_regression_learns_and_export_loads(tmp_path: Path) -> None:
    config = tiny(regression_images=1200, adversarial_images=0, regression_mapping_gain=50.0, ema_images=50)
    state = _run(tmp_path, config)
    rows = [line.split(",")[1] for line in (tmp_path / "losses.csv").read_text().splitlines()[1:]]
    losses = [float(value) for value in rows]
    assert sum(losses[-20:]) < 0.7 * sum(losses[:20])
    training.export(FACES, config, tmp_path, tmp_path / "weights", "cpu")
    tensors, card = load_weights(tmp_path / "weights" / "faces" / "generator")
    assert card.images_seen == 1200
    assert torch.equal(tensors["generator.conv1.conv.weight"], state["average"].state_dict()["conv1.conv.weight"])
    assert tensors["latent_mean"].shape == (96,)
    assert tensors["latent_std"].item() > 0
    assert (tmp_path / "weights" / "faces" / "generator" / "samples.png").exists()

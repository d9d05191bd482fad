"""The schedule, the two terms and the discriminator's batches against the published ones, written out by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import generators
from methods.latent_adversary import AdversaryArguments, LatentAdversary, delta_norm, offsets_at
from methods.training_task import Objective


def test_schedule_is_the_published_one_at_its_own_length() -> None:
    starts = [20_000 + 2_000 * number for number in range(17)]
    for step in range(0, 60_001, 500):
        released = sum(start <= step for start in starts)
        assert offsets_at(step / 200_000, 0.1, 0.01, 17) == released, step
    assert offsets_at(0.0, 0.0, 0.0, 9) == 9
    assert offsets_at(0.99, 1.0, 0.01, 9) == 0


def test_delta_norm_against_numpy() -> None:
    styles = torch.randn(3, 6, 5, dtype=torch.float64)
    rows = styles.numpy()
    expected = sum(np.sqrt(((rows[:, k] - rows[:, 0]) ** 2).sum(axis=1)).mean() for k in range(1, 4))
    assert float(delta_norm(styles, 3)) == pytest.approx(expected)
    assert float(delta_norm(styles, 0)) == 0


def shown(modules: dict[str, nn.Module], pool: str, first: int = 0) -> Tensor:
    """The 16 styles that the discriminator saw after the first `first`; the pool has room for all."""
    return modules[pool].get_buffer("kept")[first : first + 16]


def adversary(root: Path, steps: int = 100, **changes: float) -> tuple[LatentAdversary, dict[str, nn.Module]]:
    modules: dict[str, nn.Module] = {}
    arguments = AdversaryArguments.model_validate(changes)
    return LatentAdversary(arguments, generators.load("faces", root), steps, modules), modules


def test_encoder_terms_are_means_over_the_released_styles(weights_root: Path) -> None:
    game, modules = adversary(weights_root, adversarial=0.3, delta_norm=0.02)
    layers, dimensions = game.generator.style_shape
    styles = torch.randn(4, layers, dimensions)
    step = 13  # the second offset came at 12
    assert game.offsets(step) == 2
    total, terms = game.encoder_terms(styles, step)
    discriminator = modules["discriminator"]
    deceived = sum(F.softplus(-discriminator(styles[:, row])).mean() for row in range(3)) / 3
    assert torch.allclose(terms["adversarial"], torch.as_tensor(deceived), atol=1e-6)
    assert torch.allclose(terms["delta_norm"], delta_norm(styles, 2))
    assert torch.allclose(total, 0.3 * terms["adversarial"] + 0.02 * terms["delta_norm"])


def played(game: LatentAdversary, step: int) -> list[Objective]:
    layers, dimensions = game.generator.style_shape

    def numbered(images: Tensor, offsets: int) -> Tensor:
        """Row k of every code is k everywhere."""
        return torch.arange(layers).float()[None, :, None].expand(len(images), layers, dimensions)

    torch.manual_seed(1)
    return list(game.player(numbered).objectives(torch.zeros(16, 3, 32, 32), step))


def test_discriminator_sees_released_styles_only_and_pays_r1_now_and_then(weights_root: Path) -> None:
    game, modules = adversary(weights_root, r1=10.0, r1_every=16)
    first = played(game, step=0)
    assert [list(objective.terms) for objective in first] == [["discriminator"], ["r1"]]
    assert torch.allclose(first[1].total, 10 / 2 * 16 * first[1].terms["r1"])
    assert bool((shown(modules, "fake_pool") == 0).all())
    later = played(game, step=13)
    assert [list(objective.terms) for objective in later] == [["discriminator"]]
    assert set(shown(modules, "fake_pool", 16)[:, 0].tolist()) == {
        0.0,
        1.0,
        2.0,
    }  # 16 draws of three miss one of them once in 200 times; the seed is fixed
    assert len(played(game, step=16)) == 2


def test_real_styles_are_the_mapping_networks_and_only_the_discriminator_gets_gradients(
    weights_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    game, modules = adversary(weights_root)
    network = game.generator.generator
    mapped: list[Tensor] = []
    mapping = network.mapping

    def spy(z: Tensor) -> Tensor:
        mapped.append(mapping(z))
        return mapped[-1]

    monkeypatch.setattr(network, "mapping", spy)
    played(game, step=0)[0].total.backward()
    assert torch.equal(shown(modules, "real_pool"), mapped[0])
    assert all(parameter.grad is not None for parameter in modules["discriminator"].parameters())
    assert all(parameter.grad is None for parameter in network.parameters())

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from core.errors import ReinvertError
from methods.losses import (
    ReconstructionLoss,
    identity,
    l2,
    latent_norm,
    layers,
    load_reconstruction_loss,
    loss_inputs,
)
from methods.training_config import LossWeights
from tests.methods import tiny

CPU = torch.device("cpu")


def test_each_loss_against_numpy() -> None:
    a, b = torch.rand(2, 3, 3, 4, 4, dtype=torch.float64).mul(2).sub(1)
    assert l2(a, b).numpy() == pytest.approx(((a.numpy() - b.numpy()) ** 2).reshape(3, -1).mean(axis=1))
    u, v = (torch.nn.functional.normalize(torch.randn(3, 5, dtype=torch.float64), dim=1) for _ in range(2))
    cosine = [np.dot(x, y) / np.linalg.norm(x) / np.linalg.norm(y) for x, y in zip(u.numpy(), v.numpy(), strict=True)]
    assert identity(u, v).numpy() == pytest.approx(1 - np.array(cosine))
    styles, mean = torch.randn(3, 4, 5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    expected = np.sqrt(((styles.numpy() - mean.numpy()) ** 2).sum(axis=(1, 2)))
    assert latent_norm(styles, mean).numpy() == pytest.approx(expected)


def test_total_is_the_weighted_sum_and_zero_weights_cost_nothing() -> None:
    calls = []

    def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return (a - b).abs().mean(dim=(1, 2, 3))

    a, b = torch.rand(2, 2, 3, 4, 4)
    loss = ReconstructionLoss(LossWeights(l2=1, lpips=0.8), perceptual=distance)
    terms = loss(a, b)
    assert terms.keys() == {"l2", "lpips"}
    assert torch.allclose(loss.total(terms), l2(a, b) + 0.8 * (a - b).abs().mean(dim=(1, 2, 3)))
    ReconstructionLoss(LossWeights(l2=1), perceptual=distance)(a, b)
    assert len(calls) == 1


def test_a_weight_needs_its_network() -> None:
    with pytest.raises(ValueError, match="lpips"):
        ReconstructionLoss(LossWeights(lpips=1))
    with pytest.raises(ValueError, match="at least one"):
        LossWeights()


def test_layers_against_numpy() -> None:
    shapes = [(3, 4, 5, 5), (3, 6, 2, 2), (3, 7)]
    found, wanted = ([torch.randn(shape, dtype=torch.float64) for shape in shapes] for _ in range(2))
    expected = np.zeros(3)
    for a, b in zip(found, wanted, strict=True):
        for image in range(3):
            u, v = a[image].numpy().ravel(), b[image].numpy().ravel()
            expected[image] += 1 - np.dot(u, v) / np.linalg.norm(u) / np.linalg.norm(v)
    # The cosines are float32.
    assert layers(found, wanted).numpy() == pytest.approx(expected, abs=1e-6)
    assert layers(found, found).numpy() == pytest.approx(0, abs=1e-6)


def test_layer_terms_are_the_networks_own_layers(tmp_path: Path) -> None:
    tiny.write_judges(tmp_path, 32)
    weights = LossWeights(identity_layers=0.5, parser_layers=1.0)
    loss = load_reconstruction_loss(weights, "faces", tmp_path, CPU)
    a, b = torch.rand(2, 2, 3, 32, 32).mul(2).sub(1)
    terms = loss(a, b)
    assert terms.keys() == {"identity_layers", "parser_layers"}
    assert loss.identity_network is not None and loss.parser is not None
    for name, network in (("identity_layers", loss.identity_network), ("parser_layers", loss.parser)):
        assert torch.allclose(terms[name], layers(network.features(a), network.features(b)), atol=1e-6)
        assert bool((terms[name] > 1e-4).all())
    assert torch.allclose(loss.total(terms), 0.5 * terms["identity_layers"] + terms["parser_layers"])
    assert loss_inputs(weights, "faces", tmp_path).keys() == {"identity-train", "parser"}


def test_similarity_judges_where_a_domain_shows_no_identities(tmp_path: Path) -> None:
    tiny.write_judges(tmp_path, 32)
    tiny.write_similarity(tmp_path, 32, "churches")
    a, b = torch.rand(2, 2, 3, 32, 32).mul(2).sub(1)
    weights = LossWeights(identity=0.1, similarity=0.5, identity_layers=0.3)

    faces = load_reconstruction_loss(weights, "faces", tmp_path, CPU)
    assert faces.weights == weights
    assert loss_inputs(weights, "faces", tmp_path).keys() == {"identity-train"}

    churches = load_reconstruction_loss(weights, "churches", tmp_path, CPU)
    terms = churches(a, b)
    assert terms.keys() == {"identity"}
    assert churches.embed is not None
    assert torch.allclose(churches.total(terms), 0.5 * identity(churches.embed(a), churches.embed(b)))
    assert loss_inputs(weights, "churches", tmp_path).keys() == {"similarity"}
    plain = load_reconstruction_loss(LossWeights(identity=0.1), "churches", tmp_path, CPU)
    assert torch.allclose(plain.total(terms), 0.1 * terms["identity"])


def test_a_domain_with_neither_identity_nor_similarity_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReinvertError, match="no identity-train and no similarity weights in '.*cars'"):
        load_reconstruction_loss(LossWeights(identity=0.1), "cars", tmp_path, CPU)
    assert load_reconstruction_loss(LossWeights(l2=1.0), "cars", tmp_path, CPU).embed is None
    # Identities are measured there, so similarity is no stand-in for a network that is only missing.
    tiny.write_similarity(tmp_path, 32, "cars")
    (tmp_path / "cars" / "similarity").rename(tmp_path / "cars" / "identity-judge")
    tiny.write_similarity(tmp_path, 32, "cars")
    with pytest.raises(ReinvertError, match="no weights in '.*cars/identity-train'"):
        load_reconstruction_loss(LossWeights(identity=0.1), "cars", tmp_path, CPU)


def test_no_gradient_reaches_the_target(tmp_path: Path) -> None:
    tiny.write_judges(tmp_path, 32)
    loss = load_reconstruction_loss(LossWeights(identity_layers=1, parser_layers=1), "faces", tmp_path, CPU)
    image, target = (torch.rand(1, 3, 32, 32).mul(2).sub(1).requires_grad_(True) for _ in range(2))
    total: Tensor = loss.total(loss(image, target)).sum()
    total.backward()
    assert image.grad is not None and bool((image.grad != 0).any())
    assert target.grad is None

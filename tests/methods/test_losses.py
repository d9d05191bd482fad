import numpy as np
import pytest
import torch

from methods.losses import ReconstructionLoss, identity, l2, latent_norm
from methods.training_config import LossWeights


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

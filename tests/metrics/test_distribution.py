"""FID from blocks of rows, and Inception with its norms folded in."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from core.compat import import_torchvision
from metrics import distribution
from metrics.distribution import fid, kid, moments
from metrics.published import folded


def features(seed: int, n: int = 70) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 6, generator=generator).mul(1 + seed) + 30


def test_moments_in_blocks_are_numpys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "BLOCK_ROWS", 16)
    mean, covariance = moments(features(0))
    whole = features(0).double().numpy()
    # Sums in another order, in double precision.
    np.testing.assert_allclose(mean, whole.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(covariance, np.cov(whole, rowvar=False), rtol=1e-11, atol=1e-12)


def test_mapped_files_give_the_numbers_of_memory(tmp_path: Path) -> None:
    sides = []
    for seed in (0, 1):
        np.save(tmp_path / f"{seed}.npy", features(seed).double().numpy())
        sides.append(torch.from_numpy(np.load(tmp_path / f"{seed}.npy", mmap_mode="r+")))
    assert fid(*sides) == fid(features(0), features(1))
    assert kid(*sides, 3, 20, 0) == kid(features(0), features(1), 3, 20, 0)
    sides[0][50, 2] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        fid(*sides)


def test_subsets_that_are_the_whole_sample_are_computed_once() -> None:
    import_torchvision()
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    settings = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None}
    many = kid_features_to_metric(
        features(0).double(), features(1).double(), kid_subsets=7, kid_subset_size=70, kid_kernel_poly_coef0=1,
        rng_seed=0, verbose=False, **settings,
    )  # fmt: skip
    # Sums in another order: the kernel's values are some 1e9 here, their difference is smaller by five digits.
    assert kid(features(0), features(1), 7, 1000, 0) == pytest.approx(1000 * many[KEY_METRIC_KID_MEAN], rel=1e-9)


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)
        nn.init.uniform_(self.bn.weight, 0.5, 2)
        nn.init.normal_(self.bn.bias)
        nn.init.normal_(self.bn.running_mean)
        nn.init.uniform_(self.bn.running_var, 0.1, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.bn(self.conv(images)))


def test_a_folded_network_is_the_same_function_without_norms() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(Block(3, 8), nn.MaxPool2d(2), Block(8, 16)).eval()
    images = torch.rand(3, 3, 20, 20)
    with torch.no_grad():
        before = network(images)
        after = folded(network)(images)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    # Rounding in single precision.
    assert (before - after).abs().max() < 1e-5 * before.abs().max()

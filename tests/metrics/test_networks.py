"""LPIPS, ID, FID and KID against the reference packages, on networks with random weights."""

import numpy as np
import pytest
import torch
from torch import nn

from core.compat import import_torchvision
from metrics import distribution
from metrics.identity import IdentitySimilarity, cosine_similarity
from metrics.judges.perceptual import AlexNetFeatures
from metrics.perceptual import Perceptual


def images(seed: int, count: int = 4) -> torch.Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module")
def alexnet() -> AlexNetFeatures:
    torch.manual_seed(0)
    return AlexNetFeatures().eval()


@pytest.fixture(scope="module")
def perceptual(alexnet: AlexNetFeatures) -> Perceptual:
    return Perceptual(alexnet)


def test_lpips_equals_the_formula_of_the_paper(alexnet: AlexNetFeatures, perceptual: Perceptual) -> None:
    real, fake = images(1), images(2)
    expected = torch.zeros(4, dtype=torch.float64)
    for a, b in zip(alexnet(real), alexnet(fake), strict=True):
        a, b = (f.detach().double().numpy() for f in (a, b))
        a, b = (f / (np.sqrt((f**2).sum(axis=1, keepdims=True)) + 1e-10) for f in (a, b))
        expected += torch.from_numpy(((a - b) ** 2).sum(axis=1).mean(axis=(1, 2)))
    # float32 sums over up to 384 channels against float64 ones.
    torch.testing.assert_close(perceptual(real, fake).double(), expected, atol=1e-5, rtol=1e-5)
    assert perceptual(real, real).tolist() == [0.0] * 4


def test_lpips_equals_the_package_with_the_same_weights(alexnet: AlexNetFeatures, perceptual: Perceptual) -> None:
    import_torchvision()
    import lpips

    package = lpips.LPIPS(net="alex", lpips=False, pnet_rand=True, verbose=False)
    theirs = [module for module in package.net.modules() if isinstance(module, nn.Conv2d)]
    ours = [module for module in alexnet.modules() if isinstance(module, nn.Conv2d)]
    for target, source in zip(theirs, ours, strict=True):
        target.load_state_dict(source.state_dict())
    real, fake = images(1), images(2)
    torch.testing.assert_close(perceptual(real, fake), package(real, fake).flatten(), atol=1e-6, rtol=0)


def test_lpips_gradient_is_finite_where_all_features_are_zero(alexnet: AlexNetFeatures) -> None:
    dead = AlexNetFeatures()
    dead.load_state_dict({key: torch.full_like(value, -1e-3) for key, value in alexnet.state_dict().items()})
    fake = images(2, 1).abs().requires_grad_()
    distance = Perceptual(dead)(images(1, 1).abs(), fake)
    distance.sum().backward()
    assert distance.item() == pytest.approx(0, abs=1e-12)
    assert fake.grad is not None
    assert bool(fake.grad.isfinite().all())


def test_building_lpips_leaves_random_numbers_alone(alexnet: AlexNetFeatures) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    Perceptual(alexnet)
    assert torch.equal(torch.rand(1), expected)


def test_id_is_the_cosine_of_embeddings() -> None:
    first = torch.tensor([[1.0, 0.0], [1.0, 1.0], [2.0, 0.0], [1.0, 0.0]])
    second = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-3.0, 0.0], [0.0, 5.0]])
    expected = [1.0, np.sqrt(0.5), -1.0, 0.0]
    assert cosine_similarity(first, second).tolist() == pytest.approx(expected, abs=1e-12)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 16))
    similarity = IdentitySimilarity(network)
    real, fake = images(1), images(2)
    expected_scores = torch.nn.functional.cosine_similarity(network(real), network(fake)).double()
    torch.testing.assert_close(similarity(real, fake), expected_scores.detach(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["lpips", "id"])
def test_network_scores_depend_on_neither_batch_nor_order(kind: str, perceptual: Perceptual) -> None:
    torch.manual_seed(1)
    embedding = nn.Sequential(nn.Conv2d(3, 8, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 15 * 15, 16)).eval()
    score = perceptual if kind == "lpips" else IdentitySimilarity(embedding)
    real, fake = images(1), images(2)
    together = score(real, fake)
    alone = torch.cat([score(real[i : i + 1], fake[i : i + 1]) for i in range(4)])
    order = torch.tensor([2, 0, 3, 1])
    # float32 convolutions may be blocked differently for another batch.
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(score(real[order], fake[order]), together[order], atol=1e-6, rtol=1e-5)


def features(seed: int, count: int, shift: float = 0.0, spread: float = 1.0) -> torch.Tensor:
    return torch.randn(count, 12, generator=torch.Generator().manual_seed(seed)) * spread + shift


def test_fid_equals_pytorch_fid_statistics_and_the_closed_form() -> None:
    from pytorch_fid.fid_score import calculate_frechet_distance

    first, second = features(0, 300).double(), features(1, 200, 0.5).double()
    theirs = calculate_frechet_distance(
        first.mean(0).numpy(), np.cov(first.numpy().T), second.mean(0).numpy(), np.cov(second.numpy().T)
    )
    assert distribution.fid(first, second) == pytest.approx(theirs, rel=1e-9)
    # |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) with S2 = 4 S1 is |m1 - m2|^2 + tr(S1).
    scaled = 2 * first + 1
    difference = float((scaled.mean(0) - first.mean(0)).square().sum())
    expected = difference + float(np.trace(np.cov(first.numpy().T)))
    assert distribution.fid(first, scaled) == pytest.approx(expected, rel=1e-6)
    assert distribution.fid(first, first) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("n", "m"), [(8, 8), (20, 30), (60, 20)])
def test_fid_of_fewer_images_than_features_equals_the_nuclear_norm(n: int, m: int) -> None:
    # Covariances are singular there. With centred rows X and Y over the roots of n - 1 and m - 1, the trace of
    # (S1 S2)^(1/2) is the sum of the singular values of X Y^T: no root of a matrix is taken.
    first = torch.randn(n, 64, generator=torch.Generator().manual_seed(0)).relu().double().numpy()
    second = torch.randn(m, 64, generator=torch.Generator().manual_seed(1)).relu().double().numpy() + 0.2
    x, y = ((side - side.mean(axis=0)) / np.sqrt(len(side) - 1) for side in (first, second))
    means = ((first.mean(axis=0) - second.mean(axis=0)) ** 2).sum()
    expected = means + (x**2).sum() + (y**2).sum() - 2 * np.linalg.svd(x @ y.T, compute_uv=False).sum()
    # pytorch-fid's root of a singular matrix is good to half the digits of double precision.
    assert distribution.fid(torch.from_numpy(first), torch.from_numpy(second)) == pytest.approx(expected, rel=1e-6)


def test_kid_equals_the_unbiased_estimator_written_out() -> None:
    first, second = features(0, 30).double().numpy(), features(1, 30, 0.5).double().numpy()

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return (float(a @ b) / len(a) + 1) ** 3

    n = len(first)
    within = sum(kernel(s[i], s[j]) for s in (first, second) for i in range(n) for j in range(n) if i != j)
    between = sum(kernel(a, b) for a in first for b in second)
    expected = 1000 * (within / (n * (n - 1)) - 2 * between / n**2)
    # With subsets as large as the sets every subset is the whole set.
    ours = distribution.kid(torch.from_numpy(first), torch.from_numpy(second), subsets=3, subset_size=1000, seed=7)
    assert ours == pytest.approx(expected, rel=1e-9)


def test_kid_equals_torch_fidelity_and_is_seeded() -> None:
    import_torchvision()
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    first, second = features(0, 120).double(), features(1, 100, 0.3).double()
    theirs = kid_features_to_metric(
        first, second, kid_subsets=10, kid_subset_size=50, rng_seed=4, verbose=False
    )  # their defaults for the kernel
    ours = distribution.kid(first, second, subsets=10, subset_size=50, seed=4)
    assert ours == pytest.approx(1000 * theirs[KEY_METRIC_KID_MEAN], rel=1e-12)
    assert ours == distribution.kid(first, second, subsets=10, subset_size=50, seed=4)
    assert ours != distribution.kid(first, second, subsets=10, subset_size=50, seed=5)


def test_a_subset_is_never_larger_than_the_sample() -> None:
    first, second = features(0, 20), features(1, 9, 0.5)
    assert distribution.kid(first, second, subsets=4, subset_size=1000, seed=0) == pytest.approx(
        distribution.kid(first, second, subsets=4, subset_size=9, seed=0)
    )


@pytest.mark.parametrize("distance", [distribution.fid, lambda a, b: distribution.kid(a, b, 2, 10, 0)])
def test_features_without_a_distance_are_refused(distance) -> None:
    with pytest.raises(ValueError, match="at least two"):
        distance(features(0, 1), features(1, 5))
    with pytest.raises(ValueError, match="finite"):
        distance(features(0, 5), features(1, 5) * float("nan"))
    with pytest.raises(ValueError, match="features must be"):
        distance(features(0, 5), features(1, 5)[:, :3])

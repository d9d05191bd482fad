"""Means, intervals, the failure rule and the registry."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from core.config_evaluation import Tolerances
from core.errors import ReinvertError
from metrics import registry
from metrics.judges.perceptual import AlexNetFeatures
from metrics.panel import Panel, blank_where_failed
from metrics.statistics import bootstrap_means, summarise
from tests.methods.tiny import write_judges, write_perceptual, write_similarity


@pytest.fixture(scope="module")
def panel() -> Panel:
    torch.manual_seed(0)
    embedding = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(192, 8)).eval()
    return Panel.of({"perceptual": AlexNetFeatures().eval(), "identity-judge": embedding, "features": embedding})


def test_mean_and_counts() -> None:
    summary = summarise(np.array([1.0, 2.0, 6.0]), np.array([False, True, False]), resamples=200, seed=0)
    assert (summary.mean, summary.n, summary.n_failed) == (3.0, 3, 1)
    assert 1 <= summary.low < 3 < summary.high <= 6


def test_interval_covers_the_normal_approximation() -> None:
    scores = np.random.default_rng(0).normal(10, 2, 2000)
    summary = summarise(scores, np.zeros(2000, bool), resamples=4000, seed=1)
    half = 1.96 * scores.std() / np.sqrt(2000)
    # Quantiles of 4,000 resamples are uncertain by about 4 % of the half width; 10 % leaves room.
    assert summary.low == pytest.approx(scores.mean() - half, abs=0.1 * half)
    assert summary.high == pytest.approx(scores.mean() + half, abs=0.1 * half)


def test_interval_is_scipys_percentile_bootstrap() -> None:
    # Few scores of a skewed kind: the interval is far from symmetric.
    scores = np.random.default_rng(4).exponential(size=20)
    ours = summarise(scores, np.zeros(20, bool), resamples=20000, seed=1)
    theirs = stats.bootstrap(
        (scores,), np.mean, n_resamples=20000, confidence_level=0.95, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    spread = scores.std() / np.sqrt(20)
    # Such a quantile of 20,000 resamples is uncertain by 0.02 of the mean's spread.
    assert ours.low == pytest.approx(theirs.low, abs=0.1 * spread)
    assert ours.high == pytest.approx(theirs.high, abs=0.1 * spread)
    upper, lower = ours.high - ours.mean, ours.mean - ours.low
    assert upper - lower > 0.2 * spread  # which the normal approximation has not


def test_summary_is_seeded_and_independent_of_order() -> None:
    scores = np.random.default_rng(2).exponential(size=101)
    failed = scores > 3
    order = np.random.default_rng(3).permutation(101)
    first = summarise(scores, failed, resamples=300, seed=5)
    assert summarise(scores[order], failed[order], resamples=300, seed=5) == first
    assert summarise(scores, failed, resamples=300, seed=6) != first


def test_bootstrap_in_blocks_draws_whole_samples(monkeypatch) -> None:
    monkeypatch.setattr("metrics.statistics.RESAMPLED_VALUES_AT_ONCE", 7)
    means = bootstrap_means(np.array([0.0, 1.0]), resamples=5000, seed=0)
    values, counts = np.unique(means, return_counts=True)
    assert values.tolist() == [0, 0.5, 1]
    # Binomial(5000, 1/4) has a standard deviation of 31.
    assert counts[0] == pytest.approx(1250, abs=150)


def test_a_hidden_failure_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        summarise(np.array([1.0, np.nan]), np.array([False, False]), resamples=100, seed=0)
    with pytest.raises(ValueError, match="per image"):
        summarise(np.array([1.0, 2.0]), np.array([False]), resamples=100, seed=0)


def test_failed_images_enter_by_the_stated_rule(panel: Panel) -> None:
    real = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    fake = (real * 0.9).clone()
    fake[1, 2, 5, 5] = float("nan")
    shown, failed = blank_where_failed(fake)
    assert failed.tolist() == [False, True, False]
    assert shown[1].abs().max() == 0
    metrics = registry.per_image_metrics()
    scores = panel.score(real, shown, failed, metrics)
    assert set(scores) == {"l2", "lpips", "ssim", "ms_ssim", "psnr", "id"}
    for metric in metrics:
        values = scores[metric.name]
        assert values.dtype == torch.float64
        assert bool(values.isfinite().all())
        blank = panel.scorers[metric.name](real[1:2], torch.zeros(1, 3, 64, 64)).item()
        expected = blank if metric.how.worst is None else metric.how.worst
        assert values[1].item() == pytest.approx(expected, rel=1e-5)
        assert metric.is_better(values[0].item(), values[1].item())
        # The others are what they would be without the failure.
        alone = panel.score(real[2:], shown[2:], failed[2:], [metric])[metric.name]
        assert values[2].item() == pytest.approx(alone.item(), rel=1e-5)


def test_infinite_values_fail_and_others_are_clipped() -> None:
    images = torch.zeros(3, 3, 4, 4)
    images[0, 0, 0, 0] = float("inf")
    images[1, 0, 0, 0] = 7.0
    shown, failed = blank_where_failed(images)
    assert failed.tolist() == [True, False, False]
    assert shown.max() == 1


def test_a_broken_judge_is_an_error_not_a_failed_image(panel: Panel) -> None:
    broken = Panel(
        {**panel.scorers, "id": lambda real, fake: torch.full((len(real),), float("nan"))}, panel.feature_network
    )
    image = torch.zeros(2, 3, 64, 64)
    with pytest.raises(ReinvertError, match="'id' is not finite"):
        broken.score(image, image, torch.zeros(2, dtype=torch.bool), [registry.get("id")])


def test_images_of_another_size_than_the_protocol_are_refused(panel: Panel) -> None:
    image = torch.zeros(1, 3, 32, 32)
    with pytest.raises(ReinvertError, match="l2-8bit@64/1 measures images of 64x64"):
        panel.score(image, image, torch.zeros(1, dtype=torch.bool), [registry.get("l2")])


def test_identity_is_measured_where_a_domain_has_an_identity_network(tmp_path: Path) -> None:
    write_perceptual(tmp_path)
    (tmp_path / "churches").mkdir()
    shutil.copytree(tmp_path / "faces" / "perceptual", tmp_path / "churches" / "perceptual")
    write_similarity(tmp_path, 64, "churches")
    shutil.copytree(tmp_path / "churches" / "similarity", tmp_path / "churches" / "features")
    names = [metric.name for metric in Panel.load("churches", tmp_path).metrics]
    assert names == [name for name in registry.names() if name != "id"]
    # A face domain that has lost the network that measures is a mistake, not a domain without persons.
    shutil.copytree(tmp_path / "churches" / "features", tmp_path / "faces" / "features")
    write_judges(tmp_path, 64)
    with pytest.raises(ReinvertError, match="no weights in .*faces/identity-judge"):
        Panel.load("faces", tmp_path)


def test_registry() -> None:
    assert registry.names() == ["l2", "lpips", "ssim", "ms_ssim", "psnr", "id", "fid", "kid"]
    assert {registry.get(name).name for name in registry.names() if registry.get(name).embedded} == {
        "lpips", "id", "fid", "kid",
    }  # fmt: skip
    assert registry.get("l2").protocol == "l2-8bit@64/1"
    assert registry.get("lpips").protocol == "lpips-alex-embedded@64/1"
    protocols = [registry.get(name).protocol for name in registry.names()]
    assert len(set(protocols)) == len(protocols)
    for name in registry.names():
        metric = registry.get(name)
        assert callable(metric.how.load())
        assert ("embedded" in metric.protocol) == metric.embedded
        assert metric.label.endswith("↓" if metric.direction == "lower" else "↑")
        assert metric.is_better(0.0, 1.0) == (metric.direction == "lower")
        assert not metric.is_better(1.0, 1.0)
    with pytest.raises(ReinvertError, match="did you mean 'psnr'"):
        registry.get("pnsr")


def test_every_metric_has_a_tolerance() -> None:
    assert set(Tolerances.model_fields) == set(registry.names())


def test_the_registry_is_light() -> None:
    code = "import sys, metrics.registry; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

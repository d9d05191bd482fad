"""Paired differences against scipy and closed forms."""

import numpy as np
import pytest
from scipy import stats

from metrics.paired import paired_difference, sign_test

NONE = np.zeros(200, dtype=bool)


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (5, 5), (9, 1), (40, 24), (3, 60), (1500, 1324)])
def test_the_sign_test_is_the_exact_binomial_test(better: int, worse: int) -> None:
    wanted = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    # scipy sums floating-point probabilities, this sums integers: 1e-9 is far above the former's rounding.
    assert sign_test(better, worse) == pytest.approx(wanted, rel=1e-9)
    assert sign_test(worse, better) == sign_test(better, worse)


def test_mean_and_interval_are_those_of_the_differences() -> None:
    random = np.random.default_rng(0)
    hard = random.exponential(5, 200)
    first, second = hard + random.normal(0.2, 0.4, 200), hard
    found = paired_difference(first, second, NONE, "higher", resamples=4000, seed=1)
    difference = first - second
    half = 1.96 * difference.std() / np.sqrt(200)
    assert found.mean == pytest.approx(difference.mean(), rel=1e-12)
    # The normal approximation at n = 200, and quantiles of 4,000 resamples: 10 % of the half width.
    assert found.low == pytest.approx(difference.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(difference.mean() + half, abs=0.1 * half)
    assert (found.better, found.worse, found.equal) == ((difference > 0).sum(), (difference < 0).sum(), 0)
    # The two means' own intervals overlap: without pairing, the difference would not be seen.
    assert abs(first.mean() - second.mean()) < 1.96 * hard.std() / np.sqrt(200)
    assert found.low > 0
    assert found.p < 0.001


def test_the_interval_is_scipys_paired_bootstrap() -> None:
    random = np.random.default_rng(3)
    hard = random.exponential(5, 30)
    first = hard + random.exponential(1, 30) ** 2
    found = paired_difference(first, hard, NONE[:30], "higher", resamples=20000, seed=1)
    theirs = stats.bootstrap(
        (first, hard), lambda a, b: np.mean(a) - np.mean(b), paired=True, vectorized=False, n_resamples=20000,
        method="percentile", rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    spread = (first - hard).std() / np.sqrt(30)
    # Such a quantile of 20,000 resamples is uncertain by 0.02 of the mean's spread.
    assert found.low == pytest.approx(theirs.low, abs=0.1 * spread)
    assert found.high == pytest.approx(theirs.high, abs=0.1 * spread)


def test_direction_ties_and_failures_are_counted() -> None:
    first, second = np.array([1.0, 2.0, 3.0, 7.0]), np.array([1.0, 3.0, 4.0, 6.0])
    failed = np.array([False, False, False, True])
    lower = paired_difference(first, second, failed, "lower", resamples=100, seed=0)
    assert (lower.better, lower.worse, lower.equal, lower.n, lower.n_failed) == (2, 1, 1, 4, 1)
    assert lower.mean == -0.25
    higher = paired_difference(first, second, failed, "higher", resamples=100, seed=0)
    assert (higher.better, higher.worse) == (1, 2)
    equal = paired_difference(first, first, failed, "lower", resamples=100, seed=0)
    assert (equal.mean, equal.low, equal.high, equal.p, equal.equal) == (0, 0, 0, 1, 4)


def test_seeded_antisymmetric_and_independent_of_order() -> None:
    random = np.random.default_rng(2)
    first, second, order = random.normal(size=200), random.normal(size=200), random.permutation(200)
    found = paired_difference(first, second, NONE, "lower", resamples=300, seed=5)
    assert paired_difference(first[order], second[order], NONE, "lower", resamples=300, seed=5) == found
    assert paired_difference(first, second, NONE, "lower", resamples=300, seed=6) != found
    swapped = paired_difference(second, first, NONE, "lower", resamples=300, seed=5)
    assert swapped.mean == pytest.approx(-found.mean, rel=1e-12)
    assert (swapped.better, swapped.p) == (found.worse, found.p)


def test_a_hidden_failure_and_unpaired_scores_are_refused() -> None:
    ones = np.ones(3)
    with pytest.raises(ValueError, match="not finite"):
        paired_difference(np.array([1.0, np.nan, 2.0]), ones, NONE[:3], "lower", resamples=100, seed=0)
    for first, failed in ((ones[:2], NONE[:3]), (ones, NONE[:2])):
        with pytest.raises(ValueError, match="per image"):
            paired_difference(first, ones, failed, "lower", resamples=100, seed=0)

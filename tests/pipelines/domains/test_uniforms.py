"""Counter-based random numbers against a plain-integer SplitMix64 and the uniform distribution."""

import numpy as np
import pytest
import torch
from scipy import stats

from pipelines.domains.uniforms import stream_key, uniforms

_MASK = (1 << 64) - 1


def _mix(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def test_equals_splitmix_in_python_integers() -> None:
    golden, key = 0x9E3779B97F4A7C15, stream_key("a/b") & _MASK
    expected = []
    for index in (0, 1, 70_000):
        counter = _mix((index * golden + key) & _MASK)
        bits = [_mix((counter + channel * golden) & _MASK) >> 40 for channel in (1, 2, 3)]
        expected.append([(b + 0.5) / (1 << 24) for b in bits])
    found = uniforms("a/b", torch.tensor([0, 1, 70_000]), 3)
    # Exact but for the rounding of n + 0.5 to float32, at most one unit of 2**-24.
    np.testing.assert_allclose(found.numpy(), np.array(expected), atol=2**-24)


def test_uniform_and_uncorrelated() -> None:
    rows = uniforms("x", torch.arange(20_000), 4).numpy()
    for column in rows.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    correlation = np.corrcoef(rows.T)
    assert np.abs(correlation - np.eye(4)).max() < 0.03  # 4 standard errors of 1/sqrt(20,000)


@pytest.mark.parametrize("other", ["x/2", "X"])
def test_streams_differ(other: str) -> None:
    assert not torch.equal(uniforms("x", torch.arange(8), 2), uniforms(other, torch.arange(8), 2))

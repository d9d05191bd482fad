"""Speed of the parts that decide how long a run takes. Compare with `pytest tests/benchmarks --benchmark-compare`.

Times belong to one machine and are never gated; the shapes that come out are asserted, so that a benchmark of
something broken does not look fast.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from methods.networks.encoders import GradualStyleEncoder
from methods.networks.stylegan2 import Generator
from metrics.structure import ssim
from pipelines import domains

BATCH = 4
CHANNELS = {4: 128, 8: 128, 16: 128, 32: 64, 64: 32}


def _run(benchmark: Any, work: Callable[[], torch.Tensor]) -> torch.Tensor:
    result: torch.Tensor = benchmark.pedantic(work, rounds=3, warmup_rounds=1)
    return result


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(64, style_dim=128, mapping_layers=4, channels=CHANNELS).eval()


def test_render(benchmark: Any) -> None:
    faces = domains.get("faces")
    images = _run(benchmark, lambda: faces.render_split("test", torch.arange(BATCH)).images)
    assert images.shape == (BATCH, 3, 64, 64)


def test_synthesis(benchmark: Any, generator: Generator) -> None:
    styles = torch.randn(BATCH, generator.style_count, 128)
    with torch.no_grad():
        images = _run(benchmark, lambda: generator.synthesis(styles))
    assert images.shape == (BATCH, 3, 64, 64)


def test_optimisation_step(benchmark: Any, generator: Generator) -> None:
    styles = torch.randn(BATCH, generator.style_count, 128, requires_grad=True)

    def step() -> torch.Tensor:
        (gradient,) = torch.autograd.grad(generator.synthesis(styles).square().mean(), styles)
        return gradient

    assert _run(benchmark, step).shape == styles.shape


def test_encoder(benchmark: Any) -> None:
    torch.manual_seed(0)
    encoder = GradualStyleEncoder(64, 10, 128).eval()
    with torch.no_grad():
        codes = _run(benchmark, lambda: encoder(torch.zeros(BATCH, 3, 64, 64)))
    assert codes.shape == (BATCH, 10, 128)


def test_ssim(benchmark: Any) -> None:
    images = torch.rand(BATCH, 3, 64, 64) * 2 - 1
    assert torch.allclose(_run(benchmark, lambda: ssim(images, images)), torch.ones(BATCH, dtype=torch.float64))

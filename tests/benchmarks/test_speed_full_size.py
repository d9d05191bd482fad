"""Speed of the published networks at full size on the processor, an image at a time and eight; see `make benchmark`.

The weights are seeded: speed does not depend on what was learned. Times belong to one machine and are never gated; the
eight have to begin with what the one gives, so that no path is fast and wrong. Up to 6 GB of memory.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.networks.encoders import PUBLISHED, GradualStyleEncoder
from methods.networks.stylegan2 import Generator

pytestmark = [pytest.mark.full_size, pytest.mark.usefixtures("all_threads")]

STYLES, STYLE_DIM = 18, 512
MIB = 1024  # ru_maxrss counts kibibytes
# Kernels and their order of summing may differ with the batch; float32 then differs by some 1e-6 of the largest value.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def generator() -> Generator:
    """StyleGAN2, config-f, 1024 px."""
    torch.manual_seed(0)
    return Generator(1024).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def encoder() -> GradualStyleEncoder:
    """pSp's encoder: IR-SE-50 and a pyramid, 256 px in."""
    torch.manual_seed(0)
    network = GradualStyleEncoder(256, STYLES, STYLE_DIM, **PUBLISHED)
    return network.eval().requires_grad_(False)


@torch.inference_mode()
def _measure(benchmark: Any, network: Callable[[Tensor], Tensor], inputs: Tensor, shape: tuple[int, ...]) -> None:
    """Time ``network`` on ``inputs``, twice on one and once on more, and compare with the first input alone."""
    alone = network(inputs[:1])  # also the warm-up
    rounds = 2 if len(inputs) == 1 else 1
    before = time.process_time()
    outputs: Tensor = benchmark.pedantic(lambda: network(inputs), rounds=rounds)
    busy = time.process_time() - before
    assert outputs.shape == shape
    assert bool(torch.isfinite(outputs).all())
    assert float((outputs[:1] - alone).abs().max()) <= TOLERANCE * float(alone.abs().max())
    benchmark.extra_info["seconds per image"] = benchmark.stats.stats.min / len(inputs)
    # On a machine that others use at the same time, this is what the network itself costs, over all threads.
    benchmark.extra_info["processor seconds per image"] = busy / rounds / len(inputs)
    benchmark.extra_info["threads"] = torch.get_num_threads()
    benchmark.extra_info["peak memory, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // MIB


@pytest.mark.parametrize("batch", [1, 8])
def test_encoder_at_full_size(benchmark: Any, encoder: GradualStyleEncoder, batch: int) -> None:
    images = torch.rand(batch, 3, 256, 256, generator=torch.Generator().manual_seed(1)) * 2 - 1
    _measure(benchmark, encoder, images, (batch, STYLES, STYLE_DIM))


@pytest.mark.parametrize("batch", [1, 8])
def test_generator_at_full_size(benchmark: Any, generator: Generator, batch: int) -> None:
    styles = torch.randn(batch, STYLES, STYLE_DIM, generator=torch.Generator().manual_seed(1))
    _measure(benchmark, generator.synthesis, styles, (batch, 3, 1024, 1024))

"""What the benchmarks at full size share."""

import os
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="module")
def all_threads() -> Iterator[None]:
    """As many as OMP_NUM_THREADS says, or one a core, where other tests have one."""
    before = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))))
    yield
    torch.set_num_threads(before)

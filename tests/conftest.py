"""Fixtures for every test. One thread, because the tests' tiny networks lose time to more."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GRAPHS = ("dvc.yaml", "pipelines/scores/dvc.yaml")
"""What `dvc repro` goes through."""


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _strided_points() -> Iterator[None]:
    """The tests' tiny networks stride by dropping pixels first, which is the same.

    On processors without AVX-512, torch 2.13 writes beyond its memory when it learns a strided 1x1 convolution of fewer
    than 8 channels (oneDNN's kernel for the gradient of its weights). No network of params.yaml has so few.
    """
    import torch

    forward = torch.nn.Conv2d.forward

    def strided(self: torch.nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
        if self.kernel_size != (1, 1) or self.stride == (1, 1) or self.in_channels >= 8:
            return forward(self, images)
        down, right = self.stride
        return torch.nn.functional.conv2d(images[:, :, ::down, ::right], self.weight, self.bias)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Conv2d, "forward", strided)
        yield


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the project's params.yaml, and the working directory of the test."""
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path

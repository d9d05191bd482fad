"""Rendered splits on disk: complete or resumable, refused when they hold something else."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import ReinvertError
from pipelines import domains
from pipelines.domains import shards
from pipelines.domains.domain import Domain

FACES = domains.get("faces")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Domain:
    """The faces domain with a test split of seven images in shards of three."""
    monkeypatch.setattr(shards, "SHARD_SIZE", 3)
    domain = dataclasses.replace(FACES, splits={"test": 7})
    monkeypatch.setattr(domains, "get", lambda name: domain)
    return domain


def test_round_trip(small: Domain, tmp_path: Path) -> None:
    rendered = shards.render(small, "test", tmp_path)
    batch = small.render_split("test", torch.tensor([6, 0]))
    assert np.array_equal(rendered.images([6, 0]), shards.to_bytes(batch.images).numpy())
    assert np.array_equal(rendered.labels([6, 0]), batch.labels.numpy())
    assert torch.equal(rendered.attributes["yaw"][[6, 0]], batch.attributes["yaw"])
    # uint8 keeps each value within half a level of 255
    assert (rendered.tensors([6, 0]) - batch.images).abs().max() <= 0.5 / 127.5 + 1e-6
    counted = [(rendered.labels(range(7)) == label).mean() for label in range(len(small.label_names))]
    assert rendered.label_frequencies.numpy() == pytest.approx(np.array(counted))
    with pytest.raises(ReinvertError, match="images 0 to 6"):
        rendered.images([7])


def test_resumes_after_a_kill(small: Domain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, drawn = shards._render_part, []

    def interrupted(domain: Domain, split: str, start: int, *rest: object) -> object:
        if start == 3:
            raise KeyboardInterrupt
        return original(domain, split, start, *rest)

    monkeypatch.setattr(shards, "_render_part", interrupted)
    with pytest.raises(KeyboardInterrupt):
        shards.render(small, "test", tmp_path / "a")
    with pytest.raises(ReinvertError, match="no rendered images"):
        shards.load(tmp_path / "a")

    def counting(domain: Domain, split: str, start: int, *rest: object) -> object:
        drawn.append(start)
        return original(domain, split, start, *rest)

    monkeypatch.setattr(shards, "_render_part", counting)
    resumed = shards.render(small, "test", tmp_path / "a")
    assert drawn == [3, 6]
    whole = shards.render(small, "test", tmp_path / "b")
    assert np.array_equal(resumed.images(range(7)), whole.images(range(7)))
    manifests = [json.loads((tmp_path / name / "manifest.json").read_text()) for name in "ab"]
    assert manifests[0] == manifests[1]
    assert manifests[0]["count"] == 7


def test_processes_render_what_one_does(small: Domain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = shards.render(small, "test", tmp_path / "alone")
    monkeypatch.setattr(shards, "_ALONE_BELOW", 0)
    monkeypatch.setattr(shards, "_PART", 2)  # parts end within a shard of 3
    monkeypatch.setattr(shards, "cores", lambda: 2)
    together = shards.render(small, "test", tmp_path / "together")
    assert np.array_equal(alone.images(range(7)), together.images(range(7)))
    manifests = [(tmp_path / name / "manifest.json").read_bytes() for name in ("alone", "together")]
    assert manifests[0] == manifests[1]


def test_other_content_is_refused(small: Domain, tmp_path: Path) -> None:
    shards.render(small, "test", tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "recipe": 999}))
    with pytest.raises(ReinvertError, match="version 999"):
        shards.load(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "labels-01.npy").unlink()
    with pytest.raises(ReinvertError, match="lacks labels-01.npy"):
        shards.load(tmp_path)

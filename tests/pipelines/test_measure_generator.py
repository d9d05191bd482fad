"""The stage `measure-generator` in miniature: the files it leaves, and what its numbers follow from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from core.errors import ReinvertError
from methods import generators
from pipelines import domains, measure_generator
from pipelines import generator_quality as quality
from pipelines.domains import shards
from tests.methods.tiny import write_generator
from tests.pipelines.test_generator_quality import settings
from tests.pipelines.test_label_samples import write_judges

FACES = domains.get("faces")
TEST_IMAGES = 90


class FewShards:
    """Stands in for the rendered test split: random pictures of the generator's size."""

    domain, split = FACES, "test"

    def __init__(self) -> None:
        self.pixels = np.random.default_rng(1).integers(0, 256, (TEST_IMAGES, 8, 8, 3), dtype=np.uint8)
        self.attributes = {"out_of_distribution": torch.arange(TEST_IMAGES) % 3 == 0}

    def __len__(self) -> int:
        return TEST_IMAGES

    def images(self, indices: Any) -> np.ndarray:
        return self.pixels[np.asarray(indices)]


def test_what_is_measured_and_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_generator(tmp_path, 8)
    write_judges(tmp_path, 8)
    training = np.random.default_rng(2).integers(0, 256, (2 * TEST_IMAGES, 8, 8, 3), dtype=np.uint8)
    monkeypatch.setattr(shards, "load", lambda *arguments: FewShards())
    monkeypatch.setattr(measure_generator, "training_images", lambda domain, count, cache: training[:count])
    results, picture = tmp_path / "results", tmp_path / "docs" / "faces-samples.png"
    few = settings(inversion_steps=2)
    measured = measure_generator.measure_generator(
        "faces", few, tmp_path, tmp_path, results, picture, tmp_path, torch.device("cpu")
    )
    assert json.loads((results / "metrics.json").read_text()) == measured
    assert sorted(path.name for path in results.iterdir()) == ["metrics.json", "real.png", "samples.png"]
    assert picture.read_bytes() == (results / "samples.png").read_bytes()
    rows, columns = measure_generator.GRID
    with Image.open(picture) as opened:
        grid = np.asarray(opened)
    loaded = generators.load("faces", tmp_path)
    samples = quality.draw_samples(loaded.generator, few.samples, few.seed)
    assert grid.shape == (rows * 8, columns * 8, 3)
    np.testing.assert_array_equal(grid[8:16, 16:24], samples[columns + 2])  # row by row, none left out
    assert measured["sha256"] == loaded.card.sha256
    assert set(measured["bars"]) == {
        "completeness", "fid_test_in_distribution", "fid_test", "coverage_yaw", "coverage_age", "psnr_w_plus",
        "psnr_above_w",
    }  # fmt: skip
    fid = measured["distances"]["test"]["fid"]
    bar = measured["bars"]["fid_test"]
    assert bar["value"] == fid["samples_test"]
    assert bar["bar"] == quality.fid_bar(fid["train_train"], fid["train_test"], few.bars.fid_factor)
    assert bar["met"] == (bar["value"] <= bar["bar"])
    psnr = measured["psnr"]
    assert measured["bars"]["psnr_above_w"]["value"] == psnr["w_plus"] - psnr["w"]


def test_training_images_are_spread_whether_rendered_before_or_not(tmp_path: Path) -> None:
    drawn = measure_generator.training_images(FACES, 5, tmp_path)
    indices = torch.arange(5) * 14_000
    np.testing.assert_array_equal(drawn, shards.to_bytes(FACES.render_split("train", indices).images).numpy())
    folder = shards.folder_of(FACES, "train", tmp_path)
    folder.mkdir(parents=True)
    count = FACES.split_size("train")
    hashes = {}
    for start in range(0, count, shards.SHARD_SIZE):
        for kind, shape in (("images", (8, 8, 3)), ("labels", (8, 8))):
            name = f"{kind}-{start // shards.SHARD_SIZE:02d}.npy"
            np.save(folder / name, np.full((shards.SHARD_SIZE, *shape), start // shards.SHARD_SIZE, np.uint8))
            hashes[name] = ""
    manifest = {"domain": "faces", "split": "train", "recipe": FACES.recipe, "sha256": hashes}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert measure_generator.training_images(FACES, 5, tmp_path)[:, 0, 0, 0].tolist() == [0, 7, 14, 21, 28]


def test_what_is_too_few_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ReinvertError, match="a picture shows 60 images, there are 59"):
        measure_generator.write_grid(np.zeros((59, 4, 4, 3), np.uint8), tmp_path / "grid.png")
    with pytest.raises(ReinvertError, match="3 images asked for, there are 2"):
        measure_generator.spread(np.arange(2), 3)
    assert measure_generator.spread(np.arange(10), 4).tolist() == [0, 2, 5, 7]

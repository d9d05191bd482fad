"""Results as evaluation writes them, made up: three methods that work, one that failed, some failed images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.config import Config
from core.pictures import write_pictures
from metrics import registry
from tests.reports import edit_results

IMAGES = 24
METHODS = {
    # name: (params entry, error of the pictures, seconds per yield)
    "optimization-w-plus": ({"kind": "optimization", "steps": 200}, 18.0, [0.001, 1.5, 3.2, 6.4, 13.1]),
    "psp": ({"kind": "psp", "training": {}}, 30.0, [0.021]),
    "hybrid-psp": ({"kind": "optimization", "steps": 100, "start": "psp"}, 14.0, [0.022, 1.6, 3.3, 6.6]),
    "broken": ({"kind": "psp", "training": {}}, 0.0, []),
}


def make_config() -> Config:
    return Config.model_validate(
        {
            "domains": {"faces": {"recipe": 1}},
            "methods": {name: entry for name, (entry, _, _) in METHODS.items()},
            "runs": {f"faces-{name}": {"domain": "faces", "method": name} for name in METHODS},
            "evaluation": {
                "images": IMAGES, "batch": 8, "seed": 0, "bootstrap_resamples": 100, "kid_subsets": 4,
                "kid_subset_size": 8, "timing_images": 2, "timing_seconds": 1.0, "timing_batches": [1, 8],
                "timing_steps": 2,
            },
            "tolerances": dict.fromkeys(registry.names(), 0.01),
        }
    )  # fmt: skip


def _faces(count: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    pictures = np.empty((count, 64, 64, 3))
    for picture in pictures:
        low, high, skin = generator.uniform(0, 255, (3, 3))
        picture[:] = low + (high - low) * (y[..., None] + 1) / 2
        inside = (x / generator.uniform(0.45, 0.6)) ** 2 + (y / generator.uniform(0.6, 0.8)) ** 2 < 1
        picture[inside] = skin
        for side in (-1, 1):
            picture[(x - 0.2 * side) ** 2 + (y + 0.15) ** 2 < 0.006] = 20
        picture[(abs(x) < 0.18) & (abs(y - 0.35) < 0.03)] = (150, 30, 40)
    return pictures


def write_run(folder: Path, method: str, error: float, seconds: list[float], seed: int) -> None:
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    indices = np.arange(0, IMAGES * 100, 100)
    inputs = _faces(IMAGES, 7)
    level = error * generator.uniform(0.5, 2.0, (IMAGES, 1, 1, 1))
    outputs = (inputs + level * generator.standard_normal(inputs.shape)).clip(0, 255)
    for name, pictures in (("reconstructions", outputs), ("inputs", inputs)):
        write_pictures(folder / f"{name}.webp", pictures.astype(np.uint8))
    l2 = ((inputs - outputs) ** 2).mean((1, 2, 3)) / 255**2
    scores = {"l2": l2, "psnr": -10 * np.log10(l2), "lpips": l2**0.5 * 2, "id": 1 - l2**0.5 * 3,
              "ssim": 1 - l2**0.5 * 2, "ms_ssim": 1 - l2**0.5}  # fmt: skip
    failed = np.zeros(IMAGES, bool)
    if method == "psp":
        failed[3] = True
        for name in scores:
            scores[name][3] = registry.get(name).how.worst or 1.0
    pd.DataFrame({"image": indices, "out_of_distribution": indices % 300 == 0, "failed": failed, **scores}).to_parquet(
        folder / "per_image.parquet"
    )
    metrics = {
        name: {"mean": values.mean(), "low": values.mean() * 0.97, "high": values.mean() * 1.03, "n": IMAGES,
               "n_failed": int(failed.sum())}
        for name, values in scores.items()
    }  # fmt: skip
    for name in ("fid", "kid"):
        metrics[name] = {"value": error * 1.7, "n": IMAGES, "n_failed": int(failed.sum())}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    fade = [1 + 4 / (1 + 2 * step) for step in range(len(seconds))]
    fade = [value / fade[-1] for value in fade]
    curve = {"steps": list(range(len(seconds))), "seconds": seconds,
             **{name: [scores[name].mean() * factor for factor in fade] for name in ("l2", "lpips")},
             **{name: [1 - (1 - scores[name].mean()) * factor for factor in fade]
                for name in ("id", "ssim", "ms_ssim")},
             **{name: [metrics[name]["value"] * factor for factor in fade] for name in ("fid", "kid")},
             "psnr": [scores["psnr"].mean() / factor for factor in fade]}  # fmt: skip
    (folder / "curve.json").write_text(json.dumps(curve))
    (folder / "timing.json").write_text(json.dumps({
        "seconds_per_image_batch_1": seconds[-1], "images_per_second_best": 2.5 / seconds[-1], "best_batch": 8,
        "parameters": 2_345_678, "peak_memory_mb": 812.0, "threads": 1,
        "images_timed": 2, "peak_memory_of": "the process while timing",
        "batches": {"1": {"extrapolated_from_steps": None}, "8": {"extrapolated_from_steps": 5}},
    }))  # fmt: skip
    record = base_record(method) | {
        "status": "ok",
        "protocols": {name: registry.get(name).protocol for name in metrics},
    }
    (folder / "record.json").write_text(json.dumps(record))


def base_record(method: str) -> dict[str, object]:
    return {
        "method": method, "arguments": METHODS[method][0], "weights": {"generator": "a" * 64}, "data_sha256": "d" * 64,
        "seed": 0, "device": "cpu", "dtype": "torch.float32", "versions": {"torch": "2.13.0", "numpy": "2.0"},
        "machine": "Example CPU at 2 GHz, 2 cores, Linux",
    }  # fmt: skip


def write_cards(root: Path) -> None:
    scores = {
        "generator": {"fid": 31.2},
        "attributes": {"yaw_mae": 1.9, "yaw_mae_in_distribution": 1.8, "age_mae": 6.1},
        "identity-judge": {"auc": 0.981},
        "parser": {"miou": 0.74, "iou_skin": 0.93, "iou_hat": 0.41},
    }
    for name, values in scores.items():
        folder = root / "faces" / name
        folder.mkdir(parents=True)
        card = {"name": name, "domain": "faces", "architecture": "example", "arguments": {}, "recipe": 1,
                "images_seen": 1_500_000, "seed": 0, "device": "cpu", "code_version": "0123456789ab", "scores": values,
                "dtype": "float16", "sha256": "a" * 64, "bytes": 10, "parameters": 1_234_567}  # fmt: skip
        (folder / "card.json").write_text(json.dumps(card))
    (root / "faces" / "generator" / "training.csv").write_text(
        "images,fid\n8000,60.5\n16000,\n24000,20.25\n32000,31.2\n", encoding="utf-8"
    )
    samples = _faces(32, 3).astype(np.uint8).reshape(4, 8, 64, 64, 3).transpose(0, 2, 1, 3, 4).reshape(256, 512, 3)
    Image.fromarray(samples).save(root / "faces" / "generator" / "samples.png")


def write_generator_results(folder: Path) -> None:
    folder.mkdir(parents=True)
    shares = {"complete": 0.953, "eyes": 0.961, "mouth": 0.99}
    kid = {"samples_test": 21.5, "train_train": -0.01, "train_test": 0.2}
    fid = {"samples_test": 3.875, "train_train": 0.25, "train_test": 0.5}
    measured = {
        "schema": 1, "domain": "faces", "images_seen": 1_500_000, "sha256": "a" * 64, "samples": 2824,
        "bars": {
            "completeness": {"value": 0.953, "bar": 0.9, "direction": "at least", "met": True},
            "fid_test_in_distribution": {"value": 3.875, "bar": 1.5, "direction": "at most", "met": False},
            "coverage_yaw": {"value": 0.875, "bar": 0.8, "direction": "at least", "met": True},
            "psnr_w_plus": {"value": 27.25, "bar": 27.0, "direction": "at least", "met": True},
            "psnr_above_w": {"value": 4.75, "bar": 1.0, "direction": "at least", "met": True},
        },
        "completeness": {"samples": shares, "test": shares, "test_in_distribution": shares | {"complete": 0.999},
                         "test_out_of_distribution": shares | {"complete": 0.947}},
        "distances": {"test_in_distribution": {"fid": fid, "kid": kid}, "test": {"fid": fid, "kid": kid}},
        "coverage": {"yaw": {"samples_low": -35.0, "samples_high": 35.0, "real_low": -40.0, "real_high": 40.0,
                             "coverage": 0.875}},
        "psnr": {"w_plus": 27.25, "w": 22.5, "mean_code": 12.0, "n": 16},
    }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(measured))
    for name, seed in (("real", 4), ("samples", 5)):
        grid = _faces(60, seed).astype(np.uint8).reshape(5, 12, 64, 64, 3).transpose(0, 2, 1, 3, 4)
        Image.fromarray(grid.reshape(320, 768, 3)).save(folder / f"{name}.png")


@pytest.fixture(scope="session")
def config() -> Config:
    return make_config()


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results/ and weights/; tests that change something copy it first."""
    folder = tmp_path_factory.mktemp("project")
    write_project(folder)
    return folder


def write_project(folder: Path) -> None:
    for seed, (method, (_, error, seconds)) in enumerate(METHODS.items()):
        run = folder / "results" / f"faces-{method}"
        if method == "broken":
            run.mkdir(parents=True)
            reason = "image 12 of [[0]] has **3** channels | not `1`; give it RGB"
            record = base_record(method) | {"status": "failed", "reason": reason}
            (run / "record.json").write_text(json.dumps(record))
        else:
            write_run(run, method, error, seconds, seed)
    write_cards(folder / "weights")
    write_generator_results(folder / "results" / "generators" / "faces")
    edit_results.write_all(folder / "results")

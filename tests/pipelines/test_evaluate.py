import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from core.config import Config
from core.errors import ReinvertError
from core.pictures import read_pictures
from core.weights import WeightsCard, save_weights, weights_folder
from metrics import registry
from pipelines import evaluate as evaluation
from pipelines.domains.shards import to_float
from pipelines.evaluate_chunks import Tools, measure_chunk, read_chunk
from pipelines.evaluate_provenance import code_sha256, method_chain, weights_sha256
from pipelines.evaluate_timing import align, measure_timing, time_batch

MEASURED = ("metrics.json", "per_image.parquet", "reconstructions.webp", "inputs.webp")
IMAGES = 14


@pytest.fixture(autouse=True)
def _fakes_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    # Worker processes inherit sys.path; a package named tests is installed by somebody else.
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    # Somebody may be editing the code while the tests run.
    monkeypatch.setattr("pipelines.evaluate.code_sha256", lambda: "code")


@pytest.fixture
def tools() -> Tools:
    import evaluation_fakes

    return Tools(evaluation_fakes.build_inverter, evaluation_fakes.load_panel)


def config(**arguments: Any) -> Config:
    return Config.model_validate(
        {
            "domains": {"faces": {"recipe": 1}},
            "methods": {"blur": {"kind": "blur", **arguments}, "other": {"kind": "blur", "start": "blur"}},
            "runs": {"faces-blur": {"domain": "faces", "method": "blur"}},
            "evaluation": {
                "images": IMAGES,
                "batch": 4,
                "seed": 3,
                "bootstrap_resamples": 100,
                "kid_subsets": 5,
                "kid_subset_size": 1000,
                "timing_images": 2,
                "timing_seconds": 5,
                "timing_batches": [1, 3],
                "timing_steps": 10,
            },
            "tolerances": dict.fromkeys(registry.names(), 0.1),
        }
    )


def images(count: int = IMAGES) -> evaluation.TestImages:
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.integers(0, 256, (count, 3, 12, 12)).astype(np.float32))
    pixels = torch.nn.functional.interpolate(coarse, size=64, mode="bilinear").byte().permute(0, 2, 3, 1).numpy()
    # Brightness rises with the index, so that a threshold on it chooses images.
    pixels = (pixels // 2 + np.linspace(0, 127, count).astype(np.uint8)[:, None, None, None]).astype(np.uint8)
    return evaluation.TestImages(
        np.arange(count) * 5, np.ascontiguousarray(pixels), np.arange(count) % 3 == 0, "0" * 64
    )


def run(tools: Tools, folder: Path, workers: int = 1, work: str = "work", **arguments: Any) -> Path:
    out = folder / f"out-{work}-{workers}"
    evaluation.evaluate_images(
        "faces-blur", config(**arguments), images(), folder / "weights", out, folder / work, "cpu", workers, tools
    )
    return out


def log_lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def same_results(first: Path, second: Path) -> None:
    for name in MEASURED:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    curves = [json.loads((folder / "curve.json").read_text()) for folder in (first, second)]
    for curve in curves:
        curve.pop("seconds")
    assert curves[0] == curves[1]


def test_writes_what_the_architecture_promises(tools: Tools, tmp_path: Path) -> None:
    out = run(tools, tmp_path)
    metrics = json.loads((out / "metrics.json").read_text())
    assert list(metrics) == sorted(registry.names())
    per_image = pd.read_parquet(out / "per_image.parquet")
    assert per_image["image"].tolist() == [5 * i for i in range(IMAGES)]
    assert per_image["out_of_distribution"].tolist() == [i % 3 == 0 for i in range(IMAGES)]
    assert not per_image["failed"].any()
    for metric in registry.per_image_metrics():
        entry = metrics[metric.name]
        assert entry["mean"] == pytest.approx(per_image[metric.name].mean(), rel=1e-12)
        assert entry["low"] <= entry["mean"] <= entry["high"]
        assert (entry["n"], entry["n_failed"], entry["protocol"]) == (IMAGES, 0, metric.protocol)
    assert set(metrics["fid"]) == {"value", "low", "high", "n", "n_failed", "protocol"}

    curve = json.loads((out / "curve.json").read_text())
    assert curve["steps"] == [0, 10, 20]
    assert curve["seconds"] == sorted(curve["seconds"])
    assert set(curve) == {"steps", "seconds", *registry.names()}
    for name in registry.names():
        entry = metrics[name]
        assert curve[name][-1] == pytest.approx(entry["mean" if "mean" in entry else "value"], rel=1e-12)
    # A finer copy is closer to the image.
    for name in ("l2", "fid"):
        assert curve[name] == sorted(curve[name], reverse=True)

    timing = json.loads((out / "timing.json").read_text())
    assert timing["seconds_per_image_batch_1"] == curve["seconds"][-1]
    assert set(timing["batches"]) == {"1", "3"}
    assert timing["batches"]["3"]["extrapolated_from_steps"] == 10
    assert timing["images_per_second_best"] == max(b["images_per_second"] for b in timing["batches"].values())
    assert timing["parameters"] == 7
    # Python with torch loaded takes more than 50 MiB.
    assert 50 < timing["peak_memory_mb"] < 100_000

    record = json.loads((out / "record.json").read_text())
    assert record["status"] == "ok"
    assert record["protocols"]["lpips"] == "lpips-alex-embedded@64/1"
    assert record["versions"]["torch"] == torch.__version__
    assert (record["method"], record["seed"], record["device"]) == ("blur", 3, "cpu")


def test_scores_can_be_measured_again_from_the_stored_pictures(tools: Tools, tmp_path: Path) -> None:
    out = run(tools, tmp_path)
    per_image = pd.read_parquet(out / "per_image.parquet")
    pictures = [read_pictures(out / f"{name}.webp", IMAGES) for name in ("inputs", "reconstructions")]
    assert (pictures[0] == images().pixels).all()
    assert images().indices.tolist() == per_image["image"].tolist()
    real, fake = (to_float(torch.from_numpy(one)) for one in pictures)
    panel = tools.load_panel("faces", tmp_path, torch.device("cpu"))
    scores = panel.score(real, fake, torch.zeros(IMAGES, dtype=torch.bool), registry.per_image_metrics())
    for name, score in scores.items():
        # Another batch than in the run: float32 rounding in the networks.
        assert score.tolist() == pytest.approx(per_image[name].tolist(), rel=1e-5, abs=1e-7)


def test_batches_do_not_change_scores(tools: Tools) -> None:
    inverter, panel = (
        tools.build_inverter("blur", config(), "", Path(), torch.device("cpu")),
        tools.load_panel("", Path(), torch.device("cpu")),
    )
    pixels = images(5).pixels
    together = measure_chunk(inverter, panel, pixels, 0, torch.device("cpu"))
    alone = [measure_chunk(inverter, panel, pixels[i : i + 1], 0, torch.device("cpu")) for i in range(5)]
    assert (together["images"] == np.concatenate([one["images"] for one in alone])).all()
    for metric in registry.per_image_metrics():
        name = f"score_{metric.name}"
        np.testing.assert_allclose(together[name], np.concatenate([one[name] for one in alone]), rtol=1e-5, atol=1e-7)


def test_a_killed_run_goes_on_and_gives_the_same_files(
    tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(tools, tmp_path, work="whole")
    log = tmp_path / "log"
    monkeypatch.setenv("EVALUATION_FAKES_LOG", str(log))
    import evaluation_fakes

    def dying(*arguments: Any) -> Any:
        inverter = evaluation_fakes.build_inverter(*arguments)
        inverter.interrupt_from = 1
        return inverter

    with pytest.raises(KeyboardInterrupt):
        run(Tools(dying, tools.load_panel), tmp_path, work="killed")
    assert len(log_lines(log)) == 2  # chunk 0 done, chunk 1 begun
    assert not (tmp_path / "out-killed-1").exists()
    assert len(list((tmp_path / "killed").rglob("chunk-*.npz"))) == 1
    log.unlink()
    resumed = run(tools, tmp_path, work="killed")
    # Chunks 1 (4 images), 2 (4) and 3 (2); then one timed batch of 3.
    assert [line.split()[0] for line in log_lines(log)] == ["4", "4", "2", "3"]
    same_results(whole, resumed)

    # Everything is finished now: a third run loads no network and computes nothing, not even times.
    def forbidden(*arguments: Any) -> Any:
        raise AssertionError("a network was loaded")

    log.unlink()
    again = run(Tools(forbidden, forbidden), tmp_path, work="killed")
    assert log_lines(log) == []
    same_results(whole, again)
    assert (again / "timing.json").read_bytes() == (resumed / "timing.json").read_bytes()


def test_a_damaged_chunk_is_computed_again(tools: Tools, tmp_path: Path) -> None:
    first = run(tools, tmp_path)
    damaged = sorted((tmp_path / "work").rglob("chunk-*.npz"))[2]
    damaged.write_bytes(damaged.read_bytes()[:200])
    assert read_chunk(damaged) is None
    (first / "metrics.json").unlink()
    kept = (first / "reconstructions.webp").read_bytes()
    run(tools, tmp_path)
    assert (first / "metrics.json").exists()
    assert (first / "reconstructions.webp").read_bytes() == kept


def test_other_arguments_do_not_reuse_chunks(tools: Tools, tmp_path: Path) -> None:
    coarse = json.loads((run(tools, tmp_path, sides=[2]) / "metrics.json").read_text())
    fine = json.loads((run(tools, tmp_path, sides=[32]) / "metrics.json").read_text())
    assert fine["l2"]["mean"] < coarse["l2"]["mean"] / 4
    assert len(list((tmp_path / "work" / "evaluate").iterdir())) == 2


def test_two_workers_give_the_same_numbers_as_one(
    tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("EVALUATION_FAKES_LOG", str(log))
    alone = run(tools, tmp_path, workers=1, work="one")
    log.unlink()
    together = run(tools, tmp_path, workers=2, work="two")
    chunks = [line for line in log_lines(log) if not line.startswith("3 ")]
    assert sorted(chunks) == ["2 threads=1"] + ["4 threads=1"] * 3
    same_results(alone, together)


def test_an_error_in_a_worker_reaches_the_caller_and_leaves_no_process(tools: Tools, tmp_path: Path) -> None:
    import multiprocessing

    with pytest.raises(KeyboardInterrupt):
        run(tools, tmp_path, workers=2, interrupt_from=0)
    deadline = time.monotonic() + 20
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert multiprocessing.active_children() == []
    assert not (tmp_path / "out-work-2").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for the worker in /proc")
def test_workers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    folder = Path(__file__).parent
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, time, multiprocessing as m\n"
        "from pipelines.worker_processes import _die_with_parent\n"
        "if __name__ == '__main__':\n"
        "    child = m.get_context('spawn').Process(target=_die_with_parent)\n"
        "    child.start(); print(child.pid, flush=True); time.sleep(60)\n"
    )
    path = os.pathsep.join([str(folder.parents[1]), str(folder)])
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path}
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and Path(f"/proc/{child}/stat").exists():
            if Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
                break
            time.sleep(0.1)
        else:
            assert not Path(f"/proc/{child}").exists()


def test_nan_reconstructions_are_counted_and_enter_the_mean(tools: Tools, tmp_path: Path) -> None:
    sound = json.loads((run(tools, tmp_path, work="sound") / "metrics.json").read_text())
    out = run(tools, tmp_path, work="nan", nan_below=-0.3)
    metrics = json.loads((out / "metrics.json").read_text())
    per_image = pd.read_parquet(out / "per_image.parquet")
    failed = per_image["failed"].to_numpy()
    dark = to_float(torch.from_numpy(images().pixels)).mean(dim=(1, 2, 3)).numpy() < -0.3
    assert 0 < failed.sum() < IMAGES
    assert (failed == dark).all()
    assert (per_image.loc[failed, "l2"] == 1).all()
    assert (per_image.loc[failed, "psnr"] == 0).all()
    for metric in registry.per_image_metrics():
        entry = metrics[metric.name]
        assert (entry["n"], entry["n_failed"]) == (IMAGES, failed.sum())
        assert entry["mean"] == pytest.approx(per_image[metric.name].mean(), rel=1e-12)
        assert metric.is_better(sound[metric.name]["mean"], entry["mean"])
    assert (metrics["fid"]["n"], metrics["fid"]["n_failed"]) == (IMAGES, failed.sum())
    assert json.loads((out / "record.json").read_text())["status"] == "ok"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [({"nan_below": 2.0}, "not finite"), ({"overflow": True}, "the step size overflowed")],
)
def test_a_method_that_fails_everywhere_is_a_recorded_result(
    tools: Tools, tmp_path: Path, arguments: dict[str, Any], reason: str
) -> None:
    out = run(tools, tmp_path, **arguments)
    record = json.loads((out / "record.json").read_text())
    assert record["status"] == "failed"
    assert reason in record["reason"]
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["l2"] == {
        "mean": None,
        "low": None,
        "high": None,
        "n": IMAGES,
        "n_failed": IMAGES,
        "protocol": registry.get("l2").protocol,
    }
    assert metrics["kid"] == {
        "value": None,
        "low": None,
        "high": None,
        "n": IMAGES,
        "n_failed": IMAGES,
        "protocol": registry.get("kid").protocol,
    }
    assert pd.read_parquet(out / "per_image.parquet")["failed"].all()
    assert (out / "timing.json").exists()


@pytest.mark.parametrize("nan_below", [None, 2.0])
def test_identity_is_left_out_where_there_are_none(tmp_path: Path, nan_below: float | None) -> None:
    import evaluation_fakes

    tools = Tools(evaluation_fakes.build_inverter, evaluation_fakes.load_panel_without_identities)
    out = run(tools, tmp_path, **({} if nan_below is None else {"nan_below": nan_below}))
    record = json.loads((out / "record.json").read_text())
    assert record["status"] == ("ok" if nan_below is None else "failed")
    others = set(registry.names()) - {"id"}
    assert set(json.loads((out / "metrics.json").read_text())) == set(record["protocols"]) == others
    assert "id" not in pd.read_parquet(out / "per_image.parquet")
    assert "id" not in json.loads((out / "curve.json").read_text())


def test_images_are_spread_and_keep_their_shares() -> None:
    outside = np.zeros(2824, dtype=bool)
    outside[::3] = True
    chosen = evaluation.choose_images(outside, 96, seed=0)
    assert len(set(chosen.tolist())) == 96
    assert outside[chosen].sum() == 32
    assert np.diff(chosen).max() < 3 * 2824 / 96
    assert chosen.tolist() == evaluation.choose_images(outside, 96, seed=0).tolist()
    assert chosen.tolist() != evaluation.choose_images(outside, 96, seed=1).tolist()
    assert evaluation.choose_images(outside, 2824, seed=9).tolist() == list(range(2824))
    with pytest.raises(ReinvertError, match="at most that many"):
        evaluation.choose_images(outside, 2825, seed=0)


def test_mistakes_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(ReinvertError, match="unknown run 'faces-blurr'; did you mean 'faces-blur'"):
        evaluation.evaluate("faces-blurr", config(), tmp_path, tmp_path, tmp_path, tmp_path)
    unmeasured = config().model_copy(update={"evaluation": None})
    with pytest.raises(ReinvertError, match="no section 'evaluation'"):
        evaluation.evaluate("faces-blur", unmeasured, tmp_path, tmp_path, tmp_path, tmp_path)
    with pytest.raises(ReinvertError, match="no rendered images"):
        evaluation.evaluate("faces-blur", config(), tmp_path, tmp_path, tmp_path, tmp_path)


def test_reads_rendered_shards(tmp_path: Path) -> None:
    from pipelines import domains

    faces = domains.get("faces")
    folder, size = tmp_path / "faces" / "test", faces.split_size("test")
    folder.mkdir(parents=True)
    names = []
    for number, start in enumerate(range(0, size, 2000)):
        count = min(2000, size - start)
        pixels = np.zeros((count, 64, 64, 3), np.uint8)
        pixels[:, 0, 0, 0] = (start + np.arange(count)) % 251
        np.save(folder / f"images-{number:02d}.npy", pixels)
        np.save(folder / f"labels-{number:02d}.npy", np.zeros((count, 1, 1), np.uint8))
        names += [f"images-{number:02d}.npy", f"labels-{number:02d}.npy"]
    manifest = {"domain": "faces", "split": "test", "recipe": faces.recipe, "sha256": dict.fromkeys(names, "")}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    settings = evaluation.required(config())
    found = evaluation.load_images(folder, "faces", settings)
    assert found.pixels[:, 0, 0, 0].tolist() == (found.indices % 251).tolist()
    outside = faces.attributes("test", torch.arange(size))["out_of_distribution"].bool().numpy()
    assert (found.out_of_distribution == outside[found.indices]).all()
    with pytest.raises(ReinvertError, match="wanted cars/test"):
        evaluation.load_images(folder, "cars", settings)


def test_align_keeps_the_last_value_of_a_series_that_stops_early() -> None:
    steps, (first, second) = align([[0, 10], [0, 10, 20]], [np.array([5.0, 4.0]), np.array([[9.0], [8.0], [7.0]])])
    assert steps == [0, 10, 20]
    assert first.tolist() == [5, 4, 4]
    assert second.tolist() == [[9], [8], [7]]


class FakeClock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self, device: torch.device) -> float:
        return self.time


class Ticking:
    """Two seconds to begin, three per yield of five steps, half a second per drawing, twice that for a batch."""

    def __init__(self, clock: FakeClock, yields: int) -> None:
        self.clock, self.yields = clock, yields

    def invert(self, images: torch.Tensor, seed: int) -> Any:
        from methods.code import Code
        from methods.inverter import Step

        self.clock.time += 2
        for number in range(self.yields):
            yield Step(5 * number, Code(torch.zeros(len(images), 1, 1)))
            self.clock.time += 3 * (1 if len(images) == 1 else 2)

    def draw(self, code: Any) -> torch.Tensor:
        self.clock.time += 0.5
        return torch.zeros(len(code), 3, 4, 4)

    def parameter_count(self) -> int:
        return 1


def test_times_on_a_clock_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr("pipelines.evaluate_timing.now", clock)
    inverter: Any = Ticking(clock, yields=5)
    timing = measure_timing(inverter, torch.zeros(4, 3, 4, 4), 0, [1, 8], 3, 1000.0, 10)
    # 2 s to begin, 3 s between the five yields, 0.5 s for one drawing.
    assert timing["curve"] == {"steps": [0, 5, 10, 15, 20], "seconds": [2.5, 5.5, 8.5, 11.5, 14.5]}
    assert timing["seconds_per_image_batch_1"] == 14.5
    assert timing["images_timed"] == 3
    # Stopped at step 10 after 2 + 2 * 6 s; to step 20 it is 2 + 4 * 6 s, and one drawing.
    assert timing["batches"]["8"] == {
        "seconds": 26.5, "images_per_second": 8 / 26.5, "extrapolated_from_steps": 10,
    }  # fmt: skip
    assert timing["best_batch"] == 8
    encoder: Any = Ticking(clock, yields=1)
    assert time_batch(encoder, torch.zeros(8, 3, 4, 4), 0, 10, 0)["extrapolated_from_steps"] is None
    # The budget is spent after the first image; one is always timed.
    assert measure_timing(inverter, torch.zeros(4, 3, 4, 4), 0, [1], 3, 1.0, 10)["images_timed"] == 1


def test_other_code_does_not_reuse_chunks(tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(code_sha256()) == 64
    run(tools, tmp_path)
    monkeypatch.setattr("pipelines.evaluate.code_sha256", lambda: "other code")
    run(tools, tmp_path)
    assert len(list((tmp_path / "work" / "evaluate").iterdir())) == 2


def test_method_chain_follows_start() -> None:
    assert list(method_chain("other", config())) == ["other", "blur"]
    assert list(method_chain("blur", config())) == ["blur"]


def test_a_run_depends_on_its_own_method_and_on_what_every_run_loads(tmp_path: Path) -> None:
    for name in ("generator", "perceptual", "blur", "other", "code-encoder"):
        card = WeightsCard(name=name, domain="faces", architecture="x", arguments={}, recipe=1, images_seen=0, seed=0,
                           device="cpu", code_version="x")  # fmt: skip
        save_weights(weights_folder(tmp_path, "faces", name), {"a": torch.zeros(1)}, card)
    assert list(weights_sha256(tmp_path, "faces", "blur", config())) == ["blur", "generator", "perceptual"]
    # `other` starts from `blur`. What a generator's training goes on from is no run's.
    assert list(weights_sha256(tmp_path, "faces", "other", config())) == ["blur", "generator", "other", "perceptual"]

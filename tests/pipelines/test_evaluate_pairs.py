"""One pass over image pairs: its numbers, what is read when, what survives a kill, what stays in memory."""

import multiprocessing
import os
import signal
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import ReinvertError
from metrics import protocols
from metrics.distribution import fid, kid
from metrics.measure import blank_where_failed, from_bytes, scorer
from pipelines import evaluate_pairs as stream
from pipelines.evaluate_pairs import CHUNKS_AHEAD, Arrays, Measures, Picture, evaluate_pairs
from pipelines.evaluate_timing import peak_memory_mb, reset_peak_memory

SIZE, COUNT, BATCH = 32, 23, 4
WORST = {"l2@native/1": 1.0, "psnr@native/1": 0.0, "ssim@native/1": -1.0, "ms-ssim@native/1": 0.0}


@pytest.fixture(autouse=True)
def _code(monkeypatch: pytest.MonkeyPatch) -> None:
    # Somebody may be editing the code while the tests run.
    monkeypatch.setattr(stream, "code_sha256", lambda: "code")


class Features(nn.Module):
    """In the place of pytorch-fid's Inception: maps, of which the last is averaged over positions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.last = nn.Conv2d(3, width, 8, 8)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [images, images, images, self.last(images)]


@pytest.fixture(scope="module")
def measures() -> Measures:
    return measures_of(["l2", "psnr", "ssim", "ms-ssim", "fid-inception", "kid-inception"], 6)


def measures_of(names: list[str], width: int) -> Measures:
    wanted = [protocols.get(name) for name in names]
    wanted = [
        replace(one, settings={"subsets": 4, "subset_size": 1000, "seed": 0}) if one.metric == "kid" else one
        for one in wanted
    ]
    networks = {"inception-pytorch-fid": Features(width).eval().requires_grad_(False)}
    return Measures.of(wanted, networks, torch.device("cpu"), f"features of {width}")


@dataclass
class Counting:
    """Random pairs; every reading is counted."""

    count: int = COUNT
    size: int = SIZE
    nan: tuple[int, ...] = ()
    unreadable: tuple[int, ...] = ()
    kill_at: int | None = None
    read_indices: list[int] = field(default_factory=list)
    seen: dict[int, threading.Event] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> tuple[Picture, Picture | None]:
        if index == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.read_indices.append(index)
        self.seen.setdefault(index, threading.Event()).set()
        random = np.random.default_rng(index)
        real = random.integers(0, 256, (self.size, self.size, 3), dtype=np.uint8)
        if index in self.unreadable:
            return real, None
        if index in self.nan:
            return real, np.full(real.shape, np.nan, np.float32)
        return real, (real // 2 + random.integers(0, 100, real.shape, dtype=np.uint8)).astype(np.uint8)

    def fingerprint(self) -> Any:
        return [self.count, self.size]


def tensors(pairs: Counting) -> tuple[torch.Tensor, torch.Tensor]:
    images = [pairs.read(index) for index in range(len(pairs))]
    real = torch.from_numpy(np.stack([one for one, _ in images])).permute(0, 3, 1, 2)
    blank = np.full((SIZE, SIZE, 3), np.nan, np.float32)
    fakes = [blank if fake is None else fake for _, fake in images]
    floats = [from_bytes(torch.from_numpy(one)) if one.dtype == np.uint8 else torch.from_numpy(one) for one in fakes]
    return real, torch.stack(floats).permute(0, 3, 1, 2)


def test_one_pass_gives_what_each_measure_gives_of_the_whole(measures: Measures, tmp_path: Path) -> None:
    pairs = Counting(nan=(5,), unreadable=(9, 22))
    results = evaluate_pairs(pairs, measures, BATCH, tmp_path)
    assert Counter(pairs.read_indices) == Counter(range(COUNT))  # each decoded once, for all protocols
    real, fake = tensors(Counting(nan=(5,), unreadable=(9, 22)))
    failed = np.isin(np.arange(COUNT), (5, 9, 22))
    assert (results.unreadable == np.isin(np.arange(COUNT), (9, 22))).all()
    for name, worst in WORST.items():
        whole = scorer(protocols.get(name), {})(real, fake)
        # Pixel formulas in double precision: the batch changes nothing but the order of a sum.
        np.testing.assert_allclose(results.scores[name], whole.values.numpy(), rtol=1e-12)
        assert (results.failed[name] == failed).all()
        assert (results.scores[name][failed] == worst).all()
        assert results.entering[name].all()
    shown, _ = blank_where_failed(fake)
    network = Features(6)
    with torch.no_grad():
        both = [network((images + 1) / 2)[3].mean(dim=(2, 3)) for images in (from_bytes(real), shown)]
    # Convolutions in single precision, in batches of another size.
    assert results.distances["fid-inception@native/1"] == pytest.approx(fid(*both), rel=1e-4)
    assert results.distances["kid-inception@native/1"] == pytest.approx(kid(*both, 4, 1000, 0), rel=1e-4)
    assert not list(tmp_path.rglob("*.npy"))  # the mapped features are gone


def test_neither_batch_nor_threads_nor_order_of_arrival_matter(measures: Measures, tmp_path: Path) -> None:
    first = evaluate_pairs(Counting(), measures, 4, tmp_path, threads=1)
    second = evaluate_pairs(Counting(), measures, 7, tmp_path, threads=3)
    for name in WORST:
        np.testing.assert_allclose(first.scores[name], second.scores[name], rtol=1e-12)
    for name, value in first.distances.items():
        assert second.distances[name] == pytest.approx(value, rel=1e-4)  # as above


def test_a_killed_run_goes_on_where_it_was(measures: Measures, tmp_path: Path) -> None:
    def killed() -> None:
        evaluate_pairs(Counting(kill_at=17), measures, BATCH, tmp_path / "killed", threads=1)

    child = multiprocessing.get_context("fork").Process(target=killed)
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    finished = sorted(path.name for path in (tmp_path / "killed").rglob("chunk-*.npz"))
    # Image 17 was to be decoded while chunk 1 or 2 was measured: what was finished before is whole.
    assert 0 < len(finished) < 5
    assert finished == [f"chunk-{number:05d}.npz" for number in range(len(finished))]
    pairs = Counting()
    resumed = evaluate_pairs(pairs, measures, BATCH, tmp_path / "killed")
    assert sorted(pairs.read_indices) == list(range(BATCH * len(finished), COUNT))
    whole = evaluate_pairs(Counting(), measures, BATCH, tmp_path / "whole")
    for name in WORST:
        assert (resumed.scores[name] == whole.scores[name]).all()
    assert resumed.distances == whole.distances
    again = Counting()
    assert evaluate_pairs(again, measures, BATCH, tmp_path / "killed").distances == whole.distances
    assert again.read_indices == []


def test_other_images_networks_or_batches_do_not_reuse_chunks(measures: Measures, tmp_path: Path) -> None:
    evaluate_pairs(Counting(), measures, BATCH, tmp_path)
    for pairs, others, batch in (
        (Counting(count=20), measures, BATCH),
        (Counting(), replace(measures, identity="other networks"), BATCH),
        (Counting(), replace(measures, protocols=measures.protocols[:-1]), BATCH),
        (Counting(), measures, 5),
    ):
        evaluate_pairs(pairs, others, batch, tmp_path)
        assert len(pairs.read_indices) == len(pairs)
    assert len(list(tmp_path.iterdir())) == 5


def test_a_damaged_chunk_is_measured_again(measures: Measures, tmp_path: Path) -> None:
    first = evaluate_pairs(Counting(), measures, BATCH, tmp_path)
    damaged = sorted(tmp_path.rglob("chunk-*.npz"))[2]
    damaged.write_bytes(damaged.read_bytes()[:300])
    pairs = Counting()
    second = evaluate_pairs(pairs, measures, BATCH, tmp_path)
    assert sorted(pairs.read_indices) == [8, 9, 10, 11]
    assert second.distances == first.distances


def test_decoding_overlaps_computing_and_runs_only_a_little_ahead(tmp_path: Path) -> None:
    pairs = Counting(count=40)
    measured = 0

    def score(real: torch.Tensor, fake: torch.Tensor) -> Any:
        nonlocal measured
        measured += len(real)
        if measured < 40:
            # Were decoding to begin when computing has ended, this would wait in vain.
            assert pairs.seen.setdefault(measured, threading.Event()).wait(60)
        assert len(pairs.read_indices) <= measured + CHUNKS_AHEAD * BATCH
        return scorer(protocols.get("l2"), {})(real, fake)

    plain = measures_of(["l2"], 1)
    measures = replace(plain, scorers={"l2@native/1": score})
    evaluate_pairs(pairs, measures, BATCH, tmp_path, threads=2)
    assert measured == 40


def peak_of(count: int, folder: Path) -> float:
    measures = measures_of(["l2", "fid-inception", "kid-inception"], 128)
    if "since it started" in reset_peak_memory(torch.device("cpu")):
        pytest.skip("the peak of memory cannot be watched anew here, and would show nothing")
    before = peak_memory_mb(torch.device("cpu"))
    evaluate_pairs(Counting(count=count, size=64), measures, 50, folder)
    return peak_memory_mb(torch.device("cpu")) - before


def test_memory_is_flat_in_the_number_of_images(tmp_path: Path) -> None:
    peak_of(100, tmp_path)  # what is loaded once
    few, many = peak_of(300, tmp_path), peak_of(3000, tmp_path)
    images = 2 * 3000 * 64 * 64 * 3 / 2**20
    assert images > 70
    # Mapped features of 3,000 (6 MiB) count as memory here; the images themselves, even as bytes, would be 70 MiB.
    assert many - few < 25


def test_a_protocol_that_drops_failures_says_so(tmp_path: Path) -> None:
    dropping = replace(protocols.get("l2"), name="l2-dropping", failure="dropped", worst=None)
    distance = replace(protocols.get("fid-inception"), name="fid-dropping", failure="dropped")
    networks = {"inception-pytorch-fid": Features(3)}
    measures = Measures.of([dropping, distance], networks, torch.device("cpu"), "")
    results = evaluate_pairs(Counting(nan=(3, 4)), measures, BATCH, tmp_path)
    assert np.flatnonzero(np.isnan(results.scores[dropping.id])).tolist() == [3, 4]
    assert results.entering[dropping.id].sum() == COUNT - 2
    sound = evaluate_pairs(Counting(nan=()), measures, BATCH, tmp_path / "sound")
    assert results.distances[distance.id] != sound.distances[distance.id]
    nothing = evaluate_pairs(Counting(count=4, nan=(1, 2, 3)), measures, BATCH, tmp_path / "nothing")
    assert nothing.distances[distance.id] is None


def test_arrays_and_pictures_of_several_sizes(measures: Measures, tmp_path: Path) -> None:
    whole = evaluate_pairs(Counting(), measures, BATCH, tmp_path / "pairs")
    images = [Counting().read(index) for index in range(COUNT)]
    arrays = Arrays(np.stack([real for real, _ in images]), np.stack([np.asarray(fake) for _, fake in images]), "made")
    found = evaluate_pairs(arrays, measures, BATCH, tmp_path / "arrays")
    for name in WORST:
        assert (found.scores[name] == whole.scores[name]).all()

    class Mixed(Counting):
        def read(self, index: int) -> tuple[Picture, Picture | None]:
            real, fake = super().read(index)
            return (real[:24, :24], np.asarray(fake)[:24, :24]) if index % 3 == 0 else (real, fake)

    mixed = evaluate_pairs(Mixed(), measures, BATCH, tmp_path / "mixed")
    same = np.arange(COUNT) % 3 != 0
    np.testing.assert_allclose(mixed.scores["l2@native/1"][same], whole.scores["l2@native/1"][same], rtol=1e-12)
    with pytest.raises(ReinvertError, match="of 64x64 pixels, these are"):
        evaluate_pairs(Mixed(), replace_sizes(measures), BATCH, tmp_path / "sized")
    with pytest.raises(ValueError, match="no pairs"):
        evaluate_pairs(Counting(count=0), measures, BATCH, tmp_path)


def replace_sizes(measures: Measures) -> Measures:
    sized = protocols.get("l2@64")
    return Measures.of([sized], {}, measures.device, "")

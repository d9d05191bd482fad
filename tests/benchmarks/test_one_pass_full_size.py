"""The streaming evaluator against the separate tools one after another, on the same folders of 256 px pictures.

Run it with `pytest tests/benchmarks/test_one_pass_full_size.py -m full_size -s`; ONE_PASS_IMAGES says how many pairs
(1,000). Each line is printed as soon as it is measured, so that a run that is cut short has said something.

The networks' weights are seeded, so distances mean nothing and are only compared with each other. Both sides give L2,
PSNR, SSIM, MS-SSIM, LPIPS, FID and KID; ID is on neither, since a detector without its trained weights finds
arbitrarily many faces. The tools run as their commands and readmes have it (FID by pytorch-fid, KID by torch-fidelity,
LPIPS pair by pair, loops over scikit-image and pytorch-msssim), but inside this process, which spares each of them its
start and its imports. Somebody who took both FID and KID from torch-fidelity would run Inception once less: the ratio
to that is printed, too. Times are never gated: they belong to one machine.
"""

from __future__ import annotations

import math
import os
import resource
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from core.compat import import_torchvision
from metrics import protocols
from metrics.published import folded, lpips_network, pytorch_fid_inception
from pipelines.conformance.data import Goldens
from pipelines.evaluate_pairs import Measures, Results, evaluate_pairs
from pipelines.score_folders import pair_folders
from tests.conftest import ROOT

pytestmark = [pytest.mark.full_size, pytest.mark.usefixtures("all_threads")]

IMAGES = int(os.environ.get("ONE_PASS_IMAGES", "1000"))
SIZE = 256
BATCH = 16
PROTOCOLS = ("l2", "lpips-alex", "ssim", "ms-ssim", "psnr", "fid-inception", "kid-inception")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Crops of a photo, and the same with some noise: PNGs take as long to decode as those of photos."""
    photo = Image.fromarray(data.astronaut())
    real, fake = (tmp_path_factory.mktemp(side) for side in ("real", "fake"))
    random = np.random.default_rng(0)
    for number in range(IMAGES):
        left, top, side = random.integers(0, 256, 3)
        box = (left // 2, top // 2, left // 2 + 128 + side, top // 2 + 128 + side)
        picture = np.asarray(photo.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box)).astype(float)
        noisy = picture + random.normal(0, 12, picture.shape)
        for folder, pixels in ((real, picture), (fake, noisy)):
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number:05d}.png")
    return real, fake


@pytest.fixture(scope="module")
def weights() -> dict[str, dict[str, torch.Tensor]]:
    """Seeded weights of the published shapes."""
    goldens = Goldens(ROOT / "tests" / "conformance", "public")
    return {name: dict(goldens.weights(name)) for name in ("inception_v3_fid", "lpips_alexnet_trunk")}


def _pairs(folders: tuple[Path, Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What every script does: read both pictures of a name."""
    for path in sorted(folders[0].iterdir()):
        with Image.open(path) as real, Image.open(folders[1] / path.name) as fake:
            yield np.asarray(real.convert("RGB")), np.asarray(fake.convert("RGB"))


def _tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def pytorch_fid(folders: tuple[Path, Path], weights: Any) -> float:
    """The package's own passes over the two folders, at its own batch and number of workers."""
    import_torchvision()
    from pytorch_fid import fid_score

    network: Any = pytorch_fid_inception(weights["inception_v3_fid"])
    network.output_blocks = [3]  # the 2048 features alone, as the package's command builds it
    workers = min(len(os.sched_getaffinity(0)), 8)
    found = [
        fid_score.calculate_activation_statistics(sorted(folder.glob("*.png")), network, 50, 2048, "cpu", workers)
        for folder in folders
    ]
    return float(fid_score.calculate_frechet_distance(*found[0], *found[1]))


def torch_fidelity(folders: tuple[Path, Path], weights: Any) -> float:
    """KID as its command computes it."""
    import_torchvision()
    import torch_fidelity as package

    path = folders[0].parent / "inception.pth"
    torch.save(weights["inception_v3_fid"], path)
    found = package.calculate_metrics(
        input1=str(folders[0]), input2=str(folders[1]), kid=True, kid_subset_size=min(1000, IMAGES), cuda=False,
        batch_size=64, feature_extractor_weights_path=str(path), cache=False, verbose=False,
    )  # fmt: skip
    return float(found["kernel_inception_distance_mean"])


def lpips_two_folders(folders: tuple[Path, Path], weights: Any) -> float:
    """As lpips_2dirs.py of the package's repository: pair by pair."""
    network = lpips_network("alex", weights["lpips_alexnet_trunk"])
    with torch.no_grad():
        return float(np.mean([network(_tensor(a) * 2 - 1, _tensor(b) * 2 - 1).item() for a, b in _pairs(folders)]))


def skimage_psnr(folders: tuple[Path, Path], weights: Any) -> float:
    """A loop over scikit-image's function."""
    from skimage.metrics import peak_signal_noise_ratio

    return float(np.mean([peak_signal_noise_ratio(a, b, data_range=255) for a, b in _pairs(folders)]))


def skimage_ssim(folders: tuple[Path, Path], weights: Any) -> float:
    """Another, with the arguments that make it Wang et al.'s."""
    from skimage.metrics import structural_similarity

    given = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    return float(np.mean([structural_similarity(a, b, channel_axis=2, **given) for a, b in _pairs(folders)]))


def pytorch_msssim(folders: tuple[Path, Path], weights: Any) -> float:
    """A loop over pytorch-msssim."""
    from pytorch_msssim import ms_ssim

    return float(np.mean([ms_ssim(_tensor(a), _tensor(b), data_range=1.0).item() for a, b in _pairs(folders)]))


def squared_error(folders: tuple[Path, Path], weights: Any) -> float:
    """As calc_losses_on_images.py of the pSp family, on [0, 1]."""
    return float(np.mean([(_tensor(a) - _tensor(b)).square().mean().item() for a, b in _pairs(folders)]))


TOOLS: dict[str, Callable[[tuple[Path, Path], Any], float]] = {
    "fid-inception": pytorch_fid,
    "kid-inception": torch_fidelity,
    "lpips-alex": lpips_two_folders,
    "psnr": skimage_psnr,
    "ssim": skimage_ssim,
    "ms-ssim": pytorch_msssim,
    "l2": squared_error,
}


def _processor_seconds() -> float:
    """Of this process and of those it has waited for: packages decode in workers of their own."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def _timed(function: Callable[[], Any]) -> tuple[Any, float, float]:
    wall, busy = time.perf_counter(), _processor_seconds()
    result = function()
    return result, time.perf_counter() - wall, _processor_seconds() - busy


def test_one_pass_against_the_tools_one_after_another(
    benchmark: Any, folders: tuple[Path, Path], weights: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [protocols.get(name) for name in PROTOCOLS]

    def one_pass() -> Results:
        networks = {
            "inception-pytorch-fid": folded(pytorch_fid_inception(weights["inception_v3_fid"])),
            "lpips-alex": lpips_network("alex", weights["lpips_alexnet_trunk"]),
        }
        measures = Measures.of(wanted, networks, torch.device("cpu"), "seeded")
        return evaluate_pairs(pair_folders(*folders, wanted), measures, BATCH, tmp_path)

    def say(name: str, seconds: float, processor: float, decimals: int = 1) -> None:
        with capsys.disabled():
            print(f"{name:<34}{seconds:>9.{decimals}f}{processor:>11.{decimals}f}", flush=True)

    with capsys.disabled():
        print(f"\n{IMAGES:,} pairs, {torch.get_num_threads()} threads")
        print(f"{'':<34}{'seconds':>9}{'processor':>11}", flush=True)
    results, wall, busy = _timed(lambda: benchmark.pedantic(one_pass, rounds=1))
    say("one pass", wall, busy)
    spent: dict[str, tuple[float, float]] = {}
    wrong: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in wanted:
            value, *spent[one.name] = _timed(lambda name=one.name: TOOLS[name](folders, weights))  # type: ignore[misc]
            say(f"{one.name} by {TOOLS[one.name].__name__}", *spent[one.name])
            if one.per_image:
                # pytorch-msssim and lpips compute in single precision, whose sums over 256 x 256 are good to 1e-5.
                found, tolerance = float(np.mean(results.scores[one.id])), 1e-5
            else:
                # Norms folded into convolutions change features by rounding, and the root of a singular covariance
                # (fewer images than features) magnifies that.
                found, tolerance = float(results.distances[one.id] or math.nan), 1e-2
            # torch-fidelity resizes otherwise, so its KID is another number; both are numbers.
            if not (math.isfinite(value) if one.metric == "kid" else found == pytest.approx(value, rel=tolerance)):
                wrong.append(f"{one.id}: {found}, the tool gives {value}")
    total = [sum(times) for times in zip(*spent.values(), strict=True)]
    say("the tools", *total)
    ratios = total[0] / wall, total[1] / busy
    say("times faster (aim: 3)", *ratios, decimals=2)
    # With its features goes FID's matrix root, which would be needed nevertheless: the true ratio is larger.
    fid = spent["fid-inception"]
    shared = [(every - one) / ours for every, one, ours in zip(total, fid, (wall, busy), strict=True)]
    say("  with Inception run once for both", *shared, decimals=2)
    benchmark.extra_info["times faster"], benchmark.extra_info["times less processor time"] = ratios
    assert wrong == []

"""What a score must not depend on: batch, order, workers, passes, device, precision of the generator; by how much.

Formulas run in float64 and keep to 1e-12. Networks run in float32, where another batch may be summed in another order:
1e-6. A GPU multiplies in TensorFloat-32 unless told not to: 1e-4 covers the sums of a convolution in float32 there.
"""

import math
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from torch import Tensor

from methods.networks.stylegan2 import Generator
from metrics import protocols
from metrics.measure import distance, feature_extractor, networks_of, scorer
from metrics.statistics import summarise
from tests.metrics.stand_ins import damaged, networks, scene, waves

COUNT = 6
FORMULA, NETWORK, GPU = 1e-12, 1e-6, 1e-4
NAMES = ("l2", "psnr", "ssim", "ms-ssim", "lpips-alex", "id-curricularface", "psp-l2", "hyperinverter-churches-psnr",
         "hfgi-l2", "lpips-alex-embedded", "id-cosine-embedded")  # fmt: skip


def pairs_of(size: int = 64) -> tuple[Tensor, Tensor]:
    real = torch.cat([scene(size, shift=0.4 * k) for k in range(COUNT)])
    strength = torch.linspace(0.3, 1, COUNT)[:, None, None, None]
    fake = real + strength * (damaged(real) - real)
    fake[4, 1, 2, 3] = torch.nan
    return real, fake


def tolerance_of(name: str) -> float:
    return NETWORK if protocols.get(name).network else FORMULA


@pytest.fixture(scope="module")
def given() -> dict[str, torch.nn.Module]:
    return networks()


@pytest.mark.parametrize("name", NAMES)
def test_batch_and_order_change_nothing(name: str, given) -> None:
    real, fake = pairs_of()
    score = scorer(protocols.get(name), given)
    together = score(real, fake)
    assert together.values.dtype == torch.float64
    assert together.failed.tolist() == [False] * 4 + [True, False]
    for batch in (1, 4):
        parts = [score(real[k : k + batch], fake[k : k + batch]) for k in range(0, COUNT, batch)]
        values = torch.cat([part.values for part in parts])
        torch.testing.assert_close(values, together.values, atol=tolerance_of(name), rtol=0, equal_nan=True)
    order = torch.tensor([5, 2, 4, 0, 3, 1])
    torch.testing.assert_close(
        score(real[order], fake[order]).values, together.values[order], atol=tolerance_of(name), rtol=0, equal_nan=True
    )


def _scores_of(start: int) -> list[list[float]]:
    """In a worker process."""
    torch.set_num_threads(1)
    real, fake = (part[start : start + 2] for part in pairs_of())
    given = networks()
    return [
        scorer(protocols.get(name), given)(real, fake).values.tolist() for name in ("psnr", "ms-ssim", "lpips-alex")
    ]


def test_workers_change_nothing() -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        parts = list(pool.map(_scores_of, range(0, COUNT, 2)))
    apart = torch.cat([torch.tensor(part, dtype=torch.float64) for part in parts], dim=1)
    real, fake = pairs_of()
    for row, name in enumerate(("psnr", "ms-ssim", "lpips-alex")):
        together = scorer(protocols.get(name), networks())(real, fake).values
        torch.testing.assert_close(apart[row], together, atol=tolerance_of(name), rtol=0)


@pytest.mark.parametrize("name", ["fid-inception", "kid-inception", "hyperinverter-churches-kid", "fid-embedded"])
def test_one_pass_or_several_give_one_distance(name: str, given) -> None:
    protocol = protocols.get(name)
    size = protocol.size or 64
    images = torch.cat([scene(size, shift=0.3 * k) for k in range(16)])
    other = (0.8 * images + 0.1 * waves(tuple(images.shape), 1.1)).clamp(-1, 1)
    extract = feature_extractor(protocol, given)
    whole = [extract(images, True), extract(other, False)]
    parts = [
        torch.cat([extract(part, is_real) for part in images_of.split(5)])
        for images_of, is_real in ((images, True), (other, False))
    ]
    expected = distance(protocol, whole[0], whole[1])
    # Features may differ by 1e-7; FID takes a root of what they span, KID is printed times 1000.
    assert distance(protocol, parts[0], parts[1]) == pytest.approx(expected, abs=1e-3 * abs(expected) + 1e-5)
    # FID of a set does not depend on the order of its rows; KID's seeded subsets do, by their choice alone.
    if protocol.metric == "fid":
        turned = distance(protocol, whole[0].flip(0), whole[1])
        assert turned == pytest.approx(expected, abs=1e-3 * abs(expected) + 1e-5)


MIXED = {
    "l2": 2e-5, "psnr": 0.05, "ssim": 2e-3, "ms-ssim": 1e-3, "lpips-alex": 1e-4, "id-curricularface": 2e-3,
    "psp-l2": 1e-4,
}  # fmt: skip
"""How far a bfloat16 generator may move a score. Its output keeps 8 bits, so values near 1 move by up to 2^-9, a
quarter of a grey level; the error is nearly independent of the image's own, so L2 moves by less than its square."""


@pytest.mark.parametrize("name", list(MIXED))
def test_a_mixed_precision_generator_moves_scores_by_little(name: str, given) -> None:
    real, fake = pairs_of()
    real, fake = real[:4], fake[:4]
    score = scorer(protocols.get(name), given)
    full, half = score(real, fake).values, score(real, fake.bfloat16().float()).values
    assert (full - half).abs().max() <= MIXED[name]
    assert (full - half).abs().max() > 0  # the rounding reaches the score at all


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_gives_the_cpus_scores(name: str, given) -> None:
    real, fake = pairs_of()
    expected = scorer(protocols.get(name), given)(real, fake).values
    on_gpu = {
        key: network.to("cuda") for key, network in networks().items() if key in networks_of([protocols.get(name)])
    }
    ours = scorer(protocols.get(name), on_gpu)(real.cuda(), fake.cuda()).values
    torch.testing.assert_close(ours, expected, atol=GPU, rtol=GPU, equal_nan=True)


def test_means_are_accumulated_in_float64() -> None:
    scores = np.full(2**16, 0.1) + np.linspace(0, 1e-9, 2**16)
    exact = math.fsum(scores) / len(scores)
    faulty = float(np.cumsum(scores, dtype=np.float32)[-1] / len(scores))  # a running float32 sum
    assert abs(summarise(scores, np.zeros(len(scores), bool), 100, 0).mean - exact) < 1e-15
    assert abs(faulty - exact) > 1e-6
    real, fake = pairs_of()
    assert scorer(protocols.get("lpips-alex"), networks())(real, fake).values.dtype == torch.float64


def test_a_generator_in_bfloat16_gives_the_scores_of_one_in_float32() -> None:
    torch.manual_seed(0)
    generator = Generator(64, style_dim=8, mapping_layers=2, channels=dict.fromkeys((4, 8, 16, 32, 64), 8)).eval()
    styles = torch.randn(COUNT, generator.style_count, 8)
    with torch.no_grad():
        full = generator.synthesis(styles)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = generator.synthesis(styles).float()
    scale = full.abs().max()  # a random generator's colours leave [-1, 1]
    full, mixed = full / scale, mixed / scale
    # Bounds are about three times what was measured on a CPU.
    real = (0.9 * full + 0.1 * pairs_of()[0]).clamp(-1, 1)
    for name, tolerance in {"l2": 5e-5, "psnr": 0.2, "ssim": 1e-3, "ms-ssim": 2e-3}.items():
        score = scorer(protocols.get(name), {})
        difference = (score(real, full).values - score(real, mixed).values).abs().max().item()
        assert 0 < difference <= tolerance

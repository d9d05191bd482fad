"""Faults found in the metric code of published repositories, one test each: the faulty computation is caught by ours.

Every test writes the fault out, and shows that what we check by (a closed form, a reference package, the rule of a
protocol) rejects it and accepts ours. `agrees` is that check: the tolerance of `reinvert calibrate`.
"""

import io
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from skimage.metrics import structural_similarity
from torch import Tensor

from core.errors import ReinvertError
from core.files import atomic_write_json
from metrics import pixel, protocols, structure
from metrics.measure import entering, feature_extractor, networks_of, resized, scorer, through_jpeg
from metrics.pairing import pair
from metrics.statistics import summarise
from pipelines.calibrate import IMAGES
from tests.metrics.stand_ins import Distance, damaged, networks, scene


def agrees(protocol: str, ours: float, expected: float) -> bool:
    """Whether `reinvert calibrate` would let a score pass."""
    return abs(ours - expected) <= IMAGES[protocol].tolerance


def as_skimage(images: Tensor) -> np.ndarray:
    return ((images[0].double() + 1) / 2).permute(1, 2, 0).numpy()


@pytest.fixture(scope="module")
def photo() -> tuple[Tensor, Tensor]:
    """A real image and a reconstruction, 176 px."""
    real = scene(176)
    return real, damaged(real)


def test_psnr_with_a_squared_peak_of_two_on_doubled_range_images(photo) -> None:
    def faulty(real: Tensor, fake: Tensor) -> float:
        return float(10 * torch.log10(2 / F.mse_loss(real.double(), fake.double())))

    expected = 10 * math.log10(1 / ((as_skimage(photo[0]) - as_skimage(photo[1])) ** 2).mean())
    assert agrees("psnr", pixel.psnr(*photo).item(), expected)
    assert not agrees("psnr", faulty(*photo), expected)
    assert expected - faulty(*photo) == pytest.approx(3.0103, abs=1e-4)


def test_l2_on_doubled_range_after_pil_is_four_times_ours_and_has_another_id(photo) -> None:
    real, fake = (((part + 1) * 127.5).round().byte() for part in photo)
    strict, paper = (scorer(protocols.get(name), {})(real, fake).values.item() for name in ("l2", "psp-l2"))
    expected = ((as_skimage(real / 127.5 - 1) - as_skimage(fake / 127.5 - 1)) ** 2).mean()
    assert agrees("l2", strict, expected)
    assert not agrees("l2", paper, expected)
    at_256 = [resized(part, 256) for part in (real, fake)]
    assert paper == pytest.approx(4 * scorer(protocols.get("l2"), {})(*at_256).values.item(), rel=1e-5)
    assert protocols.get("psp-l2").value_range == "[-1, 1]" != protocols.get("l2").value_range
    assert not protocols.get("psp-l2").ranked


def test_a_column_named_vgg_that_builds_alexnet() -> None:
    # The id names the backbone, and another one is refused.
    assert protocols.get("lpips-alex").network.name == "lpips-alex"
    with pytest.raises(ReinvertError, match="measures with 'lpips-alex', not with 'vgg'"):
        scorer(protocols.get("lpips-alex"), {"lpips-alex": Distance("vgg")})
    scorer(protocols.get("lpips-alex"), {"lpips-alex": Distance("alex")})


def test_a_dropped_last_batch_loses_images() -> None:
    scores = np.array([0.1, 0.1, 0.1, 0.1, 0.9])
    failed = np.zeros(5, dtype=bool)

    def faulty() -> float:
        return float(scores[: len(scores) // 4 * 4].mean())

    assert summarise(scores, failed, 100, 0).mean == pytest.approx(0.26) != faulty()
    for protocol in protocols.everything():
        kept = entering(protocol, failed)
        if protocol.ranked:
            assert kept.all()
        elif protocol.batch_dropping_remainder:
            assert kept.tolist() == [True] * 4 + [False]
    assert scores[entering(protocols.get("psp-l2"), failed)].mean() == faulty()


def test_pairs_of_sorted_listings_shift_after_a_missing_file() -> None:
    real = [f"{k}.jpg" for k in range(5)]
    fake = [f"{k}.png" for k in range(5) if k != 1]
    faulty = list(zip(sorted(real), sorted(fake), strict=False))
    assert ("2.jpg", "3.png") in faulty
    ours = pair(reversed(real), fake)
    assert ours.pairs == (("0.jpg", "0.png"), ("2.jpg", "2.png"), ("3.jpg", "3.png"), ("4.jpg", "4.png"))
    assert (ours.missing, ours.extra) == (("1.jpg",), ())
    assert pair([*real, "x.jpg"], [*fake, "y.png"]).extra == ("y.png",)
    # Only a paper protocol does as the paper's script did, and says so.
    assert list(pair(real, fake, protocols.get("hyperinverter-psnr").pairing).pairs) == faulty
    assert protocols.get("psnr").pairing == "by name"
    with pytest.raises(ReinvertError, match="have one name"):
        pair(["a.jpg", "a.png"], ["a.png"])


def test_pairs_without_a_face_that_are_dropped_raise_the_mean() -> None:
    good, flat = scene(64), torch.full((1, 3, 64, 64), 0.25)
    real = good.repeat(4, 1, 1, 1)
    poor = damaged(scene(64, shift=1.5))
    few_faces = torch.cat([damaged(good), flat, flat, flat])  # three reconstructions show no face at all
    all_faces = torch.cat([damaged(good), poor, poor, poor])
    score = scorer(protocols.get("id-curricularface"), networks())
    worse, better = score(real, few_faces), score(real, all_faces)
    assert worse.failed.tolist() == [False, True, True, True]
    assert not better.failed.any()

    def faulty(found) -> float:
        return found.values[~found.failed].mean().item()

    assert faulty(worse) > faulty(better)  # the worse reconstructions win
    assert worse.values.mean() < better.values.mean()  # here they do not
    summary = summarise(worse.values.numpy(), worse.failed.numpy(), 100, 0)
    assert (summary.n, summary.n_failed) == (4, 3)
    # Under the paper's protocol they are left out as in its script, but as a count that is known.
    paper = scorer(protocols.get("psp-id"), networks())(real, few_faces)
    assert paper.failed.sum() == 3
    assert entering(protocols.get("psp-id"), paper.failed.numpy()).tolist() == [True, False, False, False]


def test_nan_filtered_before_the_mean_is_an_average_over_easy_images() -> None:
    real = scene(64).repeat(2, 1, 1, 1)
    broken = damaged(scene(64))
    broken[0, 1, 5, 5] = torch.nan
    fake = torch.cat([damaged(scene(64)), broken])
    for name in ("l2", "psnr", "ssim", "ms-ssim", "lpips-alex"):
        found = scorer(protocols.get(name), networks())(real, fake)
        assert found.failed.tolist() == [False, True]
        faulty = found.values[:1].mean().item()  # what np.nanmean would leave
        ours = summarise(found.values.numpy(), found.failed.numpy(), 100, 0)
        assert ours.n_failed == 1
        assert abs(ours.mean - faulty) > 1e-3 * abs(faulty)
    with pytest.raises(ValueError, match="not finite"):
        summarise(np.array([1.0, np.nan]), np.array([False, True]), 100, 0)


def guessed_ms_ssim(real: Tensor, fake: Tensor) -> float:
    """MS-SSIM whose range is guessed from the data and whose negative terms have no power."""
    low = -1 if real.min() < -0.5 else 0
    span = (255 if real.max() > 128 else 1) - low
    first, second = real.double(), fake.double()
    product = torch.ones(3, dtype=torch.float64)
    for scale, weight in enumerate(structure.SCALE_WEIGHTS):
        window = structure.gaussian_window(real.device)
        ones, others = structure.smooth(first, window), structure.smooth(second, window)
        c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
        covariance = structure.smooth(first * second, window) - ones * others
        spread = structure.smooth(first**2, window) - ones**2 + structure.smooth(second**2, window) - others**2
        term = (2 * covariance + c2) / (spread + c2)
        if scale == 4:
            term = term * (2 * ones * others + c1) / (ones**2 + others**2 + c1)
        product = product * term.mean(dim=(0, 2, 3)) ** weight
        first, second = F.avg_pool2d(first, 2), F.avg_pool2d(second, 2)
    return product.mean().item()


def test_ms_ssim_with_a_guessed_range(photo) -> None:
    from pytorch_msssim import ms_ssim

    real, fake = photo
    window = structure.gaussian_window(real.device).expand(3, 1, 1, 11)
    units = [(part.double() + 1) / 2 for part in photo]
    expected = ms_ssim(units[0], units[1], data_range=1, win=window).item()
    assert agrees("ms-ssim", structure.ms_ssim(real, fake).item(), expected)
    # On [-1, 1] the means of a product are no longer those of [0, 1], so the luminance term differs.
    assert not agrees("ms-ssim", guessed_ms_ssim(real, fake), expected)
    # A dark picture without a value under -0.5 changes the guess, and an inverted one has no real power.
    bright = real * 0.2 + 0.5
    assert not agrees(
        "ms-ssim", guessed_ms_ssim(bright, fake * 0.2 + 0.5), structure.ms_ssim(bright, fake * 0.2 + 0.5).item()
    )
    noise = torch.rand(real.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert math.isnan(guessed_ms_ssim(noise, -noise))
    assert structure.ms_ssim(noise, -noise).item() == 0.0


def test_ms_ssim_at_another_size_is_another_protocol(photo) -> None:
    real, fake = (((part + 1) * 127.5).round().byte() for part in photo)
    score = scorer(protocols.get("ms-ssim"), {})
    native = score(real, fake).values.item()
    enlarged = score(*(resized(part, 256) for part in (real, fake))).values.item()
    assert not agrees("ms-ssim", enlarged, native)
    assert protocols.get("ms-ssim").at(176).id != protocols.get("ms-ssim").at(256).id
    with pytest.raises(ReinvertError, match="ms-ssim@256/1 measures images of 256x256 pixels, these are 176x176"):
        scorer(protocols.get("ms-ssim@256"), {})(real, fake)


def test_three_inceptions_under_one_name() -> None:
    from core.compat import import_torchvision

    import_torchvision()
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    strict, paper = protocols.get("fid-inception"), protocols.get("hyperinverter-fid")
    assert strict.network != paper.network
    assert strict.id != paper.id
    assert {network.name for network in networks_of([strict, paper]).values()} == {
        "inception-pytorch-fid", "inception-torch-fidelity",
    }  # fmt: skip
    # The two packages do not even look at the same pixels.
    images = (scene(64) + 1) / 2
    one = F.interpolate(images, size=(299, 299), mode="bilinear", align_corners=False)
    other = interpolate_bilinear_2d_like_tensorflow1x(images, size=(299, 299), align_corners=False)
    assert (one - other).abs().max() > 0.01
    # A stand-in that reads bytes refuses floats: the networks cannot be exchanged silently.
    swapped = {"inception-pytorch-fid": networks()["inception-torch-fidelity"]}
    with pytest.raises(TypeError):
        feature_extractor(strict, swapped)(scene(64), True)


def test_jpeg_instead_of_png_is_another_protocol() -> None:
    pixels = ((scene(64).repeat(1, 1, 4, 4) + 1) * 127.5).round().byte()
    for plain, compressed in (
        ("psp-l2", "psp-jpeg-l2"),
        ("hyperinverter-churches-fid", "hyperinverter-churches-jpeg-fid"),
    ):
        assert protocols.get(plain).quantisation != protocols.get(compressed).quantisation
        assert protocols.get(plain).id != protocols.get(compressed).id
    changed = through_jpeg(pixels)
    l2 = scorer(protocols.get("l2"), {})
    assert not agrees("l2", l2(pixels, changed).values.item(), l2(pixels, pixels).values.item())
    extract = feature_extractor(protocols.get("fid-inception"), networks())
    assert not torch.allclose(extract(pixels, False), extract(changed, False), atol=1e-6)
    file = io.BytesIO()
    Image.fromarray(pixels[0].permute(1, 2, 0).numpy()).save(file, "PNG")
    assert np.array_equal(np.asarray(Image.open(file)), pixels[0].permute(1, 2, 0).numpy())


def test_scores_rounded_to_two_decimals_make_claims_untestable(tmp_path) -> None:
    failed = np.zeros(4, dtype=bool)
    first = summarise(np.array([0.101, 0.102, 0.103, 0.104]), failed, 100, 0)
    second = summarise(np.array([0.099, 0.100, 0.101, 0.102]), failed, 100, 0)
    assert f"{first.mean:.2f}" == f"{second.mean:.2f}"  # the papers' scripts print a tie
    atomic_write_json(tmp_path / "metrics.json", {"one": first.as_dict(), "other": second.as_dict()})
    stored = json.loads((tmp_path / "metrics.json").read_text())
    assert (stored["one"]["mean"], stored["other"]["mean"]) == (first.mean, second.mean)
    assert stored["one"]["mean"] - stored["other"]["mean"] == pytest.approx(0.002, abs=1e-12)


def test_scikit_images_default_ssim_is_not_wang(photo) -> None:
    one, other = (as_skimage(part) for part in photo)
    default = structural_similarity(one, other, channel_axis=2, data_range=1)
    wang = structural_similarity(
        one, other, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1
    )
    assert agrees("ssim", structure.ssim(*photo).item(), wang)
    assert not agrees("ssim", default, wang)
    assert abs(default - wang) > 1e-3


def padded_terms(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM and its contrast part over all positions of a reflected image, as torchmetrics pads it."""
    around = structure.WINDOW // 2
    wider = [F.pad(part, (around,) * 4, mode="reflect") for part in (first, second)]
    return structure.similarity_terms(*wider)


def test_ssim_and_ms_ssim_over_padded_borders(photo) -> None:
    units = pixel.unit_pair(*photo)
    assert abs(padded_terms(*units)[0].mean().item() - structure.ssim(*photo).item()) > 1e-4
    assert not agrees("ssim", padded_terms(*units)[0].mean().item(), structure.ssim(*photo).item())
    product, (first, second) = torch.ones(1, 3, dtype=torch.float64), units
    for scale, weight in enumerate(structure.SCALE_WEIGHTS):
        whole, contrast = padded_terms(first, second)
        product = product * (whole if scale == 4 else contrast).clamp_min(0) ** weight
        first, second = F.avg_pool2d(first, 2), F.avg_pool2d(second, 2)
    assert not agrees("ms-ssim", product.mean().item(), structure.ms_ssim(*photo).item())

"""Pixel and structure metrics against scikit-image, pytorch-msssim and closed forms.

Tolerance 1e-9: float64 on both sides, another order of summation. pytorch-msssim makes its window in float32; given
one in float64 it keeps to 1e-9 too, with its own 1e-6 is what remains.
"""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from metrics import pixel, structure

SCORES = (pixel.l2, pixel.psnr, structure.ssim, structure.ms_ssim)


def smooth_images(seed: int, count: int = 6, size: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 8, 8, generator=generator) * 1.6 - 0.8
    return torch.nn.functional.interpolate(coarse, size=size, mode="bicubic").clamp(-1, 1)


def pairs(noise: float = 0.2) -> tuple[torch.Tensor, torch.Tensor]:
    real = smooth_images(1)
    generator = torch.Generator().manual_seed(2)
    strength = torch.linspace(0.1, 1, len(real))[:, None, None, None] * noise
    return real, (real + strength * torch.randn(real.shape, generator=generator)).clamp(-1, 1)


def as_skimage(images: torch.Tensor) -> np.ndarray:
    return ((images.double() + 1) / 2).permute(0, 2, 3, 1).numpy()


def test_psnr_and_l2_equal_scikit_image() -> None:
    real, fake = pairs()
    first, second = as_skimage(real), as_skimage(fake)
    expected = [peak_signal_noise_ratio(a, b, data_range=1) for a, b in zip(first, second, strict=True)]
    assert pixel.psnr(real, fake).tolist() == pytest.approx(expected, abs=1e-9)
    assert pixel.l2(real, fake).tolist() == pytest.approx(((first - second) ** 2).mean(axis=(1, 2, 3)), abs=1e-12)


def test_psnr_peak_is_one_on_unit_range_images() -> None:
    # A difference of 0.2 on [-1, 1] is 0.1 on [0, 1]: 20 dB. With peak^2 = 2 on [-1, 1], as seen in a published
    # script, the same pair has 10 log10(2 / 0.04) = 16.99 dB, 3.01 dB less.
    real = torch.zeros(1, 3, 16, 16)
    fake = torch.full_like(real, 0.2)
    assert pixel.psnr(real, fake).item() == pytest.approx(20.0, abs=1e-6)
    trap = 10 * np.log10(2 / torch.nn.functional.mse_loss(real.double(), fake.double()).item())
    assert pixel.psnr(real, fake).item() - trap == pytest.approx(3.0103, abs=1e-4)
    # L2 on [-1, 1] would be four times ours.
    assert pixel.l2(real, fake).item() == pytest.approx(0.04 / 4, abs=1e-9)


def test_extremes() -> None:
    black, white = -torch.ones(1, 3, 64, 64), torch.ones(1, 3, 64, 64)
    assert pixel.l2(black, white).item() == 1.0
    assert pixel.psnr(black, white).item() == 0.0
    for score, best in zip(SCORES, (0.0, pixel.HIGHEST_PSNR, 1.0, 1.0), strict=True):
        image = smooth_images(3, count=1)
        assert score(image, image).item() == pytest.approx(best, abs=1e-12)
    # One 8-bit step in one value of a 64 px image, the smallest difference there is, stays below the cap.
    nearly = black.clone()
    nearly[0, 0, 0, 0] += 2 / 255
    assert pixel.psnr(black, nearly).item() == pytest.approx(10 * np.log10(255**2 * 3 * 64 * 64), abs=1e-3)
    assert pixel.psnr(black, nearly).item() < pixel.HIGHEST_PSNR


@pytest.mark.parametrize("noise", [0.02, 0.2, 1.0])
def test_ssim_equals_scikit_image_set_as_in_the_paper(noise: float) -> None:
    real, fake = pairs(noise)
    expected = [
        structural_similarity(
            a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0
        )
        for a, b in zip(as_skimage(real), as_skimage(fake), strict=True)
    ]
    assert structure.ssim(real, fake).tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("size", "scales"), [(11, 1), (43, 2), (44, 3), (64, 3), (176, 5), (1024, 5)])
def test_scales_that_fit(size: int, scales: int) -> None:
    assert structure.scales_that_fit(size) == scales


def test_ms_ssim_with_five_scales_equals_pytorch_msssim() -> None:
    from pytorch_msssim import ms_ssim

    real = smooth_images(1, count=2, size=176)
    fake = (real + 0.2 * torch.randn(real.shape, generator=torch.Generator().manual_seed(5))).clamp(-1, 1)
    window = torch.exp(-(torch.arange(-5.0, 6.0, dtype=torch.float64) ** 2) / (2 * 1.5**2))
    window = (window / window.sum()).expand(3, 1, 1, 11)
    first, second = (real.double() + 1) / 2, (fake.double() + 1) / 2
    expected = ms_ssim(first, second, data_range=1, size_average=False, win=window)
    torch.testing.assert_close(structure.ms_ssim(real, fake), expected, atol=1e-9, rtol=0)
    as_it_comes = ms_ssim(first, second, data_range=1, size_average=False)
    # Its own window, in float32, moves its score by 1.1e-6 here.
    torch.testing.assert_close(structure.ms_ssim(real, fake), as_it_comes, atol=2e-6, rtol=0)


@pytest.mark.parametrize(("size", "tolerance"), [(192, 1e-9), (224, 1e-9), (200, 3e-3), (250, 3e-3)])
def test_ms_ssim_differs_from_the_package_only_where_a_halved_side_is_odd(size: int, tolerance: float) -> None:
    # The package then pads with a line of zeros, which darkens the border; here the last line is left out.
    from pytorch_msssim import ms_ssim
    from skimage.data import astronaut

    real = torch.from_numpy(astronaut()[:size, 130 : 130 + size].copy()).permute(2, 0, 1)[None] / 127.5 - 1
    fake = (real + 0.2 * torch.randn(real.shape, generator=torch.Generator().manual_seed(5))).clamp(-1, 1)
    window = structure.gaussian_window(real.device).expand(3, 1, 1, 11)
    expected = ms_ssim(*pixel.unit_pair(real, fake), data_range=1, size_average=False, win=window)
    difference = (structure.ms_ssim(real, fake) - expected).abs().item()
    assert difference <= tolerance
    assert (difference > 1e-7) == (tolerance > 1e-6)


def test_ms_ssim_with_three_scales_equals_the_terms_of_pytorch_msssim() -> None:
    # The package refuses images under 161 px, so its terms are put together here.
    from pytorch_msssim.ssim import _fspecial_gauss_1d, _ssim

    real, fake = pairs()
    first, second = (real.double() + 1) / 2, (fake.double() + 1) / 2
    window = _fspecial_gauss_1d(11, 1.5).repeat(3, 1, 1, 1)
    expected = torch.ones(len(real), 3, dtype=torch.float64)
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001)):
        whole, contrast = _ssim(first, second, data_range=1, win=window)
        expected *= (whole if scale == 2 else contrast).clamp_min(0) ** (weight / (0.0448 + 0.2856 + 0.3001))
        first, second = (torch.nn.functional.avg_pool2d(x, 2) for x in (first, second))
    torch.testing.assert_close(structure.ms_ssim(real, fake), expected.mean(dim=1), atol=1e-6, rtol=0)


def test_ms_ssim_of_an_inverted_image_is_zero_not_nan() -> None:
    noise = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert structure.ms_ssim(noise, -noise).tolist() == [0.0, 0.0]
    assert structure.ssim(noise, -noise).max() < 0


@pytest.mark.parametrize("score", SCORES)
def test_scores_depend_on_neither_batch_nor_order(score) -> None:
    real, fake = pairs()
    together = score(real, fake)
    assert together.dtype == torch.float64
    alone = torch.cat([score(real[i : i + 1], fake[i : i + 1]) for i in range(len(real))])
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    # The same float64 operations per image; only vectorisation differs.
    torch.testing.assert_close(together, alone, atol=1e-13, rtol=0)
    torch.testing.assert_close(score(real[order], fake[order]), together[order], atol=1e-13, rtol=0)


@pytest.mark.parametrize("score", SCORES)
def test_wrong_input_is_refused(score) -> None:
    image = torch.zeros(1, 3, 64, 64)
    with pytest.raises(ValueError, match="finite"):
        score(image, torch.full_like(image, float("nan")))
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        score(image, image + 1.5)
    with pytest.raises(ValueError, match="one shape"):
        score(image, image.repeat(2, 1, 1, 1))


def test_images_too_small_for_the_window_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        structure.ssim(torch.zeros(1, 3, 10, 10), torch.zeros(1, 3, 10, 10))


def test_what_ssim_and_ms_ssim_share_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(3)
    pairs = [[torch.rand(2, 3, 64, 64, generator=generator) * 2 - 1 for _ in range(2)] for _ in range(2)]
    shared = structure.SharedScale()
    for real, fake in (pairs[0], pairs[1], pairs[0]):
        for _ in range(2):
            assert torch.equal(shared.ssim(real, fake), structure.ssim(real, fake))
            assert torch.equal(shared.ms_ssim(real, fake), structure.ms_ssim(real, fake))

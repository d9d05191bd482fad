"""Scoring under protocols: what becomes of images, failures, ids."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from core.errors import ReinvertError
from metrics import protocols
from metrics.measure import from_bytes, prepare, resized, rounded_to_bytes, scorer, through_jpeg, truncated_to_bytes


def bytes_of(seed: int, size: int = 64, count: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def test_truncation_and_rounding_clip() -> None:
    values = torch.tensor([-2.0, -1.0, 0.0, 0.999, 1.0, 3.0]).reshape(1, 1, 1, 6).expand(1, 3, 1, 6)
    assert truncated_to_bytes(values)[0, 0, 0].tolist() == [0, 0, 127, 254, 255, 255]
    assert rounded_to_bytes(values)[0, 0, 0].tolist() == [0, 0, 128, 255, 255, 255]


def test_pictures_from_files_are_not_quantised_again() -> None:
    every = torch.arange(256, dtype=torch.uint8).repeat(3, 1).reshape(1, 3, 16, 16)
    # Truncating what 8-bit values are as floats would darken some of them by a whole level.
    assert (truncated_to_bytes(from_bytes(every)) != every).any()
    assert torch.equal(rounded_to_bytes(from_bytes(every)), every)
    big = bytes_of(0, 256)
    for name in ("psp-l2", "psp-jpeg-l2", "hfgi-l2"):
        assert torch.equal(prepare(protocols.get(name), big, is_real=False), big)
    assert torch.equal(prepare(protocols.get("psp-l2"), from_bytes(big), is_real=True), big)


def test_filters_are_those_of_pil() -> None:
    big = bytes_of(1, 64)
    picture = Image.fromarray(big[0].permute(1, 2, 0).numpy())
    for bicubic, kind in ((False, Image.Resampling.BILINEAR), (True, Image.Resampling.BICUBIC)):
        expected = np.asarray(picture.resize((24, 24), kind))
        assert np.array_equal(resized(big, 24, bicubic)[0].permute(1, 2, 0).numpy(), expected)
    file = io.BytesIO()
    picture.save(file, "JPEG")  # PIL's default quality is what the papers' code used
    assert np.array_equal(through_jpeg(big)[0].permute(1, 2, 0).numpy(), np.asarray(Image.open(file)))


def test_reductions_before_writing() -> None:
    images = torch.rand(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(0)) * 2 - 1
    means = images.reshape(1, 3, 256, 4, 256, 4).mean(dim=(3, 5))
    ours = prepare(protocols.get("e2style-psnr"), images, is_real=False)
    assert (ours.int() - truncated_to_bytes(means).int()).abs().max() <= 1  # sums in another order
    # Bilinear without antialiasing at a quarter of the size is the mean of the central 2 x 2 of every 4 x 4.
    central = images.reshape(1, 3, 256, 4, 256, 4)[:, :, :, 1:3, :, 1:3].mean(dim=(3, 5))
    ours = prepare(protocols.get("hfgi-l2"), images, is_real=False)
    assert (ours.int() - through_jpeg(truncated_to_bytes(central)).int()).abs().float().mean() < 0.01


def test_l2_is_on_doubled_range_and_psnr_on_unit_range() -> None:
    real, fake = torch.full((1, 3, 256, 256), 100, dtype=torch.uint8), torch.full((1, 3, 256, 256), 151).byte()
    # A fifth of the range away.
    assert scorer(protocols.get("hyperinverter-l2"), {})(real, fake).values.item() == pytest.approx(0.16, rel=1e-5)
    assert scorer(protocols.get("l2"), {})(real, fake).values.item() == pytest.approx(0.04, rel=1e-5)
    psnr = scorer(protocols.get("hyperinverter-churches-psnr"), {})(real, fake).values.item()
    assert psnr == pytest.approx(-20 * np.log10(0.2), abs=1e-5)


def test_ids_and_lookups() -> None:
    every = protocols.everything()
    assert len({protocol.id for protocol in every}) == len(every)
    for protocol in every:
        assert protocols.get(protocol.id) == protocol
        assert protocols.get(protocol.name) == protocol
    assert protocols.get("l2@256/1").id == "l2@256/1"
    assert protocols.get("l2@256") == protocols.get("l2").at(256)
    for wrong, message in (
        ("l3", "did you mean"),
        ("l2@256/7", "not the version computed here"),
        ("l2@big", "no size"),
        ("hyperinverter-psnr@256", "measures at 1024"),
    ):
        with pytest.raises(ReinvertError, match=message):
            protocols.get(wrong)
    with pytest.raises(ReinvertError, match="did you mean 'strict'"):
        protocols.suite("strikt")
    assert {"embedded", "strict", "psp", "restyle", "hyperinverter"} <= set(protocols.suites())
    ranked = [protocol for protocol in every if protocol.ranked]
    # The rules of ranked protocols: by name, nothing dropped.
    assert {(p.pairing, p.batch_dropping_remainder) for p in ranked} == {("by name", None)}
    assert all(p.failure != "dropped" for p in ranked)


def test_inconsistent_protocols_are_refused() -> None:
    for choices in ({"worst": None}, {"worst": 1.0, "resize": "PIL bilinear, antialiased"}):
        with pytest.raises(ValueError, match="x:"):
            protocols.Protocol("x", "strict", "l2", "metrics.pixel:l2", **choices)


def test_wrong_sizes_and_missing_networks_are_one_line() -> None:
    small, big = bytes_of(0, 32), bytes_of(0, 64)
    with pytest.raises(ReinvertError, match="l2@64/1 measures images of 64x64 pixels, these are 32x32"):
        scorer(protocols.get("l2@64"), {})(small, small)
    with pytest.raises(ReinvertError, match="compares images of one size"):
        scorer(protocols.get("l2"), {})(big, small)
    with pytest.raises(ReinvertError, match="needs the network 'lpips-alex'; provide alexnet-owt"):
        scorer(protocols.get("lpips-alex"), {})
    with pytest.raises(ValueError, match="sets of images"):
        scorer(protocols.get("fid-inception"), {})

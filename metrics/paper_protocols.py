"""What the cited papers' code did when it scored, for comparing with their tables. Not ranked.

Read in the authors' repositories (pSp 5cfff38, ReStyle 5e80276, HyperInverter 3966220, E2Style 4a21a3c, Feature-Style
4aa0069, HFGI e30f33c, PTI da94d59). What is common:

- L2 and LPIPS are taken on [-1, 1] images at 256 px after PIL's antialiased bilinear filter, so L2 is four times the
  value on [0, 1]; files are read in batches of 4 and the incomplete last batch is left out.
- Results are truncated to 8 bits (half a level dark on average) and written under the input's file name: as JPEG of
  quality 75 where inputs are .jpg. The suites ending in `-jpeg` do that.
- ID detects and crops both faces and leaves out the pairs in which it finds none, which can raise the mean. We report
  how many those were.

A paper without scoring code gets what its inference code and its text fix; the rest is listed as assumed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from metrics.protocols import (
    CURRICULARFACE,
    INCEPTION_TORCH_FIDELITY,
    LPIPS_ALEX,
    Protocol,
    Quantisation,
    register,
)
from metrics.strict_protocols import FACE_THRESHOLDS

CELEBA_HQ_TEST, LSUN_CHURCH_TEST = 2824, 300
SCRIPT_BATCH = 4


def _paper(paper: str, name: str, metric: str, function: str, **choices: Any) -> Protocol:
    defaults: dict[str, Any] = {"failure": "dropped", "quantisation": "8 bits, truncated"}
    return Protocol(f"{paper}-{name}", paper, metric, function, **(defaults | choices))


def _doubled_range(paper: str, **choices: Any) -> tuple[Protocol, Protocol]:
    """L2 and LPIPS on [-1, 1] images."""
    return (
        _paper(paper, "l2", "l2", "metrics.pixel:l2_doubled_range", value_range="[-1, 1]", **choices),
        _paper(paper, "lpips-alex", "lpips", "metrics.measure:LpipsDistance", network=LPIPS_ALEX,
               value_range="[-1, 1]", **choices),
    )  # fmt: skip


def _id(paper: str, **choices: Any) -> Protocol:
    return _paper(paper, "id", "id", "metrics.identity:IdentitySimilarity", network=CURRICULARFACE,
                  value_range="[-1, 1]", face_thresholds=FACE_THRESHOLDS, **choices)  # fmt: skip


def _as_jpeg(paper: str, protocols: tuple[Protocol, ...]) -> tuple[Protocol, ...]:
    """The same protocols where inputs are .jpg."""
    quantisation: Quantisation = "8 bits, truncated, JPEG quality 75"
    return tuple(
        replace(
            protocol,
            name=protocol.name.replace(paper, f"{paper}-jpeg", 1),
            suite=f"{paper}-jpeg",
            quantisation=quantisation,
        )
        for protocol in protocols
    )


_SCRIPT = {
    "size": 256,
    "resize": "PIL bilinear, antialiased",
    "batch_dropping_remainder": SCRIPT_BATCH,
}


def _psp_family(paper: str, note: str = "") -> tuple[Protocol, ...]:
    common = {"sample_size": CELEBA_HQ_TEST}
    return (*_doubled_range(paper, **_SCRIPT, **common, note=note), _id(paper, **common))


def _hyperinverter(paper: str, size: int, sample: int, kid_subset: int, faces: bool) -> tuple[Protocol, ...]:
    common: dict[str, Any] = {"sample_size": sample}
    full = common | {
        "size": size,
        "resize": "PIL bicubic, antialiased",
        "pairing": "by position in sorted listings",
    }
    distribution = common | {"size": size, "network": INCEPTION_TORCH_FIDELITY, "value_range": "0..255"}
    kid = {"subsets": 100, "subset_size": kid_subset, "seed": 2020}
    protocols = [
        *_doubled_range(paper, **_SCRIPT, **common),
        _paper(paper, "psnr", "psnr", "metrics.pixel:psnr_of_piq", **full),
        _paper(paper, "ms-ssim", "ms_ssim", "metrics.structure:ms_ssim", **full),
        _paper(paper, "fid", "fid", "metrics.distribution:fid", **distribution),
        _paper(paper, "kid", "kid", "metrics.distribution:kid", settings=kid, **distribution),
    ]
    if faces:
        protocols.append(_id(paper, **common))
    return tuple(protocols)


def _e2style() -> tuple[Protocol, ...]:
    # The paper: 2,000 random test images at 256 px, PSNR, SSIM, CurricularFace. The repository: --resize_outputs.
    written: dict[str, Any] = {"size": 256, "reduction": "means of blocks", "sample_size": 2000}
    score = ("value_range", "batch_dropping_remainder", "pairing", "failure")
    return (
        _paper("e2style", "psnr", "psnr", "metrics.pixel:psnr", assumed=score, **written),
        _paper("e2style", "ssim", "ssim", "metrics.structure:ssim", assumed=(*score, "function"), **written),
        _id("e2style", assumed=("batch_dropping_remainder", "pairing", "failure", "face_thresholds"), **written),
    )


def _feature_style() -> tuple[Protocol, ...]:
    # The paper names SSIM, PSNR, MSE, LPIPS, ID, FID on CelebA-HQ; the repository scores nothing.
    own: dict[str, Any] = {"size": 1024, "sample_size": CELEBA_HQ_TEST}
    guess = ("size", "sample_size", "quantisation", "value_range", "function", "failure", "pairing")
    return (
        *_doubled_range("feature-style", assumed=guess, **own),
        _paper("feature-style", "psnr", "psnr", "metrics.pixel:psnr", assumed=guess, **own),
        _paper("feature-style", "ssim", "ssim", "metrics.structure:ssim", assumed=guess, **own),
    )


def _hfgi() -> tuple[Protocol, ...]:
    # Only its inference is published: 256 px, not antialiased, always JPEG.
    written: dict[str, Any] = {
        "size": 256,
        "reduction": "bilinear, not antialiased",
        "quantisation": "8 bits, truncated, JPEG quality 75",
        "sample_size": CELEBA_HQ_TEST,
    }
    guess = ("function", "value_range", "batch_dropping_remainder", "pairing", "failure", "sample_size")
    return (*_doubled_range("hfgi", assumed=guess, **written), _id("hfgi", assumed=guess, **written))


def _pti() -> tuple[Protocol, ...]:
    # No scoring code: these are what its coach computes at every step and stops by (LPIPS 0.06).
    return _doubled_range("pti", size=1024, quantisation="float", assumed=("pairing", "failure"),
                          note="the coach's own losses, at full size")  # fmt: skip


_BY_INPUT_NAME: dict[str, tuple[Protocol, ...]] = {
    "psp": _psp_family("psp"),
    "restyle": _psp_family("restyle", note="cars are squashed to 256 x 256"),
    "hyperinverter": _hyperinverter("hyperinverter", 1024, CELEBA_HQ_TEST, 1000, faces=True),
    "hyperinverter-churches": _hyperinverter("hyperinverter-churches", 256, LSUN_CHURCH_TEST, 100, faces=False),
    "e2style": _e2style(),
}
for _name, _protocols in _BY_INPUT_NAME.items():
    register(*_protocols, *_as_jpeg(_name, _protocols))
register(*_feature_style(), *_hfgi(), *_pti())

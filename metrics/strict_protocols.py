"""The strict protocols, which rank methods: native size, float, pairing by name, nothing dropped.

Formulas: Wang et al. 2004 (SSIM), Wang et al. 2003 (MS-SSIM), Zhang et al. 2018 (LPIPS), Huang et al. 2020
(CurricularFace, for ID), Heusel et al. 2017 (FID), Bińkowski et al. 2018 (KID). Reads no image and imports no torch.
"""

from __future__ import annotations

from typing import Any

from metrics.protocols import (
    CURRICULARFACE,
    INCEPTION_PYTORCH_FID,
    LPIPS_ALEX,
    STRICT,
    Protocol,
    register,
)

FACE_THRESHOLDS = (0.15, 0.25, 0.35)
"""Of MTCNN as the papers ship it; see `metrics.judges.mtcnn` for why they are so low."""
KID_SETTINGS = {"subsets": 100, "subset_size": 1000, "seed": 2020}


def _strict(name: str, metric: str, function: str, **choices: Any) -> Protocol:
    if "worst" not in choices:
        choices["failure"] = "the score of a blank"
    return Protocol(name, STRICT, metric, function, **choices)


register(
    _strict("l2", "l2", "metrics.pixel:l2", worst=1.0),
    _strict("lpips-alex", "lpips", "metrics.measure:LpipsDistance", network=LPIPS_ALEX, value_range="[-1, 1]"),
    _strict("ssim", "ssim", "metrics.structure:ssim", worst=-1.0,
            note="Gaussian window of 11 with sigma 1.5, population covariance, only whole windows"),
    _strict("ms-ssim", "ms_ssim", "metrics.structure:ms_ssim", worst=0.0,
            note="five scales from 176 px; below, those that fit (three at 64 px), their weights divided by their sum"),
    _strict("psnr", "psnr", "metrics.pixel:psnr", worst=0.0, note="peak 1; equal images have 100 dB"),
    _strict("id-curricularface", "id", "metrics.identity:IdentitySimilarity", network=CURRICULARFACE, worst=-1.0,
            value_range="[-1, 1]", quantisation="8 bits, rounded", face_thresholds=FACE_THRESHOLDS,
            note="both faces detected and cropped by themselves; 8 bits because the detector reads pictures"),
    _strict("fid-inception", "fid", "metrics.distribution:fid", network=INCEPTION_PYTORCH_FID,
            note="inside the network bilinear to 299 px, half-pixel centres, not antialiased"),
    _strict("kid-inception", "kid", "metrics.distribution:kid", network=INCEPTION_PYTORCH_FID, settings=KID_SETTINGS,
            note="torch-fidelity's estimator on the features of FID; a subset is never larger than the sample"),
)  # fmt: skip

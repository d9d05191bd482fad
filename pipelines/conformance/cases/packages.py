"""Whether the packages that define FID, KID and LPIPS are used as published scores use them."""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from core.compat import import_torchvision
from metrics.distribution import fid
from metrics.published import FEATURES, lpips_network, pytorch_fid_inception, torch_fidelity_inception
from pipelines.conformance.cases import CASES, TOLERANCES, Outputs, Tolerance
from pipelines.conformance.data import Goldens
from pipelines.conformance.measures import crop, structured_image
from pipelines.conformance.pictures import as_bytes

FEATURE_SETS = {"full": (400, 64), "deficient": (60, 128)}
KID_SUBSETS, KID_SUBSET_SIZE, KID_SEED = 100, 50, 2020
RESIZED_STEP = 23
Net = Literal["alex", "vgg", "squeeze"]
TRUNKS: dict[Net, str] = {
    "alex": "lpips_alexnet_trunk",
    "vgg": "lpips_vgg16_trunk",
    "squeeze": "lpips_squeezenet1_1_trunk",
}


def _means(maps: list[Tensor]) -> list[Tensor]:
    return [F.adaptive_avg_pool2d(one, 1).flatten(1) for one in maps]


def _resized(pixels: Tensor) -> Outputs:
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    half_pixel = F.interpolate(pixels.float() / 255, size=(299, 299), mode="bilinear", align_corners=False)
    first_version = interpolate_bilinear_2d_like_tensorflow1x(pixels.float(), size=(299, 299), align_corners=False)
    return {
        "resize_ptfid_sel": half_pixel[..., ::RESIZED_STEP, ::RESIZED_STEP],
        "resize_tf1_sel": first_version[..., ::RESIZED_STEP, ::RESIZED_STEP],
    }


def _inception(data: Goldens) -> Outputs:
    state = data.weights("inception_v3_fid")
    one, other = pytorch_fid_inception(state), torch_fidelity_inception(state)
    small = structured_image(data, "fid.image64", 2, 64)
    large = structured_image(data, "fid.image299", 2, 304)[..., :299, :299]
    outputs: Outputs = {}
    for size, images in ((64, small), (299, large)):
        pixels = torch.from_numpy(as_bytes(images)).permute(0, 3, 1, 2)
        names = [f"ptfid_{size}_{name}" for name in FEATURES]
        outputs |= dict(zip(names, _means(one(pixels.float() / 255)), strict=True))
        names = [f"tfid_{size}_{name}" for name in (*FEATURES, "logits_unbiased")]
        outputs |= dict(zip(names, other(pixels), strict=True))
        if size == 64:
            outputs |= _resized(pixels)
            doubled = F.interpolate(pixels.float() / 255, scale_factor=2, mode="nearest")
            settings: Any = one  # resize_input is a plain attribute, which nn.Module's types do not know
            settings.resize_input = False
            outputs["ptfid_64_nearest128_noresize_2048_sel"] = _means(one(doubled))[-1][:, ::8]
            settings.resize_input = True
    return outputs


def _feature_set(data: Goldens, count: int, width: int, offset: float, scale: float) -> NDArray[np.float32]:
    mixing = data.input(f"fid.mix{width}", (width, width)).numpy() / np.float32(math.sqrt(width))
    drawn = data.input(f"fid.feat{count}x{width}.{offset}", (count, width)).numpy()
    values = (drawn @ mixing) * np.float32(scale) + np.float32(0.3) + np.float32(offset)
    return np.maximum(values, np.float32(0))


def symmetric_fid(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """FID with the root's trace from the eigenvalues of a symmetric matrix, in float64: the reference value."""
    one, other = first.astype(np.float64), second.astype(np.float64)
    covariance, other_covariance = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    trace = np.sqrt(np.linalg.eigvalsh(root @ other_covariance @ root).clip(0)).sum()
    gap = one.mean(axis=0) - other.mean(axis=0)
    return float(gap @ gap + np.trace(covariance) + np.trace(other_covariance) - 2 * trace)


def _distances(data: Goldens, name: str, count: int, width: int) -> Outputs:
    from torch_fidelity import metric_fid, metric_kid

    sets = [_feature_set(data, count, width, 0.0, 1.0), _feature_set(data, count, width, 0.15, 1.2)]
    first, second = (torch.from_numpy(one) for one in sets)
    statistics = [metric_fid.fid_features_to_statistics(one) for one in (first, second)]
    kid = metric_kid.kid_features_to_metric(
        first,
        second,
        kid_subsets=KID_SUBSETS,
        kid_subset_size=KID_SUBSET_SIZE,
        kid_kernel="poly",
        kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None,
        kid_kernel_poly_coef0=1,
        rng_seed=KID_SEED,
        verbose=False,
    )
    return {
        f"fid_{name}_feat_rowsum": np.stack([one[:8].astype(np.float64).sum(axis=1) for one in sets]),
        f"fid_{name}_ptfid": fid(first, second),
        f"fid_{name}_torchfidelity": metric_fid.fid_statistics_to_metric(*statistics, verbose=False)[
            metric_fid.KEY_METRIC_FID
        ],
        f"fid_{name}_symmetric": symmetric_fid(sets[0], sets[1]),
        f"kid_{name}_mean_std": [kid[metric_kid.KEY_METRIC_KID_MEAN], kid[metric_kid.KEY_METRIC_KID_STD]],
    }


@CASES.register("inception_fid")
def inception_fid(data: Goldens) -> Outputs:
    """Inception's features by both packages, FID and KID of given features."""
    import_torchvision()
    outputs = _inception(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, (count, width) in FEATURE_SETS.items():
            outputs |= _distances(data, name, count, width)
    return outputs


TOLERANCES["inception_fid"] = {
    "fid_full_ptfid": Tolerance(1e-6),
    "fid_full_torchfidelity": Tolerance(1e-6),
    "fid_full_symmetric": Tolerance(1e-6),
}


def _pair(data: Goldens, size: int) -> tuple[Tensor, Tensor]:
    first = structured_image(data, f"lpips.a{size}", 2, size)
    second = structured_image(data, f"lpips.b{size}", 2, size)
    return first, (0.8 * first + 0.5 * second).clamp(-1, 1)


def _lpips(data: Goldens, net: Net) -> Outputs:
    trunk = data.weights(TRUNKS[net])
    network = lpips_network(net, trunk)
    outputs: Outputs = {}
    for size in (64, 256):
        first, second = _pair(data, size)
        distance, layers = network(first, second, retPerLayer=True)
        maps = list(network.get_submodule("net")(network.get_submodule("scaling_layer")(first)))
        outputs[f"{net}_{size}"] = distance.flatten()
        outputs[f"{net}_{size}_layers"] = torch.stack([layer.flatten() for layer in layers], dim=1)
        outputs[f"{net}_{size}_feat_meanabs"] = [one.double().abs().mean().item() for one in maps]
        if size == 64:
            outputs[f"{net}_feat_shapes"] = [tuple(one.shape[1:]) for one in maps]
    first, second = _pair(data, 64)
    unscaled = [(one + 1) / 2 for one in (first, second)]
    return outputs | {
        f"{net}_64_normalize01": network(*unscaled, normalize=True).flatten(),
        f"{net}_64_same": network(first, first).flatten(),
        f"{net}_64_baseline": lpips_network(net, trunk, calibrated=False)(first, second).flatten(),
        f"{net}_64_v00": lpips_network(net, trunk, version="0.0")(first, second).flatten(),
        f"{net}_64_spatial_crop8": crop(lpips_network(net, trunk, spatial=True)(first, second), 8),
    }


@CASES.register("lpips_014")
def lpips_014(data: Goldens) -> Outputs:
    """LPIPS of the three trunks, with and without its calibration."""
    outputs: Outputs = {}
    for net in TRUNKS:
        outputs |= _lpips(data, net)
    return outputs

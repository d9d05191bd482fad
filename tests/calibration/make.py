"""Makes this folder: eight image pairs, two sets of features, and what other packages score them.

    python -m tests.calibration.make

Nothing of ours computes a reference value: scikit-image gives L2, PSNR and SSIM, pytorch-msssim MS-SSIM, the lpips
package LPIPS, torchvision the resized L2 of the papers, pytorch-fid and torch-fidelity FID and KID, scipy the cosine.
LPIPS needs a backbone that can be had on every machine: its AlexNet carries the seeded weights of tests/conformance,
so its values calibrate the computation and mean nothing else.
"""

from __future__ import annotations

import io
import json
import platform
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.spatial.distance import cosine

from core.compat import import_torchvision

HERE = Path(__file__).parent
SALT = "public"
PACKAGES = ("lpips", "numpy", "pillow", "pytorch-fid", "pytorch-msssim", "scikit-image", "scipy", "torch",
            "torch-fidelity", "torchvision")  # fmt: skip
Picture = NDArray[np.uint8]


def _to_picture(values: NDArray[np.floating]) -> Picture:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _jpeg(picture: Picture, quality: int) -> Picture:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def make_pairs() -> dict[str, tuple[Picture, Picture]]:
    """Two scenes of the embedded domains and a photo (scikit-image's astronaut, NASA, public domain), damaged."""
    from skimage.data import astronaut

    from pipelines import domains
    from pipelines.domains.shards import to_bytes

    rng = np.random.default_rng(0)
    drawn = [domains.get(name).render_split("test", torch.arange(2)).images for name in ("faces", "churches")]
    (face, other_face), (church, _) = (to_bytes(images).numpy() for images in drawn)
    photo = np.ascontiguousarray(astronaut()[0:176, 130:306])
    return {
        "face-noise-64": (face, _to_picture(face + rng.normal(0, 12, face.shape))),
        "face-other-64": (face, other_face),
        "church-shift-64": (church, np.roll(church, 2, axis=1)),
        "church-equal-64": (church, church),
        "photo-blur-176": (photo, _to_picture(ndimage.gaussian_filter(photo.astype(float), (2, 2, 0)))),
        "photo-dark-176": (photo, _to_picture(photo * 0.7)),
        "photo-inverted-176": (photo, 255 - photo),
        "photo-jpeg-176": (photo, _jpeg(photo, 20)),
    }


def make_features() -> dict[str, NDArray[np.float32]]:
    """Two sets of features, of other size, mean and spread."""
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(12, 12)) / 3
    real = rng.normal(size=(90, 12)) @ mixing + 0.3
    fake = 1.2 * rng.normal(size=(70, 12)) @ mixing + 0.5
    return {"real": real.astype(np.float32), "fake": fake.astype(np.float32)}


def _unit(picture: Picture) -> torch.Tensor:
    return torch.from_numpy(picture.astype(np.float64) / 255).permute(2, 0, 1)[None]


def _window() -> torch.Tensor:
    # pytorch-msssim's own window is float32, which alone moves its score by 1e-6.
    window = torch.exp(-(torch.arange(-5.0, 6.0, dtype=torch.float64) ** 2) / (2 * 1.5**2))
    return (window / window.sum()).expand(3, 1, 1, 11)


def _lpips_network() -> Any:
    import lpips

    from pipelines.conformance.data import Goldens

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = lpips.LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False).eval()
    seeded = Goldens(HERE.parent / "conformance", SALT).weights("lpips_alexnet_trunk")
    layers = {name.split(".", 1)[1]: value for name, value in seeded.items()}
    trunk: Any = network.net
    trunk.load_state_dict({name: layers[name.split(".", 1)[1]] for name in trunk.state_dict()})
    return network


def reference_values(pairs: dict[str, tuple[Picture, Picture]]) -> dict[str, dict[str, float]]:
    """{protocol: {pair: value}} by other packages."""
    import_torchvision()
    from pytorch_msssim import ms_ssim
    from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity
    from torchvision import transforms

    paper = transforms.Compose(
        [transforms.Resize((256, 256)), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    )
    network = _lpips_network()
    names = ("l2", "psnr", "ssim", "ms-ssim", "lpips-alex", "psp-l2", "psp-lpips-alex")
    values: dict[str, dict[str, float]] = {name: {} for name in names}
    for name, (real, fake) in pairs.items():
        one, other = real / 255.0, fake / 255.0
        values["l2"][name] = float(mean_squared_error(one, other))
        if not np.array_equal(real, fake):  # scikit-image has infinite decibels there; ours stop at 100
            values["psnr"][name] = float(peak_signal_noise_ratio(one, other, data_range=1))
        values["ssim"][name] = float(
            structural_similarity(
                one, other, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1
            )
        )
        if min(real.shape[:2]) > 160:  # the package refuses smaller images
            score = ms_ssim(_unit(real), _unit(fake), data_range=1, win=_window())
            values["ms-ssim"][name] = float(score)
        with torch.no_grad():
            images = [_unit(picture).float() * 2 - 1 for picture in (real, fake)]
            values["lpips-alex"][name] = float(network(*images))
            small = [paper(Image.fromarray(picture))[None] for picture in (real, fake)]
            values["psp-l2"][name] = float(torch.nn.MSELoss()(small[0].double(), small[1].double()))
            values["psp-lpips-alex"][name] = float(network(*small))
    return values


def reference_distances(features: dict[str, NDArray[np.float32]]) -> dict[str, float]:
    """{protocol: value} by pytorch-fid, torch-fidelity and scipy; the cosine is the mean over paired rows."""
    import_torchvision()
    from pytorch_fid.fid_score import calculate_frechet_distance
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    real, fake = (features[name].astype(np.float64) for name in ("real", "fake"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fid = calculate_frechet_distance(
            real.mean(axis=0), np.cov(real, rowvar=False), fake.mean(axis=0), np.cov(fake, rowvar=False)
        )
    kid = kid_features_to_metric(
        torch.from_numpy(real), torch.from_numpy(fake), kid_subsets=100, kid_subset_size=70, rng_seed=2020,
        verbose=False,
    )  # fmt: skip
    cosines = [1 - cosine(one, other) for one, other in zip(real, fake, strict=False)]
    return {
        "fid-inception": float(fid),
        "kid-inception": 1000 * float(kid[KEY_METRIC_KID_MEAN]),
        "id-curricularface": float(np.mean(cosines)),
    }


def main() -> None:
    """Write pictures, features and references.json."""
    pairs, features = make_pairs(), make_features()
    for name, pair in pairs.items():
        Image.fromarray(pair[0]).save(HERE / f"{name.split('-')[0]}-real.png", optimize=True)
        Image.fromarray(pair[1]).save(HERE / f"{name}.png", optimize=True)
    np.savez_compressed(HERE / "features.npz", **features)  # type: ignore[arg-type]
    versions = {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}
    content = {"salt": SALT, "versions": versions, "images": reference_values(pairs)}
    content["features"] = reference_distances(features)
    (HERE / "references.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

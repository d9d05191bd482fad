"""Invert a person's own pictures: `reinvert invert IMAGE... --method M --out DIR`.

Which pictures are taken, and what is done to them, in this order; everything else is refused with one line:

* 8-bit RGB and greyscale (greyscale becomes three equal channels; a palette is looked up). An alpha channel is accepted
  only where it is fully opaque, because what lies behind a transparent pixel is not ours to invent. CMYK, 16-bit and
  animated pictures are refused.
* The orientation a camera noted is applied.
* A picture that is not square is refused unless `crop` asks for the square in its centre: methods were trained on whole
  heads, and a silent crop would cut them.
* Sides larger than the domain's are scaled down (Lanczos, antialiased); smaller ones are refused, since enlarging would
  invent the detail that is to be measured.

All pictures are read before the first is inverted, and the three files of a picture appear together or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from core.config import Config
from core.errors import ReinvertError
from core.files import atomic_path
from methods import registry
from methods.code import Code
from methods.inverter import Inverter
from pipelines import domains
from pipelines.reading import open_picture, to_rgb

_ENLARGED_SIDE = 256


@dataclass(frozen=True)
class InvertedFile:
    """What was written for one picture."""

    source: Path
    reconstruction: Path
    """The reconstruction at the domain's size, PNG."""
    code: Path
    """The code, safetensors; `methods.code.Code.load` reads it."""
    side_by_side: Path
    """Input left, reconstruction right, enlarged without smoothing, PNG."""


def read_picture(path: Path, resolution: int, crop: bool) -> Tensor:
    """A picture file as (3, resolution, resolution) float32 in [-1, 1].

    Args:
        path: any format pillow reads.
        resolution: of the domain.
        crop: whether to take the centre square of a picture that is not square.

    Raises:
        ReinvertError: see the module's docstring.
    """
    picture = to_rgb(open_picture(path), path)
    width, height = picture.size
    side = min(width, height)
    if width != height and not crop:
        raise ReinvertError(
            f"'{path}' is {width} x {height}, not square; crop it around the head yourself, "
            "or give --crop to take the centre square"
        )
    if side < resolution:
        raise ReinvertError(
            f"'{path}' is {width} x {height}, smaller than {resolution} x {resolution}; use a larger picture"
        )
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    scaled = picture.crop(box).resize((resolution, resolution), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(scaled)).permute(2, 0, 1).float() / 127.5 - 1


def _to_pixels(image: Tensor) -> NDArray[np.uint8]:
    """(3, H, W) in [-1, 1] to (H, W, 3) uint8, rounding to nearest and clipping."""
    pixels = ((image.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy())


def _names(paths: Sequence[Path], out_dir: Path) -> list[InvertedFile]:
    """Where each picture's results go.

    Raises:
        ReinvertError: two pictures would write the same files.
    """
    taken: dict[str, Path] = {}
    for path in paths:
        if path.stem in taken:
            raise ReinvertError(
                f"'{taken[path.stem]}' and '{path}' would both be written as '{path.stem}-...'; rename one of them"
            )
        taken[path.stem] = path
    return [
        InvertedFile(
            path,
            out_dir / f"{path.stem}-reconstruction.png",
            out_dir / f"{path.stem}-code.safetensors",
            out_dir / f"{path.stem}-side-by-side.png",
        )
        for path in paths
    ]


def _write(files: InvertedFile, image: Tensor, reconstruction: Tensor, code: Code) -> None:
    real, fake = _to_pixels(image), _to_pixels(reconstruction)
    factor = max(1, _ENLARGED_SIDE // real.shape[0])
    pair = np.concatenate([real, fake], axis=1).repeat(factor, axis=0).repeat(factor, axis=1)
    with ExitStack() as stack:  # the renames happen when everything has been written
        targets = [files.reconstruction, files.side_by_side, files.code]
        reconstruction_path, pair_path, code_path = [stack.enter_context(atomic_path(target)) for target in targets]
        Image.fromarray(fake).save(reconstruction_path)
        Image.fromarray(pair).save(pair_path)
        code.save(code_path)


def _invert_one(inverter: Inverter, image: Tensor, seed: int, path: Path) -> tuple[Tensor, Code]:
    code: Code | None = None
    for step in inverter.invert(image[None], seed):
        code = step.code
    if code is None:
        raise ReinvertError(f"the method gave no code for '{path}'; use another method")
    reconstruction = inverter.draw(code)[0]
    if not bool(torch.isfinite(reconstruction).all()):
        raise ReinvertError(f"the reconstruction of '{path}' is not finite; lower the method's learning rate")
    return reconstruction, code


def invert_files(
    paths: Sequence[Path],
    method: str,
    out_dir: Path,
    config: Config,
    domain: str = "faces",
    weights_root: Path = Path("weights"),
    device: str | torch.device = "cpu",
    crop: bool = False,
    seed: int = 0,
) -> list[InvertedFile]:
    """Invert picture files one by one.

    Writes for each NAME.* in `out_dir`: NAME-reconstruction.png, NAME-code.safetensors, NAME-side-by-side.png.

    Args:
        paths: the pictures.
        method: name of a method in params.yaml.
        out_dir: made when missing; files of the same names are replaced.
        config: all parameters.
        domain: whose generator draws.
        weights_root: folder of the shipped weights.
        device: where to compute.
        crop: take the centre square of pictures that are not square.
        seed: handed to the method.

    Raises:
        ReinvertError: an unknown method or domain, weights missing or altered, or a picture that is refused; then
            nothing has been written for any picture that was not finished before.
    """
    files = _names(paths, out_dir)
    resolution = domains.get(domain).resolution
    images = [read_picture(path, resolution, crop).to(device) for path in paths]
    inverter = registry.build(method, config, domain, weights_root, device)
    for file, image in zip(tqdm(files, desc=f"invert ({method})", unit="img", disable=None), images, strict=True):
        reconstruction, code = _invert_one(inverter, image, seed, file.source)
        _write(file, image, reconstruction, code)
    return files

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from core.config import Config
from core.errors import ReinvertError
from methods.code import Code
from pipelines import invert
from pipelines.invert import invert_files, read_picture
from tests.methods import tiny

METHOD = {"kind": "optimization", "steps": 2, "learning_rate": 0.1, "losses": {"l2": 1.0}}
CONFIG: Config = tiny.config({"fast": METHOD})


@pytest.fixture(scope="module")
def weights_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("weights")
    tiny.write_generator(root, 64)
    return root


def pixels(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def save(path: Path, picture: Image.Image | None = None, **options: Any) -> Path:
    (picture or Image.fromarray(pixels(80, 80))).save(path, **options)
    return path


def test_three_files_per_picture(tmp_path: Path, weights_root: Path) -> None:
    sources = [save(tmp_path / "anna.png"), save(tmp_path / "bert.jpg")]
    written = invert_files(sources, "fast", tmp_path / "out", CONFIG, weights_root=weights_root)
    assert [file.source for file in written] == sources
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        f"{name}-{what}"
        for name in ("anna", "bert")
        for what in ("code.safetensors", "reconstruction.png", "side-by-side.png")
    ]
    reconstruction = np.asarray(Image.open(written[0].reconstruction))
    pair = np.asarray(Image.open(written[0].side_by_side))
    assert reconstruction.shape == (64, 64, 3)
    assert pair.shape == (256, 512, 3)
    # Nearest-neighbour enlargement: every fourth pixel is the picture itself.
    assert np.array_equal(pair[::4, 256::4], reconstruction)
    assert np.array_equal(pair[3::4, 259::4], reconstruction)
    real = (read_picture(sources[0], 64, crop=False) + 1) * 127.5
    assert np.array_equal(pair[::4, :256:4], real.round().byte().permute(1, 2, 0).numpy())
    assert Code.load(written[0].code).styles.shape == (1, 10, tiny.STYLE_DIM)


def test_values_and_resizing(tmp_path: Path) -> None:
    exact = pixels(64, 64)
    read = read_picture(save(tmp_path / "a.png", Image.fromarray(exact)), 64, crop=False)
    assert read.shape == (3, 64, 64)
    assert np.array_equal(((read + 1) * 127.5).round().byte().permute(1, 2, 0).numpy(), exact)
    # Stripes finer than a target pixel must average out: aliasing would show black or white.
    stripes = np.zeros((640, 640, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    grey = read_picture(save(tmp_path / "b.png", Image.fromarray(stripes)), 64, crop=False)
    assert float(grey.abs().max()) < 0.05


def test_the_crop_is_explicit_and_central(tmp_path: Path) -> None:
    wide = np.zeros((64, 128, 3), dtype=np.uint8)
    wide[:, 32:96] = 255
    path = save(tmp_path / "wide.png", Image.fromarray(wide))
    with pytest.raises(ReinvertError, match="128 x 64, not square; .* --crop"):
        read_picture(path, 64, crop=False)
    assert bool((read_picture(path, 64, crop=True) == 1).all())


def test_the_cameras_orientation_is_applied(tmp_path: Path) -> None:
    upright = np.zeros((64, 64, 3), dtype=np.uint8)
    upright[:32] = 255
    noted = Image.Exif()
    noted[0x0112] = 6  # the viewer has to turn the stored pixels clockwise by 90 degrees
    stored = Image.fromarray(np.rot90(upright).copy())
    read = read_picture(save(tmp_path / "turned.png", stored, exif=noted), 64, crop=False)
    assert bool((read[:, :32] == 1).all())
    assert bool((read[:, 32:] == -1).all())


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA"])
def test_grey_palette_and_opaque_pictures_are_taken(tmp_path: Path, mode: str) -> None:
    grey = Image.fromarray(np.repeat(np.repeat(np.array([[0, 255]], np.uint8), 64, axis=0), 32, axis=1))
    read = read_picture(save(tmp_path / "p.png", grey.convert(mode)), 64, crop=False)
    assert torch.equal(read, torch.cat([-torch.ones(3, 64, 32), torch.ones(3, 64, 32)], dim=2))


def transparent(path: Path) -> Path:
    return save(path.with_suffix(".png"), Image.fromarray(pixels(80, 80, 4), "RGBA"))


def truncated(path: Path) -> Path:
    whole = save(path.with_suffix(".png")).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def truncated_jpeg(path: Path) -> Path:
    whole = save(path.with_suffix(".jpg")).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def text(path: Path) -> Path:
    path.write_text("not a picture")
    return path


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def animated(path: Path) -> Path:
    frames = [Image.fromarray(pixels(80, 80) // k) for k in (1, 2)]
    return save(path.with_suffix(".gif"), frames[0], save_all=True, append_images=frames[1:])


BAD: list[tuple[Callable[[Path], Path], str]] = [
    (lambda path: path, "not found"),
    (folder, "is a folder"),
    (text, "is not an image"),
    (empty, "is not an image"),
    (truncated, "truncated or damaged"),
    (truncated_jpeg, "truncated or damaged"),
    (transparent, "has transparent pixels"),
    (animated, "holds 2 pictures"),
    (lambda path: save(path.with_suffix(".tif"), Image.fromarray(pixels(80, 80, 4), "CMYK")), "has channels 'CMYK'"),
    (lambda path: save(path.with_suffix(".png"), Image.new("I;16", (80, 80))), "has channels 'I;16'"),
    (lambda path: save(path.with_suffix(".png"), Image.new("RGB", (63, 63))), "smaller than 64 x 64"),
    (lambda path: save(path.with_suffix(".png"), Image.new("RGB", (80, 90))), "not square"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_pictures_are_one_line_and_nothing_is_written(
    tmp_path: Path, weights_root: Path, make: Callable[[Path], Path], message: str
) -> None:
    good = save(tmp_path / "good.png")
    with pytest.raises(ReinvertError, match=message) as caught:
        invert_files([good, make(tmp_path / "bad.png")], "fast", tmp_path / "out", CONFIG, weights_root=weights_root)
    assert "bad" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_huge_pictures_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ReinvertError, match="too many pixels"):
        read_picture(save(tmp_path / "huge.png"), 64, crop=False)


def test_names_that_would_collide_are_refused(tmp_path: Path, weights_root: Path) -> None:
    sources = [save(tmp_path / "anna.png"), save(tmp_path / "anna.jpg")]
    with pytest.raises(ReinvertError, match="would both be written"):
        invert_files(sources, "fast", tmp_path / "out", CONFIG, weights_root=weights_root)


def test_a_full_disk_leaves_nothing(tmp_path: Path, weights_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Code, path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(invert.Code, "save", full)
    with pytest.raises(ReinvertError, match="disk is full"):
        invert_files([save(tmp_path / "a.png")], "fast", tmp_path / "out", CONFIG, weights_root=weights_root)
    assert list((tmp_path / "out").iterdir()) == []


def test_unknown_methods_get_a_suggestion(tmp_path: Path, weights_root: Path) -> None:
    with pytest.raises(ReinvertError, match="did you mean 'fast'"):
        invert_files([save(tmp_path / "a.png")], "fats", tmp_path, CONFIG, weights_root=weights_root)

"""Files that are not what they should be: one line says what is wrong, and what the file looks like instead."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.errors import ReinvertError
from methods.official import guess, read
from tests.methods.official import files


def line_of(path: Path, layout: str = "psp", domain: str | None = None) -> str:
    with pytest.raises(ReinvertError) as caught:
        read(path, layout, domain)
    assert "\n" not in str(caught.value)
    assert "'" in str(caught.value)
    return str(caught.value)


def saved(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def legacy(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


CONTENT = {"state_dict": {"encoder.input_layer.0.weight": torch.zeros(64, 3, 3, 3)}}
GIT_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 1200000000\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty; download it again"),
        (b"<!DOCTYPE html><html><body>Too many users have viewed this file", "is a web page"),
        (b"\n  <html lang='en'>", "is a web page"),
        (b"\xef\xbb\xbf<!doctype html>", "is a web page"),
        (GIT_LFS, "git lfs pull"),
        (b"404: Not Found", "is a text file"),
        (b"\x1f\x8b\x08\x00\x00", "is a gzip archive"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
        (bytes(range(128, 256)), "no checkpoint in a known format"),
        (b"cos\nsystem\n(S'true'\ntR.", "is a text file"),
        (saved(CONTENT)[:700], "cut short or damaged"),
        (saved(CONTENT)[:-30], "cut short or damaged"),
        (legacy(CONTENT)[:300], "cut short or damaged"),
        (legacy(CONTENT)[:-100], "cut short or damaged"),
        (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94", "cut short or damaged"),
        (b"\x80\x04\xff\xff.", "cut short or damaged"),
        (b"\x93NUMPY\x01\x00v\x00{'descr'", "numpy file cut short"),
        (saved(torch.zeros(3)), "holds one Tensor, not networks"),
        (saved([1, 2]), "holds one list"),
        (b"\x80\x04K\x01.", "holds one int"),
    ],
)
def test_not_a_checkpoint(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "psp_ffhq_encode.pt"
    path.write_bytes(content)
    assert says in line_of(path)
    with pytest.raises(ReinvertError):
        guess(path)


def test_no_file(tmp_path: Path) -> None:
    assert "there is no file" in line_of(tmp_path / "psp.pt")
    assert "there is no file" in line_of(tmp_path)


def test_zip_that_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "mtcnn.zip"
    np.savez(path.with_suffix(".npz"), a=np.zeros(3))
    assert "not of PyTorch" in line_of(path.with_suffix(".npz"))


def test_arrays_of_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "pnet.npy", np.zeros((3, 3)))
    assert "numpy file of numbers" in line_of(tmp_path / "pnet.npy", "mtcnn")
    np.save(tmp_path / "list.npy", np.array([1], dtype=object)[0:1].reshape(()), allow_pickle=True)
    assert "without a dictionary" in line_of(tmp_path / "list.npy", "mtcnn")


def test_unknown_layout_and_domain(tmp_path: Path) -> None:
    path = tmp_path / "psp.pt"
    torch.save(files.psp_gradual().content, path)
    assert "did you mean 'restyle-psp'?" in line_of(path, "restyle-ps")
    assert "did you mean 'faces'?" in line_of(path, "psp", "face")


def changed(change: Callable[[dict[str, Any]], object], name: str, tmp_path: Path, layout: str = "") -> str:
    file = files.FILES[name]()
    change(file.content)
    torch.save(file.content, tmp_path / "checkpoint.pt")
    return line_of(tmp_path / "checkpoint.pt", layout or files.layout_of(name))


@pytest.mark.parametrize("kind", ["missing", "extra", "misshapen"])
@pytest.mark.parametrize("name", [n for n in files.FILES if n in map(files.layout_of, files.FILES)])
def test_keys_that_do_not_fit_are_named(name: str, kind: str, tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        state = next((content[key] for key in ("state_dict", "g_ema") if key in content), content)
        prefix = "module.encoder_q." if name == "moco-resnet50" else ""
        candidates = [key for key, value in state.items() if value.dim() > 0 and key.startswith(f"{prefix}")]
        victim = candidates[len(candidates) // 2]
        if kind == "extra":
            state[f"{prefix}surplus.weight"] = torch.zeros(2)
        elif kind == "missing":
            del state[victim]
        else:
            state[victim] = torch.zeros(*state[victim].shape, 3)

    line = changed(change, name, tmp_path)
    assert "cannot be read as" in line
    said = {
        "missing": ("lacks", "no keys"),
        "extra": ("unknown",),
        "misshapen": ("of shape", "fit no network", "claims"),
    }
    assert any(words in line for words in said[kind]), line


@pytest.mark.parametrize(
    ("name", "layout", "looks"),
    [
        ("e4e in training", "psp", "an e4e checkpoint (layout 'e4e')"),
        ("psp", "e4e", "a pSp checkpoint (layout 'psp')"),
        ("restyle-psp", "restyle-e4e", "layout 'restyle-psp'"),
        ("restyle-e4e", "psp", "layout 'restyle-e4e'"),
        ("hfgi", "e4e", "layout 'hfgi'"),
        ("e2style", "psp", "layout 'e2style'"),
        ("psp", "e2style", "layout 'psp'"),
        ("hyperinverter", "psp", "layout 'hyperinverter'"),
        ("hyperinverter-w", "hyperinverter", "layout 'hyperinverter-w'"),
        ("stylegan2-rosinality", "psp", "layout 'stylegan2-rosinality'"),
        ("stylegan2-rosinality", "stylegan2-nvidia", "layout 'stylegan2-rosinality'"),
        ("arcface-ir-se-50", "curricularface-101", "layout 'arcface-ir-se-50'"),
        ("curricularface-101", "arcface-ir-se-50", "layout 'curricularface-101'"),
        ("insightface-50", "arcface-ir-se-50", "layout 'insightface-50'"),
        ("idinvert-encoder", "idinvert-generator", "layout 'idinvert-encoder'"),
        ("bisenet", "parsing-unet", "layout 'bisenet'"),
        ("hopenet", "moco-resnet50", "layout 'hopenet'"),
    ],
)
def test_other_files_are_recognised(name: str, layout: str, looks: str, tmp_path: Path) -> None:
    assert looks in changed(lambda content: None, name, tmp_path, layout)


def sized(size: int) -> files.File:
    """A pSp checkpoint for a generator of a published size, one channel wide."""
    styles = 2 * size.bit_length() - 4
    encoder = files.seeded(files.GradualStyleEncoder(style_count=styles, **files.PYRAMID))
    return files.psp(encoder, files.generator(size, channels=1), "GradualStyleEncoder", styles)


def test_generator_of_another_domain(tmp_path: Path) -> None:
    path = tmp_path / "cars.pt"
    torch.save(sized(512).content, path)
    line = line_of(path, "psp", "faces")
    assert "for a generator of 512 px with 16 styles where faces have 1024 px and 18 styles" in line
    assert "as cars or wild would" in line
    assert read(path, "psp", "cars").layout == "psp"
    torch.save({"g_ema": sized(512).modules["generator"].state_dict()}, path)
    assert read(path, "stylegan2-rosinality", "faces").modules["generator"].size == 512  # faces exist at 512 px too
    assert "where churches have 256 px" in line_of(path, "stylegan2-rosinality", "churches")


def test_church_read_as_faces(tmp_path: Path) -> None:
    path = tmp_path / "church.pt"
    torch.save(files.hyperinverter(256, body="resnet", adversarial=False).content, path)
    line = line_of(path, "hyperinverter", "faces")
    assert "for a generator of 256 px with 14 styles where faces have 1024 px and 18 styles" in line
    assert "as churches or horses or cats would" in line
    assert read(path, "hyperinverter", "churches").arguments["hyperinverter"]["w_encoder"]["body"] == "resnet"


def test_encoder_and_generator_of_different_domains(tmp_path: Path) -> None:
    file = files.psp_gradual()
    small = {name: value for name, value in file.content["state_dict"].items() if name.startswith("encoder.")}
    file.content["state_dict"] = small | files.under("decoder.", files.generator(64))
    torch.save(file.content, tmp_path / "psp.pt")
    assert "an encoder of 8 styles of 8 for a generator of 10 of 8" in line_of(tmp_path / "psp.pt")


def test_mean_latent_of_another_width(tmp_path: Path) -> None:
    assert "'latent_avg' of shape (8, 3)" in changed(
        lambda content: content.update(latent_avg=torch.zeros(8, 3)), "psp", tmp_path
    )
    assert "where a mean latent has tensors" in changed(
        lambda content: content.update(latent_avg="mean"), "psp", tmp_path
    )


def test_nothing_known(tmp_path: Path) -> None:
    torch.save({"weights": {"a": torch.zeros(2)}, "epoch": 3}, tmp_path / "other.pt")
    assert guess(tmp_path / "other.pt") == "unknown"
    line = line_of(tmp_path / "other.pt")
    assert "has no a 'state_dict' of networks" not in line
    assert "its keys begin with 'weights', 'epoch'" in line


def test_numbers_of_other_types(tmp_path: Path) -> None:
    file = files.psp_gradual()
    state = file.content["state_dict"]
    for name, value in state.items():
        state[name] = value.double() if value.is_floating_point() else value
    torch.save(file.content, tmp_path / "psp.pt")
    encoder = read(tmp_path / "psp.pt", "psp").modules["encoder"]
    assert all(value.dtype == torch.float32 for value in encoder.parameters())
    state["encoder.styles.0.linear.bias"] = torch.zeros(files.STYLE_DIM, dtype=torch.int64)
    torch.save(file.content, tmp_path / "psp.pt")
    assert "'encoder.styles.0.linear.bias' of type torch.int64" in line_of(tmp_path / "psp.pt")

"""NVIDIA's pickles: StyleGAN2 and StyleGAN3 come back bit for bit, the source they carry is not run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import ReinvertError
from methods.networks import layouts
from methods.networks.discriminator import Discriminator
from methods.official import LAYOUTS, guess, read
from methods.official.pickle_values import NetworkObject
from pipelines.conformance.data import Goldens
from tests.methods.official import files, nvidia_files
from tests.methods.official.nvidia_files import STYLEGAN2_BUFFERS, STYLEGAN3_BUFFERS, easy, module_tree, with_kwargs

DATA = Goldens(Path(__file__).resolve().parents[2] / "conformance", "public")


def stylegan2(size: int = files.SIZE, **kwargs: Any) -> dict[str, Any]:
    mean = torch.arange(files.STYLE_DIM, dtype=torch.float32)
    state = layouts.generator_to_nvidia(files.generator(size).state_dict(), mean)
    given = {"z_dim": 8, "c_dim": 0, "w_dim": 8, "img_resolution": size, "img_channels": 3} | kwargs
    drawn = module_tree(state, "Generator", STYLEGAN2_BUFFERS, **given)
    with_kwargs(
        drawn, **given, mapping_kwargs=easy(num_layers=2), synthesis_kwargs=easy(channel_base=96, conv_clamp=256)
    )
    judge = files.seeded(Discriminator(size, files.widths(size)), 6)
    other = module_tree(layouts.discriminator_to_nvidia(judge.state_dict()), "Discriminator", STYLEGAN2_BUFFERS)
    return nvidia_files.snapshot(drawn, other)


def stylegan3(rotation: bool, **kwargs: Any) -> dict[str, Any]:
    ours = files.STYLEGAN3[rotation]
    given = {"z_dim": 8, "c_dim": 0, "w_dim": 8, "img_resolution": ours["size"], "img_channels": 3}
    given |= {"channel_base": ours["channel_base"], "channel_max": ours["channel_max"], "num_layers": ours["layers"]}
    given |= {"conv_kernel": ours["kernel"], "use_radial_filters": rotation, "mapping_kwargs": easy(num_layers=2)}
    network = files.small_stylegan3(rotation)
    tree = module_tree(network.state_dict(), "Generator", STYLEGAN3_BUFFERS, z_dim=8, c_dim=0)
    return nvidia_files.snapshot(with_kwargs(tree, **(given | kwargs)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@torch.no_grad()
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_stylegan2_comes_back_bit_for_bit(folder: Path, protocol: int) -> None:
    path = nvidia_files.write(folder / "ffhq.pkl", stylegan2(), protocol)
    official = read(path, "stylegan2-nvidia")
    assert not (folder / nvidia_files.MARKER).exists()
    ours, drawn = files.generator(), official.modules["generator"]
    assert {name: tuple(value.shape) for name, value in drawn.state_dict().items()} == {
        name: tuple(value.shape) for name, value in ours.state_dict().items()
    }
    assert all(torch.equal(value, ours.state_dict()[name]) for name, value in drawn.state_dict().items())
    styles = torch.randn(2, files.STYLES, files.STYLE_DIM)
    assert torch.equal(drawn.synthesis(styles), ours.synthesis(styles))
    judge = files.seeded(Discriminator(files.SIZE, files.widths(files.SIZE)), 6)
    images = torch.rand(4, 3, files.SIZE, files.SIZE) * 2 - 1
    assert torch.equal(official.modules["discriminator"](images), judge(images))
    assert official.latent_avg is not None
    assert official.latent_avg.tolist() == list(range(files.STYLE_DIM))
    assert official.options["G_ema"]["mapping_kwargs"] == {"num_layers": 2}  # type: ignore[index]
    assert official.options["G_ema"]["conv_clamp"] == 256  # type: ignore[index]
    assert official.options["training_set_kwargs"]["path"] == "ffhq.zip"  # type: ignore[index]
    assert guess(path) == "stylegan2-nvidia"


@torch.no_grad()
@pytest.mark.parametrize("rotation", [False, True])
def test_stylegan3_comes_back_bit_for_bit(folder: Path, rotation: bool) -> None:
    path = nvidia_files.write(folder / "stylegan3.pkl", stylegan3(rotation))
    official = read(path, "stylegan3-nvidia")
    assert not (folder / nvidia_files.MARKER).exists()
    ours, drawn = files.small_stylegan3(rotation), official.modules["generator"]
    z = torch.randn(2, files.STYLE_DIM)
    assert torch.equal(drawn(z), ours(z))
    assert torch.equal(official.latent_avg, ours.mapping.w_avg)
    assert official.arguments["generator"]["radial"] is rotation
    assert official.options["G_ema"]["z_dim"] == 8  # type: ignore[index]
    assert guess(path) == "stylegan3-nvidia"


def test_tensors_that_are_parts_of_larger_storages(folder: Path) -> None:
    content = stylegan2()
    const = content["G_ema"].synthesis.b4.const
    const.data = nvidia_files.spread(const.data)
    drawn = read(nvidia_files.write(folder / "ffhq.pkl", content), "stylegan2-nvidia").modules["generator"]
    assert torch.equal(drawn.input.input, files.generator().input.input)


@pytest.mark.parametrize(
    ("content", "layout", "domain", "says"),
    [
        (lambda: stylegan2(), "stylegan3-nvidia", None, "looks like a StyleGAN2 network of NVIDIA's"),
        (lambda: stylegan3(False), "stylegan2-nvidia", None, "looks like a StyleGAN3 network of NVIDIA's"),
        (lambda: stylegan2(c_dim=10), "stylegan2-nvidia", None, "a network of 10 classes"),
        (lambda: stylegan3(False, margin_size=4), "stylegan3-nvidia", None, "margin_size = 4"),
        (lambda: stylegan3(False, channel_max=5), "stylegan3-nvidia", None, "lacks 'G_ema.synthesis.L"),
        (lambda: stylegan3(False, num_layers="x"), "stylegan3-nvidia", None, "no numbers"),
        (lambda: stylegan2(), "stylegan2-nvidia", "churches", "for a generator of 32 px with 8 styles where churches"),
        (lambda: stylegan2(), "psp", None, "looks like a StyleGAN2 network of NVIDIA's"),
        (lambda: {"G_ema": None}, "stylegan2-nvidia", None, "has no network 'G_ema'"),
        (lambda: {"epoch": 3}, "stylegan2-nvidia", None, "its keys begin with 'epoch'"),
    ],
)
def test_what_does_not_fit_is_one_line(folder: Path, content: Any, layout: str, domain: str | None, says: str) -> None:
    path = nvidia_files.write(folder / "network.pkl", content())
    with pytest.raises(ReinvertError) as caught:
        read(path, layout, domain)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_extra_and_misshapen_tensors(folder: Path) -> None:
    def fails(change: Any) -> str:
        content = stylegan2()
        change(content["G_ema"].synthesis.b8.conv0)
        with pytest.raises(ReinvertError) as caught:
            read(nvidia_files.write(folder / "network.pkl", content), "stylegan2-nvidia")
        return str(caught.value)

    assert "lacks 'synthesis.b8.conv0.bias'" in fails(lambda layer: layer._parameters.pop("bias"))
    assert "unknown 'synthesis.b8.conv0.more'" in fails(lambda layer: layer.register_buffer("more", torch.zeros(1)))
    reshaped = fails(lambda layer: layer._parameters.update(bias=torch.nn.Parameter(torch.zeros(5))))
    assert "shape (5,) instead of (3,)" in reshaped
    assert "apart from that it looks like one" in reshaped


def object_of(manifest: str, **kwargs: Any) -> NetworkObject:
    """What the interpreter makes of a network of the published shapes, whose numbers are never touched."""
    root = NetworkObject("Generator", {"_init_kwargs": kwargs, "_parameters": {}, "_buffers": {}, "_modules": {}})
    for name, entry in DATA.manifest(manifest).items():
        *path, last = name.split(".")
        module = root
        for step in path:
            fresh = NetworkObject("Layer", {"_parameters": {}, "_buffers": {}, "_modules": {}})
            module = module.state["_modules"].setdefault(step, fresh)
        module.state["_parameters"][last] = torch.empty(entry["shape"])
    return root


SAMPLES3 = {"img_resolution": 256, "channel_base": 16384}
ROTATION3 = {"img_resolution": 256, "channel_base": 32768, "channel_max": 1024} | {
    "conv_kernel": 1,
    "use_radial_filters": True,
}


@pytest.mark.parametrize(
    ("layout", "domain", "content"),
    [
        ("stylegan2-nvidia", "faces", lambda: {"G_ema": object_of("stylegan2_ada_g1024")}),
        (
            "stylegan2-nvidia",
            "churches",
            lambda: {"G_ema": object_of("stylegan2_ada_g256"), "D": object_of("stylegan2_ada_d256")},
        ),
        ("stylegan3-nvidia", "faces", lambda: {"G_ema": object_of("stylegan3_t1024", img_resolution=1024)}),
        ("stylegan3-nvidia", "faces", lambda: {"G_ema": object_of("stylegan3_t256", **SAMPLES3)}),
        ("stylegan3-nvidia", None, lambda: {"G_ema": object_of("stylegan3_r256", **ROTATION3)}),
    ],
)
def test_published_keys_and_shapes_load_strictly(layout: str, domain: str | None, content: Any) -> None:
    official = LAYOUTS.get(layout).read(content(), domain)
    assert official.latent_avg is not None
    assert official.latent_avg.shape == (512,)
    assert set(official.modules) == set(official.arguments)


def test_modules_without_end(folder: Path) -> None:
    content = stylegan2()
    layer = content["G_ema"].synthesis.b8
    for _ in range(40):
        layer.add_module("inner", nvidia_files.Persistent("Layer"))
        layer = layer.inner
    with pytest.raises(ReinvertError, match="beyond measure"):
        read(nvidia_files.write(folder / "network.pkl", content), "stylegan2-nvidia")

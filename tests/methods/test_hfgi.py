from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import ReinvertError
from methods import registry, training
from methods.code import Code
from methods.hfgi import Hfgi, HfgiTask, homography, random_corners, warped
from methods.networks.hfgi import HFGI, ConsultationEncoder, DistortionAlignment
from tests.methods import tiny

CPU = torch.device("cpu")
TRAINING: dict[str, Any] = {
    "recipe": 1, "steps": 2, "batch": 4, "learning_rate": 0.01, "losses": {"l2": 1.0}, "seed": 0,
    "evaluate_every": 2, "checkpoint_every": 2, "held_out": 4,
}  # fmt: skip
PSP = {
    "kind": "psp",
    "encoder": {"widths": [4, 4, 4, 4], "units": [1, 1, 1, 1], "style_width": 4},
    "training": TRAINING,
}
ENTRY = {
    "kind": "hfgi",
    "start": "psp",
    "alignment_widths": [4, 4, 4, 4],
    "consultation_widths": [4, 4, 4],
    "training": TRAINING | {"steps": 24, "evaluate_every": 12},
}
CONFIG = tiny.config({"psp": PSP, "hfgi": ENTRY, "hfgi-twice": ENTRY | {"start": "hfgi"}})
IMAGES = tiny.NoiseImages(16, 32)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A domain with a trained pSp and HFGI on it."""
    root = tmp_path_factory.mktemp("trained")
    tiny.write_generator(root, 32)
    for name in ("psp", "hfgi"):
        task = registry.training_task(name, CONFIG, "faces", root)
        training.train(task, IMAGES, root / "work", root / "faces" / name, CPU)
    return root


@pytest.fixture(scope="module")
def hfgi(root: Path) -> Hfgi:
    inverter = registry.build("hfgi", CONFIG, "faces", root)
    assert isinstance(inverter, Hfgi)
    torch.manual_seed(4)
    with torch.no_grad():  # trained for moments only: make it matter
        for head in ("condition_scale3", "condition_shift3"):
            weight = inverter.modules["consultation"].get_parameter(f"{head}.2.weight")
            weight.copy_(torch.randn_like(weight))
    return inverter


def images(*indices: int) -> torch.Tensor:
    return training.to_float(IMAGES.images(list(indices)), CPU)


def test_training_lowers_the_loss_and_moves_neither_generator_nor_start(root: Path) -> None:
    task = registry.training_task("hfgi", CONFIG, "faces", root)
    assert isinstance(task, HfgiTask)
    frozen = [task.generator.generator, *task.start.networks()]
    before = [{name: value.clone() for name, value in module.state_dict().items()} for module in frozen]
    state = training.fit(task, IMAGES, root / "other", CPU)
    first, last = state["log"]
    assert last["loss"] < first["loss"]
    assert first["loss"] == pytest.approx(first["l2"] + 0.1 * first["alignment"], rel=1e-4)
    for module, kept in zip(frozen, before, strict=True):
        assert all(torch.equal(value, kept[name]) for name, value in module.state_dict().items())
    assert {"psp", "generator"} <= task.inputs.keys()


def test_training_starts_from_the_plain_generator(root: Path) -> None:
    task = registry.training_task("hfgi", CONFIG, "faces", root)
    assert isinstance(task, HfgiTask)
    real = images(0, 1)
    with torch.no_grad():
        assert torch.equal(task.reconstruct(real), task.generator.draw(task.start.answer(real, 0)))


def by_network(hfgi: Hfgi, styles: torch.Tensor, distortion: torch.Tensor) -> torch.Tensor:
    """The consulted image by the network that conforms to the published one."""
    alignment, consultation = hfgi.modules["alignment"], hfgi.modules["consultation"]
    assert isinstance(alignment, DistortionAlignment) and isinstance(consultation, ConsultationEncoder)
    generator = hfgi.generator.generator
    with torch.no_grad():
        network = HFGI(alignment, consultation)
        return network(generator, styles, generator.synthesis(styles), distortion).image


def test_the_start_then_what_it_could_not_draw(root: Path, hfgi: Hfgi) -> None:
    real = images(0, 1, 2)
    first, second = hfgi.invert(real, seed=0)
    psp = registry.build("psp", CONFIG, "faces", root).answer(real, 0)
    assert torch.equal(first.code.styles, psp.styles)
    assert torch.equal(second.code.styles, psp.styles)
    drawn = hfgi.draw(psp)
    assert second.code.distortion is not None
    assert torch.allclose(second.code.distortion, real - drawn.clamp(-1, 1), atol=1e-6)
    assert torch.allclose(hfgi.draw(second.code), by_network(hfgi, psp.styles, second.code.distortion), atol=1e-5)
    assert not torch.allclose(hfgi.draw(second.code), drawn, atol=1e-3)
    for index in range(3):  # one forward pass each: only the order of sums may differ
        alone = hfgi.answer(real[index : index + 1], seed=1)
        assert torch.allclose(hfgi.draw(alone), hfgi.draw(second.code)[index : index + 1], atol=1e-4)


def test_nothing_lost_is_the_plain_generator(hfgi: Hfgi) -> None:
    torch.manual_seed(0)
    styles = hfgi.generator.mean_code(2).styles + 0.1 * torch.randn(2, 8, tiny.STYLE_DIM)
    code = hfgi.consult(styles, torch.zeros(2, 3, 32, 32))
    assert torch.equal(hfgi.draw(code), hfgi.draw(Code(styles)))


def test_an_edit_aligns_the_same_distortion_anew(hfgi: Hfgi, tmp_path: Path) -> None:
    code = hfgi.answer(images(3, 4), seed=0)
    code.save(tmp_path / "code.safetensors")
    code = Code.load(tmp_path / "code.safetensors")
    torch.manual_seed(0)
    direction = torch.randn(8, tiny.STYLE_DIM)
    edited = hfgi.edit(code, direction, 0.7)
    assert code.distortion is not None and edited.distortion is not None
    assert torch.equal(edited.distortion, code.distortion)
    expected = by_network(hfgi, code.styles + 0.7 * direction, code.distortion)
    assert torch.allclose(hfgi.draw(edited), expected, atol=1e-5)
    kept = replace(code, styles=code.styles + 0.7 * direction)  # without alignment anew
    assert not torch.allclose(hfgi.draw(edited), hfgi.draw(kept), atol=1e-3)
    assert torch.allclose(hfgi.draw(hfgi.edit(code, direction, 0.0)), hfgi.draw(code), atol=1e-6)


def test_warps_are_perspectives() -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 9, 9)
    corners = random_corners(2, 0.3, 1.0)
    square = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]).expand(2, 4, 2)
    assert torch.equal(random_corners(2, 0.3, 0.0), square)
    assert bool((corners.abs() <= 1).all()) and bool((corners.abs() >= 0.7).all())
    assert bool((corners.sign() == square).all())
    points = torch.cat([corners, torch.ones(2, 4, 1)], dim=-1).double()
    reached = (homography(corners, square) @ points.transpose(1, 2)).transpose(1, 2)
    assert torch.allclose(reached[..., :2] / reached[..., 2:], square.double(), atol=1e-12)
    assert torch.allclose(warped(maps, square), maps, atol=1e-5)
    # Two pixels of nine are half a unit of [-1, 1]: all corners moved alike shift the maps.
    shifted = torch.zeros_like(maps)
    shifted[..., :, 2:] = maps[..., :, :-2]
    assert torch.allclose(warped(maps, square + torch.tensor([0.5, 0.0])), shifted, atol=1e-5)
    # Every map has a warp of its own.
    assert torch.allclose(warped(maps, corners)[1:], warped(maps[1:], corners[1:]), atol=1e-6)


def test_mistakes_are_one_line(root: Path, hfgi: Hfgi) -> None:
    with pytest.raises(ReinvertError, match="do not fit the generator of domain faces"):
        hfgi.answer(torch.zeros(1, 3, 64, 64), seed=0)
    with pytest.raises(ReinvertError, match="hold a distortion map"):
        hfgi.edit(hfgi.generator.mean_code(1), torch.ones(tiny.STYLE_DIM), 1.0)
    with pytest.raises(ReinvertError, match="does not fit styles"):
        hfgi.edit(hfgi.answer(images(0), seed=0), torch.ones(5), 1.0)
    code = hfgi.answer(images(0), seed=0)
    with pytest.raises(ReinvertError, match="7 styles of 8 does not fit the generator"):
        hfgi.edit(replace(code, styles=code.styles[:, 1:]), torch.ones(tiny.STYLE_DIM), 1.0)
    twice = registry.training_task("hfgi-twice", CONFIG, "faces", root)
    with pytest.raises(ReinvertError, match="cannot start from codes with a feature"):
        twice.reconstruct(images(0))
    losses = TRAINING | {"losses": {"latent_norm": 1.0}}
    wrong = tiny.config({"psp": PSP, "hfgi": ENTRY | {"training": losses}})
    with pytest.raises(ReinvertError, match=r"remove losses\.latent_norm"):
        registry.training_task("hfgi", wrong, "faces", root)

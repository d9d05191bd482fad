from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.errors import ReinvertError
from methods import registry, training
from methods.code import Code
from methods.feature_style import FeatureStyle, FeatureStyleTask, MultiScale, encode
from tests.methods import tiny

CPU = torch.device("cpu")
LAYER = 3
ENTRY: dict[str, Any] = {
    "kind": "feature_style",
    "encoder": {"widths": [4, 4, 4, 4], "units": [1, 1, 1, 1]},
    "layer": LAYER,
    "ramp": 0.25,
    "training": {
        "recipe": 1, "steps": 24, "batch": 4, "learning_rate": 0.01, "seed": 0, "evaluate_every": 12,
        "losses": {"l2": 1.0, "identity_layers": 0.1, "parser_layers": 0.1}, "checkpoint_every": 12, "held_out": 4,
    },
}  # fmt: skip
CONFIG = tiny.config({"feature-style": ENTRY})
IMAGES = tiny.NoiseImages(16, 32)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A domain with a trained Feature-Style encoder."""
    root = tmp_path_factory.mktemp("trained")
    tiny.write_generator(root, 32)
    tiny.write_judges(root, 32)
    task = registry.training_task("feature-style", CONFIG, "faces", root)
    training.train(task, IMAGES, root / "work", root / "faces" / "feature-style", CPU)
    return root


@pytest.fixture(scope="module")
def method(root: Path) -> FeatureStyle:
    inverter = registry.build("feature-style", CONFIG, "faces", root)
    assert isinstance(inverter, FeatureStyle)
    return inverter


def images(*indices: int) -> Tensor:
    return training.to_float(IMAGES.images(list(indices)), CPU)


def test_training_lowers_the_loss_and_only_moves_the_encoder(root: Path) -> None:
    task = registry.training_task("feature-style", CONFIG, "faces", root)
    assert isinstance(task, FeatureStyleTask)
    before = {name: value.clone() for name, value in task.generator.generator.state_dict().items()}
    state = training.fit(task, IMAGES, root / "other", CPU)
    first, last = state["log"]
    assert last["loss"] < first["loss"]
    parts = 1.0 * first["l2"] + 0.01 * first["feature"] + 0.1 * first["identity_layers"] + 0.1 * first["parser_layers"]
    assert first["loss"] == pytest.approx(parts, rel=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in task.generator.generator.state_dict().items())


@pytest.mark.parametrize(("step", "weight"), [(0, 0.0), (3, 0.5), (20, 1.0)])
def test_the_objective_is_the_papers(root: Path, step: int, weight: float) -> None:
    task = registry.training_task("feature-style", CONFIG, "faces", root)
    assert isinstance(task, FeatureStyleTask)
    task.modules["encoder"].eval()
    real = images(0, 1)
    torch.manual_seed(3)
    (objective,) = task.objectives(real, step)

    network = task.generator.generator
    torch.manual_seed(3)
    z = torch.randn(2, tiny.STYLE_DIM)
    noise = [torch.randn(4, *map_.shape[1:]) for map_ in network.stored_noise()]
    with torch.no_grad():
        synthetic = network.synthesis(network.repeat(network.mapping(z)), noise=[one[:2] for one in noise]).clamp(-1, 1)
        both = torch.cat([synthetic, real])
        code = encode(task.modules["encoder"], both, task.generator.latent_mean, LAYER)
        styles, feature = code.styles, code.feature
        assert feature is not None
        plain, own = network.synthesis(styles, noise=noise, return_feature_of=LAYER)
        mixed = weight * feature + (1 - weight) * own
        full = network.synthesis(styles, noise=noise, feature=mixed, feature_layer=LAYER)
        terms = [task.loss(image, both) for image in (plain, full)]
    assert torch.allclose(objective.terms["l2"], (plain[:2] - synthetic).square().mean(), rtol=1e-4)
    assert torch.allclose(objective.terms["feature"], (feature - own).square().mean(), rtol=1e-4)
    for name in ("identity_layers", "parser_layers"):
        assert torch.allclose(objective.terms[name], (terms[0][name] + terms[1][name]).mean(), rtol=1e-3)


def test_other_domains_have_no_face_terms(root: Path, tmp_path: Path) -> None:
    tiny.write_generator(tmp_path, 32)
    tiny.write_similarity(tmp_path, 32, "faces")  # a domain of this name without an identity network
    task = registry.training_task("feature-style", CONFIG, "faces", tmp_path)
    assert isinstance(task, FeatureStyleTask)
    (objective,) = task.objectives(images(0, 1), 0)
    assert objective.terms.keys() == {"loss", "l2", "feature"}


def test_multi_scale_against_numpy() -> None:
    torch.manual_seed(0)
    a, b = torch.rand(2, 2, 3, 8, 8)
    found = MultiScale(lambda x, y: (x - y).abs().mean(dim=(1, 2, 3)), 3)(a, b)
    expected = np.zeros(2)
    for scale in (1, 2, 4):
        blocks = (a - b).numpy().reshape(2, 3, 8 // scale, scale, 8 // scale, scale).mean(axis=(3, 5))
        expected += np.abs(blocks).mean(axis=(1, 2, 3))
    assert found.numpy() == pytest.approx(expected, rel=1e-5)  # float32


def test_styles_alone_then_with_the_feature(method: FeatureStyle) -> None:
    real = images(0, 1, 2)
    first, second = method.invert(real, seed=0)
    assert first.code.feature is None and second.code.feature is not None
    assert torch.equal(first.code.styles, second.code.styles)
    assert second.code.feature.shape == (3, 8, 8, 8)
    assert not torch.allclose(method.draw(first.code), method.draw(second.code), atol=1e-3)
    for index in range(3):  # one forward pass each: only the order of sums may differ
        alone = method.answer(real[index : index + 1], seed=1)
        assert torch.allclose(method.draw(alone), method.draw(second.code)[index : index + 1], atol=1e-4)


def test_the_generators_own_feature_is_the_plain_generator_also_when_edited(method: FeatureStyle) -> None:
    styles = method.answer(images(4, 5), seed=0).styles
    code = Code(styles=styles, feature=method.own_feature(styles), feature_layer=LAYER)
    assert torch.equal(method.draw(code), method.draw(Code(styles)))
    torch.manual_seed(0)
    direction = torch.randn(8, tiny.STYLE_DIM)
    edited = method.edit(code, direction, 0.8)
    assert torch.allclose(method.draw(edited), method.draw(Code(styles + 0.8 * direction)), atol=1e-5)


def test_edits_add_up_and_keep_what_only_the_feature_knows(method: FeatureStyle) -> None:
    code = method.answer(images(6, 7), seed=0)
    torch.manual_seed(1)
    one, other = torch.randn(2, 8, tiny.STYLE_DIM)
    twice = method.draw(method.edit(method.edit(code, one, 0.5), other, -0.3))
    assert torch.allclose(twice, method.draw(method.edit(code, 0.5 * one - 0.3 * other, 1.0)), atol=1e-4)
    assert torch.allclose(method.draw(method.edit(code, one, 0.0)), method.draw(code), atol=1e-6)
    edited = method.edit(code, one, 0.5)
    assert edited.feature is not None and code.feature is not None
    moved = method.own_feature(edited.styles) - method.own_feature(code.styles)
    assert torch.allclose(edited.feature - code.feature, moved, atol=1e-5)


def test_mistakes_are_one_line(root: Path, method: FeatureStyle) -> None:
    with pytest.raises(ReinvertError, match="do not fit the generator of domain faces"):
        method.answer(torch.zeros(1, 3, 16, 16), seed=0)
    code = Code(styles=method.generator.mean_code(1).styles, feature=torch.zeros(1, 8, 8, 8), feature_layer=2)
    with pytest.raises(ReinvertError, match="belongs to layer 2, this method's to 3"):
        method.edit(code, torch.ones(tiny.STYLE_DIM), 1.0)
    with pytest.raises(ReinvertError, match="does not fit styles"):
        method.edit(code, torch.ones(5), 1.0)
    for layer, message in ((5, "no stage of the encoder leads to"), (9, "has no feature 9; use 1 ... 6")):
        with pytest.raises(ReinvertError, match=message):
            registry.training_task(
                "feature-style", tiny.config({"feature-style": ENTRY | {"layer": layer}}), "faces", root
            )
    losses = ENTRY["training"] | {"losses": {"latent_norm": 1.0}}
    wrong = tiny.config({"feature-style": ENTRY | {"training": losses}})
    with pytest.raises(ReinvertError, match=r"remove losses\.latent_norm"):
        registry.training_task("feature-style", wrong, "faces", root)

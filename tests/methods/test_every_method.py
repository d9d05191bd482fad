"""What has to hold for every entry of params.yaml alike, on a random domain in miniature."""

from __future__ import annotations

import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.config import Config, MethodConfig, load_config
from core.errors import ReinvertError
from core.weights import save_weights, weights_folder
from methods import registry
from methods.code import Code
from methods.inverter import Inverter
from methods.training_data import to_float
from pipelines import wiring
from tests.conftest import ROOT
from tests.methods.tiny import (
    NoiseImages,
    card,
    write_discriminator,
    write_generator,
    write_judges,
    write_perceptual,
    write_similarity,
)

SIZE = 64
PARAMS = load_config(ROOT / "params.yaml")
TRAINED = [name for name in PARAMS.methods if wiring.is_trained(name, PARAMS)]
SEED = 3


def short(name: str) -> MethodConfig:
    """The entry with few steps; PTI starts from no search of its own."""
    entry: dict[str, Any] = PARAMS.methods[name].model_dump()
    if "steps" in entry:
        entry["steps"] = 2
    return MethodConfig.model_validate(entry)


CONFIG: Config = PARAMS.model_copy(update={"methods": {name: short(name) for name in PARAMS.methods}})


def write_initial(name: str, domain: str, root: Path) -> None:
    """The weights with which the training of `name` begins; raises where one that they need is not in `root`."""
    task = registry.training_task(name, CONFIG, domain, root)
    state = {f"{part}.{key}": value for part in task.shipped for key, value in task.modules[part].state_dict().items()}
    saved = card(name, task.architecture, task.arguments, domain)
    save_weights(weights_folder(root, domain, name), state, saved)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faces and churches with all networks, and initial weights of every method on faces."""
    root = tmp_path_factory.mktemp("every")
    write_perceptual(root)
    write_judges(root, SIZE)
    (root / "churches").mkdir()
    for judge in ("perceptual", "parser"):
        shutil.copytree(root / "faces" / judge, root / "churches" / judge)
    write_similarity(root, SIZE, "churches")
    for domain in ("faces", "churches"):
        write_generator(root, SIZE, domain)
        write_discriminator(root, SIZE, domain)
    for name in sorted(TRAINED, key=lambda name: len(wiring.chain(name, CONFIG))):
        write_initial(name, "faces", root)
    return root


@pytest.fixture(scope="module")
def images() -> Tensor:
    return to_float(NoiseImages(2, SIZE).images([0, 1]), torch.device("cpu"))


def parts_of(code: Code) -> dict[str, Tensor]:
    """Every tensor of a code by name."""
    found: dict[str, Tensor] = {}
    for field in fields(code):
        value = getattr(code, field.name)
        if isinstance(value, Tensor):
            found[field.name] = value
        elif isinstance(value, dict):
            found |= {f"{field.name}.{key}": one for key, one in value.items()}
        elif isinstance(value, list):
            found |= {f"{field.name}.{number}": one for number, one in enumerate(value)}
    return found


@pytest.mark.parametrize("name", list(PARAMS.methods))
def test_codes_follow_the_seed_and_no_other_image(name: str, root: Path, images: Tensor) -> None:
    method: Inverter = registry.build(name, CONFIG, "faces", root)
    together = method.answer(images, SEED)
    again = parts_of(method.answer(images, SEED))
    assert all(torch.equal(value, again[part]) for part, value in parts_of(together).items())
    alone = method.answer(images[1:], SEED)
    # 1e-4 is what a benchmark may differ by between batch sizes; images lie in [-1, 1].
    torch.testing.assert_close(method.draw(alone), method.draw(together)[1:], atol=1e-4, rtol=0)
    assert method.draw(together).shape == images.shape
    with pytest.raises(ReinvertError):
        next(iter(method.invert(images[:, :, ::2, ::2], SEED)))


@pytest.mark.parametrize(
    ("name", "domain"),
    [(name, "faces") for name in TRAINED]
    # Off faces only who stands for identity differs, and the weight of an adversary.
    + [(name, "churches") for name in ("psp", "e2style/1-stage", "hyperinverter", "idinvert/encoder")],
)
def test_the_graph_names_every_network_that_a_training_reads(
    name: str, domain: str, root: Path, tmp_path: Path
) -> None:
    entry = wiring.training_entry(domain, name, CONFIG)
    needed = {*wiring.ALWAYS, entry["identity"], entry["other"]}
    # A start stands for those before it, which are in its own dependencies.
    needed |= {wiring.folder_of(start) for start in wiring.chain(name, CONFIG)[1:]}
    (tmp_path / domain).mkdir()
    for folder in needed:
        source = root / domain / folder
        if not source.is_dir():  # a method's weights depend on the domain by their card alone
            shutil.copytree(root / "faces" / folder, tmp_path / domain / folder)
            text = (tmp_path / domain / folder / "card.json").read_text()
            (tmp_path / domain / folder / "card.json").write_text(text.replace('"faces"', f'"{domain}"'))
        else:
            (tmp_path / domain / folder).symlink_to(source)
    registry.training_task(name, CONFIG, domain, tmp_path)
    for optional in {entry["identity"], entry["other"]} - set(wiring.ALWAYS):
        (tmp_path / domain / optional).unlink()
        with pytest.raises(ReinvertError, match="get (them|one) with 'dvc pull'"):
            registry.training_task(name, CONFIG, domain, tmp_path)
        (tmp_path / domain / optional).symlink_to(root / domain / optional)


@pytest.mark.parametrize("name", ["optimization-w-plus", "psp"])
def test_codes_that_do_not_fit_the_generator_are_refused(name: str, root: Path, images: Tensor) -> None:
    method = registry.build(name, CONFIG, "faces", root)
    styles = method.answer(images[:1], SEED).styles
    for wrong in (styles[:, :-1], styles[..., :-1]):  # one style too few, one number too few
        with pytest.raises(ReinvertError, match="styles"):
            method.draw(Code(wrong))


def test_a_domain_without_weights_is_refused(root: Path) -> None:
    with pytest.raises(ReinvertError, match="no weights in .*churches/psp"):
        registry.build("psp", CONFIG, "churches", root)
    with pytest.raises(ReinvertError, match="unknown domain 'cats'"):
        registry.build("psp", CONFIG, "cats", root)

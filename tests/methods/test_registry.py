import json
from pathlib import Path
from typing import Any

import pytest

from core.config import load_config
from core.errors import ReinvertError
from methods import registry
from tests.methods import tiny

ENTRY: dict[str, Any] = {"kind": "optimization", "steps": 5, "learning_rate": 0.1, "losses": {"l2": 1.0}}


def test_every_method_module_registers_itself_under_its_own_name() -> None:
    kinds = registry.import_kinds()
    assert "optimization" in kinds
    for kind in kinds:
        assert registry.KINDS.get(kind).__module__ == f"methods.{kind}"


def test_every_entry_of_params_fits_its_kind(project: Path) -> None:
    config = load_config(project / "params.yaml")
    for name, entry in config.methods.items():
        assert registry.describe(name, config).startswith(f"{name} (kind {entry.kind})")
        assert entry.arguments.get("start", "mean") in {"mean", *config.methods}


def test_names_get_suggestions(weights_root: Path) -> None:
    config = tiny.config({"w-plus": ENTRY, "typo": {**ENTRY, "kind": "optimisation"}})
    with pytest.raises(ReinvertError, match="unknown method 'w-pluss'; did you mean 'w-plus'"):
        registry.build("w-pluss", config, "faces", weights_root)
    with pytest.raises(ReinvertError, match="unknown method kind 'optimisation'; did you mean 'optimization'"):
        registry.build("typo", config, "faces", weights_root)
    with pytest.raises(ReinvertError, match="unknown domain 'face'; did you mean 'faces'"):
        registry.build("w-plus", config, "face", weights_root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": 3}, "methods.bad: stepz: unknown key"),
        ({"steps": 0}, "methods.bad: steps: .* 0"),
        ({"learning_rate": -1}, "learning_rate"),
        ({"space": "z"}, "space"),
        ({"losses": {"l2": -1}}, "losses.l2"),
    ],
)
def test_wrong_arguments_are_named(weights_root: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ReinvertError, match=message):
        registry.build("bad", tiny.config({"bad": ENTRY | change}), "faces", weights_root)


def test_methods_may_start_from_others_but_not_from_themselves(weights_root: Path) -> None:
    config = tiny.config(
        {"a": ENTRY, "b": ENTRY | {"start": "a"}, "c": ENTRY | {"start": "d"}, "d": ENTRY | {"start": "c"}}
    )
    inverter = registry.build("b", config, "faces", weights_root)
    images = inverter.draw(inverter.generator.mean_code(1)).clamp(-1, 1)
    assert next(inverter.invert(images, seed=0)).step == 0
    with pytest.raises(ReinvertError, match="c -> d -> c"):
        registry.build("c", config, "faces", weights_root)


def test_missing_altered_or_foreign_generators_are_refused(tmp_path: Path) -> None:
    config = tiny.config({"a": ENTRY})
    with pytest.raises(ReinvertError, match="no weights in"):
        registry.build("a", config, "faces", tmp_path)
    tiny.write_generator(tmp_path, 8, domain="cars")
    (tmp_path / "cars").rename(tmp_path / "faces")
    with pytest.raises(ReinvertError, match="holds a generator of domain cars"):
        registry.build("a", config, "faces", tmp_path)
    tiny.write_generator(tmp_path, 8)
    weights = tmp_path / "faces" / "generator" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ReinvertError, match="altered"):
        registry.build("a", config, "faces", tmp_path)


def test_a_card_that_does_not_fit_its_weights_is_refused(tmp_path: Path) -> None:
    tiny.write_generator(tmp_path, 8)
    path = tmp_path / "faces" / "generator" / "card.json"
    card = json.loads(path.read_text())
    card["arguments"]["style_dim"] = 16
    path.write_text(json.dumps(card))
    with pytest.raises(ReinvertError, match="does not fit its own card"):
        registry.build("a", tiny.config({"a": ENTRY}), "faces", tmp_path)


def test_description_names_paper_deviations_and_arguments(weights_root: Path) -> None:
    text = registry.describe("a", tiny.config({"a": ENTRY}), weights_root)
    for part in ("Image2StyleGAN", "Deviations", "steps: 5", "l2: 1.0"):
        assert part in text


def test_a_method_without_weights_has_nothing_to_train(weights_root: Path) -> None:
    with pytest.raises(ReinvertError, match="nothing to train"):
        registry.training_task("a", tiny.config({"a": ENTRY}), "faces", weights_root)

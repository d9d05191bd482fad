from pathlib import Path
from typing import Any

import pytest
import yaml

from core.config import Config, Strict, load_config, validated
from core.errors import ReinvertError
from tests.conftest import ROOT


@pytest.fixture
def values() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    return loaded


def load(values: Any, folder: Path) -> Config:
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    return load_config(folder / "params.yaml")


def test_the_project_s_own_parameters_are_valid() -> None:
    config = load_config(ROOT / "params.yaml")
    assert {"faces-optimization-w-plus", "faces-psp", "faces-hybrid-psp"} <= set(config.runs)
    assert list(config.scales) == ["default", "reference"]


def test_a_method_keeps_its_own_arguments(values: dict[str, Any], tmp_path: Path) -> None:
    values["methods"]["psp"] = {"kind": "psp", "anything": 3}
    assert load(values, tmp_path).methods["psp"].arguments == {"anything": 3}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["evalutaion"], {}, r"params.yaml: evalutaion: unknown key; remove it \(known: "),
        (["domains", "faces", "recip"], 1, r"domains.faces.recip: unknown key; remove it$"),
        (["domains", "faces", "recipe"], 0, r"domains.faces.recipe: .*greater than or equal to 1, but is 0; correct"),
        (["evaluation", "batch"], -4, r"evaluation.batch: .*greater than 0, but is -4"),
        (["evaluation", "batch"], "many", r"evaluation.batch: .*valid integer.*'many'"),
        (["tolerances", "psnr"], float("nan"), r"tolerances.psnr: .*finite"),
        (["runs", "faces-psp", "domain"], "cats", r"run 'faces-psp' names the domain 'cats'"),
        (["runs", "faces-psp", "method"], "pps", r"run 'faces-psp' names the method 'pps'"),
        (["runs", "faces-psp", "module"], "psp", r"runs.faces-psp.module: unknown key; remove it"),
        (["scales", "default", "methods", "pps"], {}, r"scales.default.methods.pps: no such method"),
        (["scales", "default", "methods", "psp"], {"training": {}}, r"methods.psp: a scale may not change training"),
        (["generators", "cats"], {}, r"generators.cats: no such domain"),
        (["judges", "cats"], {}, r"judges.cats: no such domain"),
    ],
)
def test_a_mistake_is_one_line_naming_file_and_key(
    values: dict[str, Any], tmp_path: Path, path: list[str], value: Any, message: str
) -> None:
    place = values
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ReinvertError, match=message) as caught:
        load(values, tmp_path)
    assert str(tmp_path / "params.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_section_is_named(values: dict[str, Any], tmp_path: Path) -> None:
    del values["methods"]
    with pytest.raises(ReinvertError, match="methods: required, but missing; add it"):
        load(values, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"), [("a: [1", "not valid YAML"), ("", "holds no parameters"), ("- 1", "holds no parameters")]
)
def test_a_file_that_is_no_mapping(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ReinvertError, match=message):
        load_config(tmp_path / "params.yaml")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ReinvertError, match="not found; run this in the project's folder"):
        load_config(tmp_path / "params.yaml")


def test_validated_names_the_place() -> None:
    class Two(Strict):
        first: int
        second: int = 2

    assert validated(Two, {"first": 1}, "here").second == 2
    with pytest.raises(ReinvertError, match="^here: second: "):
        validated(Two, {"first": 1, "second": "x"}, "here")
    with pytest.raises(ReinvertError, match="^here: "):
        validated(Two, None, "here")


def test_two_methods_with_one_folder_of_weights_are_refused(values: dict[str, Any], tmp_path: Path) -> None:
    values["methods"] |= {"a/b": {"kind": "psp"}, "a-b": {"kind": "psp"}}
    with pytest.raises(ReinvertError, match="'a-b' and 'a/b' would share a folder of weights; correct"):
        load(values, tmp_path)


def test_a_scale_changes_what_it_names_and_nothing_else(values: dict[str, Any], tmp_path: Path) -> None:
    values["scales"] = {
        "small": {"about": "Small.", "evaluation": {"images": 3}, "methods": {"optimization-w": {"steps": 2}}}
    }
    config = load(values, tmp_path)
    scaled = config.at_scale("small")
    assert (config.scale, scaled.scale) == (None, "small")
    assert (config.cut_short, scaled.cut_short) == (frozenset(), {"optimization-w"})
    assert config.evaluation is not None
    assert scaled.evaluation == config.evaluation.model_copy(update={"images": 3})
    assert scaled.methods["optimization-w"].arguments == config.methods["optimization-w"].arguments | {"steps": 2}
    assert {name: entry for name, entry in scaled.methods.items() if name != "optimization-w"} == {
        name: entry for name, entry in config.methods.items() if name != "optimization-w"
    }


def test_an_unknown_scale_or_one_that_cannot_be_is_refused(values: dict[str, Any], tmp_path: Path) -> None:
    values["scales"]["default"]["evaluation"]["images"] = 1
    config = load(values, tmp_path)
    with pytest.raises(ReinvertError, match=r"unknown scale 'defualt'; did you mean 'default'"):
        config.at_scale("defualt")
    with pytest.raises(ReinvertError, match=r"evaluation at scales.default: images: .*greater than or equal to 2"):
        config.at_scale("default")

"""The stage `directions` on a whole domain in miniature, and the attributes that it reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.config import validated
from core.errors import ReinvertError
from methods.editing.direction_set import Direction, DirectionSet
from methods.editing.labelled_samples import LabelledSamples
from methods.networks.stylegan2 import Generator
from pipelines import find_directions, label_samples
from pipelines import generator_quality as quality
from pipelines.editing_config import DirectionFinding, Editability
from pipelines.label_samples import mouth_lift
from pipelines.samples_config import LabelledSampling
from tests.methods.tiny import STYLE_DIM, write_generator, write_perceptual
from tests.pipelines.test_label_samples import write_judges

SETTINGS: dict[str, Any] = {
    "seed": 0, "deviations_per_gamma": 0.5, "gammas": [-2, 0, 2], "chosen": 0.2, "components": 2,
    "rows": {"coarse": [0, 2], "all": [0, 8]}, "kept": 2, "minimum_effect": 1e-6, "naming_samples": 3,
    "checking_samples": 4, "shown": 2, "bootstrap_resamples": 100,
    "domains": {"faces": {"interfacegan": {"brightness": [], "age": ["yaw", "brightness"]}}},
}  # fmt: skip
CPU = torch.device("cpu")


def settings(**changes: Any) -> DirectionFinding:
    return validated(DirectionFinding, SETTINGS | changes, "params.yaml: directions")


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights and labelled samples of a tiny generator of faces of 32 pixels."""
    root = tmp_path_factory.mktemp("domain")
    write_generator(root, 32)
    write_judges(root, 32)
    write_perceptual(root)
    sampling = LabelledSampling.model_construct(samples=120, seed=5)
    label_samples.label_samples("faces", sampling, root, root / "data" / "faces" / "labelled-samples.npz", CPU)
    return root


def test_the_lift_of_a_mouth_is_what_its_ends_rise_by() -> None:
    masks = np.zeros((4, 20, 21), bool)
    for column in range(21):
        height = round(5 * ((column - 10) / 10) ** 2)  # a parabola whose ends stand 5 pixels above its middle
        masks[0, 10 - height, column] = masks[0, 11 - height, column] = True
        masks[1, 5 + height, column] = masks[1, 6 + height, column] = True
        masks[2, 10:12, column] = True
    masks[3, 10, 8:11] = True  # too few columns to be a mouth
    # Heights are rounded to whole pixels, which moves the fit by a part of one.
    torch.testing.assert_close(mouth_lift(masks), torch.tensor([5.0, -5.0, 0.0, 0.0]), atol=0.25, rtol=0)


def test_directions_are_found_checked_and_kept(domain: Path, tmp_path: Path) -> None:
    made = find_directions.find_directions("faces", settings(), domain, domain / "data", tmp_path, CPU)
    kept = DirectionSet.load(domain / "data" / "faces" / "directions.npz")
    assert json.loads((tmp_path / "metrics.json").read_text()) == made
    assert (
        set(made["directions"])
        == {one.name for one in kept.directions}
        >= {"brightness", "age", "ganspace-1", "sefa-1"}
    )
    for one in kept.directions:
        entry = made["directions"][one.name]
        assert one.vector.norm().item() == pytest.approx(1.0, abs=1e-5)
        assert entry["attribute"] == one.attribute and entry["rows"] == list(one.rows)
        assert [change["n"] for change in entry["changes"]] == [4, 4, 4] and entry["changes"][1]["mean"] == 0.0
        others = max(abs(effect) for name, effect in entry["effects"].items() if name != one.attribute)
        assert entry["others_less"] == (abs(entry["effects"][one.attribute]) > others)
        means = [change["mean"] for change in entry["changes"]]
        assert entry["monotone"] == (means[0] < means[1] < means[2])
        assert entry["holds"] == (entry["monotone"] and entry["others_less"])
    assert made["directions"]["brightness"]["monotone"]  # which even a random generator can learn
    with np.load(tmp_path / "strips.npz") as strips:
        assert set(strips.files) == set(made["directions"]) and strips["age"].shape == (2, 3, 32, 32, 3)


def test_the_check_sees_that_a_direction_lies(domain: Path) -> None:
    loaded = find_directions.generators.load("faces", domain)
    samples = find_directions.labelled_samples(loaded, domain / "data" / "faces" / "labelled-samples.npz")
    judges = find_directions.EditJudges.load("faces", domain, CPU)
    found, _ = find_directions.find("faces", loaded.generator, samples, judges, settings())
    honest = found.get("brightness")
    lie = Direction("darkness", "interfacegan", "brightness", -honest.vector, honest.unit, honest.rows)
    codes = quality.seeded_codes(loaded.generator, 4, 9)
    for direction, monotone in ((honest, True), (lie, False)):
        checked = find_directions.check(loaded.generator, direction, codes, judges, found.spreads, settings())
        assert checked.entry["monotone"] is monotone and checked.entry["holds"] in (
            {False} if not monotone else {True, False}
        )


def test_what_most_samples_lack_is_no_measure_for_other_attributes() -> None:
    scores = {"age": torch.tensor([20.0, 40.0, 60.0]), "glasses": torch.tensor([0.0, 0.0, 0.3])}
    samples = LabelledSamples(torch.zeros(3, 2), scores, "a" * 64, seed=0)
    assert find_directions.spreads_of(samples, ()) == {"age": 20.0}
    assert set(find_directions.spreads_of(samples, ("glasses",))) == {"age", "glasses"}


def test_styles_are_drawn_in_their_shape() -> None:
    generator = Generator(8, STYLE_DIM, 1, {4: 4, 8: 4}).eval()
    styles = torch.randn(2, 3, generator.style_count, STYLE_DIM)
    drawn = find_directions.draw_styles(generator, styles)
    alone = find_directions.draw_styles(generator, styles[1, 2:3])
    assert drawn.shape == (2, 3, 8, 8, 3)
    assert np.abs(drawn[1, 2].astype(int) - alone[0]).max() <= 1  # a rounding error may tip a byte


def test_what_does_not_fit_is_refused_in_one_line(domain: Path, tmp_path: Path) -> None:
    data = domain / "data"
    for changes, words in (
        ({"rows": {"all": [0, 10]}}, "ends after style 8"),
        ({"domains": {"churches": {}}}, "says nothing of directions in faces"),
        ({"domains": {"faces": {"interfacegan": {"aeg": []}}}}, "did you mean 'age'"),
        ({"gammas": [1, 2, 3]}, "must rise and hold 0"),
        ({"shown": 9}, "only 4 samples are checked"),
        ({"rows": {"none": [2, 2]}}, "rows.none is 2 to 2"),
    ):
        with pytest.raises(ReinvertError, match=words):
            find_directions.find_directions("faces", settings(**changes), domain, data, tmp_path, CPU)
    samples = find_directions.labelled_samples(
        find_directions.generators.load("faces", domain), data / "faces" / "labelled-samples.npz"
    )
    LabelledSamples(samples.codes, samples.scores, "f" * 64, samples.seed).save(
        tmp_path / "faces" / "labelled-samples.npz"
    )
    with pytest.raises(ReinvertError, match="another generator; make it again with 'reinvert label samples'"):
        find_directions.find_directions("faces", settings(), domain, tmp_path, tmp_path, CPU)


def test_the_sections_of_params_yaml_are_valid() -> None:
    from core.config import load_config

    config = load_config(Path(__file__).parents[2] / "params.yaml")
    found = validated(DirectionFinding, config.directions, "params.yaml: directions")
    edits = validated(Editability, config.editability, "params.yaml: editability")
    assert set(found.domains) == set(config.domains) == set(edits.directions)
    for domain_name, names in edits.directions.items():
        for name in names:
            finder, _, place = name.partition("-")
            assert name in found.domains[domain_name].interfacegan or (
                finder in {"ganspace", "sefa"} and int(place) <= found.kept
            )

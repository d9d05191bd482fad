"""The judge-training loop on a toy domain: learns, resumes bit for bit, writes what `metrics.judges.load` reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from core.config import load_config
from core.errors import ReinvertError
from core.files import atomic_write_json
from core.weights import load_card
from metrics import judges
from metrics.judges.config import JudgeTraining
from metrics.judges.objective import TestSet
from metrics.judges.training_set import TrainingSet
from pipelines import train_judge
from pipelines.domains import shards
from tests.conftest import ROOT

SIZE = 16
CONFIG: dict[str, Any] = {
    "recipe": 1,
    "architecture": "attribute-regressor",
    "arguments": {"size": SIZE, "channels": [4, 8], "hidden": 8, "outputs": {"yaw": [0.0, 20.0]}},
    "objective": "attributes",
    "objective_arguments": {"weights": {"yaw": 1.0}},
    "splits": {"train": 1},
    "steps": 12,
    "batch": 8,
    "learning_rate": 0.01,
    "warmup": 0.1,
    "weight_decay": 0.01,
    "precision": "32-true",
    "augmentation": {"brightness": 0.05, "contrast": 0.05, "colour": 0.02, "blur": 0.2, "noise": 0.02},
    "seed": 0,
    "stored": "float16",
    "log_every": 2,
    "checkpoint_every": 5,
}
CURRICULAR = CONFIG | {
    "architecture": "plain-global-depthwise",
    "arguments": {"size": SIZE, "stem": 4, "channels": [8], "embedding": 6},
    "objective": "curricularface",
    "objective_arguments": {"lookalikes": 2, "hidden": 8, "scale": 8.0, "margin": 0.1, "momentum": 0.9},
    "precision": "bf16-mixed",
}
# Not bfloat16: its convolutions on maps of one pixel, which images this small end in, give NaN now and then.
CONTRAST = CONFIG | {
    "architecture": "moco-resnet",
    "arguments": {"size": SIZE, "units": [1, 1, 1, 1], "widths": [8, 8, 8, 8]},
    "objective": "momentum-contrast",
    "objective_arguments": {
        "views": CONFIG["augmentation"] | {"crop": 0.5, "flip": 0.5, "grey": 0.2},
        "queue": 24,
        "projection": 6,
        "temperature": 0.2,
        "momentum": 0.9,
    },
}
CPU = torch.device("cpu")


class _Bars:
    """Images of a bright column whose place is the yaw; four images show one "person", whose colour it is."""

    def __init__(self, count: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        identity = torch.arange(count) // 4
        colour = torch.rand(count, 3, generator=generator)[identity]
        place = torch.randint(2, SIZE - 2, (count,), generator=generator)
        self._images = torch.zeros(count, SIZE, SIZE, 3)
        for i in range(count):
            self._images[i, :, int(place[i]) - 1 : int(place[i]) + 2] = 80 + 170 * colour[i]
        self._labels = (self._images.sum(-1) > 0).to(torch.uint8)
        self.attributes = {
            "identity": identity,
            "identity_vector": colour * 2 - 1,
            "yaw": (place - SIZE / 2) * 6.0,
            "out_of_distribution": torch.arange(count) % 3 == 0,
        }

    def __len__(self) -> int:
        return len(self._images)

    def images(self, indices: Any) -> np.ndarray:
        return self._images[torch.as_tensor(indices)].numpy().astype(np.uint8)

    def labels(self, indices: Any) -> np.ndarray:
        return self._labels[torch.as_tensor(indices)].numpy()


def _test_set() -> TestSet:
    split = _Bars(48, seed=1)

    def images() -> Iterator[torch.Tensor]:
        for rows in torch.arange(48).split(20):
            yield shards.to_float(torch.from_numpy(split.images(rows)))

    def lookalikes() -> Iterator[torch.Tensor]:
        for batch in images():
            yield batch.roll(1, 1)

    labels = torch.from_numpy(split.labels(torch.arange(48)))
    return TestSet(images, lookalikes, labels, split.attributes, ("dark", "bright"))


def _train(config: dict[str, Any], work: Path, output: Path, name: str = "judge") -> dict[str, torch.Tensor]:
    training = TrainingSet([(_Bars(96, seed=0), 1)])
    checked = JudgeTraining.model_validate(config)
    train_judge.main("toy", name, checked, training, _test_set(), work, output / "toy" / name, CPU)
    return judges.load("toy", name, output).state_dict()


def test_training_learns_and_its_card_tells_how_well(tmp_path: Path) -> None:
    _train(CONFIG | {"steps": 120, "stored": "float32"}, tmp_path / "work", tmp_path)
    card = load_card(tmp_path / "toy" / "judge")
    truth = _Bars(48, seed=1).attributes["yaw"]
    by_the_mean = float((truth - truth.mean()).abs().mean())
    assert card.scores["yaw_mae"] < 0.5 * by_the_mean
    assert set(card.scores) == {"yaw_mae", "yaw_mae_in_distribution", "yaw_mae_out_of_distribution"}
    assert card.images_seen == 120 * 8
    assert card.architecture == "attribute-regressor"


def test_scores_are_those_of_the_stored_weights(tmp_path: Path) -> None:
    _train(CONFIG, tmp_path / "work", tmp_path)
    network = judges.load("toy", "judge", tmp_path)
    predicted = torch.cat([network(images)["yaw"] for images in _test_set().images()])
    error = float((predicted - _Bars(48, seed=1).attributes["yaw"]).abs().mean())
    assert load_card(tmp_path / "toy" / "judge").scores["yaw_mae"] == pytest.approx(error, rel=1e-5)


@pytest.mark.parametrize("config", [CONFIG, CURRICULAR, CONTRAST], ids=["attributes", "curricularface", "contrast"])
def test_a_killed_training_ends_as_if_it_had_not_been(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _train(config, tmp_path / "whole", tmp_path / "a")
    calls = 0
    augment = train_judge.augment

    def interrupted(*arguments: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 9:  # after the checkpoint of step 5
            raise KeyboardInterrupt
        return augment(*arguments)

    monkeypatch.setattr(train_judge, "augment", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _train(config, tmp_path / "killed", tmp_path / "b")
    assert not (tmp_path / "b").exists()
    resumed = _train(config, tmp_path / "killed", tmp_path / "b")
    assert calls == 8 + 1 + 7  # went on from step 5, not from the start
    assert whole.keys() == resumed.keys()
    for key, value in whole.items():
        assert torch.equal(value, resumed[key]), key
    log = "losses.csv"
    assert (tmp_path / "whole" / log).read_text() == (tmp_path / "killed" / log).read_text()
    cards = [(tmp_path / folder / "toy" / "judge" / "card.json").read_text() for folder in "ab"]
    assert json.loads(cards[0]) == json.loads(cards[1])


def test_scoring_again_keeps_the_weights_and_gives_the_same_scores(tmp_path: Path) -> None:
    _train(CURRICULAR, tmp_path / "work", tmp_path)
    folder = tmp_path / "toy" / "judge"
    whole, weights = load_card(folder), (folder / "weights.safetensors").read_bytes()
    atomic_write_json(folder / "card.json", whole.model_copy(update={"scores": {}}).model_dump())
    config, training = JudgeTraining.model_validate(CURRICULAR), TrainingSet([(_Bars(96, seed=0), 1)])
    found = train_judge.rescore("toy", "judge", config, training, _test_set(), folder, CPU)
    assert found == whole == load_card(folder)
    assert "auc_across_yaw" in found.scores
    assert "auc_across_age" not in found.scores  # bars have no age
    assert (folder / "weights.safetensors").read_bytes() == weights


def test_what_cannot_be_scored_again_is_refused(tmp_path: Path) -> None:
    scene = CONFIG | {
        "architecture": "pooled-features",
        "arguments": {"size": SIZE, "stem": 4, "channels": [4], "features": 4},
        "objective": "scene",
        "objective_arguments": {"ignore": ["identity"]},
    }
    _train(scene, tmp_path / "work", tmp_path)
    folder, training = tmp_path / "toy" / "judge", TrainingSet([(_Bars(96, seed=0), 1)])
    for config, message in ((scene, "only known while training"), (CONFIG, "another network")):
        checked = JudgeTraining.model_validate(config)
        with pytest.raises(ReinvertError, match=message):
            train_judge.rescore("toy", "judge", checked, training, _test_set(), folder, CPU)


def test_losses_are_logged(tmp_path: Path) -> None:
    _train(CONFIG, tmp_path / "work", tmp_path)
    with (tmp_path / "work" / "losses.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [int(row["step"]) for row in rows] == [2, 4, 6, 8, 10, 12]
    assert [int(row["images"]) for row in rows] == [16, 32, 48, 64, 80, 96]
    assert set(rows[0]) == {"step", "images", "loss", "yaw"}


def test_a_diverging_training_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReinvertError, match="diverged .* lower its learning_rate"):
        _train(CONFIG | {"learning_rate": 1e30}, tmp_path / "work", tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "u-nett"}, "did you mean 'u-net'"),
        ({"objective": "arcfase"}, "did you mean 'arcface'"),
        ({"arguments": {"size": SIZE}}, "judges.toy.judge.arguments: missing a required argument"),
        (
            {"objective_arguments": {"weights": {"yaw": 1.0}, "margin": 1.0}},
            "judges.toy.judge.objective_arguments: .*unexpected keyword",
        ),
    ],
)
def test_mistakes_in_the_configuration_are_one_line(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ReinvertError, match=message):
        _train(CONFIG | change, tmp_path / "work", tmp_path)


def test_every_judge_of_the_parameters_is_valid_and_a_stage_of_the_graph() -> None:
    sections = load_config(ROOT / "params.yaml").judges
    for values in (values for judges_of in sections.values() for values in judges_of.values()):
        JudgeTraining.model_validate(values)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["train-judge"]["foreach"]
    expected = {
        f"{domain}-{name}": {"domain": domain, "judge": name} for domain in sections for name in sections[domain]
    }
    assert stages == expected


def test_unknown_keys_are_refused_before_anything_is_rendered(tmp_path: Path) -> None:
    with pytest.raises(ReinvertError, match=r"judges.faces.judge.*stepz"):
        train_judge.train_judge("faces", "judge", CONFIG | {"stepz": 3}, tmp_path, tmp_path, "cpu", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [train_judge.learning_rate(step, 100, 0.1, 0.2) for step in range(100)]
    assert max(rates) == rates[20] == pytest.approx(0.1)
    assert (np.diff(rates[:21]) > 0).all()
    assert (np.diff(rates[20:]) < 0).all()
    assert rates[60] == pytest.approx(0.05)  # half way down the cosine
    assert 0 < rates[-1] < 0.001

"""Labelled samples: what is read, what is kept, and that directions can be learnt from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import ReinvertError
from core.weights import save_weights
from methods import generators
from methods.editing import interfacegan
from methods.editing.labelled_samples import LabelledSamples
from metrics.judges import ARCHITECTURES
from pipelines import domains, find_directions, label_samples
from pipelines import generator_quality as quality
from pipelines.samples_config import LabelledSampling
from tests.methods.tiny import STYLE_DIM, card, write_generator


def write_judge(root: Path, name: str, architecture: str, arguments: dict[str, object], seed: int) -> None:
    torch.manual_seed(seed)
    state = ARCHITECTURES.get(architecture)(**arguments).state_dict()
    save_weights(root / "faces" / name, state, card(name, architecture, arguments))


def write_judges(root: Path, size: int) -> None:
    """Random judges of faces, as small as their architectures allow."""
    classes = len(domains.get("faces").label_names)
    write_judge(root, "parser", "u-net", {"size": size, "classes": classes, "channels": [8, 8]}, 3)
    outputs = {"age": [50.0, 17.0], "yaw": [0.0, 23.0]}
    write_judge(
        root, "attributes", "attribute-regressor",
        {"size": size, "channels": [8, 8], "hidden": 8, "outputs": outputs}, 4,
    )  # fmt: skip
    write_judge(
        root, "features", "pooled-features", {"size": size, "stem": 8, "channels": [8], "features": 6}, 5
    )  # fmt: skip


def test_brightness_and_shares_of_known_pictures() -> None:
    pixels = np.zeros((3, 2, 2, 3), np.uint8)
    pixels[1] = 255
    pixels[2, 0] = (0, 255, 0)  # half of it green, whose luma is 0.7152
    torch.testing.assert_close(label_samples.brightness(pixels), torch.tensor([0.0, 1.0, 0.3576]))
    masks = np.array([[[0, 1], [1, 1]], [[2, 2], [2, 2]]], np.uint8)
    found = label_samples.shares(masks, ("sky", "roof", "wall"), ("roof", "wall"))
    assert {name: share.tolist() for name, share in found.items()} == {"roof": [0.75, 0.0], "wall": [0.0, 1.0]}


def test_samples_are_labelled_by_the_judges_and_kept(tmp_path: Path) -> None:
    write_generator(tmp_path, 8)
    write_judges(tmp_path, 8)
    settings = LabelledSampling.model_construct(samples=70, seed=5)  # as few as no configuration may ask for
    path = tmp_path / "data" / "labelled-samples.npz"
    made = label_samples.label_samples("faces", settings, tmp_path, path, torch.device("cpu"))
    loaded = generators.load("faces", tmp_path)
    kept = find_directions.labelled_samples(loaded, path)
    assert kept.generator_sha256 == loaded.card.sha256
    assert kept.codes.shape == (70, STYLE_DIM)
    assert kept.seed == 5
    z = torch.randn(70, STYLE_DIM, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(kept.codes, loaded.generator.mapping(z))
    content = quality.content_of("faces")
    assert set(kept.scores) == {*content.shares, *content.attributes, "brightness", "smile"}
    for name, score in made.scores.items():
        assert score.shape == (70,)
        torch.testing.assert_close(kept.scores[name], score, atol=0, rtol=0)
    # The labels are those of the images that the codes draw, in the same order.
    pixels = quality.draw_codes(loaded.generator, kept.codes[60:])
    torch.testing.assert_close(kept.scores["brightness"][60:], label_samples.brightness(pixels))


def test_a_direction_learnt_from_samples_raises_its_attribute(tmp_path: Path) -> None:
    write_generator(tmp_path, 8)
    generator = generators.load("faces", tmp_path).generator
    codes = quality.seeded_codes(generator, 300, seed=0)
    scores = label_samples.brightness(quality.draw_codes(generator, codes))
    samples = LabelledSamples(codes, {"brightness": scores}, "", seed=0)
    boundary = interfacegan.train_boundary(samples.codes, samples.scores["brightness"], chosen=0.2)
    moved = label_samples.brightness(quality.draw_codes(generator, codes[:20] + boundary.normal * codes.std()))
    assert (moved > scores[:20]).float().mean() > 0.8


@pytest.mark.parametrize("content", [None, b"a poem"])
def test_a_file_that_is_none_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "labelled-samples.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ReinvertError, match="make it with 'reinvert label samples'"):
        LabelledSamples.load(path, "", lambda count, seed: torch.zeros(count, 2))

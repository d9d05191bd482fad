import json
from pathlib import Path

import pytest
import torch

from core.errors import ReinvertError
from core.weights import CARD_FILE
from methods import generators
from tests.methods import tiny


def test_feature_shapes_are_those_drawn(tmp_path: Path) -> None:
    tiny.write_generator(tmp_path, 32)
    loaded = generators.load("faces", tmp_path)
    styles = loaded.mean_code(1).styles
    for layer in range(1, 7):
        _, feature = loaded.generator.synthesis(styles, return_feature_of=layer)
        assert loaded.feature_shape(layer) == tuple(feature.shape[1:])
    for layer in (0, 7):
        with pytest.raises(ReinvertError, match=f"has no feature {layer}; use 1 ... 6"):
            loaded.feature_shape(layer)


def test_the_discriminator_is_read_as_it_was_written(tmp_path: Path) -> None:
    tiny.write_discriminator(tmp_path, 16)
    discriminator, card = generators.load_discriminator("faces", tmp_path)
    assert discriminator(torch.zeros(2, 3, 16, 16)).shape == (2, 1)
    assert all(parameter.requires_grad for parameter in discriminator.parameters())  # to be trained further
    file = tmp_path / "faces" / "discriminator" / CARD_FILE
    file.write_text(json.dumps(card.model_dump() | {"arguments": {"size": 32, "channels": None}}))
    with pytest.raises(ReinvertError, match="does not fit its own card"):
        generators.load_discriminator("faces", tmp_path)
    (tmp_path / "cars").symlink_to(tmp_path / "faces")
    with pytest.raises(ReinvertError, match="holds a discriminator of domain faces"):
        generators.load_discriminator("cars", tmp_path)

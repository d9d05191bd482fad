"""What was read from an official file comes back from safetensors, of every layout, bit for bit."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import ReinvertError
from core.weights import CARD_FILE, Source, WeightsCard, load_card, save_weights
from methods.official import LAYOUTS, Official, converted, read
from metrics.judges.mtcnn import RefinementNetwork
from tests.methods.official import files, nvidia_files, test_nvidia_pickles

SOURCE = Source(file="checkpoint.pt", address=None, licence="not stated", sha256="0" * 64, bytes=7)
REFINEMENT = files.File(RefinementNetwork().state_dict(), {})


def read_file(folder: Path, content: Any, layout: str) -> Official:
    path = folder / "checkpoint.pt"
    if layout.endswith("-nvidia"):
        nvidia_files.write(path, content)
    else:
        torch.save(content, path)
    return read(path, layout)


def contents() -> dict[str, Any]:
    """One content for every layout and every variant of it, made when called."""
    pickles: dict[str, Any] = {
        "stylegan2-nvidia": test_nvidia_pickles.stylegan2,
        "stylegan3-nvidia": lambda: test_nvidia_pickles.stylegan3(rotation=True),
        "mtcnn of crops": lambda: REFINEMENT.content,
    }
    return pickles | {name: (lambda make=make: make().content) for name, make in files.FILES.items()}


CONTENTS = contents()


@pytest.mark.parametrize("name", CONTENTS)
def test_what_was_saved_is_loaded(name: str, tmp_path: Path) -> None:
    official = read_file(tmp_path, CONTENTS[name](), files.layout_of(name))
    card = converted.save(official, tmp_path / "out", "tiny", "toys", SOURCE)
    assert (card.source, card.images_seen, card.seed, card.recipe) == (SOURCE, None, None, 0)
    (tmp_path / "checkpoint.pt").unlink()

    loaded = converted.load(tmp_path / "out")
    assert (loaded.layout, set(loaded.modules)) == (official.layout, set(official.modules))
    # As JSON, where lists and tuples are one; the networks tell whether it matters.
    assert json.dumps(loaded.arguments, sort_keys=True) == json.dumps(official.arguments, sort_keys=True)
    assert set(loaded.options) == set(official.options)
    assert (loaded.latent_avg is None) == (official.latent_avg is None)
    if official.latent_avg is not None:
        assert torch.equal(loaded.latent_avg, official.latent_avg)
    for role, module in official.modules.items():
        ours = loaded.modules[role]
        assert type(ours) is type(module) and not ours.training
        assert not any(parameter.requires_grad for parameter in ours.parameters())
        state = ours.state_dict()
        assert list(state) == list(module.state_dict())
        assert all(torch.equal(state[key], value) for key, value in module.state_dict().items())
        # What no state dict has must not be left on the meta device on which networks are built.
        assert all(not value.is_meta for _, value in inspect.getmembers(ours, torch.is_tensor))
        assert all(not buffer.is_meta for buffer in ours.buffers())


def test_every_layout_is_tried() -> None:
    assert {files.layout_of(name) for name in CONTENTS} | {"e4e"} == set(LAYOUTS.names())


@torch.no_grad()
def test_the_loaded_encoder_gives_the_same_codes(tmp_path: Path) -> None:
    official = read_file(tmp_path, files.FILES["psp"]().content, "psp")
    converted.save(official, tmp_path / "out", "tiny", "toys", SOURCE)
    loaded = converted.load(tmp_path / "out")
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    codes = [each.modules["encoder"](images) + each.latent_avg for each in (official, loaded)]
    assert torch.equal(*codes)
    assert torch.equal(
        loaded.modules["generator"].synthesis(codes[1]), official.modules["generator"].synthesis(codes[0])
    )


def test_options_become_what_json_has_words_for(tmp_path: Path) -> None:
    official = read_file(tmp_path, files.FILES["psp"]().content, "psp")
    official.options.update(ratio=float("nan"), where=Path("a"), sizes=(1, 2), nested={3: None})
    converted.save(official, tmp_path / "out", "tiny", "toys", SOURCE)
    loaded = converted.load(tmp_path / "out").options
    assert (loaded["ratio"], loaded["where"], loaded["sizes"], loaded["nested"]) == ("nan", "a", [1, 2], {"3": None})
    assert loaded["batch_size"] == 8


def test_other_weights_are_refused(tmp_path: Path) -> None:
    card = WeightsCard(
        name="x", domain="toys", architecture="linear", arguments={}, recipe=1, images_seen=0, seed=0, device="cpu",
        code_version="test",
    )  # fmt: skip
    save_weights(tmp_path, {"weight": torch.zeros(2)}, card)
    with pytest.raises(ReinvertError, match="does not hold a converted official checkpoint"):
        converted.load(tmp_path)


@pytest.mark.parametrize("spoilt", ["kind", "arguments"])
def test_a_card_of_other_networks_is_refused(tmp_path: Path, spoilt: str) -> None:
    converted.save(read_file(tmp_path, REFINEMENT.content, "mtcnn"), tmp_path / "out", "tiny", "toys", SOURCE)
    path = tmp_path / "out" / CARD_FILE
    values = json.loads(path.read_text())
    values["arguments"]["networks"]["rnet"][spoilt] = {"kind": "mtcnn-output", "arguments": {"size": 3}}[spoilt]
    path.write_text(json.dumps(values))
    assert load_card(tmp_path / "out").name == "tiny"
    with pytest.raises(ReinvertError, match="convert it again"):
        converted.load(tmp_path / "out")

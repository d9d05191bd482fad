"""The cards that come with the project, and mistakes in cards."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import ReinvertError
from methods.official import LAYOUTS
from pipelines.weights.cards import CheckpointCard, load_cards, select
from pipelines.weights.download import is_drive

CARDS = load_cards()


def test_every_layout_has_a_reader_and_is_used() -> None:
    used = {card.layout for card in CARDS.values()}
    assert used <= set(LAYOUTS.names())
    # No address of a StyleGAN3 network is stated where the methods' own files are.
    assert set(LAYOUTS.names()) - used == {"stylegan3-nvidia"}


def test_no_address_stands_for_two_files() -> None:
    addresses = [card.address for card in CARDS.values() if card.address]
    assert len(set(addresses)) == len(addresses) > 60
    identifiers = [address.partition("?id=")[2] for address in addresses if is_drive(address)]
    assert all(len(identifier) == 33 for identifier in identifiers)


def test_a_card_without_an_address_says_where_the_file_is() -> None:
    assert all(card.note for card in CARDS.values() if card.address is None)


@pytest.mark.parametrize(
    "method",
    [
        "psp",
        "e4e",
        "restyle-psp",
        "restyle-e4e",
        "e2style",
        "hyperinverter",
        "feature-style",
        "hfgi",
        "idinvert",
        "stylegan2",
        "judge",
    ],
)
def test_every_method_has_cards(method: str) -> None:
    assert any(card.method == method for card in CARDS.values())


def test_names_and_patterns_select() -> None:
    assert [card.name for card in select(CARDS, ["psp-ffhq", "e4e-*", "psp-ffhq"])] == [
        "e4e-ffhq", "e4e-cars", "e4e-horse", "e4e-church", "psp-ffhq",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "advice"), [("psp-fhq", "did you mean 'psp-ffhq'"), ("e4-*", "did you mean 'e4e-ffhq'")]
)
def test_an_unknown_name_is_answered_with_a_near_one(name: str, advice: str) -> None:
    with pytest.raises(ReinvertError, match=advice):
        select(CARDS, [name])


VALUES = {"name": "a", "method": "m", "domain": "faces", "layout": "psp", "file": "a.pt"}


@pytest.mark.parametrize(
    "mistake",
    [
        {"file": "../a.pt"}, {"file": ".hidden"}, {"name": "A/b"}, {"address": "ftp://x/a.pt"}, {"sha256": "abc"},
        {"bytes": 0}, {"colour": "red"},
    ],
)  # fmt: skip
def test_a_card_that_cannot_be_is_refused(mistake: dict[str, object]) -> None:
    CheckpointCard.model_validate(VALUES)
    with pytest.raises(ValueError, match="validation error"):
        CheckpointCard.model_validate({**VALUES, **mistake})


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    line = "a: {method: m, domain: faces, layout: psp, file: a.pt}\n"
    (tmp_path / "one.yaml").write_text(line)
    assert list(load_cards(tmp_path)) == ["a"]
    (tmp_path / "two.yaml").write_text(line)
    with pytest.raises(ReinvertError, match="'a' is there twice"):
        load_cards(tmp_path)
    (tmp_path / "two.yaml").write_text("b: {method: m, domain: faces, layout: psp}\n")
    with pytest.raises(ReinvertError, match="b: file: required, but missing"):
        load_cards(tmp_path)

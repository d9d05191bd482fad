"""The cards say what the modules say, and the table of trainings what the weights' cards say."""

from __future__ import annotations

from typing import Any

import methods.restyle
from core.config import load_config
from methods.registry import KINDS, import_kinds
from reports import method_cards
from reports.model import Bullets, Heading, Table
from reports.read import Run
from reports.sections import Material
from tests.conftest import ROOT

CONFIG = load_config(ROOT / "params.yaml")


def _card(domain: str, name: str, **others: Any) -> dict[str, Any]:
    return {"domain": domain, "name": name, "images_seen": 16_000, "device": "cpu", "training_seconds": 90.0,
            "scores": {"held_out_psnr": 23.456}} | others  # fmt: skip


def _material(cards: list[dict[str, Any]], names: list[str]) -> Material:
    runs = [Run(f"{domain}-{name}", domain, name, "encoder",
                record={"arguments": {"kind": CONFIG.methods[name].kind}})
            for domain in ("faces", "churches") for name in names]  # fmt: skip
    trained = frozenset(name for name, method in CONFIG.methods.items() if "training" in method.arguments)
    return Material(runs, cards, frozenset(), {}, {}, [], "", [], trained)


def test_every_kind_of_the_benchmark_has_a_card_with_its_paper() -> None:
    import_kinds()
    for kind in {method.kind for method in CONFIG.methods.values()}:
        points = method_cards.points_of(kind)
        assert len(points) >= 3, kind
        assert KINDS.get(kind).__module__ == f"methods.{kind}"
    first, *others = method_cards.points_of("restyle")
    assert first == (methods.restyle.__doc__ or "").split("\n")[0]
    assert any(one.startswith("Deviations: ") and "\n" not in one for one in others)
    assert method_cards.points_of("kind-of-a-plugin") == []


def test_trainings_stand_by_domain_and_what_has_none_has_no_line() -> None:
    cards = [_card("faces", "restyle-psp"), _card("churches", "restyle-psp", training_seconds=None, scores={}),
             _card("faces", "e2style-1-stage", images_seen=8)]  # fmt: skip
    material = _material(cards, ["restyle-psp", "restyle-e4e", "e2style/1-stage", "optimization-w"])
    section = method_cards.section(material)
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    rows = {row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in table.rows}
    assert rows["restyle-psp"] == ["16,000", "1.5", "23.46", "cpu", "16,000", "–", "–", "cpu"]
    assert rows["e2style/1-stage"] == ["8", "1.5", "23.46", "cpu", *["–"] * 4]
    assert "optimization-w" not in rows and "restyle-e4e" not in rows
    headings = [block.title for block in section.blocks if isinstance(block, Heading)]
    assert headings == ["restyle-psp, restyle-e4e", "e2style/1-stage", "optimization-w"]
    assert sum(isinstance(block, Bullets) for block in section.blocks) == len(headings)


def test_without_any_training_there_is_no_table() -> None:
    section = method_cards.section(_material([], ["optimization-w-plus"]))
    assert not [block for block in section.blocks if isinstance(block, Table)]
    assert [block.title for block in section.blocks if isinstance(block, Heading)] == ["optimization-w-plus"]

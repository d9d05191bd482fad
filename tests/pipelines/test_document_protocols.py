"""docs/protocols.md says what the protocols are."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.errors import ReinvertError
from metrics import protocols
from pipelines import document_protocols
from pipelines.cli import app

DOCUMENT = Path(__file__).parents[2] / document_protocols.DOCUMENT


def test_the_document_is_up_to_date() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert document_protocols.documented(text) == text, "run python -m pipelines.document_protocols"
    assert all(f"`{protocol.id}`" in text for protocol in protocols.everything())


def test_every_choice_shows_in_the_words() -> None:
    psp = protocols.get("psp-id")
    changes = (
        {"size": 128}, {"value_range": "[0, 1]"}, {"quantisation": "8 bits, rounded"}, {"sample_size": 5},
        {"pairing": "by position in sorted listings"}, {"face_thresholds": (0.6, 0.7, 0.8)}, {"version": 2},
        {"batch_dropping_remainder": 8}, {"failure": "the worst value", "worst": -1.0}, {"settings": {"seed": 1}},
        {"network": None}, {"function": "x:y"}, {"assumed": ("size",)},
        {"resize": "PIL bicubic, antialiased", "size": 2}, {"reduction": "means of blocks", "size": 2},
    )  # fmt: skip
    for change in changes:
        assert document_protocols.choices(replace(psp, **change)) != document_protocols.choices(psp), change


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(ReinvertError, match="must hold"):
        document_protocols.documented("# Protocols")


def test_the_command_line_lists_and_describes_protocols() -> None:
    listed = CliRunner().invoke(app, ["list", "protocols"]).output
    assert all(protocol.id in listed for protocol in protocols.everything())
    described = CliRunner().invoke(app, ["describe", "hyperinverter-kid"]).output
    assert "id: hyperinverter-kid@1024/1" in described
    assert "subset_size 1000" in described
    assert "lpips-alex@256/1" in CliRunner().invoke(app, ["describe", "lpips-alex@256"]).output
    assert "id: l2@native/1" in CliRunner().invoke(app, ["describe", "l2@native"]).output
    assert "protocol: l2-8bit@64/1" in CliRunner().invoke(app, ["describe", "l2"]).output

"""A protocol's numbers do not change without its version."""

import json
from dataclasses import replace

import pytest

from core.config import load_config
from metrics import measure, pixel, protocols, structure
from tests.metrics.protocol_numbers import FILE, choices, complaints, computed, numbers, same
from tests.metrics.stand_ins import networks

STORED = json.loads(FILE.read_text(encoding="utf-8"))


def test_no_protocol_changed_without_a_new_version() -> None:
    assert complaints(STORED, computed()) == []


def entry_of(protocol: protocols.Protocol) -> dict:
    return {protocol.name: {"version": protocol.version, "choices": choices(protocol),
                            "numbers": numbers(protocol, networks())}}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "module", "attribute", "fault"),
    [
        ("l2", pixel, "l2", lambda right: lambda a, b: 4 * right(a, b)),
        ("psnr", pixel, "psnr", lambda right: lambda a, b: right(a, b) - 3.0103),
        ("ssim", structure, "WINDOW", lambda right: 9),
        ("psp-l2", measure, "truncated_to_bytes", lambda right: measure.rounded_to_bytes),
        ("psp-jpeg-l2", measure, "JPEG_QUALITY", lambda right: 95),
        ("l2", measure, "apply_failure_rule", lambda right: lambda protocol, scores, failed: scores),
    ],
)
def test_another_computation_is_noticed(name: str, module, attribute: str, fault, monkeypatch) -> None:
    kept = {name: STORED[name]}
    assert complaints(kept, entry_of(protocols.get(name))) == []
    monkeypatch.setattr(module, attribute, fault(getattr(module, attribute)))
    found = complaints(kept, entry_of(protocols.get(name)))
    assert len(found) == 1
    assert "without a new version" in found[0]


def test_another_choice_is_noticed_even_where_small_input_hides_it() -> None:
    psnr = protocols.get("hyperinverter-psnr")
    kept = {psnr.name: STORED[psnr.name]}
    for changed in (replace(psnr, size=512), replace(psnr, pairing="by name"), replace(psnr, sample_size=100)):
        assert "without a new version" in complaints(kept, entry_of(changed))[0]
    raised = complaints(kept, entry_of(replace(psnr, size=512, version=2)))
    assert raised == ["hyperinverter-psnr has a new version; run python -m tests.metrics.protocol_numbers"]
    assert complaints(kept, {}) == ["hyperinverter-psnr is gone; its scores can no longer be made"]


def test_the_embedded_kid_is_set_as_params_yaml_says() -> None:
    evaluation = load_config(FILE.parents[2] / "params.yaml").evaluation
    assert evaluation is not None
    assert protocols.get("kid-embedded").settings == {
        "subsets": evaluation.kid_subsets, "subset_size": evaluation.kid_subset_size, "seed": evaluation.seed,
    }  # fmt: skip


def test_numbers_are_equal_but_for_rounding() -> None:
    assert same([1.0, None], [1.0 + 1e-6, None])
    assert not same([1.0, None], [1.0, 0.0])
    assert not same([1.0], [1.001])

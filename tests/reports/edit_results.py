"""Directions and edits as their stages write them, made up: an encoder, a method that searches on fewer images, one
that failed. The numbers are plain, so that tests can say what the report must print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

GAMMAS = [-2.0, -1.0, 0.0, 1.0, 2.0]
N = {"psp": 12, "optimization-w-plus": 4}
SLOPE = {"psp": 2.5, "optimization-w-plus": 4.0}


def mean(value: float | None, n: int, failed: int = 0) -> dict[str, Any]:
    around = (None, None) if value is None else (value - 0.5, value + 0.5)
    return {"mean": value, "low": around[0], "high": around[1], "n": n, "n_failed": failed}


def _pictures(*shape: int) -> Any:
    return np.random.default_rng(0).integers(0, 255, (*shape, 64, 64, 3)).astype(np.uint8)


def _direction(finder: str, attribute: str, effects: dict[str, float], component: int, good: bool) -> dict[str, Any]:
    return {
        "finder": finder, "attribute": attribute, "component": component, "rows": [0, 4], "unit": 1.0,
        "changes": [mean(change, 8) for change in (-3.0, -1.5, 0.0, 1.5, 3.25)], "effects": effects, "selectivity": 2.0,
        "rising_share": 0.875, "perceptual": [0.5, 0.7], "changed_pixels": [0.1, 0.2], "monotone": True,
        "others_less": good, "holds": good, **({"accuracy": 0.975} if component < 0 else {}),
    }  # fmt: skip


def write_directions(folder: Path) -> None:
    folder.mkdir(parents=True)
    directions = {
        "age": _direction("interfacegan", "age", {"age": 2.0, "yaw": -0.5}, -1, True),
        "ganspace-1": _direction("ganspace", "yaw", {"age": -1.5, "yaw": 1.0}, 3, False),
        "sefa-1": _direction("sefa", "age", {"age": 1.0, "yaw": 0.25}, 0, True),
    }
    metrics = {
        "schema": 1, "domain": "faces", "generator_sha256": "a" * 64, "samples": 8, "labelled_samples": 10_000,
        "gammas": GAMMAS, "deviations_per_gamma": 0.5, "spreads": {"age": 12.0, "yaw": 20.0},
        "protocol": "attribute-change@64/1", "directions": directions,
    }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(metrics))
    np.savez_compressed(folder / "strips.npz", **{name: _pictures(3, 5) for name in directions})


def write_edits(folder: Path, method: str, failed_edits: int = 0) -> None:
    n, slope = N[method], SLOPE[method]
    changes = [mean(slope * gamma, n, failed_edits if gamma else 0) for gamma in GAMMAS]
    has_weights = method == "psp"
    direction = {
        "finder": "interfacegan", "attribute": "age", "changes": changes, "per_gamma": mean(slope, n, failed_edits),
        "monotone": method == "psp", "effects": {"age": 1.0, "yaw": 0.25}, "selectivity": 4.0,
        "perceptual": [mean(0.5, n), mean(0.75, n)], "changed_pixels": [mean(0.1, n), mean(0.3, n)],
    }  # fmt: skip
    measured = {
        "schema": 1, "method": method, "domain": "faces", "status": "ok", "reason": "", "gammas": GAMMAS, "n": n,
        "n_failed": 0, "weights": {}, "directions_sha256": "e" * 64, "data_sha256": "d" * 64,
        "settings": {"fid_images": 20, "mixing_row": 4}, "device": "cpu", "versions": {},
        "protocols": {name: f"{name.replace('_', '-')}@64/1" for name in (
            "changes", "consistency", "edited_fid", "edited_kid", "edited_id", "follows_content", "endpoint_lpips")},
        "directions": {"age": direction},
        "edited": {"fid": {"value": 7.125 if n == 12 else None, "n": 2 * n, "n_failed": failed_edits},
                   "kid": {"value": 3.5, "n": 2 * n, "n_failed": failed_edits}, "id": mean(0.75, n)},
        "consistency": {"direction": "age", "gamma": 2.0, "code": mean(0.25, 4), "perceptual": mean(0.6, 4)},
        "mixing": {"content_from": "styles", "follows_content": {"age": mean(0.75, n), "yaw": mean(None, n)}},
        "interpolation": {"code": {"endpoint_lpips": mean(0.9, n)},
                          "code_and_weights": {"endpoint_lpips": mean(0.4, n)} if has_weights else None},
    }  # fmt: skip
    (folder / "editability.json").write_text(json.dumps(measured))
    pictures = {
        "inputs": _pictures(3), "reconstructions": _pictures(3), "indices": np.arange(3), "edit_age": _pictures(3, 5),
        "mixing": _pictures(2, 4), "interpolation_code": _pictures(2, 5),
    } | ({"interpolation_code_and_weights": _pictures(2, 5)} if has_weights else {})  # fmt: skip
    np.savez_compressed(folder / "edits.npz", **pictures)


def write_all(results: Path) -> None:
    write_directions(results / "directions" / "faces")
    for method in N:
        write_edits(results / f"faces-{method}", method, failed_edits=1 if method == "psp" else 0)
    failure = {"status": "failed", "reason": "every |reconstruction| is *grey*", "n": 12, "n_failed": 12}
    (results / "faces-broken" / "editability.json").write_text(json.dumps(failure))

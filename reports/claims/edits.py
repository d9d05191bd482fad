"""What `reinvert editability` measured (results/<run>/editability.json) as cells for claims."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import ReinvertError
from reports.claims import names
from reports.claims.evidence import Cell, Value, valued

FILE = "editability.json"


def read_edits(path: Path, domain: str, method: str) -> dict[Cell, Value]:
    """The cells of one run: none where the file is missing or says that the run failed.

    Changes along a direction become `<direction>_delta` at each strength and `<direction>_delta_per_gamma`, the quality
    of edited images `fid_edited` and `id_edited`, the shares of style mixing `follows_content` where a feature map
    gives the content, and the end points of interpolation those of the methods `interpolation/code` and
    `interpolation/code-and-weights`, of the method that methods.yaml takes them from.

    Raises:
        ReinvertError: the file is damaged.
    """
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["status"] != "ok":
            return {}
        return {
            Cell(domain, name, metric, setting): _value(entry, metric)
            for name, metric, setting, entry in _entries(record, method)
            if entry is not None and metric in names.metrics()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReinvertError(f"'{path}' is damaged ({error!r}); run 'reinvert editability' for it again") from error


def _entries(record: Mapping[str, Any], method: str) -> list[tuple[str, str, str, Mapping[str, Any] | None]]:
    found: list[tuple[str, str, str, Mapping[str, Any] | None]] = []
    for name, direction in record["directions"].items():
        for gamma, entry in zip(record["gammas"], direction["changes"], strict=True):
            found.append((method, f"{name}_delta", f"gamma={gamma:g}", entry))
        found.append((method, f"{name}_delta_per_gamma", "", direction["per_gamma"]))
    found += [(method, f"{name}_edited", "", entry) for name, entry in record["edited"].items()]
    if record["mixing"]["content_from"] == "feature":
        shares = record["mixing"]["follows_content"]
        found += [(method, "follows_content", f"attribute={name}", entry) for name, entry in shares.items()]
    if method == names.methods().interpolation_of:
        for way, entry in record["interpolation"].items():
            name = f"interpolation/{way.replace('_', '-')}"
            found.append((name, "endpoint_lpips", "", entry and entry["endpoint_lpips"]))
    return found


def _value(entry: Mapping[str, Any], metric: str) -> Value:
    number = entry["mean"] if "mean" in entry else entry["value"]
    return valued(number, entry.get("low"), entry.get("high"), metric, int(entry["n"]), entry.get("n_failed"))

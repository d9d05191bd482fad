"""What `reinvert inspect` measured (results/<run>/inspection.json) as cells for claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from core.errors import ReinvertError
from reports.claims.evidence import Cell, Value, valued
from reports.read_inspection import FILE, read_json

__all__ = ["FILE", "read_inspection"]


def read_inspection(path: Path, domain: str, method: str) -> dict[Cell, Value]:
    """The cells of one run: none where the file is missing or says that the run failed.

    `image_change` at each step, `latent_change` at each step and group of styles, and `residual_weight_change` by kind
    of layer, of the last resolution and of the one that changes most among the others. Changes of images and weights
    have a score for each image, so that two of them are compared image by image.

    Raises:
        ReinvertError: the file is damaged.
    """
    record = read_json(path)
    if not record:
        return {}
    try:
        return {Cell(domain, method, metric, setting): _value(entry, metric)
                for metric, setting, entry in _entries(record)}  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReinvertError(f"'{path}' is damaged ({error!r}); run 'reinvert inspect' for it again") from error


def _entries(record: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for entry in record["image_change"]:
        yield "image_change", f"step={entry['step']}", entry
    for change in record["latent_change"]:
        for group, entry in change["groups"].items():
            yield "latent_change", f"step={change['step']},group={group}", entry
    weights = record["weight_change"]
    if weights is None:
        return
    for kind, entry in weights["kinds"].items():
        yield "residual_weight_change", f"kind={kind}", entry
    sides = sorted(weights["resolutions"], key=int)
    others = sides[:-1]
    if others:
        most = max(others, key=lambda side: float(weights["resolutions"][side]["mean"]))
        yield "residual_weight_change", "resolution=last", weights["resolutions"][sides[-1]]
        yield "residual_weight_change", "resolution=largest-of-the-others", weights["resolutions"][most]


def _value(entry: Mapping[str, Any], metric: str) -> Value:
    number = entry["mean"] if "mean" in entry else entry["value"]
    value = valued(number, entry["low"], entry["high"], metric, int(entry["n"]))
    if "per_image" not in entry:
        return value
    scores = pd.Series({place: float(score) for place, score in enumerate(entry["per_image"]) if score is not None})
    return Value(**{**value.__dict__, "scores": scores})

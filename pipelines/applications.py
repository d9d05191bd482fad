"""What the stages of applications share: an inverter and judges of a domain, and the files they leave behind.

`results/applications/<application>-<domain>/` holds cells.csv, which claims are judged by (`reports.claims.measured`),
the record <application>.json, and <application>.npz with pictures.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.config import Config, Strict
from core.errors import ReinvertError
from core.files import atomic_write_json, atomic_write_npz, atomic_write_text
from core.registry import unknown_name
from methods import registry as methods_registry
from methods.inverter import Inverter
from metrics import judges
from metrics.statistics import summarise
from pipelines.evaluate_provenance import versions, weights_sha256

SCHEMA = 1
"""Version of the records."""
COLUMNS = ("domain", "method", "metric", "setting", "value", "low", "high", "n")
Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Measured:
    """One line of cells.csv.

    Attributes:
        method: whose number it is.
        metric: as reports/papers/metrics.yaml describes it.
        setting: what tells it from others of the metric.
        value: the number.
        low, high: its 95 % interval over images or videos.
        n: how many of them, those that failed included.
        n_failed: how many failed.
    """

    method: str
    metric: str
    setting: str
    value: float
    low: float
    high: float
    n: int
    n_failed: int

    def as_dict(self) -> dict[str, Any]:
        """For the record."""
        return dict(self.__dict__)


def mean_of(
    method: str, metric: str, setting: str, scores: Scores, failed: Flags, resamples: int, seed: int
) -> Measured:
    """The mean of a score per image or video, with its bootstrap interval.

    Args:
        method, metric, setting: see `Measured`.
        scores: (n,); one that failed holds what its failure counts as.
        failed: (n,).
        resamples: bootstrap resamples.
        seed: their seed.
    """
    found = summarise(scores, failed, resamples, seed)
    low, high = min(found.low, found.mean), max(found.high, found.mean)
    return Measured(method, metric, setting, found.mean, low, high, found.n, found.n_failed)


def load_judge(domain: str, name: str, weights: Path, device: torch.device) -> nn.Module:
    """A judge of a domain.

    Raises:
        ReinvertError: its weights are missing or altered.
    """
    return judges.load(domain, name, weights).to(device)


@dataclass(frozen=True)
class Bench:
    """What applications are measured with.

    Attributes:
        config: all parameters.
        weights: folder of the trained networks.
        data: `<domain>/test` is read.
        device: where to compute.
        build: how a method comes about.
        judge: how a judge does.
    """

    config: Config
    weights: Path
    data: Path
    device: torch.device
    build: Callable[..., Inverter] = methods_registry.build
    judge: Callable[..., nn.Module] = load_judge

    def inverter(self, method: str, domain: str) -> Inverter:
        """A method on a domain."""
        return self.build(method, self.config, domain, self.weights, self.device)

    def judge_of(self, domain: str, name: str) -> nn.Module:
        """A judge of a domain."""
        return self.judge(domain, name, self.weights, self.device)


def require_known(methods: Sequence[str], config: Config) -> None:
    """Refuse methods that params.yaml does not have.

    Raises:
        ReinvertError: the first that it has not, with the nearest that it has.
    """
    for method in methods:
        if method not in config.methods:
            raise unknown_name("method", method, config.methods)


def record_of(
    application: str, domain: str, methods: Sequence[str], settings: Strict, bench: Bench, protocols: dict[str, str]
) -> dict[str, Any]:
    """What every record says, before anything was measured.

    Raises:
        ReinvertError: a card of a network is damaged.
    """
    networks: dict[str, str] = {}
    for method in methods:
        networks |= weights_sha256(bench.weights, domain, method, bench.config)
    return {
        "schema": SCHEMA,
        "application": application,
        "domain": domain,
        "methods": list(methods),
        "weights": networks,
        "settings": settings.model_dump(mode="json"),
        "device": bench.device.type,
        "versions": versions(),
        "protocols": protocols,
    }


def write(output: Path, record: dict[str, Any], lines: Sequence[Measured], pictures: dict[str, NDArray[Any]]) -> None:
    """Leave cells.csv, the record with the same lines, and pictures in a folder.

    Args:
        output: the folder.
        record: of `record_of`, with what else there is to say.
        lines: what was measured.
        pictures: arrays by name.

    Raises:
        ReinvertError: the disk is full.
    """
    name, domain = record["application"], record["domain"]
    if any(not np.isfinite([line.value, line.low, line.high]).all() for line in lines):
        raise ReinvertError(f"{name} on {domain} gave a number that is not finite; its method needs another look")
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in lines:
        numbers = [f"{number:.8g}" for number in (line.value, line.low, line.high)]
        writer.writerow([domain, line.method, line.metric, line.setting, *numbers, line.n])
    atomic_write_npz(output / f"{name}.npz", pictures)
    atomic_write_text(output / "cells.csv", table.getvalue())
    atomic_write_json(output / f"{name}.json", record | {"cells": [line.as_dict() for line in lines]})

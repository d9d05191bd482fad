"""Score anybody's reconstructions: `reinvert score REAL_DIR FAKE_DIR --protocol P`.

What is left behind in OUT, if anywhere:

    scores.json    every number with its protocol, counts, what the folders lacked, hashes of the networks
    scores.csv     the table: one row per protocol
    images.csv     one row per pair: a column per protocol of one number per image, and under which ones it failed
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.config import Config
from core.errors import ReinvertError
from core.files import atomic_write_json, atomic_write_text
from core.registry import unknown_name
from metrics import protocols, registry
from metrics.protocols import EMBEDDED, Protocol
from metrics.statistics import summarise
from pipelines.evaluate_pairs import Measures, Results, evaluate_pairs
from pipelines.evaluate_provenance import machine, versions
from pipelines.score_folders import FolderPairs, Problems, pair_folders
from pipelines.score_networks import Loaded

SCHEMA = 1
"""Version of the files."""
FID_SAMPLE_BIAS = 2048
"""Below as many images as Inception has features, FID's covariance is singular and its bias is large."""
LISTED = 20
"""So many lines of each kind of problem are printed; scores.json has all."""
INCOMPLETE = "--incomplete"
"""The option that asks for scores of folders that do not fit."""
COLUMNS = ("protocol", "metric", "value", "low", "high", "n", "n_failed", "n_left_out")


@dataclass(frozen=True)
class Settings:
    """What changes a number and is no protocol's.

    Attributes:
        batch: images measured together; changes numbers by rounding only.
        resamples: bootstrap resamples behind each interval.
        seed: their seed.
        incomplete: score the pairs that there are, and count a reconstruction that cannot be read as failed.
    """

    batch: int
    resamples: int
    seed: int
    incomplete: bool


def choose_protocols(names: Sequence[str], domain: str, config: Config | None) -> tuple[list[Protocol], list[str]]:
    """The protocols of names, ids or suites, and what is left out of a suite, with the reason.

    Args:
        names: as typed.
        domain: whose judges measure on the embedded scale.
        config: needed for the embedded scale alone: which judges there are.

    Raises:
        ReinvertError: an unknown name; the embedded scale without params.yaml.
    """
    chosen: dict[str, Protocol] = {}
    left_out: list[str] = []
    for name in names:
        found = protocols.suite(name) if name in protocols.suites() else [_protocol(name)]
        for one in found:
            reason = _without_judge(one, domain, config) if one.suite == EMBEDDED else ""
            if reason and len(found) == 1:
                raise ReinvertError(f"{reason}; choose another protocol or domain")
            if reason:
                left_out.append(reason)
            else:
                chosen[one.name] = one
    return list(chosen.values()), left_out


def _protocol(name: str) -> Protocol:
    base = name.partition("@")[0].partition("/")[0]
    known = [one.name for one in protocols.everything()]
    if base not in known:
        raise unknown_name("protocol or suite", base, [*protocols.suites(), *known])
    return protocols.get(name)


def _without_judge(one: Protocol, domain: str, config: Config | None) -> str:
    """Why a domain's judges cannot measure under an embedded protocol; empty when they can."""
    if config is None:
        raise ReinvertError(f"{one.id} measures with a domain's judges: run inside the project, or give --params")
    if domain not in config.judges:
        raise unknown_name("domain", domain, config.judges)
    judge = registry.get(one.metric).judge
    missing = judge is not None and judge not in config.judges[domain]
    return f"{one.id} is not measured: the domain '{domain}' has no judge '{judge}'" if missing else ""


def require_whole(pairs: FolderPairs, incomplete: bool) -> None:
    """Refuse folders that do not fit, unless asked not to."""
    counts = pairs.problems.counts()
    if not len(pairs):
        raise ReinvertError(f"no pair can be scored ({counts}); files are paired by their names")
    if pairs.problems and not incomplete:
        raise ReinvertError(
            f"the folders do not fit: {counts}; mend them, or give {INCOMPLETE} to score the {len(pairs):,} pairs that "
            "there are"
        )


def problem_lines(problems: Problems) -> list[str]:
    """What to print about them, `LISTED` lines of a kind."""
    lines = []
    for kind, found in problems.as_dict().items():
        lines += [f"{kind}: {line}" for line in found[:LISTED]]
        if len(found) > LISTED:
            lines.append(f"{kind}: and {len(found) - LISTED:,} more")
    return lines


def score_folders(
    real_dir: Path,
    fake_dir: Path,
    wanted: Sequence[Protocol],
    load: Callable[[Sequence[Protocol]], Loaded],
    settings: Settings,
    work_dir: Path,
    device: torch.device,
    listed: Callable[[str], None],
) -> dict[str, Any]:
    """Score a folder of reconstructions.

    Args:
        real_dir: the real images.
        fake_dir: the reconstructions, by the names of the real images.
        wanted: the protocols.
        load: gives their networks, on the device.
        settings: what else changes a number.
        work_dir: where finished chunks are kept.
        device: where to compute.
        listed: is called with each line about a file that does not fit.

    Returns:
        The content of scores.json and, under `images`, that of images.csv as rows.

    Raises:
        ReinvertError: folders that do not fit, a network that is not here, images that a protocol does not measure.
    """
    pairs = pair_folders(real_dir, fake_dir, wanted)
    for line in problem_lines(pairs.problems):
        listed(line)
    require_whole(pairs, settings.incomplete)
    if len(pairs.sizes) == 1:
        width, height = next(iter(pairs.sizes))
        wanted = [one.at(width) if one.size is None and width == height else one for one in wanted]
    loaded = load(wanted)
    measures = Measures.of(wanted, loaded.networks, device, loaded.sha256)
    results = evaluate_pairs(pairs, measures, settings.batch, work_dir)
    known = len(pairs.problems.unreadable)
    pairs = pairs.with_unreadable(np.flatnonzero(results.unreadable).tolist())
    for line in problem_lines(Problems(unreadable=pairs.problems.unreadable[known:])):
        listed(line)
    require_whole(pairs, settings.incomplete)
    return {
        "schema": SCHEMA,
        "protocols": {one.id: _described(one) for one in wanted},
        "scores": {one.id: _summary(one, results, settings) for one in wanted},
        "pairs": len(pairs),
        "unreadable_reconstructions": int(results.unreadable.sum()),
        "problems": pairs.problems.as_dict(),
        "ignored_files": pairs.ignored,
        "settings": asdict(settings),
        "networks": loaded.sha256,
        "versions": versions(),
        "device": device.type,
        "machine": machine(device),
        "images": _rows(pairs, wanted, results),
    }


def _described(one: Protocol) -> dict[str, Any]:
    return {**asdict(one), "network": one.network.name if one.network else None, "settings": dict(one.settings)}


def _summary(one: Protocol, results: Results, settings: Settings) -> dict[str, Any]:
    kept, failed = results.entering[one.id], results.failed[one.id]
    counts = {"n": int(kept.sum()), "n_failed": int(failed.sum()), "n_left_out": int((~kept).sum())}
    if not one.per_image:
        return {"value": results.distances[one.id]} | counts
    if not kept.any():
        return {"mean": None, "low": None, "high": None} | counts
    scores = results.scores[one.id][kept]
    return summarise(scores, failed[kept], settings.resamples, settings.seed).as_dict() | counts


def _rows(pairs: FolderPairs, wanted: Sequence[Protocol], results: Results) -> list[dict[str, Any]]:
    rows = []
    for index, (real, fake) in enumerate(pairs.files):
        scores = {one.id: float(results.scores[one.id][index]) for one in wanted if one.per_image}
        failed = " ".join(one.id for one in wanted if results.failed[one.id][index])
        rows.append({"real": real, "reconstruction": fake, **scores, "failed": failed})
    return rows


def table(scored: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per protocol, by `COLUMNS`."""
    rows = []
    for identifier, entry in scored["scores"].items():
        value = entry["mean"] if "mean" in entry else entry["value"]
        row = {"protocol": identifier, "metric": scored["protocols"][identifier]["metric"], "value": value}
        rows.append(row | {name: entry.get(name) for name in COLUMNS[3:]})
    return rows


def printed(scored: dict[str, Any]) -> str:
    """The table for a terminal, with what one has to know to believe it."""
    lines = [["metric", "value", "95 % interval", "n", "failed", "left out", "protocol"]]
    for row in table(scored):
        metric = registry.get(row["metric"])
        heading = metric.label + ("" if metric.per_image else f" (n = {row['n']:,})")
        value = "failed" if row["value"] is None else f"{row['value']:.{metric.decimals}f}"
        interval = (
            "" if row["low"] is None else f"{row['low']:.{metric.decimals}f} .. {row['high']:.{metric.decimals}f}"
        )
        counts = [f"{row[name]:,}" for name in ("n", "n_failed", "n_left_out")]
        lines.append([heading, value, interval, *counts, row["protocol"]])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*text, *remarks(scored)])


def remarks(scored: dict[str, Any]) -> list[str]:
    """Warnings about the scores of this very table."""
    found = []
    small = [entry["n"] for name, entry in scored["scores"].items() if scored["protocols"][name]["metric"] == "fid"]
    if small and min(small) < FID_SAMPLE_BIAS:
        found.append(
            f"warning: FID of {min(small):,} images is biased upwards (usual: at least {FID_SAMPLE_BIAS:,}); compare "
            "it only between equal n"
        )
    kinds = {kind: len(lines) for kind, lines in scored["problems"].items() if lines}
    if kinds:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
        found.append(f"warning: {scored['pairs']:,} pairs scored; the folders do not fit: {counts}")
    for name, described in scored["protocols"].items():
        sample, n = described["sample_size"], scored["scores"][name]["n"]
        if sample is not None and sample != n:
            found.append(f"warning: published numbers under {name} are of {sample:,} images, this is of {n:,}")
    if any(described["suite"] == EMBEDDED and described["network"] for described in scored["protocols"].values()):
        found.append(
            "note: embedded protocols measure with judges of a rendered domain; never beside published numbers"
        )
    return found


def write(scored: dict[str, Any], out: Path) -> None:
    """scores.json, scores.csv and images.csv, each whole or not at all."""
    content = {name: value for name, value in scored.items() if name != "images"}
    atomic_write_text(out / "images.csv", _csv(scored["images"], list(scored["images"][0])))
    atomic_write_text(out / "scores.csv", _csv(table(scored), list(COLUMNS)))
    atomic_write_json(out / "scores.json", content)


def _csv(rows: Sequence[dict[str, Any]], columns: list[str]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        # A dropped failure has no score: its cell is empty, and the column `failed` says why.
        writer.writerow({name: None if value != value else value for name, value in row.items()})
    return buffer.getvalue()

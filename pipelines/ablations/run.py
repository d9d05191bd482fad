"""Train and measure every variant of a file of ablations, side by side.

Variants have weights of their own in `ablations/weights`, beside links to the generators, judges and methods of the
benchmark, so that every command works there as it does in `weights`. Trainings and measurements resume from the cache,
where all of them are kept by what decides their result; what is finished is taken up in seconds.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.config import Config
from core.config_ablations import Ablations
from core.errors import ReinvertError
from core.registry import unknown_name
from pipelines import collected
from pipelines.side_by_side import require_none_failed
from pipelines.train_methods import name_of, train_methods, trainings
from pipelines.wiring import folder_of

if TYPE_CHECKING:
    from pipelines.editing_config import Editability


@dataclass(frozen=True)
class Places:
    """Files and folders.

    Attributes:
        params: the file of ablations.
        weights: of the benchmark, only read.
        own_weights: of the variants, with links to the others.
        data: the rendered images.
        runs: what is measured, a folder per domain and run.
        cache: unfinished work.
    """

    params: Path
    weights: Path
    own_weights: Path
    data: Path
    runs: Path
    cache: Path


def chosen(ablations: Ablations, names: Sequence[str] | None, domain: str) -> list[str]:
    """The variants of `names` (None for all) on `domain`, in the order of the file.

    Raises:
        ReinvertError: an unknown name.
    """
    for name in names or ():
        if name not in ablations.variants:
            raise unknown_name("variant", name, ablations.variants)
    return [
        name for name in ablations.variants if (names is None or name in names) and domain in ablations.domains_of(name)
    ]


def link_weights(ablations: Ablations, domain: str, weights: Path, own_weights: Path) -> None:
    """Show the benchmark's networks of a domain in the variants' folder, except those that variants stand for.

    Raises:
        ReinvertError: there are no weights of the domain.
    """
    if not (weights / domain).is_dir():
        raise ReinvertError(f"no weights in '{weights / domain}'; get them with 'dvc pull' or train them")
    variants = {folder_of(name) for name, variant in ablations.variants.items() if variant.same_as is None}
    (own_weights / domain).mkdir(parents=True, exist_ok=True)
    for folder in sorted(path for path in (weights / domain).iterdir() if path.is_dir()):
        target = own_weights / domain / folder.name
        if folder.name in variants or target.exists():
            continue
        try:
            target.unlink(missing_ok=True)  # a link to what is no more
            target.symlink_to(os.path.relpath(folder, target.parent), target_is_directory=True)
        except OSError:  # a file system without links
            shutil.copytree(folder, target)


def train(
    ablations: Ablations,
    config: Config,
    names: Sequence[str] | None,
    domain: str,
    places: Places,
    device: str,
    processes: int,
    say: Callable[[str], None] = print,
) -> None:
    """Train the variants on a domain; the training images must have been rendered.

    Raises:
        ReinvertError: an unknown variant or domain, missing weights, or some trainings failed.
    """
    link_weights(ablations, domain, places.weights, places.own_weights)
    wanted = [name for name in chosen(ablations, names, domain) if ablations.variants[name].same_as is None]
    if not wanted:
        return
    options = ["--params", str(places.params), "--weights", str(places.own_weights), "--cache", str(places.cache)]

    def command(domain: str, method: str) -> list[str]:
        words = ["train", "method", method, "--domain", domain, *options, "--device", device]
        return [sys.executable, "-m", "pipelines.cli", *words]

    needs = trainings(config, [domain], wanted)
    train_methods(needs, places.own_weights, places.cache, command, processes, say)


def runs_of(ablations: Ablations, names: Sequence[str] | None, domain: str) -> list[str]:
    """The runs that measure the variants on a domain, each once."""
    methods = [ablations.measured_as(name) for name in chosen(ablations, names, domain)]
    return list(dict.fromkeys(name_of((domain, method)) for method in methods))


def edited_runs(ablations: Ablations, names: Sequence[str] | None, domain: str) -> list[str]:
    """Those whose edits are measured too."""
    asked = [name for group in ablations.groups.values() for name in group.edited if names is None or name in names]
    return runs_of(ablations, asked, domain) if asked else []


def measure(
    ablations: Ablations,
    config: Config,
    edits: Editability,
    names: Sequence[str] | None,
    domain: str,
    places: Places,
    device: str,
    place: str,
    processes: int,
    say: Callable[[str], None] = print,
) -> None:
    """Measure the variants on a domain.

    Args:
        ablations: the file of ablations.
        config: the configuration that it makes of the benchmark's.
        edits: its section `editability`.
        names: variants; None for all.
        domain: a registered domain.
        places: files and folders.
        device: where to compute, as the user says it, which may be "auto".
        place: what that comes to, "cpu" or "cuda".
        processes: how many at once.
        say: gets one line when a run is done.

    Raises:
        ReinvertError: an unknown variant, or some could not be measured.
    """
    from pipelines.ahead import measure_ahead  # heavy, and the command line imports this module

    link_weights(ablations, domain, places.weights, places.own_weights)
    # A cache of their own: the benchmark's runs have the same names and other weights.
    read = collected.Places(places.own_weights, places.data, places.cache / "ablations", device)
    edited = edited_runs(ablations, names, domain)
    wanted = {
        run: ("evaluate", "editability") if run in edited else ("evaluate",)
        for run in runs_of(ablations, names, domain)
    }
    todo = {
        run: stages
        for run, stages in wanted.items()
        if not all(collected.collect(stage, run, config, read, places.runs / domain / run) for stage in stages)
    }
    failed = measure_ahead(todo, config, edits, None, read, place, processes, say) if todo else {}
    for run in todo.keys() - failed.keys():
        for stage in todo[run]:
            collected.collect(stage, run, config, read, places.runs / domain / run)
    require_none_failed(failed, len(wanted), "runs")

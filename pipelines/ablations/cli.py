"""`reinvert ablations`: train, measure and collect the variants of pipelines/ablations/params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.config import Config
from core.config_ablations import DEFAULT_FILE, load_ablations, read_ablations
from pipelines.ablations.run import Places
from pipelines.commands.options import CACHE, DATA, WEIGHTS, Cache, Data, Device, Processes, device_of, known, section

app = typer.Typer(
    help="The papers' ablations: variants of methods on an equal, short budget.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Names = Annotated[list[str] | None, typer.Argument(help="Variants; by default all.", metavar="[VARIANT]...")]
Domains = Annotated[list[str] | None, typer.Option("--domain", help="A domain; may be repeated; by default all.")]
Params = Annotated[Path, typer.Option("--params", help="The file of ablations.")]
Weights = Annotated[Path, typer.Option("--weights", help="Folder of the benchmark's networks.")]
OwnWeights = Annotated[Path, typer.Option("--own-weights", help="Folder of the variants' networks.")]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of the variants' runs.")]

OWN_WEIGHTS = Path("ablations/weights")
RUNS = Path("ablations/runs")
COLLECTED = Path("results/ablations")


def _at_once(processes: int | None, device: str) -> int:
    from pipelines.side_by_side import sensible_processes

    return processes or sensible_processes(device_of(device).type)


def _known_domains(asked: list[str] | None, config: Config) -> list[str]:
    """The domains that are asked for, by default all; ReinvertError for one that there is not."""
    return [known("domain", name, config.domains) for name in asked or config.domains]


@app.command()
def train(
    names: Names = None,
    domain: Domains = None,
    processes: Processes = None,
    params: Params = DEFAULT_FILE,
    weights: Weights = WEIGHTS,
    own_weights: OwnWeights = OWN_WEIGHTS,
    cache: Cache = CACHE,
    device: Device = "auto",
) -> None:
    """Train variants side by side, going on where an earlier call was stopped; logs are in .cache/training/logs."""
    ablations, config = load_ablations(params)
    from pipelines.ablations import run
    from pipelines.domains import shards

    places = Places(params, weights, own_weights, DATA, RUNS, cache)
    for one in _known_domains(domain, config):
        shards.ensure(one, "train", cache)
        run.train(ablations, config, names or None, one, places, device, _at_once(processes, device))


@app.command()
def measure(
    names: Names = None,
    domain: Domains = None,
    processes: Processes = None,
    params: Params = DEFAULT_FILE,
    weights: Weights = WEIGHTS,
    own_weights: OwnWeights = OWN_WEIGHTS,
    data: Data = DATA,
    runs: Runs = RUNS,
    cache: Cache = CACHE,
    device: Device = "auto",
) -> None:
    """Measure trained variants side by side, with the edits of those that ask for it."""
    ablations, config = load_ablations(params)
    from pipelines.ablations import run
    from pipelines.editing_config import Editability

    edits = section(Editability, config, params, "editability")
    places = Places(params, weights, own_weights, data, runs, cache)
    place, at_once = device_of(device).type, _at_once(processes, device)
    for one in _known_domains(domain, config):
        run.measure(ablations, config, edits, names or None, one, places, device, place, at_once)


@app.command()
def collect(
    domain: Domains = None,
    params: Params = DEFAULT_FILE,
    own_weights: OwnWeights = OWN_WEIGHTS,
    runs: Runs = RUNS,
    out: Annotated[Path, typer.Option("--out", help="Folder of the collected results.")] = COLLECTED,
) -> None:
    """Write what was measured into the files that the report reads, one per domain."""
    base = read_ablations(params)[1]
    ablations, config = load_ablations(params)
    from pipelines.ablations.collect import collect as stage

    for one in _known_domains(domain, config):
        path = stage(ablations, base, config, one, runs, own_weights, out)
        print(path or f"{one}: nothing measured")

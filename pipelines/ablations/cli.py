"""`reinvert ablations`: train, measure and collect the variants of pipelines/ablations/params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.config_ablations import DEFAULT_FILE, load_ablations, read_ablations
from core.registry import unknown_name
from pipelines.ablations.run import Places

app = typer.Typer(
    help="The papers' ablations: variants of methods on an equal, short budget.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Names = Annotated[list[str] | None, typer.Argument(help="Variants; by default all.", metavar="[VARIANT]...")]
Domains = Annotated[list[str] | None, typer.Option("--domain", help="A domain; may be repeated; by default all.")]
Processes = Annotated[
    int | None, typer.Option("--processes", min=1, help="At once; by default one a core, four on a GPU.")
]
Params = Annotated[Path, typer.Option("--params", help="The file of ablations.")]
Weights = Annotated[Path, typer.Option("--weights", help="Folder of the benchmark's networks.")]
OwnWeights = Annotated[Path, typer.Option("--own-weights", help="Folder of the variants' networks.")]
Data = Annotated[Path, typer.Option("--data", help="Folder of the rendered images.")]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of the variants' runs.")]
Cache = Annotated[Path, typer.Option("--cache", help="Folder of unfinished work.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, or auto: a GPU if there is one.")]

WEIGHTS = Path("weights")
OWN_WEIGHTS = Path("ablations/weights")
DATA = Path("data")
RUNS = Path("ablations/runs")
CACHE = Path(".cache")
COLLECTED = Path("results/ablations")


def _at_once(processes: int | None, device: str) -> int:
    from pipelines.side_by_side import sensible_processes

    if processes is None and device == "auto":
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    return processes or sensible_processes(device)


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
    for one in domain or list(config.domains):
        if one not in config.domains:
            raise unknown_name("domain", one, config.domains)
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

    places = Places(params, weights, own_weights, data, runs, cache)
    for one in domain or list(config.domains):
        if one not in config.domains:
            raise unknown_name("domain", one, config.domains)
        run.measure(ablations, names or None, one, places, device, _at_once(processes, device))


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

    for one in domain or list(config.domains):
        if one not in config.domains:
            raise unknown_name("domain", one, config.domains)
        path = stage(ablations, base, config, one, runs, own_weights, out)
        print(path or f"{one}: nothing measured")

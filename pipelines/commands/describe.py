"""What there is: `reinvert list`, `describe`, `picture domain`; and the graph's view of it: `cells`, `wire`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.config import load_config
from pipelines.commands.options import DATA, PARAMS, WEIGHTS, DomainName, Params, Weights, check_recipe, known


def list_names(
    what: Annotated[str, typer.Argument(help="methods, metrics, protocols or domains.")], params: Params = PARAMS
) -> None:
    """List what there is."""
    known("list", what, ("methods", "metrics", "protocols", "domains"))
    if what == "metrics":
        from metrics import registry

        rows = [(name, registry.get(name).protocol, registry.get(name).unit) for name in registry.names()]
    elif what == "protocols":
        from metrics import protocols

        rows = [(protocol.id, protocol.suite, protocol.quantisation) for protocol in protocols.everything()]
    elif what == "methods":
        rows = [(name, method.kind, "") for name, method in load_config(params).methods.items()]
    else:
        rows = [(name, f"recipe {domain.recipe}", "") for name, domain in load_config(params).domains.items()]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    for name, second, third in rows:
        print(f"{name:<{widths[0]}}  {second:<{widths[1]}}  {third}".rstrip())


def describe(
    name: Annotated[str, typer.Argument(help="A method, a metric, a protocol or a domain.")],
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
) -> None:
    """Say what a method, metric, protocol or domain is."""
    from metrics import protocols
    from metrics import registry as metrics_registry

    config = load_config(params)
    if "@" in name or name in {protocol.name for protocol in protocols.everything()} - set(metrics_registry.names()):
        from pipelines.document_protocols import choices

        print(
            "\n".join(f"{choice}: {words}" for choice, words in choices(protocols.get(name)).items()).replace("`", "")
        )
        return
    from pipelines.ablations.describe import describe_beside, variants_beside

    variants = variants_beside(params)
    known("name", name, [*config.methods, *metrics_registry.names(), *config.domains, *variants])
    if name in variants:
        print(describe_beside(name, params, weights))
    elif name in config.methods:
        from methods import registry as methods_registry

        print(methods_registry.describe(name, config, weights))
    elif name in config.domains:
        from pipelines import domains

        domain = domains.get(name)
        print(f"{name}: {domain.resolution} x {domain.resolution} pixels, renderer recipe {domain.recipe}")
        print("images: " + ", ".join(f"{split} {count:,}" for split, count in domain.splits.items()))
        print("labels: " + ", ".join(domain.label_names))
    else:
        metric = metrics_registry.get(name)
        print(f"{name}: {metric.label}, {metric.direction} is better")
        print(f"unit: {metric.unit}")
        print(f"protocol: {metric.protocol}")
        if metric.embedded:
            print("measured by a network trained on the embedded domain; not comparable with published numbers")


def picture_domain(
    domain: DomainName,
    out: Annotated[Path, typer.Option("--out", help="Folder for the pictures.")] = Path("docs/images"),
    params: Params = PARAMS,
) -> None:
    """Draw a domain: a grid, one number varied per row, the masks, what only tests show."""
    config = load_config(params)
    check_recipe(config, domain)
    from pipelines.picture_domains import draw_all

    for path in draw_all(domain, out):
        print(path)


def cells(
    out: Annotated[Path, typer.Option("--out", help="Folder for one file per scale and run.")] = DATA / "cells",
    params: Params = PARAMS,
) -> None:
    """Write down which code and arguments each run's scores depend on; the graph compares these files."""
    from pipelines.cells import write_cells

    write_cells(load_config(params), out)


def wire(
    names: Annotated[list[str], typer.Argument(help="Methods of params.yaml.", metavar="METHOD...")],
    params: Params = PARAMS,
) -> None:
    """Print the lines that place methods into the graph: their trainings and their runs."""
    from pipelines import wiring

    print(wiring.lines(names, load_config(params)))

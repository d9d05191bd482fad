"""Images and what is measured of them: `reinvert render`, `measure generator`, `evaluate`, `ahead`, `invert`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from core.config import load_config
from pipelines.collected import STAGES, Places, collect
from pipelines.commands.options import (
    PARAMS,
    SCALE,
    WEIGHTS,
    Device,
    DomainName,
    Measuring,
    Params,
    Processes,
    RunName,
    Scale,
    Weights,
    check_recipe,
    device_of,
    flat,
    known,
    section,
)


def render(
    domain: DomainName,
    out: Annotated[Path, typer.Option("--out", help="Folder for the images.")],
    split: Annotated[str, typer.Option("--split", help="train or test.")] = "test",
    params: Params = PARAMS,
) -> None:
    """Render the images of a domain."""
    config = load_config(params)
    check_recipe(config, domain)
    from pipelines import domains
    from pipelines.domains import shards

    shards.render(domains.get(domain), split, out)


@flat
def generator(
    domain: DomainName,
    options: Measuring,
    picture: Annotated[Path | None, typer.Option("--picture", help="PNG of samples; by default in the docs.")] = None,
) -> None:
    """Measure the generator of a domain against its bars."""
    config = load_config(options.params)
    check_recipe(config, domain)
    from pipelines.samples_config import GeneratorQuality

    settings = section(GeneratorQuality, config, options.params, "generator_quality")
    from pipelines.measure_generator import measure_generator as measure

    output = options.results / "generators" / domain
    picture = picture or Path("docs/images") / f"{domain}-samples.png"
    device = device_of(options.device)
    measured = measure(domain, settings, options.weights, options.data, output, picture, options.cache, device)
    for name, entry in measured["bars"].items():
        sign, met = ("≥" if entry["direction"] == "at least" else "≤"), ("met" if entry["met"] else "not met")
        print(f"{name:<24} {entry['value']:8.3f} {sign} {entry['bar']:.3f} {met}")


@flat
def parameters(
    out: Annotated[Path, typer.Option("--out", help="The CSV file.")] = Path("results/paper-scale/e2style/cells.csv"),
) -> None:
    """Count the weights of the published networks, built at full size without memory."""
    from pipelines.count_parameters import count_parameters

    count_parameters(out)


@flat
def evaluate(
    run: RunName,
    options: Measuring,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes; by default one a core.")] = None,
    scale: Scale = SCALE,
) -> None:
    """Invert the test images with one method and measure the result."""
    config = load_config(options.params).at_scale(scale)
    known("run", run, config.runs)
    places = Places(options.weights, options.data, options.cache, options.device)
    if collect("evaluate", run, config, places, options.results / run):
        return
    check_recipe(config, config.runs[run].domain)
    from pipelines.evaluate import evaluate as measure

    work, device = options.cache / "evaluate", device_of(options.device).type
    measure(run, config, options.weights, options.data, options.results / run, work, device, workers)


@flat
def ahead(
    options: Measuring,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Runs under `runs` in params.yaml, or stages of them such as evaluate@RUN; by default all of all.",
            metavar="[RUN]...",
        ),
    ] = None,
    processes: Processes = None,
    scale: Scale = SCALE,
) -> None:
    """Measure runs side by side, which the graph does one after another, and put the files in their places."""
    config = load_config(options.params).at_scale(scale)
    wanted: dict[str, tuple[str, ...]] = {}
    for asked in runs or list(config.runs):
        stage, _, run = asked.rpartition("@")
        known("run", run, config.runs)
        if stage:
            known("stage", stage, STAGES)
        stages = {stage} if stage else {name for name in STAGES if name != "inspect" or run in config.inspected}
        wanted[run] = tuple(name for name in STAGES if name in stages.union(wanted.get(run, ())))
    for domain in {config.runs[run].domain for run in wanted}:
        check_recipe(config, domain)
    places = Places(options.weights, options.data, options.cache, options.device)

    def put(wanted: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
        """Put what was measured in its place; the rest is returned."""
        left = {
            run: tuple(stage for stage in stages if not collect(stage, run, config, places, options.results / run))
            for run, stages in wanted.items()
        }
        return {run: stages for run, stages in left.items() if stages}

    wanted = put(wanted)
    if not wanted:
        return
    from pipelines.editing_config import Editability
    from pipelines.inspection_config import Inspection

    asked_for = {stage for stages in wanted.values() for stage in stages}
    edits = section(Editability, config, options.params, "editability") if "editability" in asked_for else None
    looks = section(Inspection, config, options.params, "inspection") if "inspect" in asked_for else None
    from pipelines.ahead import measure_ahead
    from pipelines.side_by_side import require_none_failed, sensible_processes

    place = device_of(options.device).type
    failed = measure_ahead(wanted, config, edits, looks, places, place, processes or sensible_processes(place), print)
    put(wanted)
    require_none_failed(failed, len(wanted), "runs")


@flat
def inspect_run(run: RunName, options: Measuring, scale: Scale = SCALE) -> None:
    """Look at what a method changes from step to step: image, code and weights."""
    config = load_config(options.params).at_scale(scale)
    known("run", run, config.runs)
    places = Places(options.weights, options.data, options.cache, options.device)
    if collect("inspect", run, config, places, options.results / run):
        return
    check_recipe(config, config.runs[run].domain)
    from pipelines.inspection_config import Inspection

    settings = section(Inspection, config, options.params, "inspection")
    from pipelines.inspection import inspection

    device = device_of(options.device)
    found = inspection(run, config, settings, options.weights, options.data, options.results / run, device)
    print(f"{run}: {found['status']}, {found['n']} images{', ' if found['reason'] else ''}{found['reason']}")


def invert(
    images: Annotated[list[Path], typer.Argument(help="Photos: any picture with red, green and blue, or grey.")],
    method: Annotated[str, typer.Option("--method", help="A name from `reinvert list methods`.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    domain: DomainName = "faces",
    crop: Annotated[bool, typer.Option("--crop", help="Cut the middle square out of photos that are not square.")] = (
        False
    ),
    seed: Annotated[int, typer.Option("--seed", help="Of the method's random numbers.")] = 0,
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
    device: Device = "auto",
) -> None:
    """Invert own photos: reconstruction, code and a side-by-side picture of each."""
    config = load_config(params)
    known("method", method, config.methods)
    known("domain", domain, config.domains)
    from pipelines.invert import invert_files

    for done in invert_files(images, method, out, config, domain, weights, device_of(device), crop, seed):
        print(done.side_by_side)


def align_photos(
    photos: Annotated[list[Path], typer.Argument(help="Photos with one face each.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the aligned pictures, <name>.png.")],
    setting: Annotated[
        str, typer.Option("--setting", help="dataset: FFHQ's own, 1024 px; psp: the pSp family's, 256 px.")
    ] = "dataset",
    device: Device = "auto",
) -> None:
    """Align own photos as FFHQ is; needs the optional package face-alignment."""
    from pipelines.align import align_files

    for written in align_files(photos, out, setting, device_of(device)):
        print(written)

"""`reinvert train`: generators, networks that measure, encoders."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from core.config import load_config
from pipelines.commands.options import (
    CACHE,
    PARAMS,
    WEIGHTS,
    Cache,
    DomainName,
    Params,
    Processes,
    Training,
    Weights,
    check_recipe,
    device_of,
    flat,
    known,
    section,
)


def generator(domain: DomainName, params: Params = PARAMS, weights: Weights = WEIGHTS, cache: Cache = CACHE) -> None:
    """Train the generator of a domain."""
    from pipelines.generator_config import GeneratorTraining

    config = load_config(params)
    check_recipe(config, domain)
    training = section(GeneratorTraining, config, params, "generators", domain)
    from pipelines.train_generator import train_generator as train

    train(domain, training, weights, cache)


@flat
def judge(
    name: Annotated[str, typer.Argument(help="A judge under `judges.DOMAIN` in params.yaml.")],
    domain: DomainName,
    options: Training,
    scores_only: Annotated[
        bool, typer.Option("--scores-only", help="Keep the finished weights and measure their scores again.")
    ] = False,
) -> None:
    """Train a network that measures."""
    from metrics.judges.config import JudgeTraining

    config = load_config(options.params)
    check_recipe(config, domain)
    if domain in config.judges:
        known("judge", name, config.judges[domain])
    training = section(JudgeTraining, config, options.params, "judges", domain, name)
    from pipelines import train_judge as stage

    folder, device = options.weights / domain / name, device_of(options.device)
    if scores_only:
        stage.score_judge(domain, name, training, folder, device, options.cache)
    else:
        stage.train_judge(domain, name, training, options.cache / "training", folder, device, options.cache)


@flat
def method(
    name: Annotated[str, typer.Argument(help="A method with a `training` section in params.yaml.")],
    domain: DomainName,
    options: Training,
) -> None:
    """Train the encoder of a method."""
    config = load_config(options.params)
    check_recipe(config, domain)
    known("method", name, config.methods)
    from pipelines.train_method import train_method as train

    device = device_of(options.device)
    train(name, config, domain, weights_root=options.weights, cache=options.cache, device=device)


@flat
def methods(
    options: Training,
    names: Annotated[
        list[str] | None, typer.Argument(help="Methods with a `training` section; by default all.", metavar="[NAME]...")
    ] = None,
    domain: Annotated[
        list[str] | None, typer.Option("--domain", help="A domain; may be repeated; by default all.")
    ] = None,
    processes: Processes = None,
) -> None:
    """Train many methods side by side, each after the one it starts from; logs are in .cache/training/logs."""
    config = load_config(options.params)
    domains_asked = domain or list(config.domains)
    for name in domains_asked:
        check_recipe(config, name)
    from pipelines import train_methods as stage

    needs = stage.trainings(config, domains_asked, names or None)
    from pipelines.domains import shards
    from pipelines.side_by_side import sensible_processes

    place = device_of(options.device)
    for name in domains_asked:
        shards.ensure(name, "train", options.cache)
    folders = ["--params", str(options.params), "--weights", str(options.weights), "--cache", str(options.cache)]

    def command(domain: str, method: str) -> list[str]:
        program = [sys.executable, "-m", "pipelines.cli", "train", "method", method, "--domain", domain]
        return [*program, *folders, "--device", str(place)]

    stage.train_methods(needs, options.weights, options.cache, command, processes or sensible_processes(place.type))

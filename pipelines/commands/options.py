"""Options that many commands share, and the checks every command begins with.

Nothing heavy is imported: `reinvert --help` answers at once.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import pydantic
import typer

from core.config import Config, validated
from core.errors import ReinvertError
from core.registry import unknown_name

if TYPE_CHECKING:
    import torch

Model = TypeVar("Model", bound=pydantic.BaseModel)

Params = Annotated[Path, typer.Option("--params", help="The parameters.")]
Weights = Annotated[Path, typer.Option("--weights", help="Folder of the trained networks.")]
Data = Annotated[Path, typer.Option("--data", help="Folder of the rendered images.")]
Results = Annotated[Path, typer.Option("--results", help="Folder of the measured runs.")]
Cache = Annotated[Path, typer.Option("--cache", help="Folder of unfinished work.")]
DomainName = Annotated[str, typer.Option("--domain", help="A name from `reinvert list domains`.")]
RunName = Annotated[str, typer.Argument(help="A run under `runs` in params.yaml.")]
Scale = Annotated[str, typer.Option("--scale", help="How large a run: a name under `scales` in params.yaml.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, or auto: a GPU if there is one.")]
Processes = Annotated[
    int | None, typer.Option("--processes", min=1, help="At once; by default one a core, four on a GPU.")
]

PARAMS = Path("params.yaml")
WEIGHTS = Path("weights")
DATA = Path("data")
RESULTS = Path("results")
CACHE = Path(".cache")
SCALE = "default"


@dataclass(frozen=True)
class Training:
    """The options of every training."""

    params: Params = PARAMS
    weights: Weights = WEIGHTS
    cache: Cache = CACHE
    device: Device = "auto"


@dataclass(frozen=True)
class Measuring:
    """The options of everything that measures and leaves results behind."""

    params: Params = PARAMS
    weights: Weights = WEIGHTS
    data: Data = DATA
    results: Results = RESULTS
    cache: Cache = CACHE
    device: Device = "auto"


def flat(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters that are dataclasses are offered as one option per field."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}
    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in groups:
            parameters.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        options = get_type_hints(groups[name], include_extras=True)
        parameters += [
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=options[field.name]
            )
            for field in fields(groups[name])
        ]

    @functools.wraps(command)
    def flattened(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        command(**given)

    # typer reads both.
    flattened.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flattened.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del flattened.__wrapped__
    return flattened


def known(noun: str, name: str, names: Iterable[str]) -> str:
    """`name`, which must be among `names`; ReinvertError with the nearest one otherwise."""
    if name not in names:
        raise unknown_name(noun, name, names)
    return name


def device_of(name: str) -> torch.device:
    """The device of that name; ReinvertError where there is none."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ReinvertError(f"unknown device '{name}'; use cpu, cuda or auto") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ReinvertError("there is no usable GPU here; use --device cpu")
    return device


def check_recipe(config: Config, domain: str) -> None:
    """Refuse to work when params.yaml, which the DAG looks at, speaks of other images than the renderer draws."""
    from pipelines import domains

    known("domain", domain, config.domains)
    drawn, stated = domains.get(domain).recipe, config.domains[domain].recipe
    if drawn != stated:
        raise ReinvertError(
            f"params.yaml says domains.{domain}.recipe is {stated}, the renderer is at {drawn}; write {drawn} there"
        )


def section(model: type[Model], config: Config, params: Path, *keys: str) -> Model:
    """The part of params.yaml under `keys` as `model`.

    Args:
        model: the pydantic model of the section.
        config: all parameters.
        params: the file they are from, for the message.
        keys: from the outside in, such as "judges", "faces", "parser". The first names a field of `config`.

    Raises:
        ReinvertError: there is no such section, or it holds a mistake.
    """
    values: Any = getattr(config, keys[0])
    for place, key in enumerate(keys[1:], start=1):
        if not isinstance(values, Mapping) or key not in values:
            raise ReinvertError(f"{params} has no {'.'.join(keys[: place + 1])}; add the section")
        values = values[key]
    return validated(model, values, f"{params}: {'.'.join(keys)}")

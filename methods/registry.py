"""Methods by name: from an entry in params.yaml to a working inverter, its training or its description.

An entry names a `kind`, the module that implements it; every module of this package may register one with
`@KINDS.register("<module name>")`. So a new method is one file and one entry, and no list has to be kept.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel

import methods
from core.config import Config, validated
from core.errors import ReinvertError
from core.registry import Registry, unknown_name
from core.weights import CARD_FILE, load_card, weights_folder
from methods import generators
from methods.generators import LoadedGenerator
from methods.inverter import Inverter

if TYPE_CHECKING:
    from methods.training_task import TrainingTask

KINDS: Registry[type[Inverter]] = Registry("method kind")


@dataclass(frozen=True)
class Context:
    """What a method may need while it is built.

    Attributes:
        name: of the entry in params.yaml; also of the folder of its weights (`core.weights.weights_folder`).
        domain: name of the domain.
        config: all parameters, because a method may start from another one.
        weights_root: folder of the shipped weights.
        device: where to compute.
        loaded_generator: the generator, shared by a method and the methods it starts from.
        above: the methods being built that led to this one, outermost first.
    """

    name: str
    domain: str
    config: Config
    weights_root: Path
    device: torch.device
    loaded_generator: LoadedGenerator
    above: tuple[str, ...] = ()

    @property
    def weights_folder(self) -> Path:
        """Where the method's own weights are."""
        return weights_folder(self.weights_root, self.domain, self.name)

    def start(self, name: str) -> Inverter:
        """Another method, from whose answer this one starts.

        Raises:
            ReinvertError: an unknown name, or methods that start from each other.
        """
        above = (*self.above, self.name)
        if name in above:
            chain = " -> ".join((*above, name))
            raise ReinvertError(f"method '{name}' starts from itself ({chain}); change 'start'")
        return _build(replace(self, name=name, above=above))

    def start_inputs(self, name: str) -> dict[str, str]:
        """What decides the answer of the method `name`, and so the training of a method that starts from it: arguments
        and SHA-256 of the weights, of it and of those that it starts from, by name.
        """
        inputs: dict[str, str] = {}
        following: object = name
        while isinstance(following, str) and following in self.config.methods and following not in inputs:
            arguments = self.config.methods[following].arguments
            folder = weights_folder(self.weights_root, self.domain, following)
            sha256 = load_card(folder).sha256 if (folder / CARD_FILE).is_file() else ""
            inputs[following] = f"{arguments} {sha256}"
            following = arguments.get("start")
        return inputs


def import_kinds() -> list[str]:
    """Import every method module of this package and name the kinds they registered, sorted."""
    for module in pkgutil.iter_modules(methods.__path__):
        if not module.ispkg:
            importlib.import_module(f"methods.{module.name}")
    return KINDS.names()


def _kind(name: str, config: Config) -> type[Inverter]:
    if name not in config.methods:
        raise unknown_name("method", name, config.methods)
    kind = config.methods[name].kind
    if kind not in KINDS:
        import_kinds()
    return KINDS.get(kind)


def _arguments(name: str, config: Config) -> tuple[type[Inverter], object]:
    kind = _kind(name, config)
    return kind, validated(kind.Arguments, config.methods[name].arguments, f"params.yaml: methods.{name}")


def _build(context: Context) -> Inverter:
    kind, arguments = _arguments(context.name, context.config)
    return kind.from_arguments(arguments, context)


def open_context(
    name: str, config: Config, domain: str, weights_root: str | Path, device: str | torch.device
) -> Context:
    """The context of `name`, its arguments checked before the generator is read.

    Raises:
        ReinvertError: an unknown method, kind or domain; a wrong argument; generator weights missing or altered.
    """
    _arguments(name, config)
    if domain not in config.domains:
        raise unknown_name("domain", domain, config.domains)
    device = torch.device(device)
    loaded = generators.load(domain, weights_root, device)
    return Context(name, domain, config, Path(weights_root), device, loaded)


def build(
    name: str, config: Config, domain: str, weights_root: str | Path, device: str | torch.device = "cpu"
) -> Inverter:
    """The method `name` of params.yaml on `domain`, ready to invert.

    Raises:
        ReinvertError: an unknown method (with the nearest name), kind or domain; a wrong argument; weights that are
            missing, altered or of another domain.
    """
    return _build(open_context(name, config, domain, weights_root, device))


def training_task(
    name: str, config: Config, domain: str, weights_root: str | Path, device: str | torch.device = "cpu"
) -> TrainingTask:
    """What training `name` on `domain` has to learn.

    Raises:
        ReinvertError: as `build`, or the method has nothing to train.
    """
    context = open_context(name, config, domain, weights_root, device)
    kind, arguments = _arguments(name, config)
    return kind.training_task(arguments, context)


def arguments_of(name: str, config: Config) -> dict[str, Any]:
    """All arguments of an entry, those at their defaults included; sections are mappings.

    Raises:
        ReinvertError: an unknown method or kind, or a wrong argument.
    """
    return _unfolded(_arguments(name, config)[1])


def _unfolded(value: Any) -> Any:
    # Not `model_dump`, which leaves out what only ablations change (`core.config.ablated`).
    if isinstance(value, BaseModel):
        return {key: _unfolded(inner) for key, inner in value}
    return {key: _unfolded(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def describe(name: str, config: Config, weights_root: str | Path = "weights") -> str:
    """What a person asks about a method: its paper and deviations, its arguments, its weights.

    Raises:
        ReinvertError: an unknown method or a wrong argument.
    """
    kind = _kind(name, config)
    lines = [f"{name} (kind {config.methods[name].kind})", ""]
    lines += [(sys.modules[kind.__module__].__doc__ or "").strip(), "", "Arguments:"]
    for key, value in arguments_of(name, config).items():
        if isinstance(value, dict):
            lines.append(f"  {key}:")
            lines += [f"    {inner}: {what}" for inner, what in value.items()]
        else:
            lines.append(f"  {key}: {value}")
    for domain in config.domains:
        folder = weights_folder(weights_root, domain, name)
        if (folder / CARD_FILE).is_file():
            lines += ["", f"Weights for {domain}:"]
            lines += [f"  {key}: {value}" for key, value in load_card(folder).model_dump().items()]
    return "\n".join(lines)

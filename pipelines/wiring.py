"""What the graph has to know of a method, derived from params.yaml: which weights its training and its runs need.

dvc.yaml cannot follow `start` from one method to the next or see which network a loss compares with, so the lists of
trainings (dvc.yaml, `train-method`) and runs (params.yaml, `runs`) say it. `reinvert wire METHOD` prints the lines of a
method, and tests compare all of them with what is derived here, and that with what building a method really reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from core.config import Config
from core.errors import ReinvertError
from core.registry import unknown_name

ALWAYS = ("generator", "perceptual")
"""Networks that every training needs; they stand where a training needs none of the optional ones."""


def folder_of(method: str) -> str:
    """The method's folder of weights under weights/<domain>/ (see `core.weights.weights_folder`)."""
    return method.replace("/", "-")


def chain(method: str, config: Config) -> list[str]:
    """The method and those it starts from, itself first.

    Raises:
        ReinvertError: an unknown method.
    """
    found: list[str] = []
    name: Any = method
    while name not in found:
        if name not in config.methods:
            raise unknown_name("method", str(name), config.methods)
        found.append(name)
        following = config.methods[name].arguments.get("start")
        # `mean` starts from no method.
        if following is None or following == "mean":
            break
        name = following
    return found


def is_trained(method: str, config: Config) -> bool:
    """Whether the method has weights of its own."""
    return "training" in config.methods[method].arguments


def shows_identities(domain: str, config: Config) -> bool:
    """Whether the domain has a network that trains methods to keep an identity; else `similarity` plays its part."""
    return "identity-train" in config.judges.get(domain, {})


def _last_trained(methods: Iterable[str], config: Config) -> str:
    return next((folder_of(name) for name in methods if is_trained(name, config)), "generator")


def training_entry(domain: str, method: str, config: Config) -> dict[str, str]:
    """The method's line in dvc.yaml under `train-method`.

    Returns:
        `domain`, `method`, `folder` and the networks it needs besides `ALWAYS`: `start` (the last trained one of the
        method that it starts from), `identity` and `other`, with one of `ALWAYS` where there is none.

    Raises:
        ReinvertError: an unknown or untrained method, or one that needs two networks of the last sort.
    """
    names = chain(method, config)
    if not is_trained(method, config):
        raise ReinvertError(f"method '{method}' has nothing to train; give one with a 'training' section")
    arguments = config.methods[method].arguments
    losses = arguments["training"].get("losses", {})
    identity = "perceptual"
    if losses.get("identity") or losses.get("identity_layers"):
        identity = "identity-train" if shows_identities(domain, config) else "similarity"
    adversarial = arguments.get("adversarial") or {}
    others = ["parser"] if losses.get("parser_layers") else []
    # By domain in HyperInverter, the same for all in IDInvert.
    if "weight" in adversarial or domain in adversarial:
        others.append("discriminator")
    if len(others) > 1:
        raise ReinvertError(f"method '{method}' needs {' and '.join(others)}; add a second place to dvc.yaml for it")
    return {
        "domain": domain,
        "method": method,
        "folder": folder_of(method),
        "start": _last_trained(names[1:], config),
        "identity": identity,
        "other": others[0] if others else "perceptual",
    }


def run_entry(domain: str, method: str, config: Config) -> dict[str, str]:
    """The line in params.yaml under `runs`, as `core.config.RunConfig` explains it.

    Raises:
        ReinvertError: an unknown method.
    """
    judge = "identity-judge" if "identity-judge" in config.judges.get(domain, {}) else "features"
    network = _last_trained(chain(method, config), config)
    return {"domain": domain, "method": method, "network": network, "judge": judge}


def entries(methods: Iterable[str], config: Config) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(`train-method` or `runs`, key, line) of the methods on every domain, trainings first.

    Raises:
        ReinvertError: an unknown method.
    """
    methods = list(methods)
    for name in methods:
        chain(name, config)
    pairs = [(domain, name) for domain in config.domains for name in methods]
    for domain, name in pairs:
        if is_trained(name, config):
            yield "train-method", f"{domain}-{folder_of(name)}", training_entry(domain, name, config)
    for domain, name in pairs:
        yield "runs", f"{domain}-{folder_of(name)}", run_entry(domain, name, config)


def lines(methods: Iterable[str], config: Config) -> str:
    """`entries` as YAML to be copied into dvc.yaml and params.yaml.

    Raises:
        ReinvertError: an unknown method.
    """
    text: list[str] = []
    section = ""
    for where, key, entry in entries(methods, config):
        if where != section:
            section = where
            text += (
                ["# dvc.yaml, under stages:", "  train-method:", "    foreach:"]
                if where == "train-method"
                else ["# params.yaml", "runs:"]
            )
        indent = "      " if where == "train-method" else "  "
        text += _wrapped(f"{indent}{key}: {{", [f"{name}: {value}" for name, value in entry.items()])
    return "\n".join(text)


def _wrapped(head: str, values: list[str], width: int = 120) -> list[str]:
    """`head`, the values and a closing brace, on as many lines as it takes."""
    text, line = [], head
    for number, value in enumerate(values):
        word = value + ("}" if number + 1 == len(values) else ",")
        if len(line) + 1 + len(word) > width:
            text.append(line)
            line = " " * (len(head) - len(head.lstrip()) + 2) + word
        else:
            line += ("" if line.endswith("{") else " ") + word
    return [*text, line]

"""What `reinvert describe VARIANT` prints before the description of the method that it amounts to."""

from __future__ import annotations

from pathlib import Path

from core.config import Config
from core.config_ablations import DEFAULT_FILE, Ablations, differences, expanded, read_ablations
from methods import registry


def all_differences(name: str, ablations: Ablations, config: Config) -> dict[str, tuple[object, object]]:
    """What the variant has otherwise than its base, with the defaults that the base leaves unsaid; none without a base.

    Args:
        name: of the variant.
        ablations: the file.
        config: the parameters that it extends.

    Raises:
        ReinvertError: a wrong argument of the base.
    """
    base = ablations.variants[name].base
    return {} if base is None else differences(name, ablations, registry.arguments_of(base, config))


def describe_variant(name: str, ablations: Ablations, config: Config) -> str:
    """The variant in words: group, base, budget, and every difference.

    Args:
        name: of the variant.
        ablations: the file.
        config: the parameters that it extends.

    Raises:
        ReinvertError: an unknown variant, or a wrong argument of its base.
    """
    key = ablations.group_of(name)
    group, variant = ablations.groups[key], ablations.variants[name]
    lines = [f"{name}, an ablation of the group {key}" + (f": {variant.says}" if variant.says else "")]
    if variant.same_as is not None:
        return "\n".join([*lines, f"the same as {variant.same_as}; not trained again"])
    steps = config.methods[str(variant.base)].arguments["training"]["steps"]
    lines.append(f"as {variant.base}, with {group.training['steps']} steps of training instead of {steps}, and")
    found = all_differences(name, ablations, config)
    lines += [f"  {argument}: {new} instead of {old}" for argument, (old, new) in found.items()]
    return "\n".join(lines if found else [*lines, "  nothing else: the row that the others are compared with"])


def variants_beside(params: Path) -> list[str]:
    """The variants that no method of a file of parameters is called like; all of them for a file of ablations.

    Raises:
        ReinvertError: one of the files holds a mistake.
    """
    path = _file(params)
    if not path.is_file():
        return []
    ablations, config = read_ablations(path)
    return [name for name in ablations.variants if path == params or name not in config.methods]


def describe_beside(name: str, params: Path, weights: Path) -> str:
    """A variant, then the method that it amounts to.

    Args:
        name: one of `variants_beside`.
        params: a file of parameters, or of ablations.
        weights: for the cards of the weights.

    Raises:
        ReinvertError: one of the files holds a mistake.
    """
    path = _file(params)
    ablations, config = read_ablations(path)
    methods = expanded(ablations, config, str(path))
    method = registry.describe(ablations.measured_as(name), methods, weights)
    return f"{describe_variant(name, ablations, config)}\n\n{method}"


def _file(params: Path) -> Path:
    is_one = params.is_file() and any(line.startswith("extends:") for line in params.read_text().splitlines())
    return params if is_one else params.parent / DEFAULT_FILE

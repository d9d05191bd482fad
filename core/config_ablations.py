"""Ablations: methods of params.yaml with something changed, trained side by side on an equal, explicit budget.

A file of ablations names the parameters it `extends` and, by group (a paper), the variants: each a method of those
parameters (`base`) and what differs, with nothing repeated. `load_ablations` makes of it parameters like any others,
whose methods and runs are the variants, so every command works on them:
`reinvert train methods --params pipelines/ablations/params.yaml`.

A variant may have the name of a method, usually of its own base: the method on the ablations' budget, the row that the
others are compared with. A variant whose `start` is the name of a variant starts from that one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic

from core.config import Config, MethodConfig, RunConfig, Scale, Strict, load_config, read_yaml, validated
from core.config_evaluation import EvaluationConfig
from core.errors import ReinvertError
from core.registry import unknown_name

SCALES = {"default": Scale(about="Ablations, trained on a short and equal budget.")}
"""Of ablations: one, under the name that commands take by default, which changes nothing."""
DEFAULT_FILE = Path("pipelines/ablations/params.yaml")


class Variant(Strict):
    """One row of an ablation: a `base` and what differs, or the numbers of another row under a second name."""

    base: str | None = None
    """Method of params.yaml."""
    says: str = ""
    """What differs, in the paper's words; empty for the row of comparison."""
    arguments: dict[str, Any] = pydantic.Field(default={})
    """Arguments with other values; mappings are merged key by key."""
    training: dict[str, Any] = pydantic.Field(default={})
    """The same of the `training` section."""
    same_as: str | None = None
    """In the place of `base`: another variant, or a method of params.yaml measured with its own weights."""
    domains: list[str] | None = None
    """Fewer domains than the group's."""

    @pydantic.model_validator(mode="after")
    def _one_source(self) -> Variant:
        if (self.base is None) == (self.same_as is None):
            raise ValueError("a variant has either 'base' or 'same_as'")
        if self.same_as is not None and (self.arguments or self.training):
            raise ValueError("a variant with 'same_as' changes nothing; remove 'arguments' and 'training'")
        if "kind" in self.arguments or "training" in self.arguments:
            raise ValueError("'arguments' changes neither kind nor training; give a 'training' section")
        return self


class Group(Strict):
    """Variants that are compared with each other."""

    domains: list[str]
    training: dict[str, Any]
    """The budget: keys of every variant's `training` section."""
    edited: list[str] = pydantic.Field(default=[])
    """Variants whose edits are measured too."""
    variants: dict[str, Variant]

    @pydantic.model_validator(mode="after")
    def _budget(self) -> Group:
        if "steps" not in self.training:
            raise ValueError("training.steps is the group's budget; give it")
        for name, variant in self.variants.items():
            if "steps" in variant.training:
                raise ValueError(f"variants.{name}.training: 'steps' is the group's; all variants train as long")
        for name in self.edited:
            if name not in self.variants:
                raise ValueError(f"edited names '{name}', which is not among the variants")
        return self


class Ablations(Strict):
    """A file of ablations."""

    extends: str
    """The parameters, as a path from this file."""
    evaluation: dict[str, Any]
    """Keys of `evaluation` with other values."""
    groups: dict[str, Group]
    """By paper, as reports/papers/methods.yaml calls it."""

    @pydantic.model_validator(mode="after")
    def _names_once(self) -> Ablations:
        names = [name for group in self.groups.values() for name in group.variants]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"variant '{name}' stands in two groups; rename one")
        return self

    @property
    def variants(self) -> dict[str, Variant]:
        """All variants by name."""
        return {name: variant for group in self.groups.values() for name, variant in group.variants.items()}

    def group_of(self, name: str) -> str:
        """The group of a variant.

        Raises:
            ReinvertError: there is no such variant.
        """
        for key, group in self.groups.items():
            if name in group.variants:
                return key
        raise unknown_name("variant", name, self.variants)

    def domains_of(self, name: str) -> list[str]:
        """Where a variant is trained and measured."""
        group = self.groups[self.group_of(name)]
        return group.domains if (chosen := group.variants[name].domains) is None else chosen

    def measured_as(self, name: str) -> str:
        """The method that is measured for a variant: itself, or what it is the same as."""
        return self.variants[name].same_as or name


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with `changes`; mappings on both sides are merged key by key."""
    result = dict(values)
    for key, change in changes.items():
        old = result.get(key)
        result[key] = merged(old, change) if isinstance(old, Mapping) and isinstance(change, Mapping) else change
    return result


def method_of(name: str, ablations: Ablations, config: Config) -> MethodConfig:
    """The entry of a variant with a base, in full.

    Raises:
        ReinvertError: an unknown base, or one without weights of its own.
    """
    group = ablations.groups[ablations.group_of(name)]
    variant = group.variants[name]
    assert variant.base is not None
    if variant.base not in config.methods:
        raise unknown_name(f"base of variant '{name}'", variant.base, config.methods)
    base = config.methods[variant.base].model_dump()
    if "training" not in base:
        raise ReinvertError(f"variant '{name}': its base '{variant.base}' has nothing to train; use 'same_as'")
    changes = {"training": merged(group.training, variant.training)}
    return MethodConfig.model_validate(merged(base, merged(variant.arguments, changes)))


def expanded(ablations: Ablations, config: Config, where: str) -> Config:
    """Parameters whose methods and runs are the variants, besides the methods they may start from.

    Raises:
        ReinvertError: an unknown base, `same_as` or domain, or an `evaluation` that cannot be.
    """
    variants = ablations.variants
    for group in ablations.groups.values():
        for domain in [*group.domains, *(domain for v in group.variants.values() for domain in v.domains or ())]:
            if domain not in config.domains:
                raise unknown_name("domain", domain, config.domains)
    methods = dict(config.methods)
    for name, variant in variants.items():
        if variant.same_as is None:
            methods[name] = method_of(name, ablations, config)
        elif variant.same_as not in variants and variant.same_as not in config.methods:
            raise unknown_name(f"'same_as' of variant '{name}'", variant.same_as, [*variants, *config.methods])
    runs = {}
    for name in variants:
        method = ablations.measured_as(name)
        for domain in ablations.domains_of(name):
            runs[f"{domain}-{method.replace('/', '-')}"] = RunConfig(domain=domain, method=method)
    values = {} if config.evaluation is None else config.evaluation.model_dump()
    evaluation = validated(EvaluationConfig, values | ablations.evaluation, f"{where}: evaluation")
    return config.model_copy(
        update={"methods": methods, "runs": runs, "evaluation": evaluation, "scales": SCALES, "scale": None}
    )


def read_ablations(path: str | Path = DEFAULT_FILE) -> tuple[Ablations, Config]:
    """The ablations of a file, and the parameters that it extends.

    Raises:
        ReinvertError: one of the two is missing, is not YAML, or holds a mistake.
    """
    path = Path(path)
    ablations = validated(Ablations, read_yaml(path), str(path))
    return ablations, load_config(path.parent / ablations.extends)


def load_ablations(path: str | Path = DEFAULT_FILE) -> tuple[Ablations, Config]:
    """The ablations of a file, and the parameters in which they are methods and runs.

    Raises:
        ReinvertError: see `read_ablations` and `expanded`.
    """
    ablations, config = read_ablations(path)
    return ablations, expanded(ablations, config, str(path))


def differences(name: str, ablations: Ablations, base: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What a variant has otherwise than its base, the budget apart: by dotted key, of the base and of the variant.

    Args:
        name: of the variant.
        ablations: the file.
        base: all arguments of its base, those at their defaults included.
    """
    variant = ablations.variants[name]
    changed = merged(variant.arguments, {"training": variant.training} if variant.training else {})
    values = _flat(base)
    return {key: (values.get(key), value) for key, value in _flat(changed).items() if _listed(values.get(key)) != value}


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {f"{before}{key}": value}
    return flat

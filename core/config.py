"""params.yaml, typed.

Keys that nobody knows are refused, and every mistake becomes one line naming file and key. Sections whose fields
belong to another part (training of a judge, arguments of a method) are kept as plain mappings here, because `core`
imports nothing of ours; the owner reads them with `validated`, which gives the same one-line errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from core.config_evaluation import EvaluationConfig, Tolerances
from core.errors import ReinvertError
from core.registry import unknown_name

Model = TypeVar("Model", bound=pydantic.BaseModel)


class Strict(pydantic.BaseModel):
    """Base of every configuration model: unknown keys are errors, values do not change after validation."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


def ablated(default: Any, **constraints: Any) -> Any:
    """A pydantic field that an ablation changes: at its default it is left out of what is dumped.

    So the arguments of a method read as before such a field came up, and with them the key of finished trainings.

    Args:
        default: of the method as its paper has it.
        constraints: as pydantic's `Field` takes them.
    """
    return pydantic.Field(default=default, exclude_if=lambda value: value == default, **constraints)


class DomainConfig(Strict):
    """One kind of image."""

    recipe: int = pydantic.Field(ge=1)
    """Version of the renderer; raised when the images change."""


class MethodConfig(pydantic.BaseModel):
    """One method: the module that implements it and that module's own arguments."""

    model_config = pydantic.ConfigDict(extra="allow", frozen=True)

    kind: str
    """Name under which the implementing module is registered."""

    @property
    def arguments(self) -> dict[str, Any]:
        """Everything but `kind`, for the method's own model to validate."""
        return dict(self.model_extra or {})


class RunConfig(Strict):
    """One cell of the benchmark: a method on a domain.

    `network` and `judge` repeat what follows from method and domain, because dvc.yaml cannot look it up: they are the
    weights that make a cell out of date. `reinvert wire` prints them, a test compares.
    """

    domain: str
    method: str
    network: str | None = None
    """Folder of the last trained network it needs under weights/<domain>/: an encoder's, or `generator`."""
    judge: str | None = None
    """The domain's network that measures identity; where it has none, `features`, which every run needs anyway."""


class Scale(Strict):
    """How large a run of the benchmark is: what it changes of `evaluation`, `methods` and `editability`."""

    about: str
    """One sentence for the head of the report."""
    evaluation: dict[str, Any] = {}
    """Keys of `evaluation` with other values."""
    methods: dict[str, dict[str, Any]] = {}
    """By method, arguments with other values: steps of optimisations, not what a training depends on."""
    editability: dict[str, Any] = {}
    """Keys of `editability` with other values."""

    @pydantic.model_validator(mode="after")
    def _trains_nothing(self) -> Scale:
        for name, arguments in self.methods.items():
            if "training" in arguments or "kind" in arguments:
                raise ValueError(f"methods.{name}: a scale may not change training or kind; weights are for all scales")
        return self


class Config(Strict):
    """The whole of params.yaml."""

    domains: dict[str, DomainConfig]
    generators: dict[str, dict[str, Any]] = {}
    """Generator training by domain."""
    judges: dict[str, dict[str, dict[str, Any]]] = {}
    """Judge training by domain and judge name."""
    methods: dict[str, MethodConfig]
    runs: dict[str, RunConfig]
    generator_quality: dict[str, Any] = {}
    """How generators are measured."""
    labelled_samples: dict[str, Any] = {}
    """How a generator's own samples are labelled."""
    directions: dict[str, Any] = {}
    """How editing directions are found."""
    editability: dict[str, Any] = {}
    """How edits of runs are measured."""
    inspection: dict[str, Any] = {}
    """How the steps of runs are looked at."""
    inspected: tuple[str, ...] = ()
    """Runs whose steps are looked at: those of several passes or phases."""
    applications: dict[str, dict[str, Any]] = {}
    """What the papers use inversions for, by application."""
    evaluation: EvaluationConfig | None = None
    """How runs are measured; None where nothing is, as when only photos are inverted."""
    tolerances: Tolerances | None = None
    """By how much a metric may get worse before `check` objects."""
    scales: dict[str, Scale] = {}
    """By name; `default` is what `make repro` runs."""
    scale: str | None = None
    """The scale whose changes are in the sections above; None where they are as params.yaml has them."""
    cut_short: frozenset[str] = frozenset()
    """Methods to which that scale gives fewer steps than params.yaml does."""

    @pydantic.model_validator(mode="after")
    def _names_exist(self) -> Config:
        for name, run in self.runs.items():
            if run.domain not in self.domains:
                raise ValueError(f"run '{name}' names the domain '{run.domain}', which is not under 'domains'")
            if run.method not in self.methods:
                raise ValueError(f"run '{name}' names the method '{run.method}', which is not under 'methods'")
        for name in self.inspected:
            if name not in self.runs:
                raise ValueError(f"inspected names '{name}', which is not under 'runs'")
        for scale, changes in self.scales.items():
            for name in set(changes.methods) - set(self.methods):
                raise ValueError(f"scales.{scale}.methods.{name}: no such method under 'methods'")
        for section, by_domain in (("generators", self.generators), ("judges", self.judges)):
            for domain in by_domain:
                if domain not in self.domains:
                    raise ValueError(f"{section}.{domain}: no such domain under 'domains'")
        folders: dict[str, str] = {}
        for name in self.methods:
            other = folders.setdefault(name.replace("/", "-"), name)
            if other != name:
                raise ValueError(f"methods '{other}' and '{name}' would share a folder of weights")
        return self

    def at_scale(self, name: str) -> Config:
        """The parameters of a run of that scale.

        Raises:
            ReinvertError: an unknown scale, or one that changes a key of `evaluation` to what cannot be.
        """
        if name not in self.scales:
            raise unknown_name("scale", name, self.scales)
        scale = self.scales[name]
        methods = {
            method: MethodConfig.model_validate(entry.model_dump() | scale.methods.get(method, {}))
            for method, entry in self.methods.items()
        }
        evaluation = self.evaluation
        if evaluation is not None:
            changed = evaluation.model_dump() | scale.evaluation
            evaluation = validated(EvaluationConfig, changed, f"params.yaml: evaluation at scales.{name}")
        changes = {"methods": methods, "evaluation": evaluation, "editability": self.editability | scale.editability}
        cut = {name for name, entry in methods.items() if _steps(entry) < _steps(self.methods[name])}
        return self.model_copy(update={**changes, "scale": name, "cut_short": frozenset(cut)})


def _steps(method: MethodConfig) -> int:
    return int(method.arguments.get("steps", 0))


def validated(model: type[Model], values: Any, where: str) -> Model:
    """`values` as an instance of `model`.

    Args:
        model: a pydantic model.
        values: a mapping as read from YAML.
        where: what the user would call the place, e.g. "params.yaml: methods.psp".

    Raises:
        ReinvertError: the first mistake, as one line with place and key.
    """
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(sorted(model.model_fields))
            said = "unknown key; remove it" + (f" (known: {known})" if len(first["loc"]) == 1 else "")
        elif first["type"] == "missing":
            said = "required, but missing; add it"
        elif first["type"] == "value_error":
            said = first["msg"].removeprefix("Value error, ") + "; correct it"
        else:
            said = f"{first['msg'][:1].lower()}{first['msg'][1:]}, but is {first['input']!r}; correct it"
        raise ReinvertError(f"{where}{': ' if key else ''}{key}: {said}") from error


def read_yaml(path: Path, remedy: str = "run this in the project's folder") -> Any:
    """The content of a YAML file.

    Args:
        path: the file.
        remedy: what to do where it is missing.

    Raises:
        ReinvertError: it is missing or not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ReinvertError(f"'{path}' not found; {remedy}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ReinvertError(f"'{path}' is not valid YAML ({error}); correct it") from error


def load_config(path: str | Path = "params.yaml") -> Config:
    """Read and validate the parameters; of a file of ablations (`core.config_ablations`) those that it amounts to.

    Raises:
        ReinvertError: the file is missing, is not YAML, or holds a mistake.
    """
    path = Path(path)
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise ReinvertError(f"'{path}' holds no parameters; restore it with 'git checkout {path}'")
    if "extends" in values:
        from core.config_ablations import load_ablations  # which needs this module

        return load_ablations(path)[1]
    return validated(Config, values, str(path))

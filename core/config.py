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

Model = TypeVar("Model", bound=pydantic.BaseModel)


class Strict(pydantic.BaseModel):
    """Base of every configuration model: unknown keys are errors, values do not change after validation."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


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

    `module`, `start_module` and `network` repeat what follows from the method, because dvc.yaml cannot look it up: from
    them it knows which files make a cell out of date. A wrong one is refused.
    """

    domain: str
    method: str
    module: str | None = None
    """The method's `kind`: methods/<module>.py."""
    start_module: str | None = None
    """The `kind` of the method it starts from; where it starts from none, its own."""
    network: str | None = None
    """The last trained network it needs under weights/<domain>/: an encoder's name, or `generator`."""


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
    evaluation: EvaluationConfig | None = None
    """How runs are measured; None where nothing is, as when only photos are inverted."""
    tolerances: Tolerances | None = None
    """By how much a metric may get worse before `check` objects."""

    @pydantic.model_validator(mode="after")
    def _names_exist(self) -> Config:
        for name, run in self.runs.items():
            if run.domain not in self.domains:
                raise ValueError(f"run '{name}' names the domain '{run.domain}', which is not under 'domains'")
            if run.method not in self.methods:
                raise ValueError(f"run '{name}' names the method '{run.method}', which is not under 'methods'")
            self._module_is_the_methods(name, run)
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

    def _module_is_the_methods(self, name: str, run: RunConfig) -> None:
        method = self.methods[run.method]
        start = self.methods.get(str(method.arguments.get("start")), method)
        for key, said, is_so in (
            ("module", run.module, method.kind),
            ("start_module", run.start_module, start.kind),
        ):
            if said is not None and said != is_so:
                raise ValueError(f"runs.{name}.{key} is '{said}', but the kind of its method is '{is_so}'")


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


def load_config(path: str | Path = "params.yaml") -> Config:
    """Read and validate the parameters.

    Raises:
        ReinvertError: the file is missing, is not YAML, or holds a mistake.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ReinvertError(f"'{path}' not found; run this in the project's folder") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ReinvertError(f"'{path}' is not valid YAML ({error}); correct it") from error
    if not isinstance(values, dict):
        raise ReinvertError(f"'{path}' holds no parameters; restore it with 'git checkout {path}'")
    return validated(Config, values, str(path))

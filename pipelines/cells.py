"""The stage `cells`: small files that say what scores depend on besides weights and images.

There is one for every run: it names the source files that the run's code really imports, each with the SHA-256 of what
computes in it (`core.source`: a better comment costs nobody an hour), and the arguments of its method and of those it
starts from, at one scale. The graph compares these files: a change of one method's module, or of its steps, makes that
method's cells out of date and leaves the others alone. And there is one for every further stage that all runs pass
(`SHARED`), with its code and its section of the parameters: a line in each of the graph's entries instead of thirty,
which DVC would read and write again after every stage.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from core.config import Config
from core.errors import ReinvertError
from core.files import atomic_write_json
from core.source import source_sha256
from pipelines.wiring import chain

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("methods", "metrics", "pipelines")
"""Where code that computes lives. `core` reads and writes files and settings and is left out, and so are, with what
they alone import:"""
COMPUTE_NOTHING = ("methods/registry.py", "methods/encoder_task.py", "pipelines/domains/")
"""Finding a method by name; the base class of trainings; the renderers, whose images are a dependency themselves."""
COMPUTE = ("pipelines/domains/shards.py",)
"""But not this one among them, which makes floats of bytes and bytes of floats."""
MEASURING = "pipelines/evaluate.py"
SHARED = {"editability": "pipelines/editability.py", "inspection": "pipelines/inspection.py"}
"""The module of each further stage of runs, by its section of the parameters."""


def _file_of(module: str, root: Path) -> Path | None:
    """The source file of one of our modules; None for other people's."""
    if module.split(".")[0] not in PACKAGES:
        return None
    path = root.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _imports(tree: ast.AST) -> Iterator[tuple[int, str, list[str]]]:
    """(relative level, module, names) of every import that can run, also inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            for other in node.orelse:
                yield from _imports(other)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name, []
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", [alias.name for alias in node.names]
        else:
            yield from _imports(node)


@cache
def _imported_by(path: Path, root: Path) -> tuple[Path, ...]:
    found: list[Path | None] = []
    package = path.relative_to(root).parent.parts
    for level, module, names in _imports(ast.parse(path.read_text(encoding="utf-8"))):
        if level:
            module = ".".join((*package[: len(package) - level + 1], *([module] if module else [])))
        words = module.split(".")
        found += [_file_of(".".join(words[: n + 1]), root) for n in range(len(words))]  # packages run, too
        found += [_file_of(f"{module}.{name}", root) for name in names]
    # A metric is found by its text "module:name".
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.count(":") == 1:
            found.append(_file_of(node.value.split(":")[0], root))
    return tuple(sorted({one for one in found if one is not None}))


def source_files(first: list[Path], root: Path = ROOT) -> list[str]:
    """Our files that compute among `first` and all they import, directly or not, as sorted paths below `root`."""
    seen: set[Path] = set()
    waiting = list(first)
    while waiting:
        path = waiting.pop()
        name = path.relative_to(root).as_posix()
        if path not in seen and (name in COMPUTE or not name.startswith(COMPUTE_NOTHING)):
            seen.add(path)
            waiting += _imported_by(path, root)
    return sorted(path.relative_to(root).as_posix() for path in seen)


def cell(run: str, config: Config, root: Path = ROOT) -> dict[str, Any]:
    """What the scores of `run` depend on besides weights and images.

    Args:
        run: name under `runs`.
        config: at the scale of the run.
        root: folder of the source.

    Raises:
        ReinvertError: a method of an unknown kind, or one that starts from an unknown method.
    """
    methods = chain(config.runs[run].method, config)
    modules = [root / "methods" / f"{config.methods[name].kind}.py" for name in methods]
    for module in modules:
        if not module.is_file():
            raise ReinvertError(f"run '{run}' needs methods/{module.name}, which is not there; correct 'kind'")
    files = source_files([root / MEASURING, *modules], root)
    return {
        "run": config.runs[run].model_dump(include={"domain", "method"}),
        "scale": config.scale,
        # How weights were trained is in the weights.
        "methods": {name: config.methods[name].model_dump(mode="json", exclude={"training"}) for name in methods},
        "evaluation": None if config.evaluation is None else config.evaluation.model_dump(mode="json"),
        "code": {name: source_sha256(root / name) for name in files},
    }


def shared(section: str, config: Config, root: Path = ROOT) -> dict[str, Any]:
    """What a further stage of all runs depends on besides the runs.

    Args:
        section: a name in `SHARED`.
        config: at the scale of the runs.
        root: folder of the source.
    """
    files = source_files([root / SHARED[section]], root)
    return {
        "scale": config.scale,
        section: getattr(config, section),
        "code": {name: source_sha256(root / name) for name in files},
    }


def write_cells(config: Config, output_dir: Path) -> list[Path]:
    """Write <output_dir>/<scale>/<run>.json for every scale and run of params.yaml, and <section>.json for `SHARED`.

    Files of other runs go.

    Raises:
        ReinvertError: a method that starts from an unknown one, or the disk is full.
    """
    paths = []
    for scale in config.scales:
        scaled = config.at_scale(scale)
        contents = {run: cell(run, scaled) for run in config.runs} | {name: shared(name, scaled) for name in SHARED}
        for name, content in contents.items():
            path = output_dir / scale / f"{name}.json"
            atomic_write_json(path, content)
            paths.append(path)
    for path in output_dir.glob("*/*.json"):
        if path not in paths:
            path.unlink()
    return paths

"""The lists that the graph is given are those that follow from the methods."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.config import Config, load_config
from core.errors import ReinvertError
from pipelines import cells, inspection, wiring
from tests.conftest import GRAPHS, ROOT

CONFIG = load_config(ROOT / "params.yaml")
GRAPH = {name: stage for path in GRAPHS for name, stage in yaml.safe_load((ROOT / path).read_text())["stages"].items()}
REFERENCE = yaml.safe_load((ROOT / "pipelines" / "reference" / "dvc.yaml").read_text())["stages"]


def test_the_graph_s_lists_are_the_derived_ones() -> None:
    trainings = GRAPH["train-method"]["foreach"]
    assert trainings == {
        f"{entry['domain']}-{entry['folder']}": wiring.training_entry(entry["domain"], entry["method"], CONFIG)
        for entry in trainings.values()
    }
    assert {name: run.model_dump() for name, run in CONFIG.runs.items()} == {
        f"{run.domain}-{wiring.folder_of(run.method)}": wiring.run_entry(run.domain, run.method, CONFIG)
        for run in CONFIG.runs.values()
    }


def test_every_run_s_network_is_one_that_the_graph_trains() -> None:
    trained = {(entry["domain"], entry["folder"]) for entry in GRAPH["train-method"]["foreach"].values()}
    trained |= {(domain, "generator") for domain in GRAPH["train-generator"]["foreach"]}
    assert {(run.domain, run.network) for run in CONFIG.runs.values()} <= trained
    starts = {(entry["domain"], entry["start"]) for entry in GRAPH["train-method"]["foreach"].values()}
    assert starts <= trained


@pytest.mark.parametrize(("stage", "of"), [("evaluate", "${key}"), ("inspect", "${item}")])
def test_both_graphs_measure_alike(stage: str, of: str) -> None:
    """Another scale and folder; and what the reference run leaves behind is pushed, because it took hours."""
    default, reference = GRAPH[stage]["do"], REFERENCE[stage]["do"]

    def at_reference(text: Any) -> Any:
        if isinstance(text, dict):
            return {at_reference(key): value for key, value in text.items()}
        if isinstance(text, list):
            pushed = [next(iter(one)) if isinstance(one, dict) and {"push": False} in one.values() else one
                      for one in text]  # fmt: skip
            return [at_reference(one) for one in pushed]
        changed = {f"reinvert {stage} {of}": f"reinvert {stage} {of} --scale reference --results reference"}
        return changed.get(text, text.replace("results/", "reference/").replace("cells/default", "cells/reference"))

    assert {key: at_reference(value) for key, value in default.items()} == reference


def test_every_run_of_several_phases_is_inspected() -> None:
    """Others have no steps; of E2Style the last stage shows them all."""

    def has_phases(method: str) -> bool:
        return CONFIG.methods[method].kind in (*inspection.OF_PASSES, "hyperinverter", "hfgi", "feature_style", "pti")

    ahead = {CONFIG.methods[run.method].arguments.get("start") for run in CONFIG.runs.values()}
    wanted = {name for name, run in CONFIG.runs.items() if has_phases(run.method)}
    wanted -= {name for name in wanted if CONFIG.runs[name].method in ahead}
    assert {*CONFIG.inspected} == wanted


def test_both_graphs_report_from_the_same_sources() -> None:
    sources = [
        {name for name in graph["report"]["deps"] if name.endswith(".py") or name.startswith("reports/")}
        for graph in (GRAPH, REFERENCE)
    ]
    assert sources[0] == sources[1]
    assert "reports/build.py" in sources[0]


def test_networks_follow_the_chain_of_starts() -> None:
    assert wiring.chain("e2style/3-stage", CONFIG) == ["e2style/3-stage", "e2style/2-stage", "e2style/1-stage"]
    assert wiring.run_entry("faces", "pti/e4e", CONFIG)["network"] == "e4e"
    assert wiring.run_entry("churches", "pti", CONFIG) == {
        "domain": "churches", "method": "pti", "network": "generator", "judge": "features",
    }  # fmt: skip
    assert wiring.training_entry("churches", "e2style/2-stage", CONFIG) == {
        "domain": "churches", "method": "e2style/2-stage", "folder": "e2style-2-stage", "start": "e2style-1-stage",
        "identity": "similarity", "other": "parser",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        ("pti", {}, "'pti' has nothing to train"),
        ("no-such", {}, "unknown method 'no-such'"),
        ("hfgi", {"start": "e4ee"}, "unknown method 'e4ee'; did you mean 'e4e'"),
    ],
)
def test_mistakes_are_one_line(method: str, changes: dict[str, Any], message: str) -> None:
    methods = dict(CONFIG.methods)
    if changes:
        methods[method] = methods[method].model_copy(update=changes)
    with pytest.raises(ReinvertError, match=message):
        wiring.training_entry("faces", method, CONFIG.model_copy(update={"methods": methods}))


def test_printed_lines_are_yaml_that_fits_a_page() -> None:
    text = wiring.lines(["hyperinverter", "dni"], CONFIG)
    assert max(map(len, text.splitlines())) <= 120
    parts = {key: value for block in text.split("# params.yaml") for key, value in yaml.safe_load(block).items()}
    assert parts["train-method"]["foreach"]["faces-hyperinverter"]["other"] == "discriminator"
    assert list(parts["runs"]) == ["faces-hyperinverter", "faces-dni", "churches-hyperinverter", "churches-dni"]


# --- cells -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A project of four modules in which everything about imports occurs."""
    files = {
        "methods/one.py": "from methods.shared import f\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    from methods.two import Two\n",
        "methods/two.py": "from . import shared\n\ndef g():\n    from metrics.late import h\n",
        "methods/shared.py": "import torch\n",
        "methods/__init__.py": "",
        "metrics/late.py": "HOW = 'metrics.named:function'\n",
        "metrics/named.py": "",
        "pipelines/evaluate.py": "import pipelines.domains.shards\n",
        "pipelines/domains/shards.py": "from pipelines import domains\n",
        "pipelines/domains/__init__.py": "import methods.two\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_files_are_those_that_can_be_imported(source: Path) -> None:
    def of(name: str) -> list[str]:
        return cells.source_files([source / name], source)

    assert of("methods/one.py") == [  # not what only type checkers import
        "methods/__init__.py", "methods/one.py", "methods/shared.py",
    ]  # fmt: skip
    assert of("methods/two.py") == [  # relative, late, and by text
        "methods/__init__.py", "methods/shared.py", "methods/two.py", "metrics/late.py", "metrics/named.py",
    ]  # fmt: skip
    # Not the renderers, whose images are what counts, but what reads them.
    assert of("pipelines/evaluate.py") == ["pipelines/domains/shards.py", "pipelines/evaluate.py"]


def imported_when_measuring(method: str) -> set[str]:
    """Our files in memory after a fresh interpreter has imported a run's modules, without other methods' kinds."""
    kinds = [f"methods.{CONFIG.methods[name].kind}" for name in wiring.chain(method, CONFIG)]
    program = (
        "import importlib, json, sys\n"
        f"for name in {['pipelines.evaluate', *kinds]!r}: importlib.import_module(name)\n"
        "print(json.dumps([m.__file__ for n, m in sys.modules.items()"
        " if n.split('.')[0] in ('methods', 'metrics', 'pipelines') and m.__file__]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return {Path(file).relative_to(ROOT).as_posix() for file in json.loads(done.stdout)}


@pytest.mark.parametrize("method", ["hyperinverter", "pti/e4e"])
def test_a_cell_names_all_that_python_imports(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scaled = CONFIG.at_scale("default")
    run = scaled.runs["faces-psp"].model_copy(update={"method": method})
    named = set(cells.cell("cell", scaled.model_copy(update={"runs": {"cell": run}}))["code"])
    assert not {"methods/dni.py", "methods/hfgi.py", "methods/feature_style.py"} & named
    missing = imported_when_measuring(method) - named
    # Nothing is missing but what only the excluded files import.
    monkeypatch.setattr(cells, "COMPUTE_NOTHING", ())
    excluded = [ROOT / name for name in ("methods/registry.py", "methods/encoder_task.py")]
    excluded += sorted((ROOT / "pipelines" / "domains").rglob("*.py"))
    missing -= set(cells.source_files(excluded))
    assert missing == set()


def test_the_graph_watches_all_files_that_a_cell_can_name() -> None:
    watched = tuple(GRAPH["cells"]["deps"])
    config = CONFIG.at_scale("reference")
    contents = [cells.cell(run, config) for run in config.runs] + [cells.shared(name, config) for name in cells.SHARED]
    for names in (content["code"] for content in contents):
        assert [name for name in names if not name.startswith(watched)] == []


def test_a_changed_method_changes_its_own_cells_alone(tmp_path: Path) -> None:
    before = {run: cells.cell(run, CONFIG.at_scale("default")) for run in CONFIG.runs}
    scales = {"default": CONFIG.scales["default"].model_copy(deep=True)}
    scales["default"].methods["optimization-w"] = {"steps": 7}
    config = CONFIG.model_copy(update={"scales": scales})
    changed = {run for run in CONFIG.runs if cells.cell(run, config.at_scale("default")) != before[run]}
    starts = {run for run, cell in CONFIG.runs.items() if "optimization-w" in wiring.chain(cell.method, CONFIG)}
    assert changed == starts != set()


def test_files_of_former_runs_go(tmp_path: Path) -> None:
    few = {name: run for name, run in CONFIG.runs.items() if run.method == "psp"}
    config: Config = CONFIG.model_copy(update={"runs": few})
    (tmp_path / "default").mkdir()
    (tmp_path / "default" / "gone.json").write_text("{}")
    paths = cells.write_cells(config, tmp_path)
    assert sorted(tmp_path.glob("*/*.json")) == sorted(paths)
    assert len(paths) == (len(few) + len(cells.SHARED)) * 2


def test_further_stages_follow_their_parameters_and_code() -> None:
    """And every section is one that the graph watches, of a module that is a stage's."""
    before = {name: cells.shared(name, CONFIG.at_scale("default")) for name in cells.SHARED}
    assert all(cells.SHARED[name] in content["code"] for name, content in before.items())
    assert "methods/editing/mixing.py" in before["editability"]["code"]
    assert set(cells.SHARED) <= set(GRAPH["cells"]["params"])
    changed = CONFIG.model_copy(update={"inspection": CONFIG.inspection | {"seed": 7}}).at_scale("default")
    assert cells.shared("editability", changed) == before["editability"]
    assert cells.shared("inspection", changed) == before["inspection"] | {"inspection": changed.inspection}
    # A scale may change a section.
    assert (
        before["editability"]["editability"] != cells.shared("editability", CONFIG.at_scale("reference"))["editability"]
    )

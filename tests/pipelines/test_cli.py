"""The command line: what it says, how it ends, and that each command hands over what its stage needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from core.errors import ReinvertError
from pipelines.cli import app
from tests.conftest import GRAPHS, ROOT

RUNNER = CliRunner()
GENERATOR = {
    "recipe": 1,
    "size": 64,
    "channels": {4: 8, 8: 8, 16: 8, 32: 8, 64: 8},
    "batch": 4,
    "autoencoder": [{"size": 64, "images": 8, "learning_rate": 0.01}],
    "code_fitting": {"steps": 2, "learning_rate": 1.0},
    "adversarial_images": 8,
}


def run(*arguments: str) -> Any:
    return RUNNER.invoke(app, list(arguments))


def set_param(project: Path, path: list[str], value: Any) -> None:
    values = yaml.safe_load((project / "params.yaml").read_text())
    place = values
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (project / "params.yaml").write_text(yaml.safe_dump(values))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("methods", ["optimization-w-plus", "psp", "hybrid-psp"]),
        ("metrics", ["l2", "lpips", "ssim", "ms_ssim", "psnr", "id", "fid", "kid"]),
        ("domains", ["faces", "churches"]),
    ],
)
def test_list(project: Path, what: str, expected: list[str]) -> None:
    result = run("list", what)
    assert result.exit_code == 0
    assert set(expected) <= {line.split()[0] for line in result.stdout.splitlines()}


@pytest.mark.parametrize(
    ("name", "said"),
    [("psp", "Richardson"), ("hybrid-psp", "start: psp"), ("faces", "2,824"), ("lpips", "embedded"), ("psnr", "dB")],
)
def test_describe(project: Path, name: str, said: str) -> None:
    result = run("describe", name)
    assert result.exit_code == 0, result.stderr
    assert said in result.stdout


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["list", "metric"], "metrics"),
        (["describe", "hybird-psp"], "hybrid-psp"),
        (["evaluate", "faces-pps"], "faces-psp"),
        (["train", "method", "pssp", "--domain", "faces"], "psp"),
        (["train", "generator", "--domain", "face"], "faces"),
        (["train", "judge", "parsr", "--domain", "faces"], "parser"),
        (["render", "--domain", "facs", "--out", "x"], "faces"),
        (["invert", "x.png", "--method", "hybrid", "--out", "x"], "hybrid-psp"),
        (["invert", "x.png", "--method", "psp", "--out", "x", "--domain", "faecs"], "faces"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(project: Path, arguments: list[str], nearest: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: unknown ")
    assert f"did you mean '{nearest}'?" in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(path.name for path in project.iterdir()) == ["params.yaml"]


def test_wrong_usage_ends_with_2(project: Path) -> None:
    for arguments in (["lst"], ["list"], ["render", "--out", "x"], ["invert", "--method", "psp", "--out", "x"]):
        assert run(*arguments).exit_code == 2


def test_a_fault_of_ours_keeps_its_traceback(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*arguments: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("reports.build.build_report", faulty)
    assert isinstance(run("report").exception, ZeroDivisionError)


def test_an_unknown_device_is_one_line(project: Path) -> None:
    result = run("evaluate", "faces-psp", "--device", "gpu")
    assert result.exit_code == 1
    assert result.stderr == "error: unknown device 'gpu'; use cpu, cuda or auto\n"


def test_parameters_that_speak_of_another_renderer_are_refused(project: Path) -> None:
    set_param(project, ["domains", "faces", "recipe"], 99)
    result = run("evaluate", "faces-psp")
    assert result.exit_code == 1
    assert "domains.faces.recipe is 99, the renderer is at" in result.stderr


def test_the_project_s_parameters_speak_of_this_renderer() -> None:
    from core.config import load_config
    from pipelines import domains

    for name, domain in load_config(ROOT / "params.yaml").domains.items():
        assert domains.get(name).recipe == domain.recipe


class Recorder:
    """Stands in for the function of a stage and keeps what it was called with."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.arguments: tuple[Any, ...] = ()
        self.named: dict[str, Any] = {}

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.arguments, self.named = arguments, named
        return self.answer


def test_render_hands_over(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr("pipelines.domains.shards.render", recorder)
    assert run("render", "--domain", "faces", "--split", "test", "--out", "data/faces/test").exit_code == 0
    domain, split, out = recorder.arguments
    assert (domain.name, split, out) == ("faces", "test", Path("data/faces/test"))


def test_train_generator_hands_over_its_section(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr("pipelines.train_generator.train_generator", recorder)
    set_param(project, ["generators", "faces"], GENERATOR)
    assert run("train", "generator", "--domain", "faces", "--weights", "w", "--cache", "c").exit_code == 0
    domain, training, weights, cache = recorder.arguments
    assert (domain, training.batch, weights, cache) == ("faces", 4, Path("w"), Path("c"))


@pytest.mark.parametrize("batch", [0, "many"])
def test_a_training_parameter_out_of_range_is_one_line(project: Path, batch: Any) -> None:
    set_param(project, ["generators", "faces"], {**GENERATOR, "batch": batch})
    result = run("train", "generator", "--domain", "faces")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: params.yaml: generators.faces: batch: ")
    assert result.stderr.count("\n") == 1


def test_train_method_hands_over(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr("pipelines.train_method.train_method", recorder)
    assert run("train", "method", "psp", "--domain", "faces", "--device", "cpu").exit_code == 0
    assert recorder.arguments[0] == "psp"
    assert recorder.arguments[2] == "faces"
    assert recorder.named["weights_root"] == Path("weights")
    assert recorder.named["cache"] == Path(".cache")


def test_measure_generator_hands_over_and_prints_the_bars(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = {"psnr_w_plus": {"value": 26.5, "bar": 27.0, "direction": "at least", "met": False}}
    recorder = Recorder({"bars": bars})
    monkeypatch.setattr("pipelines.measure_generator.measure_generator", recorder)
    result = run("measure", "generator", "--domain", "faces", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    domain, settings, weights, data, output, picture, cache, device = recorder.arguments
    assert (domain, weights, data, cache, device.type) == (
        "faces",
        Path("weights"),
        Path("data"),
        Path(".cache"),
        "cpu",
    )
    assert (output, picture) == (Path("results/generators/faces"), Path("docs/images/faces-samples.png"))
    assert settings.samples >= 2824  # the least that the bars are stated for
    assert result.stdout.split() == ["psnr_w_plus", "26.500", "≥", "27.000", "not", "met"]


def test_label_samples_hands_over(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr("pipelines.label_samples.label_samples", recorder)
    assert run("label", "samples", "--domain", "faces", "--device", "cpu").exit_code == 0
    domain, settings, weights, output, _ = recorder.arguments
    assert (domain, weights, output) == ("faces", Path("weights"), Path("data/faces/labelled-samples.npz"))
    assert settings.samples >= 10_000
    set_param(project, ["labelled_samples", "samples"], 100)
    result = run("label", "samples", "--domain", "faces")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: params.yaml: labelled_samples: samples: ")


def test_evaluate_hands_over(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr("pipelines.evaluate.evaluate", recorder)
    assert run("evaluate", "faces-psp", "--device", "cpu", "--workers", "3").exit_code == 0
    name, config, weights, data, output, work, device, workers = recorder.arguments
    assert (name, weights, data) == ("faces-psp", Path("weights"), Path("data"))
    assert (output, work, device, workers) == (Path("results/faces-psp"), Path(".cache/evaluate"), "cpu", 3)
    assert config.runs["faces-psp"].method == "psp"
    assert (config.scale, config.evaluation.images) == ("default", 16)
    assert run("evaluate", "faces-psp", "--device", "cpu", "--scale", "reference").exit_code == 0
    assert recorder.arguments[1].evaluation.images == 128


def test_directions_hands_over_and_says_what_holds(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = [{"mean": -1.5}, {"mean": 0.0}, {"mean": 2.0}]
    recorder = Recorder({"directions": {"age": {"attribute": "age", "changes": changes, "holds": False}}})
    monkeypatch.setattr("pipelines.find_directions.find_directions", recorder)
    result = run("directions", "--domain", "faces", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    domain, settings, weights, data, output, device = recorder.arguments
    assert (domain, weights, data, output) == ("faces", Path("weights"), Path("data"), Path("results/directions/faces"))
    assert device.type == "cpu" and settings.domains["faces"].interfacegan["age"] is not None
    assert result.stdout.split() == ["age", "raises", "age", "by", "3.500", "in", "all:", "does", "not", "hold"]


def test_editability_hands_over(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder({"status": "ok", "reason": "", "n": 48})
    monkeypatch.setattr("pipelines.editability.editability", recorder)
    result = run("editability", "faces-psp", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    name, config, settings, weights, data, output, _ = recorder.arguments
    assert (name, weights, data, output) == ("faces-psp", Path("weights"), Path("data"), Path("results/faces-psp"))
    assert config.runs[name].method == "psp" and "age" in settings.directions["faces"]
    assert result.stdout == "faces-psp: ok, 48 images\n"
    set_param(project, ["editability", "batch"], 0)
    assert run("editability", "faces-psp").stderr.startswith("error: params.yaml: editability: batch: ")


def test_inspect_hands_over(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder({"status": "failed", "reason": "all grey", "n": 24})
    monkeypatch.setattr("pipelines.inspection.inspection", recorder)
    result = run("inspect", "faces-psp", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    name, config, settings, weights, data, output, _ = recorder.arguments
    assert (name, weights, data, output) == ("faces-psp", Path("weights"), Path("data"), Path("results/faces-psp"))
    assert config.runs[name].method == "psp" and "coarse" in settings.groups
    assert result.stdout == "faces-psp: failed, 24 images, all grey\n"
    set_param(project, ["inspection", "batch"], 0)
    assert run("inspect", "faces-psp").stderr.startswith("error: params.yaml: inspection: batch: ")


def test_ahead_hands_over_runs_and_stages(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder({})
    monkeypatch.setattr("pipelines.ahead.measure_ahead", recorder)
    asked = ["editability@faces-psp", "faces-e4e", "evaluate@faces-psp", "evaluate@faces-dni"]
    result = run("ahead", *asked, "--device", "cpu", "--processes", "3")
    assert result.exit_code == 0, result.stderr
    wanted, config, edits, _, places, device, processes, _ = recorder.arguments
    both = ("evaluate", "editability")
    assert wanted == {"faces-psp": both, "faces-e4e": both, "faces-dni": ("evaluate",)}
    assert (config.scale, edits.images, device, processes) == ("default", config.editability["images"], "cpu", 3)
    assert (places.weights, places.data, places.cache) == (Path("weights"), Path("data"), Path(".cache"))
    monkeypatch.setattr("pipelines.ahead.measure_ahead", Recorder({"faces-e4e": "evaluate: no weights"}))
    result = run("ahead", *asked, "--device", "cpu")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: 1 of 3 runs failed: faces-e4e (evaluate: no weights);")
    assert "did you mean 'evaluate'" in run("ahead", "evaluat@faces-psp").stderr


def test_ahead_measures_what_is_not_there_and_puts_all_in_its_place(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = {("evaluate", "faces-psp")}
    placed: list[tuple[str, str, Path]] = []

    def collect(stage: str, name: str, config: Any, places: Any, output: Path) -> bool:
        if (stage, name) in measured:
            placed.append((stage, name, output))
        return (stage, name) in measured

    def measure(wanted: dict[str, tuple[str, ...]], *_: Any) -> dict[str, str]:
        assert wanted == {"faces-psp": ("editability",), "faces-e4e": ("evaluate",)}
        measured.add(("editability", "faces-psp"))
        return {"faces-e4e": "evaluate: no weights"}

    monkeypatch.setattr("pipelines.commands.measure.collect", collect)
    monkeypatch.setattr("pipelines.ahead.measure_ahead", measure)
    result = run("ahead", "faces-psp", "evaluate@faces-e4e", "--device", "cpu", "--results", "elsewhere")
    assert result.exit_code == 1  # and yet what went well is in its place
    folder = Path("elsewhere/faces-psp")
    assert placed == [("evaluate", "faces-psp", folder), ("editability", "faces-psp", folder)]
    monkeypatch.setattr("pipelines.ahead.measure_ahead", None)  # all is there
    assert run("ahead", "faces-psp", "--results", "elsewhere").exit_code == 0


def test_every_command_of_the_graph_is_one_of_the_program_s(tmp_path: Path) -> None:
    graphs = [yaml.safe_load((ROOT / path).read_text()) for path in (*GRAPHS, "pipelines/reference/dvc.yaml")]
    for stage in (stage for graph in graphs for stage in graph["stages"].values()):
        words = stage.get("do", stage)["cmd"].split()
        assert words[0] == "reinvert"
        words = [word for word in words[1:] if not word.startswith(("-", "$"))]
        command = words[:2] if words[0] in ("train", "measure", "label") else words[:1]
        assert run(*command, "--help").exit_code == 0, command


def test_it_answers_at_once_because_nothing_heavy_is_imported(project: Path) -> None:
    program = (
        "import sys; sys.argv = ['reinvert', 'list', 'metrics']\n"
        "from pipelines.cli import app\n"
        "app(standalone_mode=False)\n"
        "heavy = {'torch', 'numpy', 'pandas', 'matplotlib', 'typst'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_errors_stay_on_one_line_whatever_they_quote(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise ReinvertError("a\nb")

    monkeypatch.setattr("reports.build.build_report", refuse)
    assert run("report").stderr == "error: a b\n"

"""`reinvert`: what the stages of the DAG call and what a person types.

Heavy imports (torch, pandas, typst) happen inside the commands, so that `--help` and `list` answer at once. Exit
status: 0 done, 1 something the user can mend (one line on stderr), 2 wrong usage, 130 interrupted. Any other exception
is a fault of ours and keeps its traceback.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from core.config import Config, load_config
from core.errors import ReinvertError
from core.files import is_disk_full
from core.registry import unknown_name
from pipelines.weights.cli import app as weights_app

if TYPE_CHECKING:
    import torch

INTERRUPTED = 130


def _stop(message: str, status: int) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(status)


class OneLineErrors(TyperGroup):
    """A command group that turns what a user can mend into one line on stderr and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ReinvertError as error:
            _stop(f"error: {error}", 1)
        except KeyboardInterrupt:
            _stop("interrupted; run the same command again to go on", INTERRUPTED)
        except BrokenPipeError:
            # The reader of `reinvert list | head` has left; the interpreter must not complain about it on the way out.
            with contextlib.suppress(OSError):
                sys.stdout.close()
            raise typer.Exit(0) from None
        except OSError as error:
            if not is_disk_full(error):
                raise
            _stop("error: the disk is full; free some space and run the same command again", 1)


app = typer.Typer(
    cls=OneLineErrors,
    help="Render, invert, measure, report: a benchmark of StyleGAN inversion.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
train_app = typer.Typer(help="Train a network, or go on training it.", no_args_is_help=True, rich_markup_mode=None)
measure_app = typer.Typer(help="Measure a network.", no_args_is_help=True, rich_markup_mode=None)
label_app = typer.Typer(help="Label what a generator draws.", no_args_is_help=True, rich_markup_mode=None)
picture_app = typer.Typer(help="Draw pictures for the docs.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(train_app, name="train")
app.add_typer(measure_app, name="measure")
app.add_typer(label_app, name="label")
app.add_typer(picture_app, name="picture")
app.add_typer(weights_app, name="weights")

Params = Annotated[Path, typer.Option("--params", help="The parameters.")]
Weights = Annotated[Path, typer.Option("--weights", help="Folder of the trained networks.")]
Data = Annotated[Path, typer.Option("--data", help="Folder of the rendered images.")]
Results = Annotated[Path, typer.Option("--results", help="Folder of the measured runs.")]
Cache = Annotated[Path, typer.Option("--cache", help="Folder of unfinished work.")]
DomainName = Annotated[str, typer.Option("--domain", help="A name from `reinvert list domains`.")]
Scale = Annotated[str, typer.Option("--scale", help="How large a run: a name under `scales` in params.yaml.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, or auto: a GPU if there is one.")]

PARAMS = Path("params.yaml")
WEIGHTS = Path("weights")
DATA = Path("data")
RESULTS = Path("results")
CACHE = Path(".cache")
SCALE = "default"


def _known(noun: str, name: str, names: Any) -> str:
    if name not in names:
        raise unknown_name(noun, name, names)
    return name


def _device(name: str) -> torch.device:
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


def _check_recipe(config: Config, domain: str) -> None:
    """Refuse to work when params.yaml, which the DAG looks at, speaks of other images than the renderer draws."""
    from pipelines import domains

    _known("domain", domain, config.domains)
    drawn, stated = domains.get(domain).recipe, config.domains[domain].recipe
    if drawn != stated:
        raise ReinvertError(
            f"params.yaml says domains.{domain}.recipe is {stated}, the renderer is at {drawn}; write {drawn} there"
        )


@app.command("list")
def list_names(
    what: Annotated[str, typer.Argument(help="methods, metrics, protocols or domains.")], params: Params = PARAMS
) -> None:
    """List what there is."""
    _known("list", what, ("methods", "metrics", "protocols", "domains"))
    if what == "metrics":
        from metrics import registry

        rows = [(name, registry.get(name).protocol, registry.get(name).unit) for name in registry.names()]
    elif what == "protocols":
        from metrics import protocols

        rows = [(protocol.id, protocol.suite, protocol.quantisation) for protocol in protocols.everything()]
    elif what == "methods":
        rows = [(name, method.kind, "") for name, method in load_config(params).methods.items()]
    else:
        rows = [(name, f"recipe {domain.recipe}", "") for name, domain in load_config(params).domains.items()]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    for name, second, third in rows:
        print(f"{name:<{widths[0]}}  {second:<{widths[1]}}  {third}".rstrip())


@app.command()
def describe(
    name: Annotated[str, typer.Argument(help="A method, a metric, a protocol or a domain.")],
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
) -> None:
    """Say what a method, metric, protocol or domain is."""
    from metrics import protocols
    from metrics import registry as metrics_registry

    config = load_config(params)
    if "@" in name or name in {protocol.name for protocol in protocols.everything()} - set(metrics_registry.names()):
        from pipelines.document_protocols import choices

        print(
            "\n".join(f"{choice}: {words}" for choice, words in choices(protocols.get(name)).items()).replace("`", "")
        )
        return
    _known("name", name, [*config.methods, *metrics_registry.names(), *config.domains])
    if name in config.methods:
        from methods import registry as methods_registry

        print(methods_registry.describe(name, config, weights))
    elif name in config.domains:
        from pipelines import domains

        domain = domains.get(name)
        print(f"{name}: {domain.resolution} x {domain.resolution} pixels, renderer recipe {domain.recipe}")
        print("images: " + ", ".join(f"{split} {count:,}" for split, count in domain.splits.items()))
        print("labels: " + ", ".join(domain.label_names))
    else:
        metric = metrics_registry.get(name)
        print(f"{name}: {metric.label}, {metric.direction} is better")
        print(f"unit: {metric.unit}")
        print(f"protocol: {metric.protocol}")
        if metric.embedded:
            print("measured by a network trained on the embedded domain; not comparable with published numbers")


@app.command()
def render(
    domain: DomainName,
    out: Annotated[Path, typer.Option("--out", help="Folder for the images.")],
    split: Annotated[str, typer.Option("--split", help="train or test.")] = "test",
    params: Params = PARAMS,
) -> None:
    """Render the images of a domain."""
    config = load_config(params)
    _check_recipe(config, domain)
    from pipelines import domains
    from pipelines.domains import shards

    shards.render(domains.get(domain), split, out)


@train_app.command("generator")
def train_generator(
    domain: DomainName, params: Params = PARAMS, weights: Weights = WEIGHTS, cache: Cache = CACHE
) -> None:
    """Train the generator of a domain."""
    from core.config import validated
    from pipelines.generator_config import GeneratorTraining

    config = load_config(params)
    _check_recipe(config, domain)
    if domain not in config.generators:
        raise ReinvertError(f"{params} has no generators.{domain}; add the section")
    training = validated(GeneratorTraining, config.generators[domain], f"{params}: generators.{domain}")
    from pipelines.train_generator import train_generator as train

    train(domain, training, weights, cache)


@train_app.command("judge")
def train_judge(
    name: Annotated[str, typer.Argument(help="A judge under `judges.DOMAIN` in params.yaml.")],
    domain: DomainName,
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
    cache: Cache = CACHE,
    device: Device = "auto",
    scores_only: Annotated[
        bool, typer.Option("--scores-only", help="Keep the finished weights and measure their scores again.")
    ] = False,
) -> None:
    """Train a network that measures."""
    from core.config import validated
    from metrics.judges.config import JudgeTraining

    config = load_config(params)
    _check_recipe(config, domain)
    if domain not in config.judges:
        raise ReinvertError(f"{params} has no judges.{domain}; add the section")
    _known("judge", name, config.judges[domain])
    training = validated(JudgeTraining, config.judges[domain][name], f"{params}: judges.{domain}.{name}")
    from pipelines import train_judge as stage

    folder = weights / domain / name
    if scores_only:
        stage.score_judge(domain, name, training, folder, _device(device), cache)
    else:
        stage.train_judge(domain, name, training, cache / "train", folder, _device(device), cache)


@train_app.command("method")
def train_method(
    name: Annotated[str, typer.Argument(help="A method with a `training` section in params.yaml.")],
    domain: DomainName,
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
    cache: Cache = CACHE,
    device: Device = "auto",
) -> None:
    """Train the encoder of a method."""
    config = load_config(params)
    _check_recipe(config, domain)
    _known("method", name, config.methods)
    from pipelines.train_method import train_method as train

    train(name, config, domain, weights_root=weights, cache=cache, device=_device(device))


@train_app.command("methods")
def train_methods(
    names: Annotated[
        list[str] | None, typer.Argument(help="Methods with a `training` section; by default all.", metavar="[NAME]...")
    ] = None,
    domain: Annotated[
        list[str] | None, typer.Option("--domain", help="A domain; may be repeated; by default all.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option("--processes", min=1, help="At once; by default one a core, four on a GPU.")
    ] = None,
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
    cache: Cache = CACHE,
    device: Device = "auto",
) -> None:
    """Train many methods side by side, each after the one it starts from; logs are in .cache/training/logs."""
    config = load_config(params)
    domains_asked = domain or list(config.domains)
    for name in domains_asked:
        _check_recipe(config, name)
    from pipelines import train_methods as stage

    needs = stage.trainings(config, domains_asked, names or None)
    from pipelines.domains import shards
    from pipelines.side_by_side import sensible_processes

    place = _device(device)
    for name in domains_asked:
        shards.ensure(name, "train", cache)
    options = ["--params", str(params), "--weights", str(weights), "--cache", str(cache), "--device", str(place)]

    def command(domain: str, method: str) -> list[str]:
        return [sys.executable, "-m", "pipelines.cli", "train", "method", method, "--domain", domain, *options]

    stage.train_methods(needs, weights, cache, command, processes or sensible_processes(place.type))


@measure_app.command("generator")
def measure_generator(
    domain: DomainName,
    picture: Annotated[Path | None, typer.Option("--picture", help="PNG of samples; by default in the docs.")] = None,
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
    data: Data = DATA,
    results: Results = RESULTS,
    cache: Cache = CACHE,
    device: Device = "auto",
) -> None:
    """Measure the generator of a domain against its bars."""
    from core.config import validated

    config = load_config(params)
    _check_recipe(config, domain)
    from pipelines.samples_config import GeneratorQuality

    settings = validated(GeneratorQuality, config.generator_quality, f"{params}: generator_quality")
    from pipelines.measure_generator import measure_generator as measure

    output, picture = results / "generators" / domain, picture or Path("docs/images") / f"{domain}-samples.png"
    measured = measure(domain, settings, weights, data, output, picture, cache, _device(device))
    for name, entry in measured["bars"].items():
        sign, met = ("≥" if entry["direction"] == "at least" else "≤"), ("met" if entry["met"] else "not met")
        print(f"{name:<24} {entry['value']:8.3f} {sign} {entry['bar']:.3f} {met}")


@label_app.command("samples")
def label_samples(
    domain: DomainName,
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
    data: Data = DATA,
    device: Device = "auto",
) -> None:
    """Draw samples of a generator and write down what the judges read off them."""
    from core.config import validated

    config = load_config(params)
    _check_recipe(config, domain)
    from pipelines.samples_config import LabelledSampling

    settings = validated(LabelledSampling, config.labelled_samples, f"{params}: labelled_samples")
    from pipelines.label_samples import label_samples as label

    label(domain, settings, weights, data / domain / "labelled-samples.npz", _device(device))


@app.command()
def cells(
    out: Annotated[Path, typer.Option("--out", help="Folder for one file per scale and run.")] = DATA / "cells",
    params: Params = PARAMS,
) -> None:
    """Write down which code and arguments each run's scores depend on; the graph compares these files."""
    from pipelines.cells import write_cells

    write_cells(load_config(params), out)


@app.command()
def wire(
    names: Annotated[list[str], typer.Argument(help="Methods of params.yaml.", metavar="METHOD...")],
    params: Params = PARAMS,
) -> None:
    """Print the lines that place methods into the graph: their trainings and their runs."""
    from pipelines import wiring

    print(wiring.lines(names, load_config(params)))


@app.command()
def evaluate(
    run: Annotated[str, typer.Argument(help="A run under `runs` in params.yaml.")],
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
    data: Data = DATA,
    results: Results = RESULTS,
    cache: Cache = CACHE,
    device: Device = "auto",
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes; by default one a core.")] = None,
    scale: Scale = SCALE,
) -> None:
    """Invert the test images with one method and measure the result."""
    config = load_config(params).at_scale(scale)
    _known("run", run, config.runs)
    _check_recipe(config, config.runs[run].domain)
    from pipelines.evaluate import evaluate as measure

    measure(run, config, weights, data, results / run, cache / "evaluate", _device(device).type, workers)


@app.command()
def ahead(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Runs under `runs` in params.yaml; by default all.", metavar="[RUN]...")
    ] = None,
    processes: Annotated[
        int | None, typer.Option("--processes", min=1, help="At once; by default one a core, four on a GPU.")
    ] = None,
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
    data: Data = DATA,
    cache: Cache = CACHE,
    device: Device = "auto",
    scale: Scale = SCALE,
) -> None:
    """Measure runs side by side into the cache, so that the graph, which runs one after another, only collects."""
    config = load_config(params)
    names = runs or list(config.runs)
    for name in names:
        _known("run", name, config.runs)
    from pipelines.side_by_side import Job, run_jobs, sensible_processes

    place = _device(device)
    options = ["--params", str(params), "--weights", str(weights), "--data", str(data), "--cache", str(cache)]
    options += ["--device", str(place), "--scale", scale, "--results", str(cache / "ahead" / scale), "--workers", "1"]
    program = (sys.executable, "-m", "pipelines.cli", "evaluate")
    jobs = [Job(name, (*program, name, *options)) for name in names]
    failed = run_jobs(jobs, processes or sensible_processes(place.type), cache / "ahead" / "logs", print)
    if failed:
        why = "; ".join(f"{name} ({reason})" for name, reason in failed.items())
        raise ReinvertError(f"{len(failed)} of {len(jobs)} runs failed: {why}; mend them and run the same again")


@app.command()
def score(
    real_dir: Annotated[Path, typer.Argument(metavar="REAL_DIR", help="The real images.")],
    fake_dir: Annotated[Path, typer.Argument(metavar="FAKE_DIR", help="Their reconstructions, by the same names.")],
    protocol: Annotated[
        list[str],
        typer.Option("--protocol", help="A suite (strict, embedded, a paper) or a protocol's id; may be repeated."),
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Folder for JSON and CSV; by default only a table.")] = None,
    domain: DomainName = "faces",
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Score the pairs that there are; what is lacking is counted.")
    ] = False,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images measured together.")] = 16,
    resamples: Annotated[int, typer.Option("--resamples", min=100, help="Bootstrap resamples.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap.")] = 0,
    checkpoints: Annotated[Path, typer.Option("--checkpoints", help="Folder of published networks.")] = Path(
        "checkpoints"
    ),
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
    cache: Cache = CACHE,
    device: Device = "auto",
) -> None:
    """Score a folder of anybody's reconstructions."""
    config = load_config(params) if params.is_file() else None
    from pipelines import score as stage
    from pipelines.score_networks import load_networks

    wanted, left_out = stage.choose_protocols(protocol, domain, config)
    for line in left_out:
        print(line, file=sys.stderr)
    place, settings = _device(device), stage.Settings(batch, resamples, seed, incomplete)
    scored = stage.score_folders(
        real_dir, fake_dir, wanted, lambda chosen: load_networks(chosen, weights, domain, checkpoints, place), settings,
        cache / "score", place, lambda line: print(line, file=sys.stderr),
    )  # fmt: skip
    print(stage.printed(scored))
    if out is not None:
        stage.write(scored, out)
        print(out / "scores.json")


@app.command()
def directions(
    domain: DomainName,
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
    data: Data = DATA,
    results: Results = RESULTS,
    device: Device = "auto",
) -> None:
    """Find the editing directions of a domain's generator and check that they do what they are called."""
    from core.config import validated

    config = load_config(params)
    _check_recipe(config, domain)
    from pipelines.editing_config import DirectionFinding

    settings = validated(DirectionFinding, config.directions, f"{params}: directions")
    from pipelines.find_directions import find_directions

    found = find_directions(domain, settings, weights, data, results / "directions" / domain, _device(device))
    for name, entry in found["directions"].items():
        change = entry["changes"][-1]["mean"] - entry["changes"][0]["mean"]
        held = "holds" if entry["holds"] else "does not hold"
        print(f"{name:<12} raises {entry['attribute']:<12} by {change:8.3f} in all: {held}")


@app.command()
def editability(
    run: Annotated[str, typer.Argument(help="A run under `runs` in params.yaml.")],
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
    data: Data = DATA,
    results: Results = RESULTS,
    device: Device = "auto",
    scale: Scale = SCALE,
) -> None:
    """Edit what one method makes of test images and measure the result."""
    from core.config import validated

    config = load_config(params).at_scale(scale)
    _known("run", run, config.runs)
    _check_recipe(config, config.runs[run].domain)
    from pipelines.editing_config import Editability

    settings = validated(Editability, config.editability, f"{params}: editability")
    from pipelines.editability import editability as measure

    measured = measure(run, config, settings, weights, data, results / run, _device(device))
    print(
        f"{run}: {measured['status']}, {measured['n']} images{', ' if measured['reason'] else ''}{measured['reason']}"
    )


@app.command()
def report(
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
    results: Results = RESULTS,
    out: Annotated[Path, typer.Option("--out", help="Folder for the report.")] = Path("reports"),
    scale: Scale = SCALE,
    generators: Annotated[
        Path | None, typer.Option("--generators", help="Folder of the measured generators, if not in --results.")
    ] = None,
    opened: Annotated[bool, typer.Option("--open", help="Show the PDF in the platform's viewer.")] = False,
) -> None:
    """Write the report from what was measured."""
    config = load_config(params).at_scale(scale)
    from reports.build import build_report

    paths = build_report(config, results, weights, out, generators)
    print(f"{paths.pdf}\n{paths.markdown}")
    if opened:
        from reports.viewing import show

        if why := show(paths.pdf):
            print(f"Not opened: {why}.")


@app.command()
def check(
    baseline: Annotated[Path, typer.Option("--baseline", help="Scores to compare with.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the comparison as a Markdown table.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Make the present scores the baseline instead.")] = False,
    params: Params = PARAMS,
    results: Results = RESULTS,
) -> None:
    """Fail when a score is worse than the baseline allows, or the verdict on a paper's claim has changed."""
    config = load_config(params)
    from pipelines import check as gate
    from pipelines import check_claims

    if write:
        verdicts = check_claims.verdicts_now(baseline, results, config.runs)
        gate.write_baseline(baseline, results, config.runs, verdicts)
        return
    if config.tolerances is None:
        raise ReinvertError(f"{params} has no tolerances; add the section")
    comparisons = gate.compare(baseline, results, config.tolerances)
    changes = check_claims.compare(gate.read_baseline(baseline), baseline, results, config.runs)
    if markdown:
        print(gate.markdown_table(comparisons))
        print(check_claims.markdown_table(changes))
    else:
        print("\n".join(str(change) for change in changes if change.kind != "same"), end="\n" if changes else "")
    gate.require_no_regression(comparisons)
    check_claims.require_no_flip(changes)
    if not markdown:
        print(f"{len(comparisons)} scores compared with {baseline}: none is worse than its tolerance allows")
        none = f"{baseline} holds no verdicts on claims; '--write' adds those of the last report"
        print(f"{len(changes)} verdicts on claims compared: none has flipped" if changes else none)


@app.command()
def calibrate(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Image pairs and reference values.")] = Path(
        "tests/calibration"
    ),
    device: Device = "cpu",
) -> None:
    """Compare scores computed here with those of the packages that define them."""
    from pipelines import calibrate as calibration

    comparisons = calibration.calibrate(folder, _device(device))
    print(calibration.table(comparisons))
    failed = [comparison for comparison in comparisons if not comparison.passed]
    if failed:
        raise ReinvertError(
            f"{len(failed)} of {len(comparisons)} scores are off; publish no numbers from this machine; compare its "
            f"package versions with those in {folder}/{calibration.REFERENCES}"
        )
    print(f"all {len(comparisons)} scores are within their tolerance")


@app.command()
def conformance(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Manifests and golden outputs.")],
    salt: Annotated[str, typer.Option("--salt", help="Of the weights and inputs the goldens were made with.")] = (
        "public"
    ),
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A golden's name or pattern, such as 'psp_*'; may be repeated.")
    ] = None,
) -> None:
    """Compare our networks with outputs of the official code, on weights that are rebuilt from a salt."""
    from tqdm import tqdm

    from pipelines.conformance import compare
    from pipelines.conformance.data import Goldens

    data = Goldens(folder, salt)
    names = compare.modules(data, only or ())
    print(compare.table_head(names), flush=True)
    failed: list[str] = []
    with tqdm(names, unit="module", disable=None) as progress:
        for name in progress:
            progress.set_description(name)
            result = compare.run(data, name)
            with progress.external_write_mode(file=sys.stdout):
                print(compare.table_row(result, names), *(f"    {problem}" for problem in result.problems), sep="\n")
                sys.stdout.flush()
            if not result.passed:
                failed.append(name)
    if failed:
        raise ReinvertError(f"{len(failed)} of {len(names)} modules fail: {', '.join(failed)}; the table says where")
    print(f"all {len(names)} modules pass")


@app.command()
def invert(
    images: Annotated[list[Path], typer.Argument(help="Photos: any picture with red, green and blue, or grey.")],
    method: Annotated[str, typer.Option("--method", help="A name from `reinvert list methods`.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    domain: DomainName = "faces",
    crop: Annotated[bool, typer.Option("--crop", help="Cut the middle square out of photos that are not square.")] = (
        False
    ),
    seed: Annotated[int, typer.Option("--seed", help="Of the method's random numbers.")] = 0,
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
    device: Device = "auto",
) -> None:
    """Invert own photos: reconstruction, code and a side-by-side picture of each."""
    config = load_config(params)
    _known("method", method, config.methods)
    _known("domain", domain, config.domains)
    from pipelines.invert import invert_files

    for done in invert_files(images, method, out, config, domain, weights, _device(device), crop, seed):
        print(done.side_by_side)


@picture_app.command("domain")
def picture_domain(
    domain: DomainName,
    out: Annotated[Path, typer.Option("--out", help="Folder for the pictures.")] = Path("docs/images"),
    params: Params = PARAMS,
) -> None:
    """Draw a domain: a grid, one number varied per row, the masks, what only tests show."""
    config = load_config(params)
    _check_recipe(config, domain)
    from pipelines.picture_domains import draw_all

    for path in draw_all(domain, out):
        print(path)


def main() -> None:
    """Entry point of the `reinvert` program."""
    app()


if __name__ == "__main__":
    main()

"""Scores on anybody's images, and whether ours are those of the official code: `score`, `calibrate`, `conformance`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from core.config import load_config
from core.errors import ReinvertError
from pipelines.commands.options import CACHE, PARAMS, WEIGHTS, Cache, Device, DomainName, Params, Weights, device_of


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
    if out is not None and out.exists() and not out.is_dir():
        raise ReinvertError(f"'{out}' is a file; name a folder with --out")
    place, settings = device_of(device), stage.Settings(batch, resamples, seed, incomplete)
    scored = stage.score_folders(
        real_dir, fake_dir, wanted, lambda chosen: load_networks(chosen, weights, domain, checkpoints, place), settings,
        cache / "score", place, lambda line: print(line, file=sys.stderr),
    )  # fmt: skip
    print(stage.printed(scored))
    if out is not None:
        stage.write(scored, out)
        print(out / "scores.json")


def calibrate(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Image pairs and reference values.")] = Path(
        "tests/calibration"
    ),
    device: Device = "cpu",
) -> None:
    """Compare scores computed here with those of the packages that define them."""
    from pipelines import calibrate as calibration

    comparisons = calibration.calibrate(folder, device_of(device))
    print(calibration.table(comparisons))
    failed = [comparison for comparison in comparisons if not comparison.passed]
    if failed:
        raise ReinvertError(
            f"{len(failed)} of {len(comparisons)} scores are off; publish no numbers from this machine; compare its "
            f"package versions with those in {folder}/{calibration.REFERENCES}"
        )
    print(f"all {len(comparisons)} scores are within their tolerance")


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

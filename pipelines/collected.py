"""What was measured ahead of the graph, by what it depends on.

`reinvert ahead` leaves the files of a stage in `.cache/ahead/<scale>/<stage>/<run>/<key>`, and the stage copies them
instead of measuring. The key covers everything the files depend on, so what is found is what the stage would measure.
Nothing heavy is imported: without torch and networks a stage of the graph ends in a fraction of a second.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.config import Config
from core.errors import ReinvertError
from core.files import atomic_path, sha256_of
from pipelines.evaluate_provenance import key_of, machine, method_chain, sha256_of_code, versions, weights_sha256

CODE = ("core", "methods", "metrics", "pipelines/*.py", "pipelines/domains")
"""Our code that a stage's files pass through, and some more."""


@dataclass(frozen=True)
class Stage:
    """A stage of the graph that measures one run.

    Attributes:
        files: what it leaves behind; the last one is written last and says that the others are whole.
        sections: of params.yaml, besides the method's own.
        data: it reads in the domain's folder of data, besides the test images.
    """

    files: tuple[str, ...]
    sections: tuple[str, ...]
    data: tuple[str, ...] = ()


STAGES = {
    "evaluate": Stage(
        (
            "metrics.json",
            "timing.json",
            "curve.json",
            "per_image.parquet",
            "reconstructions.webp",
            "inputs.webp",
            "record.json",
        ),
        ("evaluation",),
    ),
    "editability": Stage(("edits.npz", "editability.json"), ("editability",), ("directions.npz",)),
    "inspect": Stage(("inspection.npz", "inspection.json"), ("inspection",)),
}
"""By the name they have in dvc.yaml and on the command line."""


@dataclass(frozen=True)
class Places:
    """Where a stage reads and what it computes on.

    Attributes:
        weights: folder of the trained networks.
        data: folder of the rendered images.
        cache: folder of unfinished work.
        device: as the user says it. What `auto` means does not change on one machine.
    """

    weights: Path
    data: Path
    cache: Path
    device: str


def folder_of(stage: str, run: str, config: Config, places: Places) -> Path | None:
    """Where the files of `stage` for `run` are or belong; None where weights or data are missing.

    Args:
        stage: a name in `STAGES`.
        run: a run of `config`.
        config: at the scale of the run.
        places: what is read.
    """
    method, domain = config.runs[run].method, config.runs[run].domain
    read = [places.data / domain / name for name in ("test/manifest.json", *STAGES[stage].data)]
    if not all(path.is_file() for path in read):
        return None
    try:
        weights = weights_sha256(places.weights, domain, method, config)
    except ReinvertError:  # the stage itself says what is wrong with a card
        return None
    sections = config.model_dump(mode="json", include=set(STAGES[stage].sections))
    content: dict[str, Any] = {
        "domain": [domain, config.domains[domain].recipe],
        "methods": method_chain(method, config),
        "sections": sections,
        "weights": weights,
        "data": [sha256_of(path) for path in read],
        "code": sha256_of_code(CODE),
        "device": [places.device, os.environ.get("CUDA_VISIBLE_DEVICES", "")],
        "versions": versions(),
        "machine": machine(),
    }
    return places.cache / "ahead" / str(config.scale) / stage / run / key_of(content)


def is_whole(folder: Path, stage: str) -> bool:
    """Whether all files of `stage` are in `folder`."""
    return all((folder / name).is_file() for name in STAGES[stage].files)


@contextmanager
def kept(folder: Path) -> Iterator[Path]:
    """A new folder, renamed to `folder` when the block ends well; older measurements of the same run go then.

    Nothing of it is left when the block fails.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for older in folder.parent.iterdir():
            if older != temporary and (older == folder or not older.name.startswith(".")):
                shutil.rmtree(older)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def collect(stage: str, run: str, config: Config, places: Places, output: Path) -> bool:
    """Copy to `output` what was measured ahead, if it was.

    Args:
        stage: a name in `STAGES`.
        run: a run of `config`.
        config: at the scale of the run.
        places: what the stage would read.
        output: folder of the run's results.
    """
    folder = folder_of(stage, run, config, places)
    if folder is None or not is_whole(folder, stage):
        return False
    last = STAGES[stage].files[-1]
    (output / last).unlink(missing_ok=True)
    for name in STAGES[stage].files:
        with atomic_path(output / name) as temporary:
            shutil.copyfile(folder / name, temporary)
    return True

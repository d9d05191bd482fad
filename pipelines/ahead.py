"""Measure many runs at once, ahead of the graph.

DVC runs one stage after another, each in a process of its own that has to import torch and to load networks. Here one
process per core takes runs in turn, does all stages of a run with one set of networks and keeps the judges of a domain
from run to run. What it leaves behind is what the stages would (`pipelines.collected`).

Times per image are measured by one thread while the other processes work; timing.json says beside how many.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from core.config import Config
from core.errors import ReinvertError
from methods import registry as methods_registry
from methods.inverter import Inverter
from metrics.panel import Panel
from pipelines import collected
from pipelines.collected import Places
from pipelines.edit_judges import EditJudges
from pipelines.editability import editability
from pipelines.editing_config import Editability
from pipelines.evaluate import evaluate
from pipelines.evaluate_chunks import Tools
from pipelines.evaluate_provenance import method_chain
from pipelines.inspection import inspection
from pipelines.inspection_config import Inspection
from pipelines.worker_processes import in_processes


@dataclass
class Bench:
    """What one process works with, and what it has loaded.

    Attributes:
        config: at the scale of the runs.
        places: where it reads and writes.
        device: where it computes.
        processes: how many work at once.
        edits: the section `editability`; None where it is not asked for.
        looks: the section `inspection`, likewise.
    """

    config: Config
    places: Places
    device: str
    processes: int
    edits: Editability | None
    looks: Inspection | None
    _inverters: dict[tuple[str, str], Inverter] = field(default_factory=dict)

    def inverter(self, method: str, config: Config, domain: str, weights: Path, device: torch.device) -> Inverter:
        """A method; the last one is kept, for the stages of one run."""
        if (method, domain) not in self._inverters:
            self._inverters.clear()
            gc.collect()
            self._inverters[method, domain] = methods_registry.build(method, config, domain, weights, device)
        return self._inverters[method, domain]

    def measure(self, stage: str, run: str, output: Path) -> None:
        """Do one stage of one run."""
        places, config = self.places, self.config
        if stage == "evaluate":
            tools = Tools(self.inverter, _panel)
            work = places.cache / "evaluate"
            evaluate(
                run, config, places.weights, places.data, output, work, self.device, 1, tools, self.processes
            )  # fmt: skip
            return
        read = (places.weights, places.data, output, torch.device(self.device), self.inverter)
        if stage == "editability":
            assert self.edits is not None
            editability(run, config, self.edits, *read, _judges)
        else:
            assert self.looks is not None
            inspection(run, config, self.looks, *read)


@functools.cache
def _panel(domain: str, weights: Path, device: torch.device) -> Panel:
    return Panel.load(domain, weights, device)


@functools.cache
def _judges(domain: str, weights: Path, device: torch.device, for_runs: bool) -> EditJudges:
    return EditJudges.load(domain, weights, device, for_runs)


_bench: Bench | None = None
"""In a worker process: what it works with."""


def _prepare(bench: Bench) -> None:
    global _bench
    _bench = bench


@dataclass(frozen=True)
class Done:
    """How it went with one run: seconds by stage, and what is wrong, "" for nothing."""

    run: str
    seconds: Mapping[str, float]
    problem: str = ""


def _work(run: str, stages: tuple[str, ...]) -> Done:
    assert _bench is not None, "a worker must be started with a bench"
    log = _bench.places.cache / "ahead" / "logs" / f"{run}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}
    with open(log, "w", encoding="utf-8") as said, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        for stage in stages:
            start = time.monotonic()
            try:
                folder = collected.folder_of(stage, run, _bench.config, _bench.places)
                if folder is None:
                    _bench.measure(stage, run, log.parent / "nowhere")  # says what is missing
                    raise ReinvertError(f"weights or data of {run} came while it was measured; run again")
                if not collected.is_whole(folder, stage):
                    with collected.kept(folder) as output:
                        _bench.measure(stage, run, output)
            except ReinvertError as error:
                return Done(run, seconds, f"{stage}: {error}")
            except Exception:
                traceback.print_exc()
                return Done(run, seconds, f"{stage}: see {log}")
            seconds[stage] = time.monotonic() - start
    return Done(run, seconds)


def longest_first(runs: Sequence[str], config: Config) -> list[str]:
    """Runs by the steps of their method and of those that it starts from, the most first; else in their order."""

    def steps(run: str) -> int:
        chain = method_chain(config.runs[run].method, config).values()
        return sum(int(arguments.get("steps", 0)) for arguments in chain)

    return sorted(runs, key=steps, reverse=True)


def measure_ahead(
    wanted: Mapping[str, tuple[str, ...]],
    config: Config,
    edits: Editability | None,
    looks: Inspection | None,
    places: Places,
    device: str,
    processes: int,
    say: Callable[[str], None],
) -> dict[str, str]:
    """Measure runs side by side.

    Args:
        wanted: by run of `config`, which stages.
        config: at the scale of the runs.
        edits: the section `editability`, needed for that stage.
        looks: the section `inspection`, needed for the stage `inspect`.
        places: where to read and write.
        device: where to compute.
        processes: how many at once.
        say: gets one line when a run is done.

    Returns:
        What is wrong, by run, for those that failed. The others are done.
    """
    jobs: list[tuple[Any, ...]] = [(run, wanted[run]) for run in longest_first(list(wanted), config)]
    processes = min(processes, len(jobs))
    failed: dict[str, str] = {}
    bench = Bench(config, places, device, processes, edits, looks)
    with contextlib.closing(in_processes(_work, jobs, processes, _prepare, (bench,))) as results:
        for number, done in enumerate(results, start=1):
            spent = ", ".join(f"{stage} {seconds:,.0f} s" for stage, seconds in done.seconds.items())
            say(f"[{number}/{len(jobs)}] {done.run}: {done.problem or spent}")
            if done.problem:
                failed[done.run] = done.problem
    return failed

"""Train many methods side by side: `reinvert train methods`.

Every training is a process of its own (`reinvert train method NAME`), one thread each on a CPU, several at once on one
GPU; a method waits for the one it starts from. Trainings resume by themselves from .cache/training, so the whole can be
stopped at any time and started again. What is finished is taken from there in seconds, also by `dvc repro train-method`
afterwards, which enters the weights into dvc.lock.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.config import Config
from core.errors import ReinvertError
from core.weights import load_card, weights_folder
from pipelines.wiring import chain, is_trained

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Job:
    """One training and the names of those that have to be done before."""

    domain: str
    method: str
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Unique, and fit for a file name."""
        return f"{self.domain}-{self.method.replace('/', '-')}"


def jobs_of(config: Config, domains: Sequence[str], methods: Sequence[str] | None = None) -> list[Job]:
    """The trainings of `methods` (None for all that have weights) on `domains`.

    A method that others start from comes first, those with the longest line of others behind them before the rest.
    Only what is asked for is trained: weights of another start have to be there.

    Raises:
        ReinvertError: an unknown method, or one that has nothing to train.
    """
    names = list(methods) if methods is not None else [name for name in config.methods if is_trained(name, config)]
    for name in names:
        chain(name, config)
        if not is_trained(name, config):
            raise ReinvertError(f"method '{name}' has nothing to train; leave it out")
    before = {name: [other for other in chain(name, config)[1:] if other in names] for name in names}
    # How many trainings long the line is that a method holds up.
    length = {name: max((b.index(name) + 1 for b in before.values() if name in b), default=0) for name in names}
    ordered = sorted(names, key=lambda name: (-length[name], names.index(name)))
    jobs = [Job(domain, name, tuple(Job(domain, other).name for other in before[name]))
            for name in ordered for domain in domains]  # fmt: skip
    return sorted(jobs, key=lambda job: -length[job.method])


def run_jobs(
    jobs: Sequence[Job],
    command: Callable[[Job], Sequence[str]],
    processes: int,
    logs: Path,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> dict[str, str]:
    """Run every job as a process, at most `processes` at a time, none before those it needs.

    A job that fails holds up only those that need it. An interruption ends all processes that run.

    Args:
        jobs: in the order in which they are preferred.
        command: the words of a job's command.
        processes: how many at once.
        logs: folder for what they print, one file per job, appended.
        environment: of the processes.
        say: gets one line when a job starts or ends.

    Returns:
        Why, by name of the job, for those that failed or could not start.
    """
    logs.mkdir(parents=True, exist_ok=True)
    waiting, running, failed, done = list(jobs), dict[str, subprocess.Popen[bytes]](), dict[str, str](), set[str]()
    started: dict[str, float] = {}
    try:
        while waiting or running:
            for job in [job for job in waiting if any(name in failed for name in job.needs)]:
                waiting.remove(job)
                failed[job.name] = "not started, because " + next(n for n in job.needs if n in failed) + " failed"
            ready = [job for job in waiting if done.issuperset(job.needs)]
            for job in ready[: max(0, processes - len(running))]:
                waiting.remove(job)
                with open(logs / f"{job.name}.log", "ab") as log:
                    running[job.name] = subprocess.Popen(command(job), stdout=log, stderr=log, env=dict(environment))
                started[job.name] = time.monotonic()
                say(f"{job.name}: started")
            for name, process in list(running.items()):
                if process.poll() is None:
                    continue
                del running[name]
                if process.returncode == 0:
                    done.add(name)
                    say(f"{name}: done after {time.monotonic() - started[name]:,.0f} s")
                else:
                    failed[name] = f"exit status {process.returncode}, see {logs / f'{name}.log'}"
                    say(f"{name}: failed, {failed[name]}")
            if running:
                time.sleep(POLL_SECONDS)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()
    return failed


def sensible_processes(device: str) -> int:
    """One per core on a CPU; four on a GPU, which one small network leaves idle most of the time."""
    if device != "cpu":
        return 4
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def train_methods(
    jobs: Sequence[Job],
    weights_root: Path,
    cache: Path,
    command: Callable[[Job], Sequence[str]],
    processes: int,
    say: Callable[[str], None] = print,
) -> None:
    """Train all jobs, then list the held-out scores on their cards.

    The training images must have been rendered, or every process would render them.

    Raises:
        ReinvertError: some failed; their logs are in <cache>/training/logs.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    failed = run_jobs(jobs, command, processes, cache / "training" / "logs", environment, say)
    for job in jobs:
        if job.name not in failed:
            scores = load_card(weights_folder(weights_root, job.domain, job.method)).scores
            say(f"{job.name}: " + ", ".join(f"{name.removeprefix('held_out_')} {v:.4g}" for name, v in scores.items()))
    if failed:
        why = "; ".join(f"{name} ({reason})" for name, reason in failed.items())
        raise ReinvertError(f"{len(failed)} of {len(jobs)} trainings failed: {why}; mend them and run the same again")

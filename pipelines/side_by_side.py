"""Run commands side by side, each after those it needs. One process each; what they print goes to files."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.errors import ReinvertError
from pipelines.worker_processes import cores

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Job:
    """A command, its unique name, fit for a file name, and the names of those that have to be done before."""

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """A request to terminate becomes an exception inside the block, so that what it started is ended, too."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():  # only there can a handler be set
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@_ended_in_order()
def run_jobs(
    jobs: Sequence[Job],
    processes: int,
    logs: Path,
    say: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Run every job as a process, at most `processes` at a time, none before those it needs.

    A job that fails holds up only those that need it. An interruption or SIGTERM ends all processes that run.

    Args:
        jobs: in the order in which they are preferred.
        processes: how many at once.
        logs: folder for what they print, one file per job, appended.
        say: gets one line when a job starts or ends.
        environment: of the processes; None for this one's, with one thread each.

    Returns:
        Why, by name of the job, for those that failed or could not start.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1"} if environment is None else environment
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
                    running[job.name] = subprocess.Popen(job.command, stdout=log, stderr=log, env=dict(environment))
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


def require_none_failed(failed: Mapping[str, str], count: int, noun: str) -> None:
    """Nothing where nothing failed.

    Args:
        failed: why, by name.
        count: how many there were.
        noun: what they are called, in the plural.

    Raises:
        ReinvertError: some failed.
    """
    if failed:
        why = "; ".join(f"{name} ({reason})" for name, reason in failed.items())
        raise ReinvertError(f"{len(failed)} of {count} {noun} failed: {why}; mend them and run the same again")


def sensible_processes(device: str) -> int:
    """One per core on a CPU; four on a GPU, which one small network leaves idle most of the time."""
    return cores() if device == "cpu" else 4

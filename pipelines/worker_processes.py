"""Functions in worker processes that end with the one that started them, each with one thread."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

Result = TypeVar("Result")


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start(prepare: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    # Ctrl-C reaches the whole process group; the parent decides and stops its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(1)
    if prepare is not None:
        prepare(*arguments)


def _die_with_parent() -> None:
    # A parent that was killed outright cannot stop its workers, and a pool's queue never tells them.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def in_processes(
    work: Callable[..., Result], jobs: Sequence[tuple[Any, ...]], workers: int,
    prepare: Callable[..., None] | None = None, arguments: tuple[Any, ...] = (),
) -> Generator[Result, None, None]:  # fmt: skip
    """What `work` returns for each of `jobs`, as they are finished; they are begun in their order.

    An exception in a worker is raised here, and no worker outlives the generator.

    Args:
        work: a function of a module, called as `work(*job)`.
        jobs: their arguments.
        workers: processes.
        prepare: called once in each process, as `prepare(*arguments)`; None for nothing.
        arguments: picklable, as are those of the jobs.
    """
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(prepare, arguments))
    try:
        for future in as_completed([pool.submit(work, *job) for job in jobs]):
            yield future.result()
        pool.shutdown()
    except BaseException:
        # Whatever happened, nobody waits for what others are working on; what is finished is kept.
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise

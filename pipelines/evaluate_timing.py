"""How long an inversion takes, measured alone, after the images were measured.

Time is from the images in memory to the pictures drawn from the code: an encoder's answer and an optimiser's are
compared as what a person waits for. Drawing is timed by itself and added to every yield, so that stopping an iterative
method at any yield is charged the one drawing that this would take. A first inversion warms up and is not counted.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from methods.code import Code
from methods.inverter import Inverter

DRAWINGS = 5
MIB = 2**20


def now(device: torch.device) -> float:
    """Seconds on a monotonic clock, once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def timed_inversion(
    inverter: Inverter, images: Tensor, seed: int, at_most_steps: int | None
) -> tuple[list[int], list[float], Code]:
    """Steps, seconds since the call at each yield, and the last code.

    Args:
        inverter: the method.
        images: (B, 3, H, W) in [-1, 1].
        seed: of the inverter.
        at_most_steps: stop at the first yield that is this many steps past the first one; None: to the end.
    """
    steps: list[int] = []
    seconds: list[float] = []
    start = now(images.device)
    yields = inverter.invert(images, seed)
    code: Code | None = None
    for step in yields:
        seconds.append(now(images.device) - start)
        steps.append(step.step)
        code = step.code
        if at_most_steps is not None and step.step - steps[0] >= at_most_steps:
            break
    if code is None:
        raise RuntimeError("the inverter yielded no code: every method must yield its answer")
    return steps, seconds, code


def drawing_seconds(inverter: Inverter, code: Code, device: torch.device) -> float:
    """Median time of drawing `code`, after one drawing that is not counted."""
    inverter.draw(code)
    times = []
    for _ in range(DRAWINGS):
        start = now(device)
        inverter.draw(code)
        times.append(now(device) - start)
    return statistics.median(times)


def reset_peak_memory(device: torch.device) -> str:
    """Start to watch memory anew; says in words what `peak_memory_mb` will then speak of."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return "tensors on the device while timing"
    try:
        # Linux: 5 resets the high-water mark of this process (proc(5)).
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return "the process since it started"
    return "the process while timing, libraries included"


def peak_memory_mb(device: torch.device) -> float:
    """The highest use of memory since `reset_peak_memory`, in MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    try:
        status = Path("/proc/self/status").read_text()
        return next(float(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / MIB if sys.platform == "darwin" else peak / 1024


def align(steps: Sequence[Sequence[int]], values: Sequence[NDArray[Any]]) -> tuple[list[int], list[NDArray[Any]]]:
    """Bring series that were taken at different steps to the union of the steps.

    A series that stops early (a method that found its answer) keeps its last value; before its first step it has the
    first.

    Args:
        steps: of every series, rising.
        values: of every series, steps first.

    Returns:
        The union, and every series at all its steps.
    """
    union = sorted({step for series in steps for step in series})
    rows = [np.maximum(np.searchsorted(series, union, side="right") - 1, 0) for series in steps]
    return union, [series[row] for series, row in zip(values, rows, strict=True)]


def time_one_by_one(
    inverter: Inverter, images: Tensor, seed: int, at_most_images: int, at_most_seconds: float, warm_up_steps: int
) -> dict[str, Any]:
    """Batch 1: median seconds over images at every yield.

    Args:
        inverter: the method.
        images: (n, 3, H, W) in [-1, 1], taken in their order.
        seed: of the inverter.
        at_most_images: how many of them.
        at_most_seconds: no image is started after that, but one is always timed.
        warm_up_steps: after so many steps the uncounted first inversion may stop.

    Returns:
        `steps`, `seconds` (both lists), `draw_seconds`, `images_timed`.
    """
    timed_inversion(inverter, images[:1], seed, warm_up_steps)
    start = now(images.device)
    series: list[list[int]] = []
    times: list[NDArray[Any]] = []
    draw_seconds = 0.0
    for number in range(min(at_most_images, len(images))):
        steps, seconds, code = timed_inversion(inverter, images[number : number + 1], seed, None)
        if not number:
            draw_seconds = drawing_seconds(inverter, code, images.device)
        series.append(steps)
        times.append(np.array(seconds))
        if now(images.device) - start > at_most_seconds:
            break
    union, aligned = align(series, times)
    return {
        "steps": union,
        "seconds": (np.median(np.stack(aligned), axis=0) + draw_seconds).tolist(),
        "draw_seconds": draw_seconds,
        "images_timed": len(times),
    }


def time_batch(inverter: Inverter, images: Tensor, seed: int, at_most_steps: int, last_step: int) -> dict[str, Any]:
    """One batch: its seconds and images per second, drawing included.

    An iterative method is stopped after `at_most_steps` steps; the rest is extrapolated at the measured pace, and
    `extrapolated_from_steps` says from how many (None: measured to the end).
    """
    steps, times, code = timed_inversion(inverter, images, seed, at_most_steps)
    seconds, done = times[-1], steps[-1] - steps[0]
    extrapolated = done > 0 and steps[-1] < last_step
    if extrapolated:
        seconds = times[0] + (times[-1] - times[0]) * (last_step - steps[0]) / done
    seconds += drawing_seconds(inverter, code, images.device)
    return {
        "seconds": seconds,
        "images_per_second": len(images) / seconds,
        "extrapolated_from_steps": done if extrapolated else None,
    }


def measure_timing(
    inverter: Inverter,
    images: Tensor,
    seed: int,
    batches: Sequence[int],
    at_most_images: int,
    at_most_seconds: float,
    at_most_steps: int,
) -> dict[str, Any]:
    """Everything of timing.json, and the curve's `steps` and `seconds`.

    Args:
        inverter: the method.
        images: (n, 3, H, W) in [-1, 1]; repeated where a batch is larger.
        seed: of the inverter.
        batches: batch sizes for the throughput; batch 1 comes from the seconds per image.
        at_most_images, at_most_seconds: for batch 1, see `time_one_by_one`.
        at_most_steps: for larger batches, see `time_batch`.
    """
    device = images.device
    memory_of = reset_peak_memory(device)
    single = time_one_by_one(inverter, images, seed, at_most_images, at_most_seconds, at_most_steps)
    per_image = single["seconds"][-1]
    table = {
        "1": {"seconds": per_image, "images_per_second": 1 / per_image, "extrapolated_from_steps": None},
    }
    for batch in sorted(set(batches) - {1}):
        many = images[torch.arange(batch, device=device) % len(images)]
        table[str(batch)] = time_batch(inverter, many, seed, at_most_steps, single["steps"][-1])
    best = max(table, key=lambda batch: table[batch]["images_per_second"])
    return {
        "seconds_per_image_batch_1": per_image,
        "images_per_second_best": table[best]["images_per_second"],
        "best_batch": int(best),
        "batches": table,
        "images_timed": single["images_timed"],
        "draw_seconds": single["draw_seconds"],
        "threads": torch.get_num_threads(),
        "parameters": inverter.parameter_count(),
        "peak_memory_mb": round(peak_memory_mb(device), 1),
        "peak_memory_of": memory_of,
        "curve": {"steps": single["steps"], "seconds": single["seconds"]},
    }

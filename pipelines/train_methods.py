"""Train many methods side by side: `reinvert train methods`.

Every training is a process of its own (`reinvert train method NAME`), one thread each on a CPU, several at once on one
GPU; a method waits for the one it starts from. Trainings resume by themselves from .cache/training, so the whole can be
stopped at any time and started again. What is finished is taken from there in seconds, also by `dvc repro train-method`
afterwards, which enters the weights into dvc.lock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from core.config import Config
from core.errors import ReinvertError
from core.weights import load_card, weights_folder
from pipelines.side_by_side import Job, require_none_failed, run_jobs
from pipelines.wiring import chain, folder_of, is_trained

Pair = tuple[str, str]
"""A domain and a method."""


def name_of(pair: Pair) -> str:
    """As runs and log files are called."""
    return f"{pair[0]}-{folder_of(pair[1])}"


def trainings(config: Config, domains: Sequence[str], methods: Sequence[str] | None = None) -> dict[Pair, list[Pair]]:
    """The trainings of `methods` (None for all that have weights) on `domains`.

    A method that others start from comes first, those with the longest line of others behind them before the rest.
    Only what is asked for is trained: weights of another start have to be there.

    Returns:
        By training, in the order in which they are preferred, the trainings that have to be done before.

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
    return {(domain, name): [(domain, other) for other in before[name]] for name in ordered for domain in domains}


def train_methods(
    needs: Mapping[Pair, Sequence[Pair]],
    weights_root: Path,
    cache: Path,
    command: Callable[[str, str], Sequence[str]],
    processes: int,
    say: Callable[[str], None] = print,
) -> None:
    """Train all pairs of `trainings`, then say the held-out scores on their cards.

    The training images must have been rendered, or every process would render them.

    Args:
        needs: see `trainings`.
        weights_root: where the weights go.
        cache: logs are in <cache>/training/logs.
        command: words that train a domain's method.
        processes: how many at once.
        say: gets a line now and then.

    Raises:
        ReinvertError: some failed.
    """
    jobs = [Job(name_of(pair), tuple(command(*pair)), tuple(map(name_of, before))) for pair, before in needs.items()]
    failed = run_jobs(jobs, processes, cache / "training" / "logs", say)
    for domain, method in needs:
        name = name_of((domain, method))
        if name not in failed:
            scores = load_card(weights_folder(weights_root, domain, method)).scores
            say(f"{name}: " + ", ".join(f"{key.removeprefix('held_out_')} {v:.4g}" for key, v in scores.items()))
    require_none_failed(failed, len(jobs), "trainings")

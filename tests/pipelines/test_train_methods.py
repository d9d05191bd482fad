from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from core.config import load_config
from core.errors import ReinvertError
from pipelines.train_methods import Job, jobs_of, run_jobs, train_methods
from tests.conftest import ROOT

CONFIG = load_config(ROOT / "params.yaml")


def test_a_start_comes_before_what_starts_from_it_and_long_lines_first() -> None:
    jobs = jobs_of(CONFIG, ["faces", "churches"])
    names = [job.name for job in jobs]
    trained = [name for name, method in CONFIG.methods.items() if "training" in method.arguments]
    assert len(names) == len(set(names)) == 2 * len(trained)
    for job in jobs:
        assert all(names.index(need) < names.index(job.name) for need in job.needs)
    assert names[:2] == ["faces-e2style-1-stage", "churches-e2style-1-stage"]  # two stages wait behind it
    (last,) = [job for job in jobs if job.name == "churches-e2style-3-stage"]
    assert last.needs == ("churches-e2style-2-stage", "churches-e2style-1-stage")


def test_only_what_is_asked_for_is_trained() -> None:
    assert jobs_of(CONFIG, ["faces"], ["hfgi"]) == [Job("faces", "hfgi")]
    with pytest.raises(ReinvertError, match="'pti' has nothing to train"):
        jobs_of(CONFIG, ["faces"], ["pti"])
    with pytest.raises(ReinvertError, match="unknown method 'hfig'; did you mean 'hfgi'"):
        jobs_of(CONFIG, ["faces"], ["hfig"])


def diary(folder: Path, statuses: dict[str, int], seconds: float = 0.05) -> tuple[list[str], dict[str, str]]:
    """What a run of four jobs writes into one file, a line at each start and end, and what failed."""
    book = folder / "book"
    jobs = [Job("d", "first"), Job("d", "second", ("d-first",)), Job("d", "third", ("d-second",)), Job("d", "alone")]
    program = (
        "import sys, time; book, name, seconds, status = sys.argv[1:]\n"
        "open(book, 'a').write(name + ' starts\\n'); print('hello from', name); time.sleep(float(seconds))\n"
        "open(book, 'a').write(name + ' ends\\n'); sys.exit(int(status))"
    )

    def command(job: Job) -> Sequence[str]:
        status = str(statuses.get(job.method, 0))
        return [sys.executable, "-S", "-c", program, str(book), job.method, str(seconds), status]

    failed = run_jobs(jobs, command, 2, folder / "logs", os.environ, lambda line: None)
    return book.read_text().splitlines(), failed


def test_two_at_a_time_and_each_after_what_it_needs(tmp_path: Path) -> None:
    lines, failed = diary(tmp_path, {}, seconds=0.5)
    assert failed == {}
    assert lines.index("first ends") < lines.index("second starts")
    assert lines.index("second ends") < lines.index("third starts")
    assert lines.index("alone starts") < lines.index("first ends")  # the second process is not idle
    assert (tmp_path / "logs" / "d-alone.log").read_text() == "hello from alone\n"


def test_a_failure_holds_up_only_what_needs_it(tmp_path: Path) -> None:
    lines, failed = diary(tmp_path, {"second": 3})
    assert list(failed) == ["d-second", "d-third"]
    assert failed["d-second"].startswith("exit status 3, see ")
    assert failed["d-third"] == "not started, because d-second failed"
    assert "alone ends" in lines
    assert "third starts" not in lines


def test_failures_end_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ReinvertError, match=r"1 of 1 trainings failed: d-m \(exit status 5, see .*d-m.log\); mend"):
        train_methods([Job("d", "m")], tmp_path, tmp_path, lambda job: [sys.executable, "-c", "exit(5)"], 1, print)

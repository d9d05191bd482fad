from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.config import load_config
from core.errors import ReinvertError
from pipelines.side_by_side import Job, run_jobs
from pipelines.train_methods import train_methods, trainings
from tests.conftest import ROOT

CONFIG = load_config(ROOT / "params.yaml")


def test_a_start_comes_before_what_starts_from_it_and_long_lines_first() -> None:
    needs = trainings(CONFIG, ["faces", "churches"])
    order = list(needs)
    trained = [name for name, method in CONFIG.methods.items() if "training" in method.arguments]
    assert set(order) == {(domain, name) for domain in ("faces", "churches") for name in trained}
    for pair, before in needs.items():
        assert all(order.index(one) < order.index(pair) for one in before)
    assert order[:2] == [("faces", "e2style/1-stage"), ("churches", "e2style/1-stage")]  # two stages wait behind it
    assert needs["churches", "e2style/3-stage"] == [("churches", "e2style/2-stage"), ("churches", "e2style/1-stage")]


def test_only_what_is_asked_for_is_trained() -> None:
    assert trainings(CONFIG, ["faces"], ["hfgi"]) == {("faces", "hfgi"): []}
    with pytest.raises(ReinvertError, match="'pti' has nothing to train"):
        trainings(CONFIG, ["faces"], ["pti"])
    with pytest.raises(ReinvertError, match="unknown method 'hfig'; did you mean 'hfgi'"):
        trainings(CONFIG, ["faces"], ["hfig"])


def diary(folder: Path, statuses: dict[str, int], seconds: float = 0.05) -> tuple[list[str], dict[str, str]]:
    """What a run of four jobs writes into one file, a line at each start and end, and what failed."""
    book = folder / "book"
    program = (
        "import sys, time; book, name, seconds, status = sys.argv[1:]\n"
        "open(book, 'a').write(name + ' starts\\n'); print('hello from', name); time.sleep(float(seconds))\n"
        "open(book, 'a').write(name + ' ends\\n'); sys.exit(int(status))"
    )

    def job(name: str, *needs: str) -> Job:
        words = (sys.executable, "-S", "-c", program, str(book), name, str(seconds), str(statuses.get(name, 0)))
        return Job(name, words, needs)

    jobs = [job("first"), job("second", "first"), job("third", "second"), job("alone")]
    failed = run_jobs(jobs, 2, folder / "logs", lambda line: None)
    return book.read_text().splitlines(), failed


def test_two_at_a_time_and_each_after_what_it_needs(tmp_path: Path) -> None:
    lines, failed = diary(tmp_path, {}, seconds=0.5)
    assert failed == {}
    assert lines.index("first ends") < lines.index("second starts")
    assert lines.index("second ends") < lines.index("third starts")
    assert lines.index("alone starts") < lines.index("first ends")  # the second process is not idle
    assert (tmp_path / "logs" / "alone.log").read_text() == "hello from alone\n"


def test_a_failure_holds_up_only_what_needs_it(tmp_path: Path) -> None:
    lines, failed = diary(tmp_path, {"second": 3})
    assert list(failed) == ["second", "third"]
    assert failed["second"].startswith("exit status 3, see ")
    assert failed["third"] == "not started, because second failed"
    assert "alone ends" in lines
    assert "third starts" not in lines


def test_failures_end_in_one_line(tmp_path: Path) -> None:
    def command(domain: str, method: str) -> list[str]:
        return [sys.executable, "-c", "raise SystemExit(5)"]

    with pytest.raises(ReinvertError, match=r"1 of 1 trainings failed: d-m \(exit status 5, see .*d-m.log\); mend"):
        train_methods({("d", "m"): []}, tmp_path, tmp_path, command, 1, lambda line: None)


def test_a_request_to_terminate_ends_what_was_started(tmp_path: Path) -> None:
    book = tmp_path / "book"
    sleeper = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(f'{os.getpid()}.'); time.sleep(60)"
    program = (
        "import sys; from pathlib import Path; from pipelines.side_by_side import Job, run_jobs\n"
        f"job = Job('long', (sys.executable, '-c', {sleeper!r}, {str(book)!r}))\n"
        f"run_jobs([job], 1, Path({str(tmp_path)!r}), print)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": str(ROOT)}) as parent:
        deadline = time.monotonic() + 30
        while not (book.is_file() and book.read_text().endswith(".")):
            assert time.monotonic() < deadline, "the job did not start"
            time.sleep(0.05)
        parent.terminate()
        assert parent.wait(timeout=30) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(book.read_text().rstrip(".")), 0)

"""Searches that are killed or share a results folder: no trial is lost, none is done twice, and the numbers stay the same."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.recorded_numbers import everything_in
from support.searching import small, tuned
from support.starting import clean_environment

from bench.records.record import Record
from bench.records.store import Store
from bench.tuning.journal import Journal

pytestmark = pytest.mark.slow

TIMEOUT_S = 600
ROOT = Path(__file__).parents[2]


def start(results: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "support.searching", str(results), "rotation"],
        env=clean_environment(PYTHONPATH=f"{ROOT / 'tests'}{os.pathsep}{ROOT}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def records(results: Path) -> list[Record]:
    store = Store(results)
    return [*store.read_all("val")[0], *store.read_all("test")[0]]


def summary(results: Path) -> list[str]:
    """The lines of the summary without its times."""
    text = (results / "tuning" / "digits-mlp-1ep" / "trials-2.json").read_text()
    return [line for line in text.splitlines() if '"seconds"' not in line]


def test_of_two_processes_one_is_killed_and_the_other_finishes_with_the_numbers_of_one_alone(tmp_path, monkeypatch):
    results = tmp_path / "together"
    killed, other = start(results), start(results)
    deadline = time.monotonic() + TIMEOUT_S
    while len(records(results)) < 2:
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    output = other.communicate(timeout=TIMEOUT_S)[0]
    assert other.returncode == 0, output
    # Whoever comes second finds the record and leaves the run out: its log ends once.
    logs = [path.read_text() for path in results.rglob("*.log") if path.name.startswith("seed-")]
    assert len(logs) == len(records(results)) and all(text.count(" end: ok") <= 1 for text in logs)
    journal = Journal(results / "tuning" / "digits-mlp-1ep")
    assert [trial.state.name for trial in journal.trials("rotation")] == ["COMPLETE", "COMPLETE"]
    assert not list(results.rglob("*.damaged-*"))
    # The same command again repeats nothing; the search of one process has the same numbers.
    small(monkeypatch)
    finished = [r.environment["finished"] for r in records(results)]
    assert tuned(results, "rotation") == []
    assert [r.environment["finished"] for r in records(results)] == finished
    assert tuned(tmp_path / "alone", "rotation") == []
    assert everything_in(tmp_path / "alone") == everything_in(results)
    assert summary(tmp_path / "alone") == summary(results)

"""Searches that are killed or share a results folder: no trial is lost, none is done twice, and the numbers stay the same."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.recorded_numbers import everything_in
from support.starting import clean_environment

from bench.records.record import Record
from bench.records.store import Store
from bench.tuning.journal import Journal, trials_of

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


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    results = tmp_path_factory.mktemp("together")
    both = [start(results) for _ in range(2)]
    outputs = [process.communicate(timeout=TIMEOUT_S)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    return results


def test_two_processes_do_each_trial_once(together):
    assert not list(together.rglob("*.damaged-*"))
    # Whoever comes second finds the record and leaves the run out: its log ends once.
    logs = [path.read_text() for path in together.rglob("*.log") if path.name.startswith("seed-")]
    assert [text.count(" end: ok") for text in logs] == [1] * len(records(together))
    journal = Journal(together / "tuning" / "digits-mlp-1ep")
    assert [trial.state.name for trial in trials_of(journal, "rotation")] == ["COMPLETE", "COMPLETE"]


def test_a_killed_search_goes_on_to_the_same_numbers(together, tmp_path):
    process = start(tmp_path)
    deadline = time.monotonic() + TIMEOUT_S
    while not records(tmp_path):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(records(tmp_path)) < len(records(together))
    process = start(tmp_path)
    output = process.communicate(timeout=TIMEOUT_S)[0]
    assert process.returncode == 0, output
    assert everything_in(tmp_path) == everything_in(together)
    assert summary(tmp_path) == summary(together)

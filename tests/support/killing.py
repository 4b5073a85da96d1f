"""Start sslbench as a process that may be killed, wait for its checkpoints, and read what it recorded."""

import json
import subprocess
import time
from pathlib import Path

from support.recorded_numbers import numbers
from support.starting import clean_environment, command

TIMEOUT_S = 600
"""Longest time for one command; a busy machine is many times slower than an idle one."""


def start(results: Path, *run: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*run, "--results", str(results)),
        env=clean_environment(SSLBENCH_CHECKPOINT_SECONDS="0.2", **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(results: Path, *run: str, **environment: str) -> str:
    process = start(results, *run, **environment)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, out + err
    return out


def wait_for_a_checkpoint(process: subprocess.Popen[str], results: Path, newer_than: float) -> float:
    """Wait for a checkpoint that was written after ``newer_than``; return the time when it was written."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        written = [path.stat().st_mtime for path in (results / "checkpoints").rglob("*.pt")]
        if written and max(written) > newer_than:
            return max(written)
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError("no checkpoint was written")


def record_of(results: Path, method: str):
    (path,) = (results / "records").rglob(f"{method}/seed-0.json")
    return numbers(json.loads(path.read_text()))

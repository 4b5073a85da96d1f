"""A killed run resumes and ends with the same record, and two commands can share a results folder."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.recorded_numbers import everything_in, numbers
from support.starting import clean_environment, command

from bench.records.store import Store

pytestmark = pytest.mark.slow

PROTOCOLS = ("--protocol", "knn", "--protocol", "lowshot-1-frozen", "--protocol", "lowshot-1")
RUN = ("run", "byol", "--budget", "20ep", *PROTOCOLS)
TIMEOUT_S = 240


def start(results: Path, *run: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*(run or RUN), "--results", str(results)),
        env=clean_environment(SSLBENCH_CHECKPOINT_SECONDS="0.2"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(results: Path, *run: str) -> str:
    process = start(results, *run)
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


def record_of(results: Path, method: str = "byol"):
    (path,) = (results / "records").rglob(f"{method}/seed-0.json")
    return numbers(json.loads(path.read_text()))


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    results = tmp_path_factory.mktemp("straight")
    finish(results)
    return record_of(results)


@pytest.mark.parametrize("whole_group", [True, False], ids=["all processes", "only the parent"])
def test_a_killed_run_resumes_to_the_same_numbers_bit_for_bit(straight, tmp_path, whole_group):
    moments = random.Random(f"kill {whole_group}")
    seen = 0.0
    for _ in range(3):
        process = start(tmp_path)
        seen = wait_for_a_checkpoint(process, tmp_path, seen)
        time.sleep(moments.uniform(0, 0.5))
        assert process.poll() is None, "the run ended before it was killed: make it longer"
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
        process.communicate()
        assert Store(tmp_path).read_all()[1] == []
    finish(tmp_path)
    assert record_of(tmp_path) == straight


def test_ctrl_c_keeps_the_checkpoint_and_writes_an_interrupted_record(straight, tmp_path):
    process = start(tmp_path)
    wait_for_a_checkpoint(process, tmp_path, 0.0)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip() == "sslbench: stopped; run the same command again to continue"
    assert "Traceback" not in out
    assert list((tmp_path / "checkpoints").rglob("*.pt"))
    records, problems = Store(tmp_path).read_all()
    assert problems == []
    assert [record.status for record in records] == ["interrupted"]
    finish(tmp_path)
    assert record_of(tmp_path) == straight
    assert [path.name for path in (tmp_path / "checkpoints").rglob("*.pt")] == ["seed-0.last.pt"]


def test_a_protocol_that_is_added_later_keeps_the_encoder_and_earlier_results(straight, tmp_path):
    run = ("run", "byol", "--budget", "20ep")
    finish(tmp_path, *run, *PROTOCOLS)
    (encoder,) = (tmp_path / "encoders").rglob("*.safetensors")
    written = encoder.stat().st_mtime_ns
    finish(tmp_path, *run, "--protocol", "lowshot-2-frozen")
    after = record_of(tmp_path)
    assert encoder.stat().st_mtime_ns == written
    assert "lowshot-2-frozen" in after["protocols"]
    del after["protocols"]["lowshot-2-frozen"]
    assert after == straight


def test_two_commands_on_one_folder_do_each_run_once_with_the_results_of_one_command(tmp_path):
    run = ("run", "random_init", "pixels", "autoencoder", "--budget", "2ep", "--seeds", "2", "--protocol", "knn")
    both = [start(tmp_path, *run) for _ in range(2)]
    outputs = [process.communicate(timeout=TIMEOUT_S) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    records, problems = Store(tmp_path).read_all()
    assert problems == []
    assert [record.status for record in records] == ["ok"] * 6
    # Each encoder is written once: the second command finds the record and skips the run.
    written = [path.name for path in (tmp_path / "encoders").rglob("*") if path.is_file()]
    assert len(written) == 6
    before = {record.identity.method: record.environment["finished"] for record in records}
    finish(tmp_path, *run)
    after = {record.identity.method: record.environment["finished"] for record in Store(tmp_path).read_all()[0]}
    assert after == before
    finish(tmp_path / "alone", *run, "--jobs", "1")
    assert everything_in(tmp_path / "alone") == everything_in(tmp_path)

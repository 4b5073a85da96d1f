"""A run that is killed at any moment continues to the same record; two processes share a folder without harm."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from starting import clean_environment, command

from bench.store import Store

pytestmark = pytest.mark.slow

RUN = (
    "run",
    "byol",
    "--budget",
    "8ep",
    "--protocol",
    "knn",
    "--protocol",
    "lowshot-1-frozen",
    "--protocol",
    "lowshot-10pct",
)
TIMES = {"pretrain_s", "evaluate_s", "images_per_s", "peak_memory_mb", "seconds", "finished"}


def start(results: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*RUN, "--results", str(results), *more),
        env=clean_environment(SSLBENCH_CHECKPOINT_SECONDS="0.3"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(results: Path, *more: str) -> str:
    process = start(results, *more)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def numbers(value):
    """All of a record but its times."""
    if isinstance(value, dict):
        return {key: numbers(entry) for key, entry in value.items() if key not in TIMES}
    return [numbers(entry) for entry in value] if isinstance(value, list) else value


def record_of(results: Path, method: str = "byol"):
    (path,) = (results / "records").rglob(f"{method}/seed-0.json")
    return numbers(json.loads(path.read_text()))


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    results = tmp_path_factory.mktemp("straight")
    finish(results)
    return record_of(results)


@pytest.mark.parametrize("whole_group", [True, False], ids=["all processes", "the parent alone"])
def test_a_killed_run_continues_to_the_same_numbers_bit_for_bit(straight, tmp_path, whole_group):
    moments = random.Random(f"kill {whole_group}")
    for _ in range(4):
        process = start(tmp_path)
        time.sleep(moments.uniform(5, 14))
        if process.poll() is not None:
            break
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
        process.communicate()
        Store(tmp_path).read_all()
        assert Store(tmp_path).read_all()[1] == []
    finish(tmp_path)
    assert record_of(tmp_path) == straight


def test_ctrl_c_keeps_the_checkpoint_and_leaves_no_half_record(straight, tmp_path):
    process = start(tmp_path)
    checkpoints = tmp_path / "checkpoints"
    while not list(checkpoints.rglob("*.pt")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in out + err
    assert list(checkpoints.rglob("*.pt"))
    records, problems = Store(tmp_path).read_all()
    assert problems == []
    assert [record.status for record in records] == ["interrupted"]
    finish(tmp_path)
    assert record_of(tmp_path) == straight


def test_two_processes_on_one_folder_do_each_run_once(tmp_path):
    several = ("random_init", "pixels", "--seeds", "2")
    both = [start(tmp_path, *several) for _ in range(2)]
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    records, problems = Store(tmp_path).read_all()
    assert problems == []
    assert len(records) == 6
    assert all(record.status == "ok" for record in records)
    finished = {record.environment["finished"] for record in records}
    finish(tmp_path, *several)
    assert {record.environment["finished"] for record in Store(tmp_path).read_all()[0]} == finished

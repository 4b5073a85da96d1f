"""A killed run resumes and ends with the same record, and two commands can share a results folder."""

import os
import random
import signal
import time

import pytest
from support.killing import TIMEOUT_S, finish, record_of, start, wait_for_a_checkpoint
from support.recorded_numbers import everything_in

from bench.records.store import Store

pytestmark = pytest.mark.slow

PROTOCOLS = ("--protocol", "knn", "--protocol", "lowshot-1-frozen", "--protocol", "lowshot-1")
RUN = ("run", "byol", "--budget", "20ep", *PROTOCOLS)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    results = tmp_path_factory.mktemp("straight")
    finish(results, *RUN)
    return record_of(results, "byol")


@pytest.mark.parametrize("whole_group", [True, False], ids=["all processes", "only the parent"])
def test_a_killed_run_resumes_to_the_same_numbers_bit_for_bit(straight, tmp_path, whole_group):
    moments = random.Random(f"kill {whole_group}")
    seen = 0.0
    for _ in range(3):
        process = start(tmp_path, *RUN)
        seen = wait_for_a_checkpoint(process, tmp_path, seen)
        time.sleep(moments.uniform(0, 0.5))
        assert process.poll() is None, "the run ended before it was killed: make it longer"
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
        process.communicate()
        assert Store(tmp_path).read_all()[1] == []
    finish(tmp_path, *RUN)
    assert record_of(tmp_path, "byol") == straight


def test_ctrl_c_keeps_the_checkpoint_and_writes_an_interrupted_record(straight, tmp_path):
    process = start(tmp_path, *RUN)
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
    finish(tmp_path, *RUN)
    assert record_of(tmp_path, "byol") == straight
    assert [path.name for path in (tmp_path / "checkpoints").rglob("*.pt")] == ["seed-0.last.pt"]


def test_a_protocol_that_is_added_later_keeps_the_encoder_and_earlier_results(straight, tmp_path):
    run = ("run", "byol", "--budget", "20ep")
    finish(tmp_path, *run, *PROTOCOLS)
    (encoder,) = (tmp_path / "encoders").rglob("*.safetensors")
    written = encoder.stat().st_mtime_ns
    finish(tmp_path, *run, "--protocol", "lowshot-2-frozen")
    after = record_of(tmp_path, "byol")
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

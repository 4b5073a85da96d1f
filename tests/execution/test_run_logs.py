"""The log of a run: its events with times, and the tracebacks, which are written nowhere else."""

import re

import pytest
import torch
from support.in_process import context_of, lines_of, options_of, perform, stopped

from bench.data import load
from bench.evaluation import evaluate
from bench.execution.run import execute
from bench.planning.plan import Wanted, plan
from bench.records.record import Identity
from bench.records.run_log import RunLog
from bench.records.store import Store
from methods.autoencoder import Autoencoder

RUN = {"method": "autoencoder", "budget": "3ep", "protocols": ("knn", "lowshot-1-frozen")}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("uninterrupted"))
    return store, perform(store, **RUN)


def test_a_log_shows_a_run_from_start_to_end(uninterrupted):
    store, record = uninterrupted
    path = store.log_path(record.identity)
    assert path.relative_to(store.root).as_posix() == "logs/digits/resnet9_slim/3ep/autoencoder/seed-0.log"
    start, *epochs, knn, lowshot, end = lines_of(path)
    assert re.match(
        r"start \(new\): autoencoder on digits \(test\), resnet9_slim, 3ep: 3 epochs, batch 256, seed 0", start
    )
    assert f"torch {torch.__version__.partition('+')[0]}" in start
    assert "cpu" in start
    losses = record.curve["loss"]
    assert epochs == [f"epoch {e}/3: loss {sum(losses[5 * e - 5 : 5 * e]) / 5:.6g}" for e in (1, 2, 3)]
    assert knn.startswith(f"knn: top1 {record.protocols['knn'].metrics['top1']:.4g}, ")
    assert lowshot.startswith("lowshot-1-frozen: top1 ")
    assert end == "end: ok"


def test_a_later_session_is_appended(uninterrupted, tmp_path):
    store = Store(tmp_path)
    stopped(store, stop_at=7, **RUN)
    record = perform(store, **RUN)
    perform(store, **{**RUN, "protocols": ("knn", "lowshot-2-frozen")})
    log = lines_of(store.log_path(record.identity))
    heads = [line.partition(":")[0] for line in log]
    assert heads == [
        "start (new)", "epoch 1/3", "interrupted",
        "start (interrupted before)", "checkpoint resumed after step 7 of 15", "epoch 2/3", "epoch 3/3", "knn", "lowshot-1-frozen", "end",
        "start (protocols missing)", "encoder stored", "lowshot-2-frozen", "end",
    ]  # fmt: skip
    of_one_session = [line for line in lines_of(uninterrupted[0].log_path(record.identity)) if line.startswith("epoch")]
    assert [line for line in log if line.startswith("epoch")] == of_one_session


def carry_out_a_run(tmp_path, on_message=lambda _: None):
    dataset = load("digits")
    identity = Identity("digits", dataset.fingerprint, "test", "autoencoder", 1, "resnet9_slim", 1, 1, "1ep", 1, 256, 0)
    store = Store(tmp_path)
    (run,) = plan([Wanted(identity, {"knn": 1})], [])
    record = execute(run, dataset, context_of(options_of(tmp_path), on_message=on_message))
    return record, store.log_path(identity)


def test_an_unexpected_error_leaves_its_traceback_in_the_log_and_one_line_in_the_record(tmp_path, monkeypatch):
    def forward(self, batch, progress):
        raise ValueError("a bad line")

    monkeypatch.setattr(Autoencoder, "forward", forward)
    record, path = carry_out_a_run(tmp_path)
    assert record.status == "failed"
    assert re.fullmatch(
        r"ValueError: a bad line \(test_run_logs\.py, line \d+, in forward; batch\.views: 1 \(256×1×8×8\)\)",
        record.cause,
    )
    _, failed, end = lines_of(path)
    assert failed.startswith("failed\nTraceback (most recent call last):\n")
    assert "\nValueError: a bad line" in failed
    assert 'raise ValueError("a bad line")' in failed
    assert end == f"end: failed, {record.cause}"


def test_a_failed_protocol_leaves_its_traceback_in_the_log(tmp_path, monkeypatch):
    def measure(self, name, already_measured=()):
        raise ZeroDivisionError("nothing to divide by")

    monkeypatch.setattr(evaluate.Evaluation, "measure", measure)
    record, path = carry_out_a_run(tmp_path)
    assert record.status == "failed"
    failed, end = lines_of(path)[-2:]
    assert failed.startswith("knn: failed\nTraceback")
    assert end.startswith("end: failed, knn: ZeroDivisionError")


def test_a_log_that_cannot_be_written_is_reported_once_and_the_run_continues(tmp_path):
    (tmp_path / "logs").write_text("a file in the place of the folder")
    messages = []
    record, path = carry_out_a_run(tmp_path, messages.append)
    assert record.status == "ok"
    (line,) = messages
    assert line.startswith(f"log {path} cannot be written: ")
    assert line.endswith("; the run continues without a log")


def test_an_entry_of_many_lines_stays_one_entry(tmp_path):
    log = RunLog(tmp_path / "a" / "b.log")
    log("one")
    log("two\nlines\n")
    assert lines_of(tmp_path / "a" / "b.log") == ["one", "two\nlines"]

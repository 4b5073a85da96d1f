"""Runs on a GPU; skipped if there is none."""

import os
import signal
from pathlib import Path

import pytest
import torch
from support.killing import TIMEOUT_S, finish, start, wait_for_a_checkpoint

from bench import seeds
from bench.data import load
from bench.device import device_name
from bench.evaluation.features import extract
from bench.execution.encoder import build_method
from bench.records.record import Identity, Record
from bench.records.store import Store
from bench.views.prepare import prepare
from protocols import catalogue

LONGER = ("run", "byol", "--budget", "20ep", "--protocol", "knn")


def records_in(results: Path, accelerator: str) -> list[Record]:
    """The records of a results folder, which are complete and were made on this device."""
    records, problems = Store(results).read_all()
    assert problems == []
    for record in records:
        assert record.status == "ok", record.cause
        assert record.environment["device"] == device_name(torch.device(accelerator))
        assert record.cost.peak_memory_mb > 0
    return records


def test_features_on_a_gpu_equal_those_on_the_cpu(accelerator):
    digits = load("digits")
    identity = Identity("digits", "f", "test", "random_init", 1, "resnet9_slim", 1, 1, "smoke", 2, 256, 0)
    seeds.seed_everything(0, "init")
    encoder = build_method(identity, digits).encoder().eval()
    found = []
    for device in (torch.device("cpu"), torch.device(accelerator)):
        encoder.to(device)
        features = extract(encoder, digits.train_images, lambda x, to=device: prepare(x, encoder.input, to))
        assert features.device.type == device.type
        found.append(features.cpu())
    assert torch.allclose(*found, atol=1e-4)


@pytest.mark.slow
def test_every_default_protocol_measures_a_convolutional_network_and_a_transformer(accelerator, tmp_path):
    finish(tmp_path, "run", "simclr", "mae", "--budget", "smoke", "--device", accelerator)
    records = records_in(tmp_path, accelerator)
    assert len(records) == 2
    for record in records:
        assert record.protocols.keys() == set(catalogue.DEFAULT)
        assert record.environment["precision"] in ("bf16-mixed", "32-true")


@pytest.mark.slow
def test_a_killed_run_resumes_and_ends_like_one_that_was_not_killed(accelerator, tmp_path):
    run = (*LONGER, "--device", accelerator)
    finish(tmp_path / "straight", *run)
    process = start(tmp_path / "killed", *run)
    wait_for_a_checkpoint(process, tmp_path / "killed", 0.0)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    finish(tmp_path / "killed", *run)
    (straight,), (resumed,) = (records_in(tmp_path / name, accelerator) for name in ("straight", "killed"))
    assert resumed.curve["step"] == straight.curve["step"]
    # A GPU adds in another order each time.
    assert resumed.curve["loss"][-1] == pytest.approx(straight.curve["loss"][-1], rel=0.05)
    logs = "".join(path.read_text() for path in (tmp_path / "killed" / "logs").rglob("*.log"))
    assert "checkpoint resumed after step" in logs


@pytest.mark.slow
def test_two_runs_share_a_device(accelerator, tmp_path):
    finish(
        tmp_path,
        "run",
        "vae",
        "supervised",
        "--budget",
        "smoke",
        "--protocol",
        "knn",
        "--device",
        accelerator,
        "--jobs",
        "2",
    )
    assert {record.identity.method for record in records_in(tmp_path, accelerator)} == {"vae", "supervised"}


def test_two_commands_share_a_device_and_a_results_folder(accelerator, tmp_path):
    run = ("run", "random_init", "autoencoder", "--budget", "smoke", "--protocol", "knn", "--device", accelerator)
    outputs = [process.communicate(timeout=TIMEOUT_S) for process in [start(tmp_path, *run) for _ in range(2)]]
    assert len(records_in(tmp_path, accelerator)) == 2, outputs

"""Tests that need a GPU; skipped if there is none."""

import json

import pytest
import torch

from bench import seeds
from bench.data import load
from bench.evaluation.features import extract
from bench.execution.encoder import build_method
from bench.records.record import Identity
from bench.views.prepare import prepare

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def test_features_on_a_gpu_equal_those_on_the_cpu():
    digits = load("digits")
    identity = Identity("digits", "f", "test", "random_init", 1, "resnet9_slim", 1, 1, "smoke", 2, 256, 0)
    seeds.seed_everything(0, "init")
    encoder = build_method(identity, digits).encoder().eval()
    found = []
    for device in (torch.device("cpu"), torch.device("cuda")):
        encoder.to(device)
        features = extract(encoder, digits.train_images, lambda x, to=device: prepare(x, encoder.input, to))
        found.append(features.cpu())
    assert torch.allclose(*found, atol=1e-4)


@pytest.mark.slow
def test_runs_complete_on_a_gpu_under_the_default_protocols(sslbench, tmp_path):
    done = sslbench(
        "run", "simclr", "byol", "vae", "supervised", "random_init", "--budget", "smoke", "--device", "cuda"
    )
    assert done.returncode == 0, done.stderr
    for path in (tmp_path / "results" / "records").rglob("*.json"):
        record = json.loads(path.read_text())
        assert record["status"] == "ok"
        assert record["environment"]["device"] == torch.cuda.get_device_name(0)
        assert record["cost"]["peak_memory_mb"] > 0

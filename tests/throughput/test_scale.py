"""Evaluation at scale on random clusters: as large as ImageNet on a GPU, a fraction of that on the CPU."""

import pytest
import torch
from throughput.measuring import measure

from protocols.knn import nearest, search_device
from protocols.parts.logistic import LogisticRegression

SEED = 0


def clusters(count: int, dim: int, classes: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return float32 features around random centres, one centre per class, and their labels."""
    generator = torch.Generator(device).manual_seed(SEED)
    centres = torch.randn(classes, dim, generator=generator, device=device)
    labels = torch.randint(classes, (count,), generator=generator, device=device)
    features = torch.randn(count, dim, generator=generator, device=device)
    return features.add_(centres[labels], alpha=0.2), labels


def test_neighbours(benchmark, device):
    bank, queries = (1_000_000, 50_000) if device.type == "cuda" else (100_000, 2_000)
    features, _ = clusters(bank + queries, 512, 1000, device)
    index_device = search_device(device)
    measure(
        benchmark,
        "at scale",
        f"knn: {bank:,} x 512, {queries:,} queries, k 200",
        "sslbench",
        lambda: nearest(features[:bank], features[bank:], 200, index_device),
        images=queries,
        rounds=1,
        warmup=0,
        device=device,
        index=index_device.type,
    )


def test_logistic_regression(benchmark, device):
    count, dim, classes = (1_281_167, 2048, 1000) if device.type == "cuda" else (50_000, 512, 100)
    features, labels = clusters(count, dim, classes, device)
    found = {}

    def work():
        solution = LogisticRegression(features, labels, classes, tolerance=1e-6).solve(1e-3)
        found.update(converged=solution.converged, steps=solution.steps)

    measure(
        benchmark,
        "at scale",
        f"logistic regression: {count:,} x {dim}, {classes} classes",
        "sslbench",
        work,
        images=count,
        rounds=1,
        warmup=0,
        device=device,
    )
    benchmark.extra_info.update(found)
    assert found["converged"]


@pytest.fixture(autouse=True)
def _free_memory():
    yield
    torch.cuda.empty_cache()

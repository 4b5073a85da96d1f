"""Nearest neighbours against a brute-force computation on real images."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import faiss
import numpy as np
import pytest
import torch
from support.starting import ROOT
from torch import Tensor

from protocols.base import Task
from protocols.catalogue import load, resolve
from protocols.knn import nearest, search_device


def brute_force(task: Task, k: int, temperature: float) -> np.ndarray:
    bank, queries = (x.numpy().astype(np.float64) for x in (task.train_features, task.test_features))
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    votes = np.zeros((len(queries), task.classes))
    for row, cosines in enumerate(queries @ bank.T):
        for neighbour in np.argsort(-cosines)[:k]:
            votes[row, int(task.train_labels[neighbour])] += np.exp(cosines[neighbour] / temperature)
    return votes


def test_knn_equals_brute_force_on_digits(pixels_task: Task) -> None:
    found = load(resolve("knn")).predict(pixels_task)
    blocks = {20: found.scores[0], **{int(name[2:]): block for name, block in found.variants.items()}}
    assert set(blocks) == {1, 10, 20, 100, 200}
    for k, block in blocks.items():
        expected = brute_force(pixels_task, k, 0.07)
        # Without the extra neighbour that all classes share.
        votes = block.double().exp().numpy() * (k + 1) / k - 1 / (k * 10)
        np.testing.assert_allclose(votes, expected / expected.sum(axis=1, keepdims=True), atol=2e-5)
        assert (block.argmax(dim=1).numpy() == expected.argmax(axis=1)).mean() > 0.999


def test_lightlys_constants_equal_brute_force_on_digits(pixels_task: Task) -> None:
    found = load(resolve("knn-200-t01")).predict(pixels_task).scores[0]
    assert (found.argmax(dim=1).numpy() == brute_force(pixels_task, 200, 0.1).argmax(axis=1)).all()


def test_knn_classifies_digits_and_its_scores_are_log_probabilities(pixels_task: Task, test_labels: Tensor) -> None:
    scores = load(resolve("knn")).predict(pixels_task).scores[0]
    assert float((scores.argmax(dim=1) == test_labels).double().mean()) > 0.95
    assert torch.isfinite(scores).all()
    torch.testing.assert_close(scores.exp().sum(dim=1), torch.ones(len(scores)))


def test_k_is_never_above_the_number_of_images(make_task: Callable[..., Task]) -> None:
    found = load(resolve("knn")).predict(make_task(images=15))
    assert found.choices["k"] == 15
    torch.testing.assert_close(found.variants["k=200"], found.scores[0])


def test_the_choices_name_the_device_of_the_search(pixels_task: Task) -> None:
    assert load(resolve("knn")).predict(pixels_task).choices["index"] == "cpu"
    expected = "cuda" if getattr(faiss, "get_num_gpus", int)() > 0 else "cpu"
    assert search_device(torch.device("cuda")).type == expected


def test_an_image_with_zero_features_still_gets_a_prediction(pixels_task: Task) -> None:
    black = pixels_task.test_features.clone()
    black[0] = 0
    scores = load(resolve("knn")).predict(replace(pixels_task, test_features=black)).scores[0]
    assert torch.isfinite(scores).all()


def test_features_that_are_not_finite_are_refused(pixels_task: Task) -> None:
    broken = pixels_task.test_features.clone()
    broken[3, 3] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        load(resolve("knn")).predict(replace(pixels_task, test_features=broken))


@pytest.mark.parametrize("rows", [7, 200, 1000])
def test_a_search_block_by_block_finds_the_same_neighbours(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    bank, queries = torch.randn(999, 16, generator=generator), torch.randn(50, 16, generator=generator)
    whole = nearest(bank, queries, 5, torch.device("cpu"))
    monkeypatch.setattr("protocols.knn.BLOCK_NUMBERS", rows * 16)
    parts = nearest(bank, queries, 5, torch.device("cpu"))
    assert torch.equal(parts[1], whole[1])
    torch.testing.assert_close(parts[0], whole[0])


@pytest.mark.slow
def test_a_large_bank_is_not_copied() -> None:
    """In a separate process, searching 400,000 x 512 features (0.8 GB) needs less than 1 GB on top of them."""
    code = """
import resource, torch
from protocols.knn import nearest
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
nearest(torch.randn(100, 512), torch.randn(10, 512), 5, torch.device("cpu"))
before = peak()
nearest(torch.randn(400_000, 512), torch.randn(1_000, 512), 200, torch.device("cpu"))
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert float(done.stdout) < 0.8 + 1.0

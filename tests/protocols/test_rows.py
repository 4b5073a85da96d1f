"""Features that are too many for memory are read block by block; the results are those of the whole matrix."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from protocols import catalogue
from protocols.base import Predictions, Task
from protocols.parts import rows
from protocols.parts.logistic import LogisticRegression
from protocols.parts.rows import Rows, rows_of

NAMES = ("linear", "lowshot-1pct-frozen", "knn", "rankme", "uniformity", "feature_std")


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def switch() -> None:
        monkeypatch.setattr(rows, "MOST_NUMBERS", 100)
        monkeypatch.setattr(rows, "BLOCK_NUMBERS", 64 * 70)
        monkeypatch.setattr(rows, "GRAM_NUMBERS", 64 * 70)
        monkeypatch.setattr("protocols.knn.QUERIES", 70)
        # A sample of the images gives the preconditioner, as with features that do not fit.
        monkeypatch.setattr("protocols.parts.curvature.SAMPLE_NUMBERS", 64 * 500)
        # The default block was bound when the function was defined.
        monkeypatch.setattr(Rows.blocks, "__defaults__", (64 * 70,))

    return switch


def measured(name: str, task: Task) -> Predictions:
    return catalogue.load(catalogue.resolve(name)).predict(task)


def close(first: Predictions, second: Predictions) -> None:
    """Compare predictions: solutions are found to a tolerance, so that they differ within it."""
    for one, other in zip(first.scores, second.scores, strict=True):
        torch.testing.assert_close(one.exp(), other.exp(), atol=1e-3, rtol=0)
    for name, block in first.variants.items():
        torch.testing.assert_close(block, second.variants[name], atol=1e-4, rtol=0)
    assert first.metrics == pytest.approx(second.metrics, rel=1e-6)
    assert first.train_accuracy == pytest.approx(second.train_accuracy, abs=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_give_the_results_of_the_whole_matrix(
    name: str, pixels_task: Task, in_blocks: Callable[[], None]
) -> None:
    stops: list[None] = []
    task = replace(pixels_task, check_stop=lambda: stops.append(None))
    whole = measured(name, task)
    asked = len(stops)
    in_blocks()
    blocks = measured(name, task)
    close(whole, blocks)
    assert len(stops) > asked, "it asks whether to stop before every block"
    choices: dict[str, Any] = {**whole.choices}
    losses = choices.pop("val_log_loss", {})
    assert losses == pytest.approx(blocks.choices.pop("val_log_loss", {}), rel=1e-2)
    assert choices == blocks.choices


@pytest.mark.parametrize("name", ["linear", "lowshot-1pct-frozen", "rankme", "uniformity"])
def test_more_dimensions_than_images(name: str, make_task: Callable[..., Task], in_blocks: Callable[[], None]) -> None:
    task = make_task(images=200)
    layer = torch.randn(64, 300, generator=torch.Generator().manual_seed(0))
    task = replace(
        task, train_features=(task.train_features @ layer).relu(), test_features=(task.test_features @ layer).relu()
    )
    whole = measured(name, task)
    in_blocks()
    close(whole, measured(name, task))


@pytest.mark.parametrize("wide", [False, True])
def test_the_objective_and_its_gradient_are_those_of_the_whole_matrix(
    wide: bool, pixels_task: Task, in_blocks: Callable[[], None]
) -> None:
    features = pixels_task.train_features.double()
    penalty, tolerance = 1e-2, 1e-7
    labels = pixels_task.train_labels
    whole = LogisticRegression(features, labels, 10, tolerance=tolerance, wide=wide)
    in_blocks()
    stored = rows_of(features, None, torch.device("cpu"), lambda: None)
    assert isinstance(stored, Rows)
    blocks = LogisticRegression(stored, labels, 10, tolerance=tolerance, wide=wide)
    point = torch.randn(65, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64) / 10
    first, second = whole._objective(point, penalty), blocks._objective(point, penalty)
    assert first[0] == pytest.approx(second[0], rel=1e-12)
    torch.testing.assert_close(first[1], second[1], atol=1e-12, rtol=1e-9)
    one, other = whole.solve(penalty), blocks.solve(penalty)
    assert one.converged and other.converged
    torch.testing.assert_close(one.weight, other.weight, atol=1e-4, rtol=0)


def test_features_that_are_not_finite_are_reported(pixels_task: Task, in_blocks: Callable[[], None]) -> None:
    features = pixels_task.train_features.clone()
    features[700, 3] = float("inf")
    in_blocks()
    for name in NAMES:
        with pytest.raises(ValueError, match="finite"):
            measured(name, replace(pixels_task, train_features=features))


def test_a_selection_of_rows_is_that_of_the_tensor(in_blocks: Callable[[], None]) -> None:
    features: Tensor = torch.arange(2000.0).reshape(500, 4)
    positions = torch.randperm(500, generator=torch.Generator().manual_seed(0))[:300]
    in_blocks()
    stored = rows_of(features, positions, torch.device("cpu"), lambda: None)
    assert isinstance(stored, Rows)
    doubled = stored.then(lambda block: block[:, 1:] * 2, 3)
    expected = features[positions][:, 1:] * 2
    assert torch.equal(torch.cat(list(doubled.blocks(40))), expected)
    chosen = torch.tensor([5, 0, 299])
    assert torch.equal(doubled[chosen], expected[chosen]) and torch.equal(doubled[7:9], expected[7:9])
    assert doubled.shape == expected.shape and doubled.numel() == expected.numel()

"""The calibration error of ``linear`` against scikit-learn, brute force and classifiers whose error is known."""

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from torch import Tensor

from bench.data.dataset import SealedLabels
from bench.errors import Diverged
from bench.evaluation.score import Scores, score
from protocols.base import Confidences, Predictions, Task
from protocols.catalogue import load, resolve
from protocols.linear_calibration import equal_mass


def scored(found: Confidences, labels: Tensor) -> Scores:
    return score(Predictions(confidences=found), SealedLabels(labels), 10)


def of(confidence: list[float], right: list[bool], bins: int = 15) -> dict[str, float]:
    """The metrics of a classifier that always answers 0."""
    values = torch.tensor(confidence, dtype=torch.float64)
    found = Confidences(torch.zeros(len(values), dtype=torch.int64), values, equal_mass(values, bins))
    return scored(found, torch.tensor([0 if yes else 1 for yes in right])).metrics


def test_the_bins_are_those_of_scikit_learn_on_digits(pixels_task: Task, test_labels: Tensor) -> None:
    found = load(resolve("linear-calibration")).predict(pixels_task).confidences
    assert found is not None
    result = scored(found, test_labels)
    right = (found.predicted == test_labels).numpy()
    accuracy, confidence = calibration_curve(right, found.confidence.numpy(), n_bins=15, strategy="quantile")
    np.testing.assert_allclose(result.curves["bin_accuracy"], accuracy)
    np.testing.assert_allclose(result.curves["bin_confidence"], confidence)
    assert result.metrics["overconfidence"] == pytest.approx(found.confidence.numpy().mean() - right.mean())


def test_the_predictions_are_those_of_linear(pixels_task: Task) -> None:
    found = load(resolve("linear-calibration")).predict(pixels_task).confidences
    logs = load(resolve("linear")).predict(pixels_task).scores[0]
    assert found is not None
    assert torch.equal(found.predicted, logs.argmax(dim=1))
    torch.testing.assert_close(found.confidence.float(), logs.exp().amax(dim=1))


def test_the_error_is_that_of_equal_parts_of_the_sorted_images() -> None:
    generator = np.random.default_rng(0)
    confidence, right = generator.uniform(0.1, 1, 330), generator.random(330) < 0.7
    order = np.argsort(confidence)
    parts = [(confidence[part], right[part]) for part in np.array_split(order, 15)]
    expected = sum(len(c) / 330 * abs(c.mean() - r.mean()) for c, r in parts)
    assert of(confidence.tolist(), right.tolist())["ece"] == pytest.approx(expected)


def test_a_known_error() -> None:
    assert of([0.8] * 10, [True] * 8 + [False] * 2) == pytest.approx({"ece": 0.0, "overconfidence": 0.0}, abs=1e-12)
    assert of([1.0] * 10, [True] * 5 + [False] * 5) == pytest.approx({"ece": 0.5, "overconfidence": 0.5})
    # Half of the images are too sure, half too unsure.
    halves = of([0.5] * 4 + [0.9] * 4, [True] * 4 + [True, True, False, False])
    assert halves == pytest.approx({"ece": 0.45, "overconfidence": -0.05})


@pytest.mark.parametrize(
    ("values", "filled"),
    [([0.3] * 50, 1), ([0.3] * 30 + [0.9] * 20, 2), ([1.0] * 40 + [0.2, 0.4], 1), ([0.5], 1), ([0.9, 0.7, 0.8], 3)],
)
def test_equal_confidences_share_a_bin_in_any_order(values: list[float], filled: int) -> None:
    confidence = torch.tensor(values, dtype=torch.float64)
    bins = equal_mass(confidence, 15)
    # Two images beside forty with the same confidence are less than a fifteenth of all: they share the bin.
    assert len(bins.unique()) == filled
    assert all(len(bins[confidence == value].unique()) == 1 for value in values)
    order = torch.randperm(len(values), generator=torch.Generator().manual_seed(0))
    assert torch.equal(equal_mass(confidence[order], 15), bins[order])


@pytest.mark.parametrize(
    ("confidence", "error"),
    [([0.5, float("nan")], Diverged), ([0.5, 1.5], ValueError), ([0.5], ValueError)],
)
def test_impossible_confidences_are_refused(confidence: list[float], error: type[Exception]) -> None:
    whole = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(error, match="confidence"):
        scored(Confidences(whole, torch.tensor(confidence), whole), whole)

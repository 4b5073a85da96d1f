"""Metrics compared with scikit-learn, and how often the test labels are opened."""

import base64

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, top_k_accuracy_score

from bench.data.dataset import SealedLabels
from bench.errors import Diverged
from bench.evaluation.score import score
from protocols.base import Predictions


@pytest.fixture(scope="module")
def predictions():
    """Log-probabilities of a weak classifier on real digits, and the true labels."""
    images, labels = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=20, C=1e-4).fit(images[:300, 20:30], labels[:300])
    return model.predict_log_proba(images[300:, 20:30]), labels[300:]


def test_metrics_agree_with_scikit_learn(predictions):
    log_probabilities, labels = predictions
    sealed = SealedLabels(torch.tensor(labels))
    found = score(Predictions(scores=[torch.tensor(log_probabilities, dtype=torch.float32)]), sealed, 10).metrics
    predicted = log_probabilities.argmax(1)
    assert found["top1"] == pytest.approx(accuracy_score(labels, predicted))
    assert found["mean_class"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found["top5"] == pytest.approx(top_k_accuracy_score(labels, log_probabilities, k=5))
    assert found["nll"] == pytest.approx(log_loss(labels, np.exp(log_probabilities)), rel=1e-5)


def test_stored_bits_are_the_correctly_classified_images(predictions):
    log_probabilities, labels = predictions
    block = torch.tensor(log_probabilities, dtype=torch.float32)
    (text,) = score(Predictions(scores=[block]), SealedLabels(torch.tensor(labels)), 10).correct
    bits = np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=len(labels))
    assert (bits == (log_probabilities.argmax(1) == labels)).all()


def test_labels_are_opened_once_for_all_draws_and_variants(predictions):
    log_probabilities, labels = predictions
    block = torch.tensor(log_probabilities, dtype=torch.float32)
    sealed = SealedLabels(torch.tensor(labels))
    score(Predictions(scores=[block, block, block], variants={"k=1": block}), sealed, 10)
    assert sealed.openings == 1


def test_label_free_measures_never_open_the_labels():
    sealed = SealedLabels(torch.zeros(3, dtype=torch.int64))
    assert score(Predictions(metrics={"rankme": 3.0}), sealed, 2).metrics == {"rankme": 3.0}
    assert sealed.openings == 0


def test_a_tie_at_the_fifth_rank_counts_with_its_probability_under_a_random_order():
    scores = torch.zeros(1, 10)
    scores[0, 0] = 1.0
    found = score(Predictions(scores=[scores]), SealedLabels(torch.tensor([3])), 10).metrics
    assert found["top5"] == pytest.approx(4 / 9)


def test_top5_is_left_out_for_five_classes_or_fewer():
    found = score(Predictions(scores=[torch.zeros(1, 5)]), SealedLabels(torch.tensor([0])), 5).metrics
    assert "top5" not in found


@pytest.mark.parametrize("block", [torch.zeros(2, 10), torch.zeros(3, 9), torch.full((3, 10), float("nan"))])
def test_predictions_of_wrong_shape_or_not_finite_are_rejected(block):
    with pytest.raises((ValueError, Diverged), match="predictions"):
        score(Predictions(scores=[block]), SealedLabels(torch.zeros(3, dtype=torch.int64)), 10)


@pytest.mark.parametrize("name", ["top1", "top5", "mean_class", "nll"])
@pytest.mark.parametrize("with_scores", [True, False])
def test_a_measure_of_the_protocols_own_never_replaces_a_measured_one(name, with_scores):
    blocks = [torch.zeros(3, 10)] if with_scores else []
    sealed = SealedLabels(torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match=f"named '{name}', which is measured on the test labels"):
        score(Predictions(scores=blocks, metrics={name: 0.999}), sealed, 10)
    assert sealed.openings == 0


@pytest.mark.parametrize("name", ["val_step", "val_accuracy"])
def test_a_curve_of_the_protocols_own_never_replaces_the_validation_curve(name):
    with pytest.raises(ValueError, match=f"curve named '{name}'"):
        score(Predictions(scores=[torch.zeros(3, 10)], curves={name: [1.0]}), SealedLabels(torch.tensor([0, 1, 2])), 10)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.9", True, None, torch.tensor(0.5)])
def test_a_measure_that_is_no_finite_number_is_refused(value):
    with pytest.raises(ValueError, match="the protocol's measure 'mine' is"):
        score(Predictions(metrics={"mine": value}), SealedLabels(torch.zeros(3, dtype=torch.int64)), 2)


def test_another_measure_of_the_protocols_own_is_kept_beside_the_measured_ones():
    found = score(
        Predictions(scores=[torch.zeros(3, 10)], metrics={"mine": 0.5}), SealedLabels(torch.zeros(3).long()), 10
    )
    assert found.metrics["mine"] == 0.5
    assert found.metrics["top1"] == 1.0


def test_the_largest_class_is_the_accuracy_of_a_constant_answer():
    labels = torch.tensor([2, 0, 2, 1, 2])
    constant = torch.zeros(5, 3)
    constant[:, 2] = 1.0
    found = score(Predictions(scores=[constant]), SealedLabels(labels), 3)
    assert found.largest_class == found.metrics["top1"] == 3 / 5
    assert score(Predictions(metrics={"rankme": 2.0}), SealedLabels(labels), 3).largest_class is None

"""Validation curves: predictions during training, only on the development task, that change nothing else."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from bench.data import load
from bench.data.dataset import SealedLabels
from bench.data.development import development
from bench.evaluation.evaluate import Evaluation
from bench.evaluation.score import score
from bench.execution.encoder import build_method
from bench.records.record import Identity
from protocols import catalogue
from protocols.base import Predictions, Task

TRAINED = [
    "lowshot-2",
    "lowshot-2-mlp",
    "lowshot-2-frozen-mlp",
    "lowshot-2-frozen-conv",
    "scratch-2",
    "pseudolabel-2",
    "linear-sgd",
]


def predict(id: str, task: Task) -> Predictions:
    entry = catalogue.resolve(id)
    fewer = {"epochs": 4} if id == "linear-sgd" else {"draws": 2}
    return catalogue.load(replace(entry, constants={**entry.constants, **fewer})).predict(task)


@pytest.mark.parametrize("id", TRAINED)
def test_predicting_during_training_changes_no_result_and_ends_with_the_final_prediction(
    id: str, make_task: Callable[..., Task]
) -> None:
    task = make_task(network=True, images=400)
    plain, watched = predict(id, task), predict(id, replace(task, watch=True))
    assert plain.trail == []
    assert [torch.equal(a, b) for a, b in zip(plain.scores, watched.scores, strict=True)] == [True] * len(plain.scores)
    assert (plain.curves, plain.choices, plain.train_accuracy) == (
        watched.curves,
        watched.choices,
        watched.train_accuracy,
    )
    steps = [step for step, _ in watched.trail]
    assert steps[0] == 0
    assert steps == sorted(set(steps))
    assert 8 <= len(steps) <= 21
    assert torch.equal(watched.trail[-1][1], watched.scores[0].argmax(dim=1))
    assert not torch.equal(watched.trail[0][1], watched.trail[-1][1])


@pytest.mark.parametrize("id", ["knn", "linear", "lowshot-2-frozen"])
def test_protocols_without_training_steps_have_no_validation_curve(id: str, network_task: Task) -> None:
    assert catalogue.load(catalogue.resolve(id)).predict(replace(network_task, watch=True)).trail == []


def evaluation_of(dataset) -> Evaluation:
    torch.manual_seed(0)
    identity = Identity(
        "digits", dataset.fingerprint, "test", "random_init", 1, "resnet9_slim", 1, 1, "smoke", 2, 256, 0
    )
    return Evaluation(build_method(identity, dataset).encoder().eval(), dataset, "resnet9_slim", 0)


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_only_the_development_task_is_watched(digits) -> None:
    assert not evaluation_of(digits).task("lowshot-1").watch
    assert evaluation_of(development(digits)).task("lowshot-1").watch


def test_only_final_predictions_are_compared_with_test_labels() -> None:
    block = torch.zeros(3, 10)
    trail = [(0, torch.zeros(3, dtype=torch.int64))]
    sealed = SealedLabels(torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="test task"):
        score(Predictions(scores=[block], trail=trail), sealed, 10)
    assert sealed.openings == 0


@pytest.mark.slow
def test_only_a_measurement_on_the_development_task_has_a_validation_curve(digits) -> None:
    measured = evaluation_of(development(digits)).measure("lowshot-25-frozen-mlp")
    steps, accuracies = measured.curves["val_step"], measured.curves["val_accuracy"]
    assert len(steps) == len(accuracies) == 21
    assert steps[-1] == measured.choices["steps"]
    assert accuracies[-1] == measured.draws[0]["top1"]
    assert accuracies[-1] > accuracies[0]
    assert not {"val_step", "val_accuracy"} & evaluation_of(digits).measure("lowshot-25-frozen-mlp").curves.keys()

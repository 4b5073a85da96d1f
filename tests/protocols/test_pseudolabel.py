"""Pseudo-labels: which unlabelled images are used, from which step, and with which weight."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from protocols.base import Task
from protocols.catalogue import load, resolve
from protocols.parts.finetune import Step
from protocols.pseudolabel import Pseudolabel


def pseudolabel(id: str, **constants: object) -> Pseudolabel:
    entry = resolve(id)
    return load(replace(entry, constants={**entry.constants, **constants}))  # type: ignore[return-value]


def test_the_weight_is_zero_for_half_the_steps_then_rises_over_a_quarter() -> None:
    protocol = pseudolabel("pseudolabel-1")
    progress = [0.0, 0.3, 0.5, 0.5625, 0.625, 0.75, 0.9]
    assert [protocol.weight(p) for p in progress] == pytest.approx([0, 0, 0, 0.25, 0.5, 1, 1])


def test_unlabelled_images_are_the_rest_of_train_and_the_unlabelled_part(network_task: Task) -> None:
    indices = network_task.label_set("10", 0)
    more = replace(network_task, unlabelled_images=network_task.test_images)
    pool = pseudolabel("pseudolabel-10").pool(more, indices, torch.Generator().manual_seed(0))
    assert len(pool) == 1400 - 100 + 340
    some = pseudolabel("pseudolabel-100+200").pool(more, indices, torch.Generator().manual_seed(0))
    assert len(some) == 200
    labelled = {image.numpy().tobytes() for image in network_task.train_images[indices]}
    rest = {image.numpy().tobytes() for image in network_task.train_images} - labelled
    assert {image.numpy().tobytes() for image in pool[:1300]} <= rest | labelled
    assert sum(image.numpy().tobytes() in labelled for image in pool[:1300]) < 10


def test_only_confident_predictions_add_to_the_loss(network_task: Task) -> None:
    indices = network_task.label_set("10", 0)
    targets = network_task.train_labels[indices]
    generator = network_task.generator("test")
    late = Step(progress=0.9, number=90)
    model = pseudolabel("pseudolabel-10", start="zero").classifier(network_task, indices, targets, generator)
    none = pseudolabel("pseudolabel-10").extra(network_task, indices, 0, generator)(model, late)
    assert none is not None
    assert float(none.detach()) == 0.0
    every = pseudolabel("pseudolabel-10", threshold=0.05).extra(network_task, indices, 0, generator)(model, late)
    assert every is not None
    assert float(every.detach()) == pytest.approx(2.302585, rel=1e-4)
    assert pseudolabel("pseudolabel-10").extra(network_task, indices, 0, generator)(model, Step(0.5, 50)) is None


def test_the_first_half_of_the_steps_equals_lowshot(make_task: Callable[..., Task]) -> None:
    with_pseudolabels = pseudolabel("pseudolabel-5", draws=1).predict(make_task(network=True)).curves["loss"]
    lowshot = load(replace(entry := resolve("lowshot-5"), constants={**entry.constants, "draws": 1}))
    without = lowshot.predict(make_task(network=True)).curves["loss"]
    half = len(without) // 2
    assert with_pseudolabels[:half] == without[:half]
    assert with_pseudolabels[-1] != without[-1]


def test_pseudo_labels_classify_digits(network_task: Task, test_labels: Tensor) -> None:
    scores = pseudolabel("pseudolabel-10pct", draws=1).predict(network_task).scores[0]
    assert float((scores.argmax(dim=1) == test_labels).double().mean()) > 0.5


def test_impossible_totals_are_refused_with_a_one_line_error(network_task: Task) -> None:
    with pytest.raises(ValueError, match="105 labelled images cannot be divided equally among 10 classes"):
        pseudolabel("pseudolabel-105+200").predict(network_task)
    with pytest.raises(ValueError, match="9000 unlabelled images requested, 1300 available"):
        pseudolabel("pseudolabel-100+9000").predict(network_task)

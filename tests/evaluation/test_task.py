"""From a protocol's task nothing leads to the test labels: every object that can be reached from it is looked at."""

import functools
import gc
import types
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench import seeds
from bench.data import load
from bench.data.dataset import Dataset, SealedLabels
from bench.data.development import development
from bench.evaluation.evaluate import Evaluation
from bench.execution.encoder import build_method
from bench.records.record import Identity
from protocols.base import Task

NEVER_ENTERED = (types.ModuleType, type, types.CodeType, types.FrameType)


def reachable(start: object) -> list[object]:
    """Everything that attributes, closures, bound methods and containers reach from an object, without modules, their globals and classes."""
    seen: dict[int, object] = {}
    waiting = [start]
    while waiting:
        here = waiting.pop()
        if id(here) in seen or isinstance(here, NEVER_ENTERED):
            continue
        seen[id(here)] = here
        found = list(gc.get_referents(here))
        if isinstance(here, types.FunctionType):
            found = [*(here.__closure__ or ()), here.__defaults__, here.__kwdefaults__, here.__dict__]
        if isinstance(here, functools.partial):
            found += [here.func, here.args, here.keywords]
        if isinstance(here, torch.Tensor):
            found += [here._base, here.grad]
        if isinstance(here, np.ndarray):
            found.append(here.base)
        waiting += found
        # Objects that the garbage collector does not track have their attributes all the same.
        waiting += list(getattr(here, "__dict__", {}).values())
    return list(seen.values())


def holds(values: object, labels: torch.Tensor) -> bool:
    """Whether an object contains the labels, as a whole or as a part of its memory."""
    if isinstance(values, torch.Tensor) and values.dtype == torch.int64:
        storage = torch.empty(0, dtype=torch.int64, device=values.device).set_(values.untyped_storage())
        values = storage.numpy()
    if not isinstance(values, np.ndarray | list | tuple) or len(values) < len(labels):
        return False
    array = np.asarray(values, dtype=object if isinstance(values, list | tuple) else None)
    if array.ndim != 1:
        return False
    windows = np.lib.stride_tricks.sliding_window_view(array, len(labels))
    return bool((windows == labels.numpy()).all(axis=1).any())


def evaluation_of(dataset: Dataset) -> Evaluation:
    seeds.seed_everything(0, "init")
    identity = Identity(
        "digits", dataset.fingerprint, "test", "random_init", 1, "resnet9_slim", 1, 1, "smoke", 2, 256, 0
    )
    return Evaluation(build_method(identity, dataset).encoder().eval(), dataset, "resnet9_slim", 0)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


@pytest.mark.parametrize("on_val", [False, True], ids=["test", "development"])
def test_nothing_that_a_task_reaches_holds_the_test_labels(digits: Dataset, on_val: bool) -> None:
    dataset = development(digits) if on_val else digits
    # The labels of test are a slice of one tensor with those of train, as a reader may make them.
    both = torch.cat([dataset.train_labels, labels := dataset.test_labels.open()])
    train, test = both[: len(dataset.train_labels)], both[len(dataset.train_labels) :]
    sealed = SealedLabels(test, development=on_val)
    task = evaluation_of(replace(dataset, train_labels=train, test_labels=sealed)).task("knn")
    found = reachable(task)
    assert len(found) > 100
    assert not [thing for thing in found if isinstance(thing, SealedLabels | Dataset | Evaluation)]
    assert not [thing for thing in found if holds(thing, labels)]


def test_the_search_finds_labels_behind_every_kind_of_function(digits: Dataset) -> None:
    labels = digits.test_labels

    class Holder:
        def method(self) -> SealedLabels:
            return labels

    holder = Holder()
    holder.dataset = digits  # type: ignore[attr-defined]
    for function in (lambda: labels, functools.partial(print, labels), holder.method, functools.cache(lambda: labels)):
        task = Task(**dict.fromkeys(Task.__dataclass_fields__) | {"label_set": function})
        assert any(thing is labels for thing in reachable(task))
    assert holds(labels.open()[3:5], labels.open())


def test_a_task_gives_what_protocols_use_as_before(digits: Dataset) -> None:
    """The functions of a task work on their own, after the evaluation that made them is gone."""
    evaluation = evaluation_of(digits)
    task = evaluation.task("lowshot-1")
    del evaluation
    gc.collect()
    images = task.train_images[:4]
    assert len(task.label_set("2", 1)) == 20
    assert task.prepare(images).shape == (4, 1, 8, 8)
    assert task.augment(images, "shift", task.generator("a"))[0].shape == images.shape
    assert task.encoder is not None
    assert task.scratch_encoder is not None
    first, second = (task.scratch_encoder(task.generator("b")).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    pretrained = task.encoder().state_dict()
    assert any(not torch.equal(pretrained[name], first[name]) for name in first)

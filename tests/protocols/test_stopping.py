"""Every protocol asks whether to stop while it computes: after each step, batch, block and evaluation of an objective."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from support.short_protocols import shortened

from protocols.base import Task
from protocols.catalogue import ENTRIES, load, resolve
from protocols.parts import interruptible as interruptible_module
from protocols.parts.curvature import Curvature
from protocols.parts.interruptible import interruptible
from protocols.parts.logistic import LogisticRegression

ON_REQUEST = ["lowshot-5-mlp", "lowshot-5-frozen-conv", "scratch-5", "pseudolabel-5"]
EVERY = [*ENTRIES, *ON_REQUEST]


class Asked(Exception):
    """The stop that a test requests."""


class Count:
    """Counts the questions, and stops at one of them."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.asked, self.stop_at = 0, stop_at

    def __call__(self) -> None:
        self.asked += 1
        if self.asked == self.stop_at:
            raise Asked


def watched(make_task: Callable[..., Task], count: Count) -> Task:
    """A task whose only question is ``check_stop``: its functions do not ask."""
    return replace(make_task(network=True, images=400), check_stop=count)


@pytest.mark.parametrize("id", EVERY)
def test_a_stop_at_any_question_ends_the_protocol_at_once(id: str, make_task: Callable[..., Task]) -> None:
    protocol = load(shortened(resolve(id), epochs=2))
    whole = Count()
    protocol.predict(watched(make_task, whole))
    assert whole.asked >= 1
    for stop_at in {1, (whole.asked + 1) // 2, whole.asked}:
        count = Count(stop_at)
        with pytest.raises(Asked):
            protocol.predict(watched(make_task, count))
        assert count.asked == stop_at


@pytest.mark.parametrize("id", ["lowshot-1", "lowshot-5-mlp", "lowshot-5-frozen-conv", "scratch-5", "pseudolabel-5"])
def test_training_asks_before_every_step(id: str, make_task: Callable[..., Task]) -> None:
    entry, count = shortened(resolve(id), epochs=2), Count()
    found = load(entry).predict(watched(make_task, count))
    assert count.asked >= found.choices["steps"] >= 20


@pytest.mark.parametrize("id", ["linear", "lowshot-5-frozen"])
def test_the_solver_asks_before_every_evaluation_of_its_objective(
    id: str, make_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    count, evaluations, most_unasked = Count(), [0], [0]
    objective = LogisticRegression._objective

    def counted(self: LogisticRegression, point: torch.Tensor, penalty: float) -> tuple[float, torch.Tensor]:
        evaluations[0] += 1
        result = objective(self, point, penalty)
        most_unasked[0] = max(most_unasked[0], evaluations[0] - count.asked)
        return result

    monkeypatch.setattr(LogisticRegression, "_objective", counted)
    load(shortened(resolve(id), epochs=2)).predict(watched(make_task, count))
    assert evaluations[0] > 20
    assert most_unasked[0] <= 0


def test_the_estimate_of_the_hessian_asks_for_every_class_of_every_block() -> None:
    inputs, count = torch.randn(5000, 9, dtype=torch.float64), Count()
    Curvature(inputs, 4, count).estimate(torch.zeros(9, 4, dtype=torch.float64))
    assert count.asked >= 3 * 4


def test_a_long_call_is_given_up_while_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruptible_module, "SECONDS", 0.001)
    release, ended = threading.Event(), threading.Event()

    def long_call() -> None:
        release.wait()
        ended.set()

    count = Count(stop_at=3)
    with pytest.raises(Asked):
        interruptible(long_call, count)
    assert not ended.is_set()
    release.set()
    assert ended.wait(10)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_call_in_a_thread_computes_the_same_with_the_same_number_of_threads(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        values = torch.randn(300, 300, generator=torch.Generator().manual_seed(0))
        symmetric = values @ values.T + 300 * torch.eye(300)

        def compute() -> tuple[torch.Tensor, torch.Tensor, int]:
            return torch.linalg.cholesky(symmetric), torch.linalg.eigvalsh(symmetric.double()), torch.get_num_threads()

        here, there = compute(), interruptible(compute, lambda: None)
        assert torch.equal(here[0], there[0])
        assert torch.equal(here[1], there[1])
        assert here[2] == there[2] == threads
    finally:
        torch.set_num_threads(before)


def test_an_error_of_a_long_call_is_raised_where_it_was_called() -> None:
    def fails() -> None:
        raise ValueError("features contain values that are not finite")

    with pytest.raises(ValueError, match="not finite"):
        interruptible(fails, lambda: None)


@pytest.mark.parametrize(
    "id", ["knn", "rankme", "uniformity", "feature_std", "linear", "lowshot-5-frozen", "lowshot-1"]
)
def test_long_calls_of_large_data_run_where_they_can_be_given_up_and_answer_the_same(
    id: str, make_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = load(shortened(resolve(id), epochs=2))
    plain = protocol.predict(make_task(network=True, images=400))
    started: list[str] = []
    thread = threading.Thread
    monkeypatch.setattr(interruptible_module, "LARGE", 1)
    monkeypatch.setattr(
        interruptible_module.threading,
        "Thread",
        lambda **given: (started.append(given["name"]), thread(**given))[1],
    )
    threaded = protocol.predict(make_task(network=True, images=400))
    assert started
    assert plain.metrics == threaded.metrics
    assert [torch.equal(a, b) for a, b in zip(plain.scores, threaded.scores, strict=True)] == [True] * len(plain.scores)

"""Logistic regression against scikit-learn, and the choice of its penalty."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.metrics import log_loss
from torch import Tensor

from protocols.base import Task
from protocols.catalogue import HALF_DECADES, TOLERANCE, load, resolve
from protocols.linear import walk
from protocols.parts.labelled import Standardisation
from protocols.parts.logistic import LogisticRegression


def reference(features: Tensor, labels: Tensor, penalty: float) -> tuple[Reference, float]:
    model = Reference(C=1 / (len(features) * penalty), tol=1e-10, max_iter=100_000).fit(features, labels)
    chances = model.predict_proba(features)
    return model, log_loss(labels, chances) + penalty / 2 * float(np.square(model.coef_).sum())


@pytest.mark.parametrize("penalty", [1e-4, 1e-3, 1e-2, 1.0, 100.0])
def test_the_solver_agrees_with_scikit_learn_on_digits(penalty: float, pixels_task: Task) -> None:
    standardise = Standardisation.of(pixels_task.train_features)
    train, test = standardise(pixels_task.train_features), standardise(pixels_task.test_features)
    solution = LogisticRegression(train, pixels_task.train_labels, 10, tolerance=TOLERANCE).solve(penalty)
    model, objective = reference(train, pixels_task.train_labels, penalty)
    assert solution.converged
    assert solution.objective == pytest.approx(objective, rel=1e-6)
    np.testing.assert_allclose(solution.log_probabilities(test).exp().numpy(), model.predict_proba(test), atol=2e-3)


@pytest.mark.parametrize("count", [10, 40])
def test_the_solver_agrees_with_scikit_learn_with_more_dimensions_than_images(count: int, pixels_task: Task) -> None:
    features = Standardisation.of(pixels_task.train_features)(pixels_task.train_features)
    some = pixels_task.label_set(str(count // 10), 0)
    labels = pixels_task.train_labels[some]
    solution = LogisticRegression(features[some], labels, 10, tolerance=TOLERANCE).solve(1e-2)
    model, objective = reference(features[some], labels, 1e-2)
    assert solution.converged
    assert solution.objective == pytest.approx(objective, rel=1e-6)
    np.testing.assert_allclose(solution.weight.T.numpy(), model.coef_, atol=1e-3)


@pytest.mark.parametrize("penalty", [1e-6, 1e-2, 10.0])
def test_the_gram_matrix_gives_the_same_solution_as_a_singular_value_decomposition(
    penalty: float, pixels_task: Task
) -> None:
    # Features far from the origin and one duplicate image: both make the Gram matrix less accurate.
    some = pixels_task.label_set("4", 0)
    some, labels = torch.cat([some, some[:1]]), pixels_task.train_labels[torch.cat([some, some[:1]])]
    features = Standardisation.of(pixels_task.train_features)(pixels_task.train_features)[some] + 100
    found = LogisticRegression(features, labels, 10, tolerance=1e-9).solve(penalty)
    centred = features - features.mean(dim=0)
    _, singular, rows = torch.linalg.svd(centred, full_matrices=False)
    basis = rows[singular > 1e-10 * singular[0]].T
    expected = LogisticRegression(centred @ basis, labels, 10, tolerance=1e-9).solve(penalty)
    assert found.converged
    assert expected.converged
    assert found.objective == pytest.approx(expected.objective, rel=1e-8)
    # With a gradient of 1e-9 the weights are within 1e-9 / λ of the solution: 1e-3 for the smallest λ.
    torch.testing.assert_close(
        found.log_probabilities(features), expected.log_probabilities(centred @ basis), atol=1e-4, rtol=1e-3
    )


def test_a_warm_start_gives_the_same_solution(pixels_task: Task) -> None:
    some = pixels_task.label_set("4", 0)
    features = Standardisation.of(pixels_task.train_features)(pixels_task.train_features)[some]
    problem = LogisticRegression(features, pixels_task.train_labels[some], 10, tolerance=TOLERANCE)
    cold = problem.solve(1e-2)
    assert problem.solve(1e-2, start=cold).steps == 0
    warm = problem.solve(1e-2, start=problem.solve(1e-1))
    torch.testing.assert_close(warm.weight, cold.weight, atol=1e-4, rtol=0)


def test_the_gradient_is_within_the_tolerance_for_every_penalty_of_the_protocol(pixels_task: Task) -> None:
    features = Standardisation.of(pixels_task.train_features)(pixels_task.train_features)
    targets = pixels_task.train_labels
    problem = LogisticRegression(features, targets, 10, tolerance=TOLERANCE)
    solution = None
    for penalty in sorted(HALF_DECADES, reverse=True):
        solution = problem.solve(penalty, start=solution)
        weight, bias = solution.weight.clone().requires_grad_(), solution.bias.clone().requires_grad_()
        loss = (
            torch.nn.functional.cross_entropy(features @ weight + bias, targets) + penalty / 2 * weight.square().sum()
        )
        slopes = torch.autograd.grad(loss, (weight, bias))
        assert max(float(slope.abs().max()) for slope in slopes) <= 1.01e-6
        assert solution.objective == pytest.approx(float(loss.detach()), rel=1e-9)


def test_a_problem_too_large_for_a_full_hessian_has_the_same_solution(
    pixels_task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = Standardisation.of(pixels_task.train_features)(pixels_task.train_features)
    usual = LogisticRegression(features, pixels_task.train_labels, 10, tolerance=TOLERANCE).solve(1e-3)
    monkeypatch.setattr("protocols.parts.curvature.LARGEST_HESSIAN", 0)
    block = LogisticRegression(features, pixels_task.train_labels, 10, tolerance=TOLERANCE).solve(1e-3)
    assert block.converged
    torch.testing.assert_close(block.weight, usual.weight, atol=2e-3, rtol=0)


def test_linear_agrees_with_scikit_learn_at_the_penalty_it_chose(pixels_task: Task, test_labels: Tensor) -> None:
    found = load(resolve("linear")).predict(pixels_task)
    assert found.choices["not_converged"] == []
    losses = found.choices["val_log_loss"]
    chosen = found.choices["penalty"]
    assert losses[f"{chosen:.3g}"] == min(losses.values())
    assert chosen >= 1e-4
    standardise = Standardisation.of(pixels_task.train_features)
    model, _ = reference(standardise(pixels_task.train_features), pixels_task.train_labels, chosen)
    theirs = model.predict(standardise(pixels_task.test_features)) == test_labels.numpy()
    ours = (found.scores[0].argmax(dim=1) == test_labels).numpy()
    assert abs(ours.mean() - theirs.mean()) <= 0.002
    assert ours.mean() > 0.9


def test_the_walk_ends_at_the_first_penalty_whose_loss_is_two_per_cent_above_the_lowest(pixels_task: Task) -> None:
    short = load(resolve("linear")).predict(pixels_task)
    whole = load(resolve("linear@rise=1000000")).predict(pixels_task)
    every, walked = whole.choices["val_log_loss"], short.choices["val_log_loss"]
    assert len(every) == 17
    assert list(walked) == list(every)[: len(walked)]
    assert len(walked) < 17
    assert [every[penalty] for penalty in walked] == list(walked.values())
    *before, last = walked.values()
    assert last > 1.02 * min(before)
    assert all(loss <= 1.02 * min(before[: number + 1]) for number, loss in enumerate(before))
    # The smaller penalties were never chosen: the answers are the same, bit for bit.
    assert short.choices["penalty"] == whole.choices["penalty"]
    assert torch.equal(short.scores[0], whole.scores[0])


def test_a_loss_that_never_rises_clearly_is_followed_to_the_smallest_penalty() -> None:
    losses = {100.0: 2.0, 10.0: 1.0, 1.0: 1.019, 0.1: 0.99, 0.01: 1.0}
    best, fitted, found = walk(losses, lambda penalty, larger: (penalty, losses[penalty]), rise=0.02)
    assert best == 0.1
    assert list(fitted) == sorted(losses, reverse=True)
    assert found == losses
    best, fitted, _ = walk(losses, lambda penalty, larger: (penalty, losses[penalty]), rise=0.01)
    assert (best, list(fitted)) == (10.0, [100.0, 10.0, 1.0])


def test_a_wide_problem_has_the_same_choice_and_nearly_the_same_answers(pixels_task: Task, test_labels: Tensor) -> None:
    usual = load(resolve("linear")).predict(pixels_task)
    wide = load(resolve("linear@wide=0")).predict(pixels_task)
    assert wide.choices["not_converged"] == []
    assert wide.choices["penalty"] == usual.choices["penalty"]
    for penalty, loss in wide.choices["val_log_loss"].items():
        # Below λ = 1e-3 the tolerance of wide problems no longer follows λ.
        allowed = 0.01 if float(penalty) >= 1e-3 else 0.03
        assert loss == pytest.approx(usual.choices["val_log_loss"][penalty], rel=allowed)
    torch.testing.assert_close(wide.scores[0].exp(), usual.scores[0].exp(), atol=2e-3, rtol=0)
    standardise = Standardisation.of(pixels_task.train_features)
    model, _ = reference(standardise(pixels_task.train_features), pixels_task.train_labels, wide.choices["penalty"])
    theirs = model.predict(standardise(pixels_task.test_features)) == test_labels.numpy()
    ours = (wide.scores[0].argmax(dim=1) == test_labels).numpy()
    assert abs(ours.mean() - theirs.mean()) <= 0.002


@pytest.mark.parametrize("images", [50, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_wide_solver_reaches_the_same_minimum(images: int, dtype: torch.dtype, pixels_task: Task) -> None:
    """With fewer images than dimensions too, and with a block of images that is not full."""
    features = Standardisation.of(pixels_task.train_features)(pixels_task.train_features)[:images]
    labels = pixels_task.train_labels[:images]
    usual = LogisticRegression(features, labels, 10, tolerance=1e-7).solve(1e-2)
    wide = LogisticRegression(features, labels, 10, tolerance=1e-5, wide=True, dtype=dtype).solve(1e-2)
    assert wide.converged
    assert wide.weight.dtype == torch.float64
    assert wide.objective == pytest.approx(usual.objective, rel=1e-5)
    # The norm of the difference is at most that of the gradient / λ: 0.025.
    torch.testing.assert_close(wide.weight, usual.weight, atol=5e-3, rtol=0)


def test_the_larger_penalty_wins_a_tie(pixels_task: Task) -> None:
    # The features are independent of the labels: every penalty predicts the class frequencies, with the same loss up to rounding.
    noise = torch.zeros_like(pixels_task.train_features)
    noise[:, 0] = torch.arange(len(noise)) % 2
    balanced = torch.arange(len(noise)) // 2 % 10
    even = (len(noise) // 20) * 20
    task = replace(
        pixels_task,
        train_features=noise[:even],
        train_labels=balanced[:even],
        fit=torch.arange(even),
        val=torch.arange(even),
    )
    assert load(resolve("linear")).predict(task).choices["penalty"] == 100.0


def test_dimensions_that_hardly_vary_are_dropped(pixels_task: Task) -> None:
    constant = (pixels_task.train_features.std(dim=0) < 1e-6).sum()
    assert constant > 0
    assert load(resolve("linear")).predict(pixels_task).choices["dropped_dimensions"] == constant


def test_a_class_without_a_label_is_named(make_task: Callable[..., Task]) -> None:
    task = make_task()
    with pytest.raises(ValueError, match="class 9 has no labelled image"):
        load(resolve("linear")).predict(replace(task, train_labels=task.train_labels.clamp(max=8)))


def test_features_without_variation_are_refused(pixels_task: Task) -> None:
    with pytest.raises(ValueError, match="no feature varies"):
        load(resolve("linear")).predict(replace(pixels_task, train_features=torch.ones(1400, 4)))

"""The preconditioner of logistic regression: its Hessian against autograd's, and a sample of images against all images."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from protocols.base import Task
from protocols.parts.curvature import Curvature
from protocols.parts.labelled import Standardisation
from protocols.parts.logistic import LogisticRegression

ROWS, CLASSES = 6, 4


def problem(count: int) -> tuple[Tensor, Tensor]:
    """Return inputs with a last column of ones, and a point."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, ROWS, generator=generator, dtype=torch.float64)
    inputs[:, -1] = 1.0
    return inputs, torch.randn(ROWS, CLASSES, generator=generator, dtype=torch.float64)


def hessian_by_autograd(inputs: Tensor, point: Tensor) -> Tensor:
    """Return the Hessian of the mean cross-entropy (it does not depend on the labels), with the parameters class by class."""
    labels = torch.zeros(len(inputs), dtype=torch.long)

    def loss(flat: Tensor) -> Tensor:
        return cross_entropy(inputs @ flat.view(CLASSES, ROWS).T, labels)

    found: Tensor = torch.autograd.functional.hessian(loss, point.T.flatten())  # type: ignore[no-untyped-call]
    return found


def with_shift(hessian: Tensor) -> Tensor:
    """Add the term that ``Curvature`` adds for a shift common to all classes."""
    shift = torch.eye(ROWS, dtype=torch.float64).repeat(CLASSES, CLASSES) / CLASSES**2
    return hessian + shift


def test_all_images_give_the_hessian() -> None:
    inputs, point = problem(300)
    curvature = Curvature(inputs, CLASSES)
    curvature.estimate(point)
    assert curvature.hessian is not None
    expected = with_shift(hessian_by_autograd(inputs, point))
    torch.testing.assert_close(curvature.hessian.double().tril(), expected.tril(), atol=1e-6, rtol=1e-5)


def test_a_sample_gives_the_hessian_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocols.parts.curvature.WORK", 0)
    monkeypatch.setattr("protocols.parts.curvature.FEWEST_IMAGES", 2000)
    inputs, point = problem(20_000)
    curvature = Curvature(inputs, CLASSES)
    curvature.estimate(point)
    assert curvature.hessian is not None
    expected = with_shift(hessian_by_autograd(inputs, point)).tril()
    error = (curvature.hessian.double().tril() - expected).norm() / expected.norm()
    assert float(error) < 0.05


def test_whitened_coordinates_give_the_newton_step() -> None:
    inputs, point = problem(300)
    curvature = Curvature(inputs, CLASSES)
    curvature.estimate(point)
    forward, backward = curvature.coordinates(0.1)
    ridge = torch.full((ROWS,), 0.1, dtype=torch.float64)
    ridge[-1] = 0.0
    full = with_shift(hessian_by_autograd(inputs, point)) + torch.diag(ridge.repeat(CLASSES))
    direction = torch.randn(ROWS, CLASSES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    newton = forward(backward(direction))
    expected = torch.linalg.solve(full, direction.T.flatten()).view(CLASSES, ROWS).T
    torch.testing.assert_close(newton, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("penalty", [1.0, 1e-3, 1e-6])
def test_a_small_sample_leads_to_the_same_solution(
    penalty: float, pixels_task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = Standardisation.of(pixels_task.train_features)(pixels_task.train_features)
    usual = LogisticRegression(features, pixels_task.train_labels, 10, tolerance=1e-6).solve(penalty)
    monkeypatch.setattr("protocols.parts.curvature.WORK", 0)
    monkeypatch.setattr("protocols.parts.curvature.FEWEST_IMAGES", 150)
    sampled = LogisticRegression(features, pixels_task.train_labels, 10, tolerance=1e-6).solve(penalty)
    assert usual.converged
    assert sampled.converged
    # The objective is λ-strongly convex: at a gradient of norm g it is at most g² / 2λ above the minimum.
    largest_gap = usual.weight.numel() * 1e-6**2 / (2 * penalty)
    assert sampled.objective == pytest.approx(usual.objective, abs=largest_gap)

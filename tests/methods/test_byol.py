"""BYOL: the gradient stops at the teacher, the teacher follows the student, both directions count."""

import copy

import pytest
import torch
from sklearn.datasets import load_digits

from bench.backbones import build
from methods.base import Batch
from methods.byol import BYOL, BYOLSettings
from methods.parts.teacher import momentum_at
from methods.traits import Traits

TRAITS = Traits(1, 8, 10, (0.3,), (0.37,), False, 1000, 1000)


def byol() -> BYOL:
    torch.manual_seed(0)
    return BYOL(build("resnet9_slim", TRAITS), BYOLSettings(), TRAITS)


def batch_of(*views: torch.Tensor) -> Batch:
    return Batch(list(views), None, torch.arange(len(views[0])), None, torch.Generator())


def digits() -> torch.Tensor:
    return (torch.from_numpy(load_digits().images[:64]).float()[:, None] / 16 - 0.3) / 0.37


def test_the_teacher_takes_no_gradient_and_no_optimiser_step() -> None:
    method = byol()
    method(batch_of(torch.randn(8, 1, 8, 8), torch.randn(8, 1, 8, 8)), 0.0).total.backward()
    assert all(p.grad is None and not p.requires_grad for p in method.teacher.parameters())
    grouped = {id(p) for group in method.parameter_groups() for p in group["params"]}
    assert not grouped & {id(p) for p in method.teacher.parameters()}


def test_the_loss_is_the_sum_of_both_directions() -> None:
    method = byol()
    first, second = torch.randn(8, 1, 8, 8), torch.randn(8, 1, 8, 8)

    def direction(seen: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        student, teacher = method.prediction(method.projection(method.backbone(seen))), method.teacher(target)
        cosines = (student * teacher).sum(1) / (student.norm(dim=1) * teacher.norm(dim=1))
        return (2 - 2 * cosines).mean()

    by_hand = direction(first, second) + direction(second, first)
    torch.testing.assert_close(method(batch_of(first, second), 0.0).total, by_hand)


def test_the_teacher_moves_by_its_momentum_and_is_fixed_at_the_end() -> None:
    method = byol()
    before = [p.clone() for p in method.teacher.parameters()]
    with torch.no_grad():
        for p in (*method.backbone.parameters(), *method.projection.parameters()):
            p.add_(1.0)
    method.after_step(1.0)
    assert all(torch.equal(a, b) for a, b in zip(before, method.teacher.parameters(), strict=True))
    method.after_step(0.0)
    for a, b in zip(before, method.teacher.parameters(), strict=True):
        torch.testing.assert_close(b, a + 0.01, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("network", ["student", "teacher"])
def test_every_dimension_of_an_embedding_has_mean_0_and_variance_1_on_digits(network: str) -> None:
    """Otherwise one direction soon has nearly all the variance, and only this direction is learned."""
    method = byol()
    embed = method.teacher if network == "teacher" else torch.nn.Sequential(method.backbone, method.projection)
    with torch.no_grad():
        embeddings = embed(digits())
    torch.testing.assert_close(embeddings.mean(dim=0), torch.zeros(256), rtol=0, atol=1e-4)
    torch.testing.assert_close(embeddings.var(dim=0, correction=0), torch.ones(256), rtol=0, atol=0.05)


def test_the_momentum_rises_on_a_cosine() -> None:
    assert [momentum_at(p, 0.9) for p in (0.0, 0.5, 1.0)] == pytest.approx([0.9, 0.95, 1.0])


def test_the_teacher_keeps_its_own_running_statistics() -> None:
    method = byol()
    buffers = copy.deepcopy(dict(method.teacher.named_buffers()))
    method.after_step(0.0)
    assert all(torch.equal(b, buffers[key]) for key, b in method.teacher.named_buffers())
    method(batch_of(torch.randn(8, 1, 8, 8) + 3.0, torch.randn(8, 1, 8, 8)), 0.0)
    assert any(not torch.equal(b, buffers[key]) for key, b in method.teacher.named_buffers())

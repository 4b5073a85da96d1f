"""Optimisers follow their published equations, and schedules follow their recipes."""

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.training import optimizers
from methods.base import Recipe

CPU = torch.device("cpu")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 5))


def groups_of(model: nn.Module) -> list[dict[str, Any]]:
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1]},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0, "adapt": False},
    ]


def loss_of(model: nn.Module, step: int) -> Tensor:
    images = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(step))
    return nn.functional.cross_entropy(model(images), torch.arange(16) % 5)


def published_lars_step(
    p: Tensor, velocity: Tensor, rate: float, decay: float, momentum: float, eta: float, eps: float
) -> None:
    """Update one layer by clipped LARS: g ← min(η‖w‖/(‖g‖ + λ‖w‖ + ε)/rate, 1)·(g + λw); v ← μv + g; w ← w - rate·v."""
    assert p.grad is not None
    g = p.grad.clone()
    if p.ndim != 1:
        w_norm, g_norm = float(p.norm()), float(g.norm())
        if w_norm != 0 and g_norm != 0:
            g = min(eta * w_norm / (g_norm + decay * w_norm + eps) / rate, 1.0) * (g + decay * p)
    velocity.mul_(momentum).add_(g)
    p.sub_(rate * velocity)


@pytest.mark.parametrize("rate", [0.001, 0.4, 4.0])
def test_lars_follows_the_published_equation(rate: float) -> None:
    recipe = Recipe(version=1, optimizer="lars", rate=rate, weight_decay=1e-3)
    ours, reference = network(), network()
    with torch.no_grad():
        ours[4].weight.zero_()
        reference[4].weight.zero_()
    optimizer = optimizers.build(groups_of(ours), recipe, 256, CPU)
    velocities = [torch.zeros_like(p) for p in reference.parameters()]
    for step in range(6):
        for model in (ours, reference):
            model.zero_grad()
            loss_of(model, step).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            for p, velocity in zip(reference.parameters(), velocities, strict=True):
                published_lars_step(p, velocity, rate, 1e-3, 0.9, 0.02, 1e-8)
        for a, b in zip(ours.parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_lars_does_not_change_a_layer_with_zero_gradient() -> None:
    weight = nn.Parameter(torch.ones(3, 3))
    optimizer = optimizers.build(
        [{"params": [weight]}], Recipe(version=1, optimizer="lars", weight_decay=0.1), 256, CPU
    )
    weight.grad = torch.zeros(3, 3)
    optimizer.step()
    assert torch.equal(weight, torch.ones(3, 3))


@pytest.mark.parametrize("name", ["sgd", "lars", "adam", "adamw"])
def test_an_optimiser_resumes_from_its_state_bit_for_bit(name: Any) -> None:
    recipe = Recipe(version=1, optimizer=name, rate=0.01, weight_decay=0.01, warmup=0.2)
    uninterrupted = network()
    optimizer = optimizers.build(groups_of(uninterrupted), recipe, 256, CPU)
    saved: tuple[Any, Any] | None = None
    for step in range(8):
        if step == 4:
            saved = copy.deepcopy((uninterrupted.state_dict(), optimizer.state_dict()))
        train_step(uninterrupted, optimizer, recipe, step)
    assert saved is not None
    resumed = network()
    resumed_optimizer = optimizers.build(groups_of(resumed), recipe, 256, CPU)
    resumed.load_state_dict(saved[0])
    resumed_optimizer.load_state_dict(saved[1])
    for step in range(4, 8):
        train_step(resumed, resumed_optimizer, recipe, step)
    assert all(torch.equal(a, b) for a, b in zip(uninterrupted.parameters(), resumed.parameters(), strict=True))


def train_step(model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, step: int) -> None:
    optimizers.schedule(optimizer, recipe, step, 8)
    optimizer.zero_grad()
    loss_of(model, step).backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def test_the_learning_rate_rises_linearly_then_falls_on_a_cosine_to_zero() -> None:
    recipe = Recipe(version=1, warmup=0.1)
    factors = [optimizers.factor(recipe, step, 100) for step in range(100)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert all(a > b for a, b in pairwise(factors[10:]))
    assert 0 < factors[-1] < 1e-3


def test_a_constant_schedule_is_constant_after_its_warmup() -> None:
    recipe = Recipe(version=1, warmup=0.2, schedule="constant")
    assert [optimizers.factor(recipe, step, 10) for step in range(10)] == [0.5, *[1.0] * 9]


def test_the_learning_rate_is_scaled_by_the_batch_size_and_per_group() -> None:
    first, second, third = (nn.Parameter(torch.ones(2, 2)) for _ in range(3))
    recipe = Recipe(version=1, rate=0.2, warmup=0.5)
    groups = [
        {"params": [first]},
        {"params": [second], "rate_scale": 10.0},
        {"params": [third], "schedule": "constant"},
    ]
    optimizer = optimizers.build(groups, recipe, 64, CPU)
    assert optimizers.schedule(optimizer, recipe, 0, 4) == 0.5
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.025, 0.25, 0.05])


def test_weight_decay_follows_its_cosine_unless_the_group_sets_its_own() -> None:
    weight, bias = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    recipe = Recipe(version=1, optimizer="adamw", weight_decay=0.04, final_weight_decay=0.4)
    optimizer = optimizers.build([{"params": [weight]}, {"params": [bias], "weight_decay": 0.0}], recipe, 256, CPU)
    seen = []
    for step in (0, 50, 100):
        optimizers.schedule(optimizer, recipe, step, 100)
        seen.append([group["weight_decay"] for group in optimizer.param_groups])
    assert [pair[0] for pair in seen] == pytest.approx([0.04, 0.22, 0.4])
    assert [pair[1] for pair in seen] == [0.0, 0.0, 0.0]

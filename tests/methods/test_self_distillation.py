"""SimSiam, FastSiam, MSN and PMSN on digits: losses, stopped gradients and teachers with momentum."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from lightly.loss import MSNLoss
from sklearn.datasets import load_digits
from torch import Tensor

from bench.backbones import build
from bench.training import optimizers
from bench.views import compile_views
from methods.base import Batch
from methods.fastsiam import FastSiam, FastSiamSettings
from methods.msn import MSN, MSNSettings
from methods.parts.temperature import temperature_at
from methods.pmsn import PMSN, PMSNSettings
from methods.simsiam import SimSiam, SimSiamSettings
from methods.traits import Traits

TRAITS = Traits(1, 8, 10, (0.305,), (0.376,), False, 1000, 1000)


def method_of(cls: Any, settings: Any, backbone: str) -> Any:
    torch.manual_seed(0)
    return cls(build(backbone, TRAITS), settings, TRAITS)


def batch_of(method: Any, images: int = 16) -> Batch:
    """Return a batch of digits with the method's own views and masks."""
    cls, settings = type(method), method.settings
    pixels = torch.from_numpy(load_digits().images[:images, None] * 15).to(torch.uint8)
    views = compile_views(
        cls.views(settings, TRAITS), size=8, channels=1, device="cpu", mean=TRAITS.mean, std=TRAITS.std
    )
    collate = cls.collate(settings, TRAITS)
    generator = torch.Generator().manual_seed(0)
    masks = collate(images, generator) if collate else None
    return Batch(views(pixels, generator), masks, torch.arange(images), None, generator)


def cosines(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1))


def test_simsiam_is_the_mean_negative_cosine_of_both_directions() -> None:
    method = method_of(SimSiam, SimSiamSettings(), "resnet9_slim")
    batch = batch_of(method)
    first, second = (method.projection(method.backbone(view)) for view in batch.views)
    by_hand = -(cosines(method.prediction(first), second) + cosines(method.prediction(second), first)).mean() / 2
    torch.testing.assert_close(method(batch, 0.0).total, by_hand)


def test_fastsiam_compares_each_prediction_with_the_mean_of_the_three_others() -> None:
    method = method_of(FastSiam, FastSiamSettings(), "resnet9_slim")
    batch = batch_of(method)
    embeddings = [method.projection(method.backbone(view)) for view in batch.views]
    distances = []
    for i in range(4):
        others = [embeddings[j] for j in range(4) if j != i]
        distances.append(-cosines(method.prediction(embeddings[i]), sum(others) / 3).mean())
    torch.testing.assert_close(method(batch, 0.0).total, sum(distances) / 4)


@pytest.mark.parametrize(("cls", "settings"), [(SimSiam, SimSiamSettings()), (FastSiam, FastSiamSettings())])
def test_no_gradient_reaches_the_targets(cls: Any, settings: Any) -> None:
    """The gradients are the same if the targets are constants."""
    method = method_of(cls, settings, "resnet9_slim")
    batch = batch_of(method)
    with torch.no_grad():
        constants = torch.stack([method.projection(method.backbone(view)) for view in batch.views])
    loss = torch.zeros(())
    for i, view in enumerate(batch.views):
        others = torch.cat([constants[:i], constants[i + 1 :]]).mean(0)
        predictions = method.prediction(method.projection(method.backbone(view)))
        loss = loss - cosines(predictions, others).mean() / len(constants)
    loss.backward()
    by_hand = [p.grad.clone() for p in method.parameters()]
    method.zero_grad()
    method(batch, 0.0).total.backward()
    for p, expected in zip(method.parameters(), by_hand, strict=True):
        torch.testing.assert_close(p.grad, expected, rtol=1e-3, atol=1e-5)


def test_simsiams_predictor_has_a_constant_learning_rate_and_the_same_weight_decay() -> None:
    method = method_of(SimSiam, SimSiamSettings(), "resnet9_slim")
    optimizer = optimizers.build(method.parameter_groups(), method.recipe, 256, torch.device("cpu"))
    optimizers.schedule(optimizer, method.recipe, 99, 100)
    predictor = {id(p) for p in method.prediction.parameters()}
    seen = 0
    for group in optimizer.param_groups:
        in_predictor = {id(p) in predictor for p in group["params"]}
        assert len(in_predictor) == 1
        seen += len(group["params"])
        assert (group["lr"] == method.recipe.rate) == in_predictor.pop()
        weights = group["params"][0].ndim > 1
        assert group["weight_decay"] == (method.recipe.weight_decay if weights else 0.0)
    assert seen == len(list(method.parameters()))


def msn(**changes: Any) -> MSN:
    return method_of(MSN, MSNSettings(prototypes=32, **changes), "vit_nano")


def test_msn_equals_lightlys_loss_if_that_is_finite() -> None:
    method = msn()
    torch.manual_seed(1)
    anchors, targets = torch.randn(40, 256), torch.randn(8, 256)
    expected = MSNLoss()(anchors, targets, method.prototypes)
    torch.testing.assert_close(method.assignment_loss(anchors, targets, method.prototypes), expected)


def test_msn_is_finite_if_no_target_is_near_a_prototype() -> None:
    """One prototype is opposite to all targets: its probability to the power of four is zero in float32."""
    method = method_of(MSN, MSNSettings(prototypes=1024, dim=2), "vit_nano")
    prototypes = torch.tensor([[1.0, 0.0]] * 1023 + [[-1.0, 0.0]], requires_grad=True)
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.01]])
    assert not torch.isfinite(MSNLoss()(vectors, vectors, prototypes))
    anchors = vectors.clone().requires_grad_()
    loss = method.assignment_loss(anchors, vectors, prototypes)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(anchors.grad).all() and torch.isfinite(prototypes.grad).all()


def test_msns_prototypes_are_trained_without_weight_decay() -> None:
    method = msn()
    method(batch_of(method), 0.0).total.backward()
    assert method.prototypes.grad is not None and method.prototypes.grad.abs().sum() > 0
    (group,) = [g for g in method.parameter_groups() if any(p is method.prototypes for p in g["params"])]
    assert group["weight_decay"] == 0.0


@pytest.mark.parametrize(("cls", "settings"), [(MSN, MSNSettings()), (PMSN, PMSNSettings())])
def test_msns_teacher_has_no_gradient_and_is_evaluated(cls: Any, settings: Any) -> None:
    method = method_of(cls, settings, "vit_nano")
    method(batch_of(method), 0.0).total.backward()
    teachers = [p for key, p in method.named_parameters() if key.startswith("teacher")]
    assert all(p.grad is None and not p.requires_grad for p in teachers)
    encoder = method.encoder()
    assert encoder.backbone is method.teacher_backbone and encoder.pooling == "class"
    before = [p.clone() for p in teachers]
    with torch.no_grad():
        for p in (*method.backbone.parameters(), *method.projection.parameters()):
            p.add_(1.0)
    method.after_step(0.0)
    for old, new in zip(before, teachers, strict=True):
        torch.testing.assert_close(new, old + 1 - settings.momentum, rtol=1e-3, atol=1e-5)


def test_msns_student_does_not_see_dropped_patches() -> None:
    method = msn(masked=0.5).eval()
    batch = batch_of(method)
    kept = batch.masks[0]
    assert kept.shape == (16, 8)
    painted = batch.views[1].clone()
    for image, patches in enumerate(kept):
        for patch in set(range(16)) - set(patches.tolist()):
            row, column = divmod(patch, 4)
            painted[image, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] += 5.0
    changed = [batch.views[0], painted, *batch.views[2:]]
    assert not torch.equal(painted, batch.views[1])
    torch.testing.assert_close(method(batch._replace(views=changed), 0.0).total, method(batch, 0.0).total)


def test_msns_masks_depend_only_on_the_generator() -> None:
    draw = MSN.collate(MSNSettings(), TRAITS)
    first, again, other = (draw(4, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_pmsns_prior_is_smallest_if_prototypes_follow_its_power_law() -> None:
    method = method_of(PMSN, PMSNSettings(prototypes=100, exponent=0.25), "vit_nano")
    weights = np.arange(1, 101) ** -0.25
    law = torch.from_numpy(weights / weights.sum()).float()
    torch.testing.assert_close(method.power_law, law)
    assert float(method.prior_loss(law)) == pytest.approx(0.0, abs=1e-6)
    torch.manual_seed(0)
    for _ in range(5):
        assert float(method.prior_loss((law.log() + 0.1 * torch.randn(100)).softmax(0))) > 1e-4


def test_the_prior_of_pmsn_is_the_divergence_of_the_mean_assignment_from_the_power_law() -> None:
    """KL(mean || prior), not KL(prior || mean): on a collapsed mean the one is finite, the other grows without end."""
    method = method_of(PMSN, PMSNSettings(prototypes=4, exponent=1.0), "vit_nano")
    law = [12 / 25, 6 / 25, 4 / 25, 3 / 25]
    mean = [0.7, 0.1, 0.15, 0.05]
    by_hand = sum(p * math.log(p / q) for p, q in zip(mean, law, strict=True))
    assert float(method.prior_loss(torch.tensor(mean))) == pytest.approx(by_hand, rel=1e-5)
    collapsed = torch.tensor([1e-30, 1e-30, 1e-30, 1.0])
    assert float(method.prior_loss(collapsed)) == pytest.approx(math.log(25 / 3), rel=1e-5)


def test_the_loss_of_pmsn_contains_its_prior_and_with_a_uniform_one_equals_msns() -> None:
    torch.manual_seed(1)
    anchors, targets = torch.randn(40, 256), torch.randn(8, 256)
    losses = [
        method.assignment_loss(anchors, targets, method.prototypes)
        for method in (
            msn(),
            method_of(PMSN, PMSNSettings(prototypes=32, exponent=0.0), "vit_nano"),
            method_of(PMSN, PMSNSettings(prototypes=32, exponent=2.0), "vit_nano"),
        )
    ]
    torch.testing.assert_close(losses[0], losses[1])
    assert losses[2] > losses[0] + 0.1


def test_msns_prior_is_smallest_if_all_prototypes_are_used_equally() -> None:
    criterion = msn().criterion
    assert float(criterion.regularization_loss(torch.full((32,), 1 / 32))) == pytest.approx(0.0, abs=1e-5)
    collapsed = torch.tensor([1.0, *[1e-12] * 31])
    assert float(criterion.regularization_loss(collapsed)) == pytest.approx(math.log(32), abs=1e-4)


def test_the_temperature_rises_during_its_warmup_and_stays_constant() -> None:
    temperatures = [temperature_at(progress, 0.04, 0.07, 0.3) for progress in (0.0, 0.1, 0.3, 0.9)]
    assert temperatures == pytest.approx([0.04, 0.05, 0.07, 0.07])
    assert temperature_at(0.0, 0.04, 0.07, 0.0) == 0.07

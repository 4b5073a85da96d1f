"""CAPI: masked patches stay hidden, clusters are balanced at each position, student, clustering and teacher learn separately."""

import math

import numpy as np
import torch
from lightly.loss.capi_loss import sinkhorn_knopp
from scipy.special import log_softmax
from sklearn.datasets import load_digits
from torch import Tensor

from bench.backbones import build
from methods.base import Batch
from methods.capi import CAPI, CLUSTERING_RATE, CAPISettings
from methods.traits import Traits

TRAITS = Traits(1, 8, 10, (0.3,), (0.37,), False, 1000, 1000)
SETTINGS = CAPISettings(clusters=8)


def capi() -> CAPI:
    torch.manual_seed(0)
    return CAPI(build("vit_nano", TRAITS), SETTINGS, TRAITS)


def digits() -> Tensor:
    return torch.from_numpy(load_digits().images[:32]).float()[:, None] / 16


def masks() -> tuple[Tensor, Tensor]:
    visible, hidden = CAPI.collate(SETTINGS, TRAITS)(32, torch.Generator().manual_seed(0))
    return visible, hidden


def batch_of(images: Tensor) -> Batch:
    return Batch([images], masks(), torch.arange(32), None, torch.Generator())


def test_the_student_does_not_see_masked_pixels() -> None:
    method, (visible, hidden) = capi(), masks()
    mask = torch.zeros(32, 16, dtype=torch.bool).scatter(1, hidden, True)
    pixels = mask.reshape(-1, 1, 4, 4).repeat_interleave(2, 2).repeat_interleave(2, 3)
    changed = torch.where(pixels, torch.randn(32, 1, 8, 8), digits())
    assert torch.equal(method.predict(digits(), visible, hidden), method.predict(changed, visible, hidden))
    assert not torch.allclose(method.cluster(digits()), method.cluster(changed))


def test_65_percent_are_masked_around_a_visible_block_at_any_position() -> None:
    visible, hidden = CAPI.collate(SETTINGS, TRAITS)(2000, torch.Generator().manual_seed(0))
    assert visible.shape == (2000, 6) and hidden.shape == (2000, 10)
    assert torch.equal(torch.cat([visible, hidden], 1).sort(1).values, torch.arange(16).expand(2000, -1))
    seen = torch.bincount(visible.flatten(), minlength=16) / 2000
    assert (seen - 6 / 16).abs().max() < 5 * (0.375 * 0.625 / 2000) ** 0.5
    again, _ = CAPI.collate(SETTINGS, TRAITS)(2000, torch.Generator().manual_seed(0))
    assert torch.equal(visible, again)


def test_the_loss_is_the_published_one() -> None:
    """Sinkhorn over the batch at each position, then the cross-entropy of the masked patches; the clustering uses the same targets."""
    method, (visible, hidden) = capi(), masks()
    logits = method.cluster(digits()).detach().double().numpy()
    student = method.predict(digits(), visible, hidden).detach().double().numpy()
    assigned = np.empty_like(logits)
    for position in range(16):
        q = np.exp(logits[:, position] / 0.06)
        for _ in range(3):
            q /= q.sum(0, keepdims=True)
            q /= q.sum(1, keepdims=True)
        assigned[:, position] = q
    clustering = -(assigned * log_softmax(logits / 0.12, axis=-1)).sum(-1).mean()
    targets = np.take_along_axis(assigned, hidden[:, :, None].numpy(), axis=1)
    prediction = -(targets * log_softmax(student / 0.12, axis=-1)).sum(-1).mean()
    loss = method(batch_of(digits()), 0.0)
    np.testing.assert_allclose(loss.parts["clustering"].item(), clustering, rtol=1e-4)
    np.testing.assert_allclose(loss.parts["prediction"].item(), prediction, rtol=1e-4)
    torch.testing.assert_close(loss.total, loss.parts["clustering"] + loss.parts["prediction"])


def test_images_do_not_start_in_all_clusters_equally() -> None:
    """With torch's smaller default weights, which lightly keeps, the entropy is 0.97 of the largest."""
    assignments = sinkhorn_knopp(capi().cluster(digits()).detach() / SETTINGS.teacher_temperature)
    entropy = -torch.xlogy(assignments, assignments).sum(-1).mean()
    assert entropy < 0.7 * math.log(SETTINGS.clusters)


def test_the_clustering_learns_only_from_its_own_loss_and_the_teacher_from_none() -> None:
    method = capi()
    loss = method(batch_of(digits()), 0.0)
    loss.parts["prediction"].backward(retain_graph=True)
    assert all(p.grad is None for p in method.clustering.parameters())
    assert all(p.grad is None for p in method.teacher.parameters())
    method.zero_grad()
    loss.parts["clustering"].backward()
    assert all(p.grad is not None for p in method.clustering.parameters())
    assert all(p.grad is None for p in (*method.teacher.parameters(), *method.backbone.parameters()))
    assert all(p.grad is None for p in (*method.head.parameters(), *method.predictor.parameters()))


def test_only_the_direction_of_the_students_prototypes_matters() -> None:
    method, (visible, hidden) = capi(), masks()
    before = method.predict(digits(), visible, hidden)
    with torch.no_grad():
        method.head.layer.weight.mul_(7.0)
    torch.testing.assert_close(method.predict(digits(), visible, hidden), before)
    assert before.abs().max() <= 1.0 + 1e-5


def test_the_clustering_has_its_own_learning_rate_and_every_weight_is_in_one_group() -> None:
    method = capi()
    groups = method.parameter_groups()
    scaled = {id(p) for group in groups if group.get("rate_scale") == CLUSTERING_RATE for p in group["params"]}
    assert scaled == {id(p) for p in method.clustering.parameters()}
    grouped = [id(p) for group in groups for p in group["params"]]
    assert len(grouped) == len(set(grouped)) == sum(p.requires_grad for p in method.parameters())


def test_the_teacher_follows_the_student_is_fixed_at_the_end_and_is_evaluated() -> None:
    method = capi()
    before = method.teacher.vit.norm.weight.clone()
    with torch.no_grad():
        method.backbone.vit.norm.weight.add_(1.0)
    method.after_step(1.0)
    assert torch.equal(before, method.teacher.vit.norm.weight)
    method.after_step(0.0)
    torch.testing.assert_close(method.teacher.vit.norm.weight, before + 1.0 - SETTINGS.momentum)
    assert method.encoder().backbone is method.teacher

"""SwAV and SMoG: prototypes and groups stay on the sphere, freeze, move, reset, and survive a resume."""

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import normalize

from bench.backbones import build
from methods.base import Batch, Method
from methods.smog import SMoG, SMoGSettings, groups_for, moved, spherical_kmeans
from methods.swav import SwAV, SwAVSettings, prototypes_for
from methods.traits import Traits

TRAITS = Traits(1, 8, 10, (0.305,), (0.376,), False, 1438, 1438)


def digits(start: int, count: int = 32) -> Tensor:
    images = torch.from_numpy(load_digits().images[start : start + count]).float()[:, None] / 16
    return (images - 0.305) / 0.376


def batch_of(start: int = 0) -> Batch:
    images = digits(start)
    views = [images + 0.1 * torch.randn_like(images) for _ in range(2)]
    return Batch(views, None, torch.arange(len(images)), None, torch.Generator().manual_seed(0))


def swav(**settings: float) -> SwAV:
    torch.manual_seed(0)
    return SwAV(build("resnet9_slim", TRAITS), SwAVSettings(**settings), TRAITS)  # type: ignore[arg-type]


def smog(**settings: float) -> SMoG:
    torch.manual_seed(0)
    return SMoG(build("resnet9_slim", TRAITS), SMoGSettings(**settings), TRAITS)  # type: ignore[arg-type]


def train(method: Method, first: int, last: int, steps: int = 20) -> list[float]:
    """Train from step ``first`` to ``last`` like the training loop, and return the losses."""
    optimizer = torch.optim.SGD(method.parameter_groups()[0]["params"], 0.1)
    losses = []
    for number in range(first, last):
        torch.manual_seed(number)
        loss = method(batch_of(number * 32), number / steps).total
        optimizer.zero_grad()
        loss.backward()
        method.before_step(number / steps)
        optimizer.step()
        method.after_step((number + 1) / steps)
        losses.append(loss.item())
    return losses


def test_swav_prototypes_have_unit_length_and_no_bias_before_and_after_a_step() -> None:
    method = swav()
    (layer,) = method.prototypes.heads
    assert layer.bias is None
    for _ in range(2):
        torch.testing.assert_close(layer.weight.norm(dim=1), torch.ones(len(layer.weight)))
        train(method, 10, 11)


def test_swav_prototypes_are_frozen_at_the_start_and_then_learn() -> None:
    method = swav(frozen=0.2)
    before = method.prototypes.heads[0].weight.detach().clone()
    train(method, 0, 4)
    torch.testing.assert_close(method.prototypes.heads[0].weight, before)
    train(method, 4, 5)
    assert (method.prototypes.heads[0].weight - before).abs().max() > 1e-4


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_the_loss_of_swav_is_the_swapped_prediction_of_the_paper(progress: float) -> None:
    """Equation 2 with the codes of section 3.1: three Sinkhorn iterations over the images of this batch only."""
    method = swav().eval()
    train(method, 0, 2)
    batch = batch_of()
    embeddings = [normalize(method.projection(method.backbone(view)), dim=1) for view in batch.views]
    prototypes = method.prototypes.heads[0].weight
    cosines, codes = [], []
    for embedding in embeddings:
        scores = (embedding @ prototypes.T).detach().double().numpy()
        q = np.exp(scores / method.settings.epsilon).T
        for _ in range(3):
            q /= q.sum(axis=1, keepdims=True) * q.shape[0]
            q /= q.sum(axis=0, keepdims=True) * q.shape[1]
        codes.append((q * q.shape[1]).T)
        logits = scores / 0.1
        cosines.append(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))
    expected = -((codes[0] * cosines[1]).sum(axis=1).mean() + (codes[1] * cosines[0]).sum(axis=1).mean()) / 2
    total = method(batch, progress).total
    assert total.shape == ()
    assert total.item() == pytest.approx(expected, rel=1e-4)


def test_the_codes_of_swav_carry_no_gradient() -> None:
    """A code is a target: the prototypes learn only from the predictions."""
    method = swav(temperature=1e6).eval()
    method(batch_of(), 0.0).total.backward()
    # At this temperature the predictions are uniform, so any gradient would come from the codes.
    assert all(p.grad is None or p.grad.abs().max() < 1e-4 for p in method.parameters())


@pytest.mark.parametrize(("images", "expected"), [(100, 64), (1438, 86), (8_000, 480), (50_000, 512), (1_000_000, 512)])
def test_fewer_images_have_fewer_prototypes(images: int, expected: int) -> None:
    traits = Traits(1, 8, 10, (0.3,), (0.4,), False, images, images)
    assert prototypes_for(traits, SwAVSettings().prototypes) == expected


@pytest.mark.parametrize("make", [swav, smog])
def test_losses_after_a_resume_are_equal_bit_for_bit(make) -> None:  # type: ignore[no-untyped-def]
    method = make()
    train(method, 0, 4)
    state = copy.deepcopy(method.state_dict())
    again = make()
    again.load_state_dict(state)
    assert train(method, 4, 8) == train(again, 4, 8)


def test_the_bank_of_smog_changes_in_every_step() -> None:
    method = smog()
    before = method.bank.keys.clone()
    train(method, 0, 1)
    assert not torch.equal(method.bank.keys, before)


@pytest.mark.parametrize("epsilon", [0.012, 1.0])
def test_swav_is_finite_at_the_ends_of_epsilons_range(epsilon: float) -> None:
    """An embedding that equals a prototype has the largest cosine."""
    method = swav(epsilon=epsilon)
    prototypes = method.prototypes.heads[0].weight.detach()[:8]
    loss = method._loss(prototypes, prototypes)
    assert torch.isfinite(loss)


def test_a_group_moves_to_the_mean_of_its_embeddings_and_others_do_not_move() -> None:
    groups = torch.eye(4)[:3]
    embeddings = torch.tensor([[0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 4.0], [6.0, 0.0, 0.0, 0.0]], requires_grad=True)
    result = moved(groups, embeddings, torch.tensor([1, 1, 0]), 0.9)
    expected = torch.tensor([[1.5, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.2], [0.0, 0.0, 1.0, 0.0]])
    torch.testing.assert_close(result, expected)
    result[1].sum().backward()
    torch.testing.assert_close(embeddings.grad, torch.tensor([[0.05] * 4, [0.05] * 4, [0.0] * 4]))


def test_smogs_groups_have_no_gradient_and_its_teacher_follows() -> None:
    method = smog(resets=1)
    teacher = [p.clone() for p in method.teacher.parameters() if p.ndim > 1]
    groups = method.teacher_groups.group_features.clone()
    train(method, 1, 2)
    assert not method.teacher_groups.group_features.requires_grad
    assert all(p.grad is None for p in method.teacher.parameters())
    assert 0 < (method.teacher_groups.group_features - groups).abs().max() < 0.05
    moved_teacher = [p for p in method.teacher.parameters() if p.ndim > 1]
    assert not any(torch.equal(a, b) for a, b in zip(teacher, moved_teacher, strict=True))


def test_smog_resets_teacher_and_groups_only_at_the_chosen_fractions_of_the_training() -> None:
    method = smog(resets=4)
    train(method, 0, 4)
    student = list(method.backbone.parameters()) + list(method.projection.parameters())
    before = method.teacher_groups.group_features.clone()
    assert any(not torch.equal(a, b) for a, b in zip(student, method.teacher.parameters(), strict=True))
    train(method, 4, 5)
    assert all(torch.equal(a, b) for a, b in zip(student, method.teacher.parameters(), strict=True))
    groups = method.teacher_groups.group_features
    torch.testing.assert_close(groups.norm(dim=1), torch.ones(len(groups)))
    assert (groups - before).abs().max() > 0.1
    train(method, 19, 20)
    assert any(not torch.equal(a, b) for a, b in zip(student, method.teacher.parameters(), strict=True))


def test_kmeans_finds_clusters_of_digits_as_tight_as_scikit_learn() -> None:
    from sklearn.cluster import KMeans

    images = torch.from_numpy(load_digits().data[:600]).float()
    points = normalize(images, dim=1)
    torch.manual_seed(0)
    centres = spherical_kmeans(points, 10)
    own = (points @ centres.T).amax(dim=1).mean().item()
    reference = KMeans(10, n_init=1, random_state=0).fit(points.numpy())
    theirs = (points @ normalize(torch.from_numpy(reference.cluster_centers_), dim=1).T).amax(dim=1).mean().item()
    assert own > theirs - 0.01


@pytest.mark.parametrize(("bank", "expected"), [(10, 10), (359, 32), (10_000, 300), (20_000, 300)])
def test_a_shorter_bank_has_fewer_groups(bank: int, expected: int) -> None:
    assert groups_for(bank, 300) == expected

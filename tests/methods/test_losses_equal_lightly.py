"""Losses that were rewritten because lightly's wait for the device: values and gradients are lightly's."""

from collections.abc import Callable
from typing import Any

import lightly.loss
import pytest
import torch
from lightly.loss.wmse_loss import Whitening2d as LightlyWhitening
from torch import Tensor

from methods.parts import contrastive, redundancy
from methods.parts.distillation import PatchLoss, PatchMasks

BATCH, DIM = 24, 10


def weights(first: Tensor, second: Tensor) -> Tensor:
    return 1.0 + (first * second).sum(dim=1).detach()


def vicregl(loss: Any) -> Callable[..., Tensor]:
    """VICRegL's loss of two views: embeddings, feature maps and positions."""

    def of(*z: Tensor) -> Tensor:
        whole, maps = z[:2], [torch.stack([z[i + 2 * k] for k in range(1, 10)], dim=1) for i in (0, 1)]
        maps = [m.view(BATCH, 3, 3, DIM) for m in maps]
        grids = [torch.rand(BATCH, 3, 3, 2, generator=torch.Generator().manual_seed(i)) for i in (0, 1)]
        return loss(global_view_features=list(zip(whole, maps, strict=True)), global_view_grids=grids)

    return of


def listed(loss: Any) -> Callable[..., Tensor]:
    return lambda *z: loss(list(z))


def squared(whitening: Any) -> Callable[..., Tensor]:
    """A number that depends on every whitened element."""
    return lambda z: (whitening(z) * torch.linspace(-1, 2, DIM, dtype=z.dtype)).sin().sum()


PATCHES = torch.rand(12, 2, 3, generator=torch.Generator().manual_seed(0)) < 2 / 3
PATCHES[0] = False
MASKED = int(PATCHES.sum())


def patches(loss: Any, masks: Any) -> Callable[..., Tensor]:
    def of(teacher: Tensor, student: Tensor) -> Tensor:
        loss.center.center = torch.linspace(0, 1, DIM, dtype=teacher.dtype)[None]
        return loss(teacher.detach(), student, masks, 0.055)

    return of


LOSSES: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], int]] = {
    "NT-Xent": (contrastive.NTXentLoss(0.3), lightly.loss.NTXentLoss(0.3), 2),
    "DirectCLR": (contrastive.DirectCLRLoss(4, 0.3), lightly.loss.DirectCLRLoss(4, 0.3), 2),
    "DCL": (contrastive.DCLLoss(0.3), lightly.loss.DCLLoss(0.3), 2),
    "DCL with weights": (contrastive.DCLLoss(0.3, weights), lightly.loss.DCLLoss(0.3, weights), 2),
    "MACL": (contrastive.MACLLoss(0.3, 0.5, 0.1), lightly.loss.MACLLoss(0.3, 0.5, 0.1), 2),
    "VICReg": (redundancy.VICRegLoss(25, 50, 1), lightly.loss.VICRegLoss(25, 50, 1), 2),
    "VICRegL": (
        vicregl(redundancy.VICRegLLoss(0.6, (5, 2))),
        vicregl(lightly.loss.VICRegLLoss(alpha=0.6, num_matches=(5, 2))),
        20,
    ),
    "FroSSL, wide": (listed(redundancy.FroSSLLoss(1.3)), listed(lightly.loss.FroSSLLoss(1.3)), 3),
    "W-MSE": (
        squared(redundancy.Whitening2d(DIM, 1e-3)),
        squared(LightlyWhitening(DIM, track_running_stats=False, eps=1e-3)),
        1,
    ),
    "iBOT": (
        patches(PatchLoss(DIM, 0.1, 0.9), PatchMasks.of(PATCHES)),
        patches(lightly.loss.IBOTPatchLoss(DIM, student_temp=0.1), PATCHES),
        2,
    ),
}


def computed(loss: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """The loss, and its gradient by each input that has one."""
    leaves = [z.clone().requires_grad_() for z in inputs]
    value = loss(*leaves).sum()
    value.backward()
    return [value.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", LOSSES)
def test_value_and_gradients_equal_lightlys(name: str, dtype: torch.dtype) -> None:
    ours, lightlys, count = LOSSES[name]
    torch.manual_seed(1)
    rows = MASKED if name == "iBOT" else BATCH
    inputs = [torch.randn(rows, DIM, dtype=dtype) for _ in range(count)]
    found, expected = computed(ours, inputs), computed(lightlys, inputs)
    assert len(found) == len(expected) >= 2
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(
            a, b, rtol=1e-10 if dtype == torch.float64 else 1e-5, atol=1e-10 if dtype == torch.float64 else 1e-5
        )


def test_frossl_equals_lightlys_with_fewer_dimensions_than_images_and_with_more() -> None:
    for shape in ((6, 30), (30, 6)):
        inputs = [torch.randn(shape, dtype=torch.float64) for _ in range(2)]
        for a, b in zip(
            *(computed(listed(package.FroSSLLoss(1.0)), inputs) for package in (redundancy, lightly.loss)), strict=True
        ):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_off_diagonal_leaves_out_the_diagonal_of_each_matrix(size: int) -> None:
    matrices = torch.arange(3.0 * size**2).view(3, size, size)
    kept = contrastive.off_diagonal(matrices)
    assert kept.shape == (3, size, size - 1)
    for matrix, rows in zip(matrices, kept, strict=True):
        assert torch.equal(rows.flatten(), matrix[~torch.eye(size, dtype=torch.bool)])


def test_embeddings_that_cannot_be_whitened_give_nan_and_no_error_on_the_host() -> None:
    assert redundancy.Whitening2d(4, 0.0)(torch.zeros(9, 4)).isnan().all()

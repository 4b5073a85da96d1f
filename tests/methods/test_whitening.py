"""W-MSE: whitening has the identity as covariance for any batch size, and the loss equals the paper's."""

import numpy as np
import pytest
import torch
from lightly.loss.wmse_loss import WMSELoss
from sklearn.datasets import load_digits
from torch import Tensor, nn

from bench.backbones import build
from methods.base import Batch
from methods.traits import Traits
from methods.wmse import WMSE, WMSESettings

TRAITS = Traits(1, 8, 10, (0.305,), (0.376,), False, 1000, 1000)


def method_of(settings: WMSESettings = WMSESettings()) -> WMSE:  # noqa: B008
    torch.manual_seed(0)
    return WMSE(build("resnet9_slim", TRAITS), settings, TRAITS)


def digits(count: int) -> Tensor:
    return torch.from_numpy(load_digits().images[:count, None]).float() / 16


def embeddings_of_digits(method: WMSE, count: int) -> Tensor:
    with torch.no_grad():
        return method.projection(method.backbone(digits(count)))


@pytest.mark.parametrize(
    ("images", "parts"), [(64, [64]), (128, [128]), (200, [200]), (256, [128, 128]), (300, [150] * 2)]
)
def test_whitened_embeddings_of_digits_have_the_identity_as_covariance(images: int, parts: list[int]) -> None:
    method = method_of(WMSESettings(shrinkage=1e-6))
    whitened = method.whiten(embeddings_of_digits(method, images))
    for part in whitened.split(parts):
        np.testing.assert_allclose(np.cov(part.double().numpy().T), np.eye(32), atol=0.02)


def test_default_shrinkage_whitens_all_but_the_weakest_directions() -> None:
    method = method_of()
    variances = np.linalg.eigvalsh(np.cov(method.whiten(embeddings_of_digits(method, 256)[:128]).double().numpy().T))
    assert variances.max() < 1.01 and np.median(variances) > 0.95


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_whitening_does_not_depend_on_the_scale_of_embeddings(scale: float) -> None:
    method = method_of()
    embeddings = torch.randn(128, 32)
    torch.testing.assert_close(method.whiten(scale * embeddings), method.whiten(embeddings), rtol=1e-3, atol=1e-4)


def test_the_loss_equals_lightlys_on_a_batch_that_lightly_accepts() -> None:
    method = method_of(WMSESettings(shrinkage=1e-7))
    torch.manual_seed(1)
    first = torch.randn(128, 32)
    second = first + torch.randn(128, 32)
    method.backbone = method.projection = nn.Identity()  # type: ignore[assignment]
    ours = method(Batch([first, second], None, torch.arange(128), None, torch.Generator()), 0.0).total
    lightly = WMSELoss(32, track_running_stats=False, w_size=128)(torch.cat([first, second]))
    torch.testing.assert_close(ours, lightly, rtol=1e-3, atol=1e-4)


def test_the_loss_is_the_distance_between_unit_vectors_after_cholesky_whitening() -> None:
    method = method_of(WMSESettings(shrinkage=1e-7))
    torch.manual_seed(1)
    views = [torch.randn(100, 32) @ torch.randn(32, 32) for _ in range(2)]
    units = []
    for view in views:
        centred = view.double().numpy() - view.double().numpy().mean(axis=0)
        white = np.linalg.solve(np.linalg.cholesky(np.cov(centred.T)), centred.T).T
        units.append(white / np.linalg.norm(white, axis=1, keepdims=True))
    method.backbone = method.projection = nn.Identity()  # type: ignore[assignment]
    ours = method(Batch(views, None, torch.arange(100), None, torch.Generator()), 0.0).total
    assert ours.item() == pytest.approx(((units[0] - units[1]) ** 2).sum(axis=1).mean(), rel=1e-2)


def test_both_views_have_a_gradient() -> None:
    method = method_of()
    views = [torch.randn(64, 32, requires_grad=True) for _ in range(2)]
    method.backbone = method.projection = nn.Identity()  # type: ignore[assignment]
    method(Batch(views, None, torch.arange(64), None, torch.Generator()), 0.0).total.backward()  # type: ignore[arg-type]
    assert all(view.grad is not None and view.grad.abs().max() > 0 for view in views)


def test_sub_batches_are_drawn_again_at_every_step() -> None:
    method = method_of().eval()
    batch = Batch([digits(256), digits(256).roll(1, 3)], None, torch.arange(256), None, torch.Generator())
    torch.manual_seed(0)
    first, second = (method(batch, 0.0).total for _ in range(2))
    torch.manual_seed(0)
    assert torch.equal(method(batch, 0.0).total, first) and not torch.equal(first, second)


@pytest.mark.parametrize("images", [2, 63])
def test_a_batch_too_small_to_whiten_is_an_error_of_one_line(images: int) -> None:
    views = [digits(images)] * 2
    with pytest.raises(ValueError, match=f"a batch of {images} images: use a batch of 64 or more") as error:
        method_of()(Batch(views, None, torch.arange(images), None, torch.Generator()), 0.0)
    assert "\n" not in str(error.value)


def test_a_sub_batch_too_small_to_whiten_is_an_error() -> None:
    with pytest.raises(ValueError, match="use sub_batch=64 or more"):
        method_of(WMSESettings(sub_batch=32))

"""VICReg, VICRegL and TiCo: published losses, TiCo's covariance, and the positions of VICRegL."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor, nn

from bench.backbones import build
from bench.views import compile_views
from methods.base import Batch
from methods.tico import TiCo, TiCoSettings
from methods.traits import Traits
from methods.vicreg import VICReg, VICRegSettings
from methods.vicregl import VICRegL, VICRegLSettings, cell_centres

TRAITS = Traits(1, 8, 10, (0.305,), (0.376,), False, 1000, 1000)


def method_of(cls: Any, backbone: str = "resnet9_slim", traits: Traits = TRAITS) -> Any:
    torch.manual_seed(0)
    return cls(build(backbone, traits), cls.Settings(), traits)


def on_embeddings(cls: Any, **settings: Any) -> Any:
    """Return the method without networks: its views are embeddings."""
    method = cls(build("mlp", TRAITS), cls.Settings(**settings), TRAITS)
    method.backbone = method.projection = nn.Identity()
    if cls is TiCo:
        method.teacher = nn.Identity()
    return method


def batch_of(views: list[Tensor]) -> Batch:
    return Batch(views, None, torch.arange(len(views[0])), None, torch.Generator())


def two_views(images: int = 32, dim: int = 16) -> list[Tensor]:
    torch.manual_seed(0)
    first = torch.randn(images, dim) @ torch.randn(dim, dim) / 4
    return [first, first + 0.3 * torch.randn(images, dim)]


def test_vicreg_equals_the_published_loss_with_solo_learns_sum_over_views() -> None:
    views = two_views()
    total = 0.0
    for z in (view.numpy().astype(np.float64) for view in views):
        dim = z.shape[1]
        total += 25 * np.maximum(0.0, 1.0 - np.sqrt(z.var(axis=0, ddof=1) + 1e-4)).mean()
        covariance = np.cov(z.T)
        total += sum(covariance[i, j] ** 2 for i in range(dim) for j in range(dim) if i != j) / dim
    total += 25 * float((views[0] - views[1]).pow(2).mean())
    assert VICRegSettings().variance == 50.0
    assert on_embeddings(VICReg)(batch_of(views), 0.0).total.item() == pytest.approx(total, rel=1e-5)


def test_tico_equals_the_published_loss_with_a_covariance_started_at_the_first_batch() -> None:
    method = on_embeddings(TiCo, dim=16)
    covariance: Any = None
    for seed in range(3):
        torch.manual_seed(seed)
        views = [torch.randn(32, 16), torch.randn(32, 16)]
        a, b = (v.numpy() / np.linalg.norm(v.numpy(), axis=1, keepdims=True) for v in views)
        current = a.T @ a / 32
        covariance = current if covariance is None else 0.9 * covariance + 0.1 * current
        expected = np.mean([1 - a[i] @ b[i] + 8 * a[i] @ covariance @ a[i] for i in range(32)])
        assert method(batch_of(views), 0.0).total.item() == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(method.covariance.numpy(), covariance, rtol=1e-4, atol=1e-6)


def test_ticos_covariance_is_saved_loaded_and_converted_with_the_network() -> None:
    method, other = (on_embeddings(TiCo, dim=16) for _ in range(2))
    method(batch_of(two_views()), 0.0)
    assert method.covariance.abs().sum() > 0
    other.load_state_dict(copy.deepcopy(method.state_dict()))
    assert torch.equal(other.covariance, method.covariance)
    assert method.to(torch.float64).covariance.dtype == torch.float64


def test_ticos_teacher_has_no_gradient_and_moves_after_a_step() -> None:
    method = method_of(TiCo)
    images = torch.from_numpy(load_digits().images[:32, None]).float() / 16
    method(batch_of([images, images.flip(3)]), 0.0).total.backward()
    assert all(p.grad is None and not p.requires_grad for p in method.teacher.parameters())
    assert all(p.grad is not None for p in [*method.backbone.parameters(), *method.projection.parameters()])
    before = [p.clone() for p in method.teacher.parameters()]
    with torch.no_grad():
        for p in method.backbone.parameters():
            p.add_(1.0)
    method.after_step(0.0)
    moved = next(method.teacher.parameters()) - before[0]
    torch.testing.assert_close(moved, torch.full_like(moved, 1.0 - TiCoSettings().momentum), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(3, 3), (4, 4), (1, 1), (6, 6)])
@pytest.mark.parametrize("flip", [False, True])
def test_vicregl_positions_are_the_coordinates_of_the_pixels_in_the_image(height: int, width: int, flip: bool) -> None:
    """The pixel values of one image are its column numbers, those of the other its row numbers."""
    size, traits = 96, Traits(1, 96, 10, (0.3,), (0.37,), flip, 1000, 1000)
    pipeline: Any = VICRegL.views(VICRegLSettings(), traits)
    for transform in pipeline.transforms:
        transform[1].transform.transforms = transform[1].transform.transforms[-1:]  # no colour
    ramp = np.tile(np.arange(size, dtype=np.uint8) * 2, (size, 1))
    mirrored = 0
    for seed in range(20):
        seen = []
        for pixels in (ramp, ramp.T):
            torch.manual_seed(seed)
            *views, grid, _ = pipeline(Image.fromarray(np.ascontiguousarray(pixels)))
            # A pixel's coordinate is its centre.
            seen.append(nn.functional.adaptive_avg_pool2d(views[0] * 255 / 2 + 0.5, (height, width))[0])
        positions = cell_centres(grid[None], height, width)[0]
        torch.testing.assert_close(positions, torch.stack(seen, dim=-1), rtol=0.0, atol=1.0)
        mirrored += int(grid[0, 0, 0] > grid[0, 1, 0])
    assert (mirrored > 0) == flip


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 1), (32, 3)])
@pytest.mark.parametrize("backbone", ["resnet9_slim", "vit_nano"])
def test_vicregl_works_with_feature_maps_of_any_size(size: int, channels: int, backbone: str) -> None:
    traits = Traits(channels, size, 10, (0.3,) * channels, (0.37,) * channels, True, 1000, 1000)
    method = method_of(VICRegL, backbone, traits)
    images = torch.randint(0, 256, (4, channels, size, size), dtype=torch.uint8)
    views = compile_views(
        VICRegL.views(method.settings, traits),
        size=size,
        channels=channels,
        device="cpu",
        mean=traits.mean,
        std=traits.std,
        workers=0,
    )(images, torch.Generator().manual_seed(0))
    assert [tuple(v.shape) for v in views] == [(4, channels, size, size)] * 2 + [(4, 2, 2, 2)] * 2
    loss = method(batch_of(views), 0.0).total
    assert loss.shape == () and torch.isfinite(loss)


def test_vicregl_attracts_positions_that_show_the_same_part_of_the_image() -> None:
    """The views are crops of one image, one cell apart: the loss is smallest with the true positions."""
    torch.manual_seed(0)
    method = method_of(VICRegL)
    image_map = torch.randn(16, 4, 6, 8)
    first, second = image_map[:, :, 0:4], image_map[:, :, 1:5]

    def grid(left: float) -> Tensor:
        x = torch.tensor([left + 1.0, left + 5.0])  # lightly's grid: a quarter after start and end
        return torch.stack(torch.meshgrid(x, torch.tensor([1.0, 5.0]), indexing="xy"), dim=-1).expand(16, 2, 2, 2)

    def location_loss(shift: float) -> float:
        positions = [cell_centres(grid(left), 4, 4) for left in (0.0, shift)]
        return float(method.criterion._local_location_loss(first, second, *positions))

    assert location_loss(1.0) < min(location_loss(0.0), location_loss(2.0), location_loss(-1.0))


def test_vicregl_on_an_mlp_is_an_error() -> None:
    with pytest.raises(ValueError, match="none: use another backbone"):
        method_of(VICRegL, "mlp")

"""Losses against collapse equal their papers' formulas and raise the effective rank of embeddings."""

import importlib
import math
from typing import Any

import numpy as np
import pytest
import torch
from lightly.loss import EMPSSLLoss, MMCRLoss
from sklearn.datasets import load_digits
from torch import Tensor, nn

from bench.backbones import build
from bench.views import compile_views
from methods.base import Batch
from methods.emp_ssl import EMPSSL, EMPSSLSettings
from methods.frossl import FroSSL
from methods.hypersphere import Hypersphere
from methods.lejepa import LeJEPA
from methods.mmcr import MMCR, capacity_loss
from methods.tico import TiCo
from methods.traits import Traits
from methods.vicreg import VICReg
from methods.visreg import VISReg

TRAITS = Traits(1, 8, 10, (0.305,), (0.376,), False, 1000, 1000)
ALL = ("vicreg", "vicregl", "tico", "wmse", "frossl", "mmcr", "hypersphere", "lejepa", "visreg", "emp_ssl")
SPREADING = [VICReg, TiCo, FroSSL, MMCR, Hypersphere, LeJEPA, VISReg, EMPSSL]


def on_embeddings(cls: Any, **settings: Any) -> Any:
    """Return the method without networks: its views are embeddings."""
    method = cls(build("mlp", TRAITS), cls.Settings(**settings), TRAITS)
    method.backbone = method.projection = nn.Identity()
    if cls is TiCo:
        method.teacher = nn.Identity()
    return method


def loss_of(method: Any, *views: Tensor) -> Tensor:
    return method(Batch(list(views), None, torch.arange(len(views[0])), None, torch.Generator()), 0.0).total


def random_views(count: int, images: int = 32, dim: int = 16) -> list[Tensor]:
    torch.manual_seed(0)
    centre = torch.randn(images, dim)
    return [centre + 0.3 * torch.randn(images, dim) for _ in range(count)]


def units(view: Tensor) -> np.ndarray[Any, Any]:
    z = view.double().numpy()
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def effective_rank(z: Tensor) -> float:
    """Return the exponential of the entropy of the normalised singular values [Roy 2007]."""
    shares = torch.linalg.svdvals(z.detach().double())
    shares = shares / shares.sum()
    return math.exp(-float((shares * shares.clamp_min(1e-12).log()).sum()))


@pytest.mark.parametrize("cls", SPREADING)
def test_minimising_the_loss_raises_the_effective_rank_and_keeps_views_together(cls: Any) -> None:
    """At the start, all embeddings are close to one line."""
    torch.manual_seed(0)
    method = on_embeddings(
        cls, **{TiCo: {"dim": 16}, LeJEPA: {"directions": 32}, VISReg: {"directions": 128}}.get(cls, {})
    )
    line = torch.randn(64, 1) * torch.randn(1, 16)
    views = [(line + 0.1 * torch.randn(64, 16)).requires_grad_() for _ in range(4 if cls in (LeJEPA, VISReg) else 2)]
    optimizer = torch.optim.Adam(views, lr=0.05)
    before = effective_rank(views[0])
    for _ in range(150):
        optimizer.zero_grad()
        loss_of(method, *views).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert effective_rank(views[0]) > 2 * before
    cosines = nn.functional.cosine_similarity(views[0][:, None], views[1][None], dim=2)
    assert (cosines.argmax(dim=1) == torch.arange(64)).float().mean() > 0.9


def test_lightlys_emp_ssl_loss_collapses() -> None:
    """lightly adds the coding rate; this is why the method does not use lightly's loss."""
    torch.manual_seed(0)
    z = torch.randn(2, 64, 16).requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.05)
    before = effective_rank(z[0])
    for _ in range(400):
        optimizer.zero_grad()
        EMPSSLLoss(0.2, 200.0)(list(nn.functional.normalize(z, dim=2))).backward()
        optimizer.step()
    assert effective_rank(nn.functional.normalize(z, dim=2)[0]) < before / 2


def test_emp_ssl_equals_minus_the_coding_rate_minus_200_times_the_similarity() -> None:
    """Both terms see unit vectors: the mean over patches is that of unit vectors, whatever the embeddings' lengths."""
    views = [length * view for length, view in zip((0.1, 1.0, 10.0), random_views(3, images=20, dim=8), strict=True)]
    rates, similarities = [], []
    mean = np.mean([units(view) for view in views], axis=0)
    for view in views:
        eigenvalues = np.linalg.eigvalsh(units(view).T @ units(view))
        rates.append(0.5 * np.log(1.0 + 8 / (20 * 0.2) * eigenvalues).sum())
        cosines = (units(view) * mean).sum(axis=1) / np.linalg.norm(mean, axis=1)
        similarities.append(cosines.mean())
    expected = -np.mean(rates) - 200 * np.mean(similarities)
    assert loss_of(on_embeddings(EMPSSL), *views).item() == pytest.approx(expected, rel=1e-4)


def test_the_coding_rate_and_its_gradient_do_not_depend_on_the_number_of_threads() -> None:
    """At the size of 28-pixel images, torch's batched LU fails with two threads."""
    method = on_embeddings(EMPSSL)
    torch.manual_seed(0)
    patches = nn.functional.normalize(torch.randn(8, 256, 512), dim=2)
    results = []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            inputs = patches.clone().requires_grad_()
            loss = method.coding_rate(inputs)
            loss.backward()
            results.append((loss.item(), inputs.grad))
    finally:
        torch.set_num_threads(threads)
    (rate, gradient), (other_rate, other_gradient) = results
    gram = torch.einsum("vbd,vbe->vde", *[patches.double()] * 2).numpy()
    exact = 0.5 * np.linalg.slogdet(np.eye(512) + 512 / (256 * 0.2) * gram)[1].mean()
    assert rate == pytest.approx(exact, rel=1e-5)
    assert other_rate == pytest.approx(exact, rel=1e-5)
    torch.testing.assert_close(gradient, other_gradient, rtol=1e-3, atol=1e-3 * float(gradient.abs().max()))


def test_emp_ssl_patches_are_square_and_a_quarter_of_the_image() -> None:
    """If pixel values are column numbers, the values of each patch span half of them."""
    traits = Traits(1, 32, 10, (0.0,), (1.0,), False, 1000, 1000)
    settings = EMPSSLSettings()
    pipeline: Any = EMPSSL.views(settings, traits)
    assert len(pipeline.transforms) == settings.patches
    crop = pipeline.transforms[0].transforms[0]
    ramp = torch.arange(32, dtype=torch.float32).expand(3, 32, 32)
    torch.manual_seed(0)
    spans = set()
    for _ in range(20):
        patch = crop(ramp)
        spans.add(round(float(patch.max() - patch.min())))
    assert spans == {15}


def test_mmcr_equals_minus_the_nuclear_norm_of_the_mean_unit_vectors() -> None:
    views = random_views(2)
    expected = -np.linalg.svd((units(views[0]) + units(views[1])) / 2, compute_uv=False).sum()
    assert loss_of(on_embeddings(MMCR), *views).item() == pytest.approx(expected, rel=1e-5)
    normalised = [nn.functional.normalize(view, dim=1)[:, None] for view in views]
    assert MMCRLoss(lmda=0.0)(*normalised).item() == pytest.approx(expected, rel=1e-5)


def test_mmcr_does_not_depend_on_the_length_of_the_embeddings() -> None:
    views = random_views(2)
    torch.testing.assert_close(capacity_loss(*(1e3 * v for v in views)), capacity_loss(*views))


def test_frossl_equals_the_log_squared_frobenius_norm_plus_the_distance_to_the_mean() -> None:
    views = random_views(2)
    columns = [v.double().numpy() / np.linalg.norm(v.double().numpy(), axis=0) for v in views]
    mean = (columns[0] + columns[1]) / 2
    expected = 0.0
    for z in columns:
        covariance = z.T @ z / np.trace(z.T @ z)
        expected += np.log((covariance**2).sum()) + 2 * ((z - mean) ** 2).sum() / 32
    assert loss_of(on_embeddings(FroSSL), *views).item() == pytest.approx(expected, rel=1e-4)


def test_hypersphere_equals_alignment_plus_uniformity_with_t_2() -> None:
    views = random_views(2)
    a, b = units(views[0]), units(views[1])
    alignment = ((a - b) ** 2).sum(axis=1).mean()
    potentials = [
        np.mean([np.exp(-2 * ((z[i] - z[j]) ** 2).sum()) for i in range(32) for j in range(i)]) for z in (a, b)
    ]
    expected = alignment + np.mean(np.log(potentials))
    assert loss_of(on_embeddings(Hypersphere), *views).item() == pytest.approx(expected, rel=1e-5)


def test_lejepa_equals_the_distance_to_the_mean_plus_epps_pulley_tests_along_random_directions() -> None:
    views = random_views(4)
    method = on_embeddings(LeJEPA, directions=8)
    torch.manual_seed(5)
    directions = torch.randn(16, 8)
    directions = (directions / directions.norm(dim=0)).double().numpy()
    z = torch.stack(views).double().numpy()
    t = np.linspace(-3.0, 3.0, 33)
    statistics = []
    for view in z:
        for direction in directions.T:
            empirical = np.exp(1j * t[:, None] * (view @ direction)[None]).mean(axis=1)
            error = np.abs(empirical - np.exp(-(t**2) / 2)) ** 2
            statistics.append(32 * np.trapezoid(error * np.exp(-(t**2) / 2), t))
    invariance = ((z - z.mean(axis=0)) ** 2).mean()
    torch.manual_seed(5)
    total = loss_of(method, *views).item()
    assert total == pytest.approx(0.98 * invariance + 0.02 * np.mean(statistics), rel=1e-3)


@pytest.mark.parametrize("kind", ["constant", "along a line", "too wide", "two clusters"])
def test_lejepas_regulariser_is_smaller_for_a_gaussian_than_for_other_distributions(kind: str) -> None:
    torch.manual_seed(0)
    method = on_embeddings(LeJEPA)
    gaussian = torch.randn(1, 256, 16)
    other = {
        "constant": torch.ones(1, 256, 16),
        "along a line": torch.randn(1, 256, 1).expand(1, 256, 16),
        "too wide": 3 * gaussian,
        "two clusters": torch.randn(1, 256, 1).sign().expand(1, 256, 16) + 0.1 * gaussian,
    }[kind]
    assert method.regulariser(other) > 3 * method.regulariser(gaussian)


def test_visreg_equals_its_four_terms_with_sorted_slices_compared_with_quantiles() -> None:
    views = random_views(4)
    method = on_embeddings(VISReg, directions=8)
    torch.manual_seed(5)
    slices = torch.randn(16, 8)
    slices = slices / slices.norm(dim=0)
    z = torch.stack(views)
    quantiles = torch.distributions.Normal(0.0, 1.0).icdf(torch.arange(1, 33) / 33)
    centre = scale = shape = 0.0
    for view in z:
        deviation = view.std(dim=0, unbiased=False)
        centre += view.mean(dim=0).pow(2).mean().item() / 4
        scale += (1 - deviation).pow(2).mean().item() / 4
        for direction in slices.T:
            along = ((view - view.mean(0)) / (deviation + 1e-4)) @ direction
            shape += (along.sort().values - quantiles).pow(2).mean().item() / 32
    invariance = (z - z.mean(dim=0)).pow(2).mean().item()
    torch.manual_seed(5)
    total = loss_of(method, *views).item()
    assert total == pytest.approx(0.4 * invariance + 0.6 * (centre + scale + shape), rel=1e-4)


def class_of(name: str) -> Any:
    module = importlib.import_module(f"methods.{name}")
    return next(
        v for v in vars(module).values() if getattr(v, "__module__", "") == module.__name__ and hasattr(v, "recipe")
    )


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", ["constant", "nearly constant"])
def test_all_weights_stay_finite_on_constant_images_in_bf16(name: str, kind: str) -> None:
    cls = class_of(name)
    torch.manual_seed(0)
    method = cls(build("resnet9_slim", TRAITS), cls.Settings(), TRAITS)
    pipeline = compile_views(cls.views(method.settings, TRAITS), size=8, channels=1, device="cpu", workers=0)
    views = pipeline(torch.zeros(64, 1, 8, 8, dtype=torch.uint8), torch.Generator().manual_seed(0))
    noise = 0.0 if kind == "constant" else 1e-4
    views = [
        torch.full_like(v, -0.8) + noise * torch.randn(v.shape) if v.shape[-1] == 8 else v.contiguous() for v in views
    ]
    optimizer = torch.optim.AdamW(method.parameters(), lr=1e-3)
    for _ in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(method, *views)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        assert torch.isfinite(loss)
        assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)
        optimizer.step()
    assert all(torch.isfinite(p).all() for p in method.parameters())


@pytest.mark.parametrize("name", [name for name in ALL if name != "wmse"])
def test_a_batch_of_two_images_works(name: str) -> None:
    cls = class_of(name)
    torch.manual_seed(0)
    method = cls(build("resnet9_slim", TRAITS), cls.Settings(), TRAITS)
    pixels = torch.from_numpy(load_digits().images[:2, None] * 15).to(torch.uint8)
    pipeline = compile_views(cls.views(method.settings, TRAITS), size=8, channels=1, device="cpu", workers=0)
    loss = loss_of(method, *pipeline(pixels, torch.Generator().manual_seed(0)))
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)

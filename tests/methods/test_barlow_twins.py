"""Barlow Twins: its loss is the published one, and it stays finite where a plain standard deviation does not."""

import pytest
import torch
from torch import Tensor

from bench.backbones import build
from bench.views import compile_views
from methods.barlow_twins import BarlowTwins, BarlowTwinsSettings
from methods.base import Batch
from methods.parts.precision import in_float32
from methods.traits import Traits

TRAITS = Traits(1, 8, 10, (0.3,), (0.37,), False, 1000, 1000)


def criterion(first: Tensor, second: Tensor) -> Tensor:
    method = BarlowTwins(build("mlp", TRAITS), BarlowTwinsSettings(), TRAITS)
    return in_float32(method.criterion, first, second)


def published(first: Tensor, second: Tensor) -> Tensor:
    """Algorithm 1 of the paper, word for word: no epsilon in the standard deviation."""
    a = (first - first.mean(0)) / first.std(0)
    b = (second - second.mean(0)) / second.std(0)
    c = a.T @ b / len(a)
    difference = (c - torch.eye(c.shape[0])).pow(2)
    off_diagonal = ~torch.eye(c.shape[0], dtype=torch.bool)
    difference[off_diagonal] *= 0.0051
    return difference.sum()


def nearly_constant(kind: str) -> Tensor:
    torch.manual_seed(0)
    embeddings = torch.randn(64, 16)
    if kind == "one constant dimension":
        embeddings[:, 3] = 2.0
    elif kind == "all constant":
        embeddings = torch.full((64, 16), 7.0)
    elif kind == "below the resolution of bf16":
        embeddings = 100.0 + 1e-3 * embeddings
    elif kind == "large":
        embeddings = 1e4 * embeddings
    return embeddings


def test_the_loss_is_the_published_one_on_a_well_conditioned_batch() -> None:
    torch.manual_seed(0)
    first = torch.randn(8192, 16)
    second = first + 0.5 * torch.randn(8192, 16)
    # The paper's standard deviation divides by n - 1, its correlation by n: a relative difference of 1/8192.
    torch.testing.assert_close(criterion(first, second), published(first, second), rtol=2e-2, atol=1e-3)


@pytest.mark.parametrize(
    "kind", ["well conditioned", "one constant dimension", "all constant", "below the resolution of bf16", "large"]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_batch_makes_the_loss_or_its_gradient_infinite(kind: str, dtype: torch.dtype) -> None:
    first = nearly_constant(kind).to(dtype).requires_grad_()
    second = nearly_constant(kind).to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = criterion(first, second)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.dtype == torch.float32
    for value in (loss, first.grad, second.grad):
        assert value is not None and torch.isfinite(value).all()


def test_the_published_loss_has_a_nan_gradient_on_a_constant_dimension() -> None:
    """The derivative of the square root is infinite at zero; gradient clipping does not repair it."""
    embeddings = nearly_constant("one constant dimension").requires_grad_()
    published(embeddings, embeddings + 0.0).backward()  # type: ignore[no-untyped-call]
    assert embeddings.grad is not None and torch.isnan(embeddings.grad).any()


@pytest.mark.filterwarnings("ignore:.*Anomaly Detection.*", "ignore:Error detected in PowBackward0")
@pytest.mark.parametrize("spread", [0.0, 1e-6], ids=["constant", "below float32's resolution at 100"])
def test_the_nan_comes_from_the_square_root_and_remains_with_an_epsilon_outside_it_or_clipping(spread: float) -> None:
    """The derivative of the square root is infinite at a variance of zero, and zero times infinity is NaN."""
    torch.manual_seed(0)
    embeddings = torch.randn(64, 16)
    embeddings[:, 3] = 100.0 + spread * embeddings[:, 3]
    embeddings.requires_grad_()

    def loss() -> Tensor:
        centred = embeddings - embeddings.mean(0)
        normalised = centred / (centred.pow(2).mean(0).pow(0.5) + 1e-5)
        return (normalised.T @ normalised / 64 - torch.eye(16)).pow(2).sum()

    assert torch.isfinite(loss())
    loss().backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_([embeddings], 1.0)
    assert embeddings.grad is not None and torch.isnan(embeddings.grad).any()
    with pytest.raises(RuntimeError, match="PowBackward0"), torch.autograd.detect_anomaly(check_nan=True):
        loss().backward()  # type: ignore[no-untyped-call]
    value = criterion(embeddings, embeddings)
    (gradient,) = torch.autograd.grad(value, embeddings)
    assert torch.isfinite(value) and torch.isfinite(gradient).all()


def test_rotation_is_added_to_the_other_four_augmentations_and_runs_batched() -> None:
    traits = Traits(3, 96, 10, (0.5,) * 3, (0.25,) * 3, True, 1000, 1000)
    pipeline = BarlowTwins.views(BarlowTwinsSettings(rotation=15.0), traits)
    steps = [type(step).__name__ for step in pipeline.transforms[1].transform.transforms]  # type: ignore[attr-defined]
    for name in ("Flip", "Rotate", "Blur", "Solari", "RandomApply"):
        assert any(name in step for step in steps), steps
    views = compile_views(pipeline, size=96, channels=3, mean=traits.mean, std=traits.std, device=torch.device("cpu"))
    assert views.reason is None


def test_gradients_on_constant_images_are_finite_in_bf16() -> None:
    torch.manual_seed(0)
    method = BarlowTwins(build("resnet9_slim", TRAITS), BarlowTwinsSettings(), TRAITS)
    images = torch.full((16, 1, 8, 8), -0.8)
    with torch.autocast("cpu", torch.bfloat16):
        batch = Batch([images, images], None, torch.arange(16), None, torch.Generator())
        loss = method(batch, 0.0)
    loss.total.backward()
    assert torch.isfinite(loss.total)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in method.parameters())

"""Every method keeps the contract: what it learns, what it remembers, what it gives back. On real digits, 8 pixels."""

import copy
import importlib
import inspect
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

import methods
from bench import optimizers
from bench.backbones import build
from methods.base import Batch, Loss, Method
from methods.traits import Traits

TRAITS = Traits(
    channels=1, size=8, classes=10, mean=(0.305,), std=(0.376,), horizontal_flip=False, images=1437, train=1437
)
BATCH = 64
ALL = sorted(p.stem for p in Path(methods.__path__[0]).glob("*.py") if p.stem not in ("__init__", "base", "traits"))
BACKBONES = ("resnet9_slim", "vit_nano")


def class_of(name: str) -> type[Method]:
    module = importlib.import_module(f"methods.{name}")
    (found,) = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Method) and value.__module__ == module.__name__
    ]
    return found


TRAINED = [name for name in ALL if class_of(name).needs.training]


def method_of(name: str, backbone: str = "resnet9_slim", seed: int = 0) -> Method:
    torch.manual_seed(seed)
    cls = class_of(name)
    trunk = None if cls.needs.trunk == "none" else build(backbone, TRAITS)
    return cls(trunk, cls.Settings(), TRAITS)


def images_of(start: int) -> tuple[Tensor, Tensor]:
    digits = load_digits()
    chosen = torch.arange(start * BATCH, (start + 1) * BATCH) % 1437
    pixels = torch.from_numpy(digits.images).float()[chosen, None] / 16.0
    return (pixels - TRAITS.mean[0]) / TRAITS.std[0], torch.from_numpy(digits.target)[chosen]


def batch_of(start: int, labels: bool) -> Batch:
    """Two views of real digits: as they are, and rolled by one pixel with noise; enough for any method of two views."""
    images, classes = images_of(start)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(start))
    return Batch(
        views=[images, images.roll(1, dims=3) + 0.1 * noise],
        masks=None,
        indices=torch.arange(BATCH),
        labels=classes if labels else None,
        generator=torch.Generator().manual_seed(start),
    )


def optimizer_of(method: Method) -> torch.optim.Optimizer:
    return optimizers.build(method.parameter_groups(), recipe_of(method), BATCH, torch.device("cpu"))


def recipe_of(method: Method) -> methods.base.Recipe:
    return (method.trunk.kind == "transformer" and method.transformer_recipe) or method.recipe


def step(method: Method, optimizer: torch.optim.Optimizer, start: int, bf16: bool = False) -> Loss:
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = method(batch_of(start, method.needs.labels), 0.5)
    optimizer.zero_grad()
    loss.total.backward()
    method.before_step(0.5)
    optimizer.step()
    method.after_step(0.5)
    return loss


def test_all_eight_methods_are_there() -> None:
    wanted = {"pixels", "random_init", "supervised", "autoencoder", "vae", "simclr", "byol", "barlow_twins"}
    assert wanted <= set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_a_method_says_what_it_is(name: str) -> None:
    cls = class_of(name)
    assert cls.title and cls.paper
    assert cls.recipe.version >= 1
    if cls.transformer_recipe is not None:
        assert cls.transformer_recipe.version == cls.recipe.version


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("name", TRAINED)
def test_after_saving_and_loading_the_next_losses_are_equal_bit_for_bit(name: str, backbone: str) -> None:
    method = method_of(name, backbone)
    optimizer = optimizer_of(method)
    for start in range(3):
        step(method, optimizer, start)
    loaded = method_of(name, backbone, seed=1)
    loaded_optimizer = optimizer_of(loaded)
    loaded.load_state_dict(method.state_dict())
    loaded_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for start in range(3, 6):
        assert torch.equal(step(method, optimizer, start).total, step(loaded, loaded_optimizer, start).total)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("name", TRAINED)
def test_steps_change_what_learns_and_a_teacher_and_nothing_else(name: str, backbone: str) -> None:
    method = method_of(name, backbone)
    optimizer = optimizer_of(method)
    # A weight may have no gradient in the first step of a method, so all is compared after three.
    before = {key: p.detach().clone() for key, p in method.named_parameters()}
    for start in range(3):
        step(method, optimizer, start)
    grouped = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for key, p in method.named_parameters():
        assert (id(p) in grouped) == p.requires_grad, key
        if key.endswith("pos_embed"):
            assert torch.equal(p, before[key]), f"{key}: positions are fixed"
        else:
            assert p.requires_grad != key.startswith("teacher."), key
            # A bias that a batch norm takes away again has no gradient to speak of: a teacher need not feel it.
            if p.requires_grad or p.ndim > 1:
                assert not torch.equal(p, before[key]), f"{key} did not move"


@pytest.mark.parametrize("name", TRAINED)
def test_a_loss_is_one_float32_number_in_bf16_and_stays_finite(name: str) -> None:
    method = method_of(name)
    optimizer = optimizer_of(method)
    for start in range(10):
        loss = step(method, optimizer, start, bf16=True)
        assert loss.total.shape == () and loss.total.dtype == torch.float32
        assert all(torch.isfinite(value).all() for value in (loss.total, *loss.parts.values()))
    assert all(torch.isfinite(value).all() for value in method.state_dict().values())


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("name", TRAINED)
def test_the_loss_falls_over_sixty_steps_on_real_images(name: str, backbone: str) -> None:
    method = method_of(name, backbone)
    optimizer = optimizer_of(method)
    losses = []
    for start in range(60):
        optimizers.schedule(optimizer, recipe_of(method), start, 60)
        losses.append(step(method, optimizer, start).total.item())
    assert sum(losses[-5:]) < 0.95 * sum(losses[:5])


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("name", ALL)
def test_the_encoder_gives_features_that_do_not_depend_on_the_batch(name: str, backbone: str) -> None:
    encoder = method_of(name, backbone).eval().encoder()
    images, _ = images_of(0)
    with torch.no_grad():
        features, alone = encoder.features(images), encoder.features(images[:1])
    assert features.shape == (BATCH, encoder.dim)
    assert (encoder.input.size, encoder.input.channels) == (8, 1)
    torch.testing.assert_close(features[:1], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_only_what_is_evaluated_counts_as_the_encoder(name: str) -> None:
    method = method_of(name)
    inside = {id(p) for p in method.encoder().parameters()}
    assert inside == {id(p) for p in method.trunk.parameters()}
    assert len(list(method.parameters())) > len(inside)


@pytest.mark.parametrize("name", [n for n in ALL if class_of(n).needs.trunk != "none"])
def test_a_method_that_needs_a_trunk_says_so(name: str) -> None:
    cls = class_of(name)
    with pytest.raises(ValueError, match="needs a trunk"):
        cls(None, cls.Settings(), TRAITS)


@pytest.mark.parametrize("name", TRAINED)
def test_biases_norms_and_positions_do_not_decay(name: str) -> None:
    method = method_of(name, "vit_nano")
    decayed = {id(p) for group in method.parameter_groups() if "weight_decay" not in group for p in group["params"]}
    names = [key for key, p in method.named_parameters() if id(p) in decayed]
    assert names
    assert not [key for key in names if "norm" in key or "bias" in key or "token" in key or "pos_embed" in key]

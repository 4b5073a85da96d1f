"""The contract that every method must keep, checked on real digits of 8 pixels: training, saving, evaluation."""

import copy
import functools
from typing import get_args

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from bench.backbones import build
from bench.backbones.catalogue import find
from bench.registry.methods import load_method, method_names
from bench.training import optimizers
from bench.views import compile_views
from bench.views.compile import Views
from methods.base import Batch, Family, Loss, Method, Recipe
from methods.traits import Traits

TRAITS = Traits(
    channels=1, size=8, classes=10, mean=(0.305,), std=(0.376,), horizontal_flip=False, images=1437, train=1437
)
BATCH = 64
EPOCH = -(-TRAITS.train // BATCH)
STEPS = {"pirl": 10 * EPOCH}
"""Methods whose loss does not fall within 60 steps. PIRL's memory first holds untrained embeddings, which are easy to match."""
METHODS = {name: load_method(name) for name in method_names()}
BACKBONES = ("resnet9_slim", "vit_nano")


def accepts(name: str, backbone: str) -> bool:
    return METHODS[name].needs.backbone in ("any", "none", find(backbone).kind)


TRAINED = [name for name, cls in METHODS.items() if cls.needs.training]
PAIRS = [(name, backbone) for name in METHODS for backbone in BACKBONES if accepts(name, backbone)]
TRAINED_PAIRS = [(name, backbone) for name, backbone in PAIRS if name in TRAINED]


def backbone_of(name: str) -> str:
    return next(backbone for backbone in BACKBONES if accepts(name, backbone))


def method_of(name: str, backbone: str, seed: int = 0) -> Method:
    torch.manual_seed(seed)
    cls = METHODS[name]
    backbone = None if cls.needs.backbone == "none" else build(backbone, TRAITS)
    return cls(backbone, cls.Settings(), TRAITS)


def pixels_of(start: int) -> tuple[Tensor, Tensor]:
    """Return a batch of digits as uint8 images, and their labels."""
    digits = load_digits()
    chosen = torch.arange(start * BATCH, (start + 1) * BATCH) % 1437
    pixels = torch.from_numpy(digits.images)[chosen, None] * (255 / 16)
    return pixels.round().to(torch.uint8), torch.from_numpy(digits.target)[chosen]


def images_of(start: int) -> Tensor:
    return (pixels_of(start)[0].float() / 255 - TRAITS.mean[0]) / TRAITS.std[0]


@functools.cache
def views_of(cls: type[Method]) -> Views:
    pipeline = cls.views(cls.Settings(), TRAITS)
    return compile_views(
        pipeline, size=8, channels=1, device=torch.device("cpu"), mean=TRAITS.mean, std=TRAITS.std, workers=0
    )


@functools.cache
def batch_of(cls: type[Method], start: int) -> Batch:
    """Return views and masks of real digits; each test replaces the generator."""
    images, labels = pixels_of(start)
    collate = cls.collate(cls.Settings(), TRAITS)
    return Batch(
        views=views_of(cls)(images, torch.Generator().manual_seed(start)),
        masks=collate(BATCH, torch.Generator().manual_seed(start)) if collate else None,
        indices=torch.arange(start * BATCH, (start + 1) * BATCH) % 1437,
        labels=labels if cls.needs.labels else None,
        generator=torch.Generator(),
    )


def optimizer_of(method: Method) -> torch.optim.Optimizer:
    return optimizers.build(method.parameter_groups(), recipe_of(method), BATCH, torch.device("cpu"))


def recipe_of(method: Method) -> Recipe:
    return (method.backbone.kind == "transformer" and method.transformer_recipe) or method.recipe


def step(
    method: Method, optimizer: torch.optim.Optimizer, start: int, bf16: bool = False, progress: float = 0.5
) -> Loss:
    batch = batch_of(type(method), start)._replace(generator=torch.Generator().manual_seed(start))
    torch.manual_seed(start)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = method(batch, progress)
    optimizer.zero_grad()
    loss.total.backward()
    method.before_step(progress)
    optimizer.step()
    method.after_step(progress)
    return loss


@pytest.mark.parametrize("name", METHODS)
def test_a_file_defines_one_method_with_title_paper_family_and_version(name: str) -> None:
    cls = load_method(name)  # raises unless the file defines exactly one
    assert cls.title and cls.paper
    assert cls.family in get_args(Family) and cls.family != "elsewhere"
    assert cls.recipe.version >= 1
    if cls.transformer_recipe is not None:
        assert cls.transformer_recipe.version == cls.recipe.version


def test_every_family_has_a_method_and_no_two_methods_share_a_title() -> None:
    assert {cls.family for cls in METHODS.values()} == set(get_args(Family)) - {"elsewhere"}
    assert len({cls.title for cls in METHODS.values()}) == len(METHODS)


@pytest.mark.parametrize(("name", "backbone"), TRAINED_PAIRS)
def test_losses_after_saving_and_loading_are_equal_bit_for_bit(name: str, backbone: str) -> None:
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


@pytest.mark.parametrize(("name", "backbone"), TRAINED_PAIRS)
def test_steps_change_trained_parameters_and_the_teacher_and_nothing_else(name: str, backbone: str) -> None:
    method = method_of(name, backbone)
    optimizer = optimizer_of(method)
    # Some weights have no gradient in the first step, so parameters are compared after three.
    before = {key: p.detach().clone() for key, p in method.named_parameters()}
    for start in range(3):
        step(method, optimizer, start)
    grouped = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for key, p in method.named_parameters():
        assert (id(p) in grouped) == p.requires_grad, key
        if key.endswith("pos_embed"):
            assert torch.equal(p, before[key]), f"{key}: positions must not change"
        else:
            assert p.requires_grad != key.startswith("teacher"), key
            # A bias before a batch norm has almost no gradient, so the teacher's may not change.
            if p.requires_grad or p.ndim > 1:
                assert not torch.equal(p, before[key]), f"{key} did not change"


@pytest.mark.parametrize("name", TRAINED)
def test_under_bf16_the_loss_is_a_finite_float32_scalar(name: str) -> None:
    method = method_of(name, backbone_of(name))
    optimizer = optimizer_of(method)
    for start in range(10):
        loss = step(method, optimizer, start, bf16=True)
        assert loss.total.shape == () and loss.total.dtype == torch.float32
        assert all(torch.isfinite(value).all() for value in (loss.total, *loss.parts.values()))
    assert all(torch.isfinite(value).all() for value in method.state_dict().values())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backbone"), TRAINED_PAIRS)
def test_the_loss_falls_over_sixty_steps_on_real_images(name: str, backbone: str) -> None:
    method = method_of(name, backbone)
    optimizer = optimizer_of(method)
    # One epoch without learning fills queues and memories with embeddings.
    with torch.no_grad():
        for number in range(EPOCH):
            method(batch_of(type(method), number)._replace(generator=torch.Generator().manual_seed(number)), 0.0)
            method.after_step(0.0)
    losses = []
    steps = STEPS.get(name, 60)
    for number in range(steps):
        optimizers.schedule(optimizer, recipe_of(method), number, steps)
        losses.append(step(method, optimizer, number % EPOCH, progress=number / steps).total.item())
    # Compare on the same views: between batches the loss varies more than it falls in these steps.
    again = [step(method, optimizer, number, progress=1.0).total.item() for number in range(5)]
    assert sum(again) < sum(losses[:5])


@pytest.mark.parametrize(("name", "backbone"), PAIRS)
def test_features_of_an_image_do_not_depend_on_its_batch(name: str, backbone: str) -> None:
    encoder = method_of(name, backbone).eval().encoder()
    images = images_of(0)
    with torch.no_grad():
        features, alone = encoder.features(images), encoder.features(images[:1])
    assert features.shape == (BATCH, encoder.dim)
    assert (encoder.input.size, encoder.input.channels) == (8, 1)
    torch.testing.assert_close(features[:1], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_the_encoder_is_the_backbone_or_a_teacher_of_the_same_form(name: str) -> None:
    """An encoder of the same form can be fine-tuned, also from a random start."""
    method = method_of(name, backbone_of(name))
    encoder = method.encoder()
    assert {id(p) for p in encoder.parameters()} <= {id(p) for p in method.parameters()}
    shapes = {key: p.shape for key, p in encoder.backbone.named_parameters()}
    assert shapes == {key: p.shape for key, p in method.backbone.named_parameters()}


@pytest.mark.parametrize("name", [name for name, cls in METHODS.items() if cls.needs.backbone != "none"])
def test_a_method_without_its_backbone_raises_an_error(name: str) -> None:
    cls = METHODS[name]
    with pytest.raises(ValueError, match="needs a backbone"):
        cls(None, cls.Settings(), TRAITS)


@pytest.mark.parametrize("name", [name for name, backbone in TRAINED_PAIRS if backbone == "vit_nano"])
def test_biases_norms_and_positions_have_no_weight_decay(name: str) -> None:
    method = method_of(name, "vit_nano")
    decayed = {id(p) for group in method.parameter_groups() if "weight_decay" not in group for p in group["params"]}
    names = [key for key, p in method.named_parameters() if id(p) in decayed]
    assert names
    assert not [key for key in names if "norm" in key or "bias" in key or "token" in key or "pos_embed" in key]

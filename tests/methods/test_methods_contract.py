"""The contract that every method must keep, checked on real digits of 8 pixels: training, saving, evaluation."""

import functools
from typing import get_args

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from bench.backbones.catalogue import find
from bench.registry.class_check import check_class, misspelt, unsound_settings
from bench.registry.methods import load_method, method_names
from bench.training import contract, optimizers
from bench.training.trial import Sample, Trial, recipe_of
from methods.base import Family
from methods.traits import Traits

TRAITS = Traits(
    channels=1, size=8, classes=10, mean=(0.305,), std=(0.376,), horizontal_flip=False, images=1438, train=1438
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


@functools.cache
def digits() -> Sample:
    found = load_digits()
    pixels = (torch.from_numpy(found.images)[: TRAITS.train, None] * (255 / 16)).round().to(torch.uint8)
    return Sample(TRAITS, pixels, torch.from_numpy(found.target)[: TRAITS.train], BATCH)


@functools.cache
def trial_of(name: str, backbone: str) -> Trial:
    """Return a method's trial on digits; the batches of both backbones are the same, but each method draws its own."""
    return Trial(METHODS[name], backbone, digits())


def images_of(start: int) -> Tensor:
    pixels = digits().images[digits().positions(start)]
    return (pixels.float() / 255 - TRAITS.mean[0]) / TRAITS.std[0]


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


@pytest.mark.parametrize("name", METHODS)
def test_declarations_keep_the_rules_for_plugins(name: str) -> None:
    check_class(METHODS[name], name)
    assert misspelt(METHODS[name]) == []
    assert unsound_settings(METHODS[name]) == []


@pytest.mark.parametrize("name", TRAINED)
def test_views_are_tensors_from_0_to_1(name: str) -> None:
    contract.views_are_in_range(trial_of(name, backbone_of(name)))


@pytest.mark.parametrize(("name", "backbone"), TRAINED_PAIRS)
def test_losses_after_saving_and_loading_are_equal_bit_for_bit(name: str, backbone: str) -> None:
    contract.resumes_exactly(trial_of(name, backbone))


@pytest.mark.parametrize(("name", "backbone"), TRAINED_PAIRS)
def test_steps_change_trained_parameters_and_the_teacher_and_nothing_else(name: str, backbone: str) -> None:
    trial = trial_of(name, backbone)
    contract.steps_change_what_learns(trial)
    for key, p in trial.method().named_parameters():
        if not key.endswith("pos_embed"):
            assert p.requires_grad != contract.is_teacher(key), key


@pytest.mark.parametrize("name", TRAINED)
def test_under_bf16_the_loss_is_a_finite_float32_scalar(name: str) -> None:
    contract.is_finite_in_bf16(trial_of(name, backbone_of(name)))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backbone"), TRAINED_PAIRS)
def test_the_loss_falls_over_sixty_steps_on_real_images(name: str, backbone: str) -> None:
    trial = trial_of(name, backbone)
    method = trial.method()
    optimizer = trial.optimizer(method)
    # One epoch without learning fills queues and memories with embeddings.
    with torch.no_grad():
        for number in range(EPOCH):
            method(trial.batch(number), 0.0)
            method.after_step(0.0)
    losses = []
    steps = STEPS.get(name, 60)
    for number in range(steps):
        optimizers.schedule(optimizer, recipe_of(method), number, steps)
        losses.append(trial.step(method, optimizer, number % EPOCH, progress=number / steps).total.item())
    # Compare on the same views: between batches the loss varies more than it falls in these steps.
    again = [trial.step(method, optimizer, number, progress=1.0).total.item() for number in range(5)]
    assert sum(again) < sum(losses[:5])


@pytest.mark.parametrize(("name", "backbone"), PAIRS)
def test_features_of_an_image_do_not_depend_on_its_batch(name: str, backbone: str) -> None:
    trial = trial_of(name, backbone)
    contract.encoder_is_per_image(trial)
    encoder = trial.method().eval().encoder()
    with torch.no_grad():
        assert encoder.features(images_of(0)).shape == (BATCH, encoder.dim)
    assert (encoder.input.size, encoder.input.channels) == (8, 1)


@pytest.mark.parametrize("name", TRAINED)
def test_the_encoder_is_the_backbone_or_a_teacher_of_the_same_form(name: str) -> None:
    """An encoder of the same form can be fine-tuned, also from a random start."""
    method = trial_of(name, backbone_of(name)).method()
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
    method = trial_of(name, "vit_nano").method()
    decayed = {id(p) for group in method.parameter_groups() if "weight_decay" not in group for p in group["params"]}
    names = [key for key, p in method.named_parameters() if id(p) in decayed]
    assert names
    assert not [key for key in names if "norm" in key or "bias" in key or "token" in key or "pos_embed" in key]

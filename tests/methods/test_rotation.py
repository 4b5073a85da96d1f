"""Rotation: every image in all four rotations, with the number of quarter turns as its label."""

import dataclasses

import numpy as np
import torch
from sklearn.datasets import load_digits

from bench.backbones import build
from methods.base import Batch
from methods.rotation import Rotation, rotated
from methods.supervised import Supervised
from methods.traits import Traits

TRAITS = Traits(1, 8, 10, (0.305,), (0.376,), False, 1438, 1438)


def test_every_digit_is_rotated_four_times_with_its_label() -> None:
    digits = load_digits().images[:5]
    images, turns = rotated(torch.from_numpy(digits)[:, None])
    assert turns.tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5
    for image, turn, original in zip(images[:, 0].numpy(), turns.tolist(), np.tile(digits, (4, 1, 1)), strict=True):
        np.testing.assert_array_equal(image, np.rot90(original, turn))


def test_the_loss_is_the_cross_entropy_over_four_rotations() -> None:
    torch.manual_seed(0)
    method = Rotation(build("resnet9_slim", TRAITS), None, TRAITS)
    torch.nn.init.zeros_(method.classifier.weight)
    torch.nn.init.zeros_(method.classifier.bias)
    images = torch.from_numpy(load_digits().images[:8]).float()[:, None]
    loss = method(Batch([images], None, torch.arange(8), None, torch.Generator()), 0.0)
    torch.testing.assert_close(loss.total, torch.tensor(4.0).log())


def test_rotation_has_the_optimiser_of_supervised_whose_rate_and_warmup_keep_features_alive() -> None:
    assert dataclasses.replace(Rotation.recipe, version=Supervised.recipe.version) == Supervised.recipe

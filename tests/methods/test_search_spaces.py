"""Every declared search space: at most four dimensions, around the shipped recipe, and its corners can be trained."""

import functools
from typing import Any

import pytest
import torch

from bench.backbones.catalogue import find
from bench.planning.settings import check_settings, recipe_of, settings_of, typed_settings
from bench.registry.class_check import check_class
from bench.registry.methods import load_method, method_names
from bench.registry.search_space import Axis, axes_of, space_problem
from bench.training.trial import Sample, Trial, random_images
from methods.base import Method, Recipe
from methods.space import MOST_DIMENSIONS, Between, OneOf, Times

METHODS = {name: load_method(name) for name in method_names()}
TRAINED = [name for name, cls in METHODS.items() if cls.needs.training]


def backbone_of(cls: type[Method]) -> str:
    return "vit_nano" if cls.needs.backbone == "transformer" else "resnet9_slim"


@functools.cache
def sample() -> Sample:
    return random_images(count=64, size=8, channels=1, batch=64)


@functools.cache
def axes(name: str) -> list[Axis]:
    cls = METHODS[name]
    return axes_of(cls, recipe_of(cls, find(backbone_of(cls)).kind, {}))


@pytest.mark.parametrize("name", TRAINED)
def test_a_trained_method_declares_rate_and_weight_decay_and_at_most_two_of_its_own(name: str) -> None:
    cls = METHODS[name]
    assert {"recipe.rate", "recipe.weight_decay"} < set(cls.space)
    assert len(cls.space) <= MOST_DIMENSIONS
    # Also checks that keys exist, that the shipped values lie inside, and that all ends are in the settings' ranges.
    assert space_problem(cls) is None


def test_only_methods_without_training_have_no_space() -> None:
    assert {name for name, cls in METHODS.items() if not cls.space} == set(METHODS) - set(TRAINED)


@pytest.mark.parametrize("corner", [0, -1], ids=["low", "high"])
@pytest.mark.parametrize("name", TRAINED)
def test_the_corners_of_a_space_train(name: str, corner: int) -> None:
    cls = METHODS[name]
    kind = find(backbone_of(cls)).kind
    texts = {axis.key: repr(axis.ends[corner]) for axis in axes(name)}
    changed = typed_settings(name, cls, kind, texts)
    check_settings(name, cls, kind, changed)
    trial = Trial(changed_class(cls, kind, changed), backbone_of(cls), sample())
    method = trial.method()
    optimizer = trial.optimizer(method)
    for number in range(2):
        assert torch.isfinite(trial.step(method, optimizer, number, progress=0.1 + 0.5 * number).total)


def changed_class(cls: type[Method], kind: str, changed: dict[str, Any]) -> type[Method]:
    """The method with other defaults."""
    settings, recipe = settings_of(cls, changed), recipe_of(cls, kind, changed)
    return type(cls.__name__, (cls,), {"Settings": lambda: settings, "recipe": recipe, "transformer_recipe": None})


@pytest.mark.parametrize(
    ("space", "problem"),
    [
        ({"temprature": Between(0.1, 1.0)}, "names temprature, which is neither a setting nor recipe.KEY"),
        ({"recipe.version": OneOf((1, 2))}, "names recipe.version, which is neither"),
        ({"temperature": Between(0.6, 1.0)}, "the shipped value 0.5 is not between 0.6 and 1"),
        ({"temperature": Between(0.0, 1.0, log=True)}, "no range of a logarithmic scale"),
        ({"temperature": Between(0.0, 1.0)}, "out of the setting's range, it must be above 0"),
        ({"temperature": OneOf((0.5, 0.5))}, "OneOf has a value twice"),
        ({"temperature": OneOf((0.4, 0.6))}, "the shipped value 0.5 is not one of 0.4, 0.6"),
        ({"temperature": (0.1, 1.0)}, "is a tuple; it must be Times, Between or OneOf"),
        ({"hidden": Between(1, 8)}, "1.0 is not int"),
        ({"recipe.weight_decay": Times(float("nan"), 2)}, "a range needs finite numbers"),
        (dict.fromkeys(("temperature", "hidden", "dim", "min_scale", "jitter"), OneOf((1, 2))), "has 5 dimensions"),
        (["temperature"], "is a list; it must map names of settings"),
    ],
)
def test_a_mistake_in_a_plugins_space_is_named(space: Any, problem: str) -> None:
    cls = type("Mine", (METHODS["simclr"],), {"space": space})
    with pytest.raises(Exception, match="method mine: Mine.space: .*" + problem.replace("(", r"\(")):
        check_class(cls, "mine")


def test_multiples_follow_the_recipe_and_stop_at_their_limit() -> None:
    recipe = Recipe(version=1, optimizer="adamw", rate=0.002, weight_decay=0.05)
    cls = type("Mine", (METHODS["simclr"],), {"recipe": recipe, "transformer_recipe": None})
    found = {axis.key: axis.ends for axis in axes_of(cls, recipe)}
    assert found["recipe.rate"] == (0.00025, 0.016)
    assert found["recipe.weight_decay"] == (0.005, 0.5)

"""``--set``: values get the types of the method's dataclass, and an invalid one is a one-line error."""

from dataclasses import dataclass
from typing import Literal

import pytest

from bench.errors import SslbenchError
from bench.planning.settings import parse_settings, recipe_of, settings_of, typed_settings
from methods.base import Method, Recipe


@dataclass(frozen=True)
class Settings:
    temperature: float = 0.2
    layers: int = 2
    widths: tuple[int, ...] = (4, 4)
    crop: tuple[float, float] = (0.08, 1.0)
    mode: Literal["a", "b"] = "a"
    clip: float | None = None
    affine: bool = True


class Example(Method):
    title, paper, family = "Example", "", "contrastive"
    recipe = Recipe(version=1, rate=0.5)
    transformer_recipe = Recipe(version=1, optimizer="adamw", rate=1e-3)
    Settings = Settings


def typed(*pairs):
    return typed_settings("example", Example, "convolutional", parse_settings(pairs))


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("temperature=1", {"temperature": 1.0}),
        ("layers=3", {"layers": 3}),
        ("widths=(8,8,8)", {"widths": (8, 8, 8)}),
        ("crop=[0.2,1]", {"crop": (0.2, 1)}),
        ("mode=b", {"mode": "b"}),
        ("clip=3", {"clip": 3.0}),
        ("clip=none", {}),
        ("affine=false", {"affine": False}),
        ("recipe.rate=0.1", {"recipe.rate": 0.1}),
        ("recipe.optimizer=adam", {"recipe.optimizer": "adam"}),
        ("temperature=0.2", {}),
    ],
)
def test_values_get_the_type_of_their_field_and_defaults_are_dropped(pair, value):
    assert typed(pair) == value


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("temprature=1", "did you mean 'temperature'"),
        ("recipe.version=2", "unknown setting"),
        ("layers=2.5", "takes int"),
        ("layers=true", "takes int"),
        ("mode=c", "takes"),
        ("crop=(1,)", "takes"),
        ("temperature=hot", "takes float"),
        ("temperature", "KEY=VALUE"),
        ("=3", "KEY=VALUE"),
    ],
)
def test_an_invalid_setting_is_a_one_line_error(pair, message):
    with pytest.raises(SslbenchError, match=message) as caught:
        typed(pair)
    assert "\n" not in str(caught.value)


def test_a_rate_is_compared_with_the_recipe_of_this_kind_of_backbone():
    pairs = parse_settings(["recipe.rate=0.5"])
    assert typed_settings("example", Example, "convolutional", pairs) == {}
    assert typed_settings("example", Example, "transformer", pairs) == {"recipe.rate": 0.5}
    pairs = parse_settings(["recipe.rate=0.001"])
    assert typed_settings("example", Example, "transformer", pairs) == {}


def test_changes_reach_settings_and_recipe():
    changed = typed("temperature=0.5", "recipe.rate=0.1") | {"batch_size": 64}
    assert settings_of(Example, changed) == Settings(temperature=0.5)
    assert recipe_of(Example, "convolutional", changed).rate == 0.1
    assert recipe_of(Example, "transformer", {}).optimizer == "adamw"

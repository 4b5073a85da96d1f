"""``--set``: values get the types of the method's dataclass, and an invalid one is a one-line error."""

from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import pytest
from annotated_types import MultipleOf

from bench.errors import SslbenchError
from bench.planning.settings import (
    NOT_SETTABLE,
    RECIPE,
    check_settings,
    parse_settings,
    recipe_of,
    settings_of,
    typed_settings,
)
from bench.registry.methods import load_method, method_names
from methods.base import Method, Recipe
from methods.ranges import Count, Positive, PositiveFraction


@dataclass(frozen=True)
class Settings:
    temperature: float = 0.2
    layers: int = 2
    widths: tuple[int, ...] = (4, 4)
    crop: tuple[float, float] = (0.08, 1.0)
    mode: Literal["a", "b"] = "a"
    clip: float | None = None
    affine: bool = True
    dim: Count = 128
    share: PositiveFraction = 0.5
    strengths: tuple[Positive, ...] = (1.0,)
    limit: Positive | None = None
    even: Annotated[int, MultipleOf(2)] = 4
    name: str = "plain"

    def __post_init__(self) -> None:
        if self.crop[0] > self.crop[1]:
            raise ValueError("the smallest crop is larger than the largest one")


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
        ("dim=1", {"dim": 1}),
        ("share=1", {"share": 1.0}),
        ("strengths=(1,2.5)", {"strengths": (1, 2.5)}),
        ("limit=none", {}),
        ("limit=3", {"limit": 3.0}),
        ("even=6", {"even": 6}),
        ("name=other", {"name": "other"}),
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
        ("temperature=1e999", "must be finite"),
        ("temperature=-1e999", "must be finite"),
        ("temperature=nan", "takes float"),
        ("crop=(0.1,1e999)", "each number must be finite"),
        ("layers=" + "9" * 400, "must be at most"),
        ("layers=" + "9" * 5000, "characters, more than"),
        ("layers={[]:1}", "takes int"),
        ("layers=" + "(" * 300, "takes int"),
        ("layers=" + "-" * 400 + "1", "takes int"),
        ("layers=²", "takes int"),
        ("dim=0", "must be at least 1"),
        ("dim=1000001", "must be at most 1,000,000"),
        ("share=0", "must be above 0"),
        ("share=1.01", "must be at most 1"),
        ("strengths=(1,0)", "each number must be above 0"),
        ("limit=0", "must be above 0"),
        ("even=5", "must be a multiple of 2"),
        ("name=a\x1b[31m", "printable"),
        ("recipe.optimizer=adamW", "takes 'sgd' or 'lars' or 'adam' or 'adamw'"),
        ("recipe.rate=1e999", "must be finite"),
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


def test_settings_that_do_not_fit_together_are_a_one_line_error():
    changed = typed("crop=(0.5,0.1)")
    with pytest.raises(SslbenchError, match="settings of example: the smallest crop is larger"):
        check_settings("example", Example, "convolutional", changed)


def test_a_setting_is_given_once():
    with pytest.raises(SslbenchError, match="layers is given twice"):
        parse_settings(["layers=3", "layers=4"])


@pytest.mark.parametrize("name", method_names())
def test_the_defaults_of_every_method_are_within_their_ranges(name):
    method = load_method(name)
    for kind in ("convolutional", "transformer"):
        values = asdict(method.Settings())
        values |= {RECIPE + key: value for key, value in asdict(recipe_of(method, kind, {})).items()}
        pairs = parse_settings(f"{key}={value}" for key, value in values.items() if key not in NOT_SETTABLE)
        assert typed_settings(name, method, kind, pairs) == {}

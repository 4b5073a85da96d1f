"""Every number among the settings and in the recipes has a declared range, and its default lies inside."""

import dataclasses
import math
from collections.abc import Iterator
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import annotated_types
import pytest

from bench.registry.methods import load_method, method_names
from methods.base import Recipe

LIMITS = {
    annotated_types.Gt: lambda value, limit: value > limit.gt,
    annotated_types.Ge: lambda value, limit: value >= limit.ge,
    annotated_types.Lt: lambda value, limit: value < limit.lt,
    annotated_types.Le: lambda value, limit: value <= limit.le,
}


def limits(hint: Any) -> list[Any]:
    """Return the limits of an annotated type, intervals unpacked."""
    found: list[Any] = []
    for entry in get_args(hint)[1:]:
        found += list(entry) if isinstance(entry, annotated_types.GroupedMetadata) else [entry]
    return found


def inside(value: Any, hint: Any) -> bool:
    """Return whether a value belongs to a declared type; a number without a range belongs to none."""
    if get_origin(hint) is Annotated:
        kind = get_args(hint)[0]
        right = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
        return right and math.isfinite(value) and all(LIMITS[type(limit)](value, limit) for limit in limits(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is tuple:
        return len(value) == len(get_args(hint)) and all(map(inside, value, get_args(hint)))
    if get_args(hint):
        return any(inside(value, kind) for kind in get_args(hint))
    return isinstance(value, hint) if hint in (bool, NoneType) else False


def declared(kind: type[Any]) -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(kind, include_extras=True)
    return ((field.name, hints[field.name]) for field in dataclasses.fields(kind))


@pytest.mark.parametrize("name", method_names())
def test_defaults_and_recipes_lie_inside_their_ranges(name: str) -> None:
    method = load_method(name)
    settings = method.Settings()
    recipes = [recipe for recipe in (method.recipe, method.transformer_recipe) if recipe is not None]
    outside = [key for key, hint in declared(method.Settings) if not inside(getattr(settings, key), hint)]
    outside += [key for recipe in recipes for key, hint in declared(Recipe) if not inside(getattr(recipe, key), hint)]
    assert outside == []


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("simclr", "temperature", 0.0),
        ("simclr", "dim", 0),
        ("simclr", "jitter", 3.0),
        ("moco", "queue", 0),
        ("byol", "momentum", 1.5),
        ("mae", "masked", 1.0),
        ("msn", "focal_views", -1),
        ("fastsiam", "view_count", 1),
        ("dino", "local_views", -1),
        ("vicreg", "variance", -1.0),
        ("ijepa", "targets", 100),
    ],
)
def test_values_that_make_no_sense_are_outside(name: str, key: str, value: float) -> None:
    assert not inside(value, dict(declared(load_method(name).Settings))[key])


@pytest.mark.parametrize(("key", "value"), [("rate", 0.0), ("warmup", 1.1), ("betas", (0.9, 1.0)), ("clip", 0.0)])
def test_recipes_that_make_no_sense_are_outside(key: str, value: Any) -> None:
    assert not inside(value, dict(declared(Recipe))[key])


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("dino", {"min_local_scale": 0.5, "border": 0.4}, "min_local_scale=0.5 is larger than border=0.4"),
        ("ibot", {"least_masked": 0.6}, "least_masked=0.6 is larger than most_masked=0.5"),
        ("dinov2", {"min_scale": 0.33}, "min_scale=0.33 is larger than border=0.32"),
        ("pmsn", {"border": 0.1}, "min_scale=0.15 is larger than border=0.1"),
    ],
)
def test_settings_that_do_not_fit_together_are_an_error(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_method(name).Settings(**settings)


def test_nesterovs_momentum_without_a_momentum_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs a momentum"):
        Recipe(version=1, nesterov=True, momentum=0.0)

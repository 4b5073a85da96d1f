"""Settings of a method: defaults of its dataclass, and changes by ``--set KEY=VALUE``."""

import ast
import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from bench.errors import SslbenchError, unknown

if TYPE_CHECKING:
    from methods.base import Method, Recipe

RECIPE = "recipe."
"""Prefix of the keys that change the recipe: ``recipe.rate=0.1``."""
NOT_SETTABLE = {"recipe.version"}
"""Keys that ``--set`` does not accept."""
OPTION_SETTINGS = {"batch_size", "share", "extended_from", "views"}
"""Settings that come from other options of the command than ``--set``."""


def parse_settings(pairs: Iterable[str]) -> dict[str, str]:
    """Split ``KEY=VALUE`` texts; the values stay text until the types of the method's fields are known."""
    changed: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise SslbenchError(f"--set {pair}: write KEY=VALUE, for example temperature=0.2")
        changed[key.strip()] = value.strip()
    return changed


def typed_settings(name: str, method: type["Method"], kind: str, changed: Mapping[str, str]) -> dict[str, Any]:
    """Convert the changes to the types of their fields; values equal to the default for this kind of backbone are dropped.

    Raises:
        SslbenchError: An unknown key (the message suggests the nearest one), or a value of another type.
    """
    fields = {field.name: field for field in dataclasses.fields(method.Settings)}
    types = {key: get_type_hints(method.Settings)[key] for key in fields}
    defaults = {key: _default(field) for key, field in fields.items()}
    recipe = recipe_of(method, kind, {})
    for field in dataclasses.fields(recipe):
        types[RECIPE + field.name] = get_type_hints(type(recipe))[field.name]
        defaults[RECIPE + field.name] = getattr(recipe, field.name)
    known = [key for key in types if key not in NOT_SETTABLE]
    typed = {}
    for key, text in changed.items():
        if key not in known:
            raise unknown(f"setting of {name}", key, known)
        value = _convert(name, key, text, types[key])
        if value != defaults[key]:
            typed[key] = value
    return typed


def settings_of(method: type["Method"], changed: Mapping[str, Any]) -> Any:
    """Return the method's settings object with the changes applied."""
    own = {key: _frozen(value) for key, value in changed.items() if "." not in key and key not in OPTION_SETTINGS}
    return method.Settings(**own)


def recipe_of(method: type["Method"], kind: str, changed: Mapping[str, Any]) -> "Recipe":
    """Return the recipe for this kind of backbone with the changes applied."""
    recipe = method.transformer_recipe if kind == "transformer" and method.transformer_recipe else method.recipe
    own = {key.removeprefix(RECIPE): _frozen(value) for key, value in changed.items() if key.startswith(RECIPE)}
    return dataclasses.replace(recipe, **own)


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _convert(name: str, key: str, text: str, expected: Any) -> Any:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = {"true": True, "false": False, "none": None}.get(text.lower(), text)
    if not _fits(value, expected):
        type_name = getattr(expected, "__name__", None) if get_origin(expected) is None else None
        type_name = type_name or str(expected).replace("typing.", "")
        raise SslbenchError(f"--set {key}={text}: this setting of {name} takes {type_name}")
    if expected is float or (type(value) is int and float in get_args(expected)):
        value = float(value)
    return _frozen(value)


def _fits(value: Any, expected: Any) -> bool:
    origin, inner = get_origin(expected), get_args(expected)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        items = list(value) if isinstance(value, tuple | list) else None
        if items is None:
            return False
        if len(inner) == 2 and inner[1] is Ellipsis:
            return all(_fits(item, inner[0]) for item in items)
        return len(items) == len(inner) and all(_fits(item, kind) for item, kind in zip(items, inner, strict=True))
    if inner:
        return any(_fits(value, kind) for kind in inner)
    if expected is type(None):
        return value is None
    if expected is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if expected is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, expected)

"""Settings of a method: defaults of its dataclass, and changes by ``--set KEY=VALUE``."""

import ast
import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_type_hints

from bench.errors import SslbenchError, unknown
from bench.ranges import fits, out_of_range, type_name

if TYPE_CHECKING:
    from methods.base import Method, Recipe

RECIPE = "recipe."
"""Prefix of the keys that change the recipe: ``recipe.rate=0.1``."""
NOT_SETTABLE = {"recipe.version"}
"""Keys that ``--set`` does not accept."""
OPTION_SETTINGS = {"batch_size", "share", "extended_from", "views"}
"""Settings that come from other options of the command than ``--set``."""
LONGEST_VALUE = 500
"""Largest number of characters of a value."""


def parse_settings(pairs: Iterable[str]) -> dict[str, str]:
    """Split ``KEY=VALUE`` texts; the values stay text until the types of the method's fields are known."""
    changed: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise SslbenchError(f"--set {pair}: write KEY=VALUE, for example temperature=0.2")
        if len(value) > LONGEST_VALUE:
            raise SslbenchError(
                f"--set {key.strip()}: the value has {len(value):,} characters, more than {LONGEST_VALUE}; write a shorter one"
            )
        if key.strip() in changed:
            raise SslbenchError(f"--set {key.strip()} is given twice; give each setting once")
        changed[key.strip()] = value.strip()
    return changed


def typed_settings(name: str, method: type["Method"], kind: str, changed: Mapping[str, str]) -> dict[str, Any]:
    """Convert the changes to the types of their fields; values equal to the default for this kind of backbone are dropped.

    Raises:
        SslbenchError: An unknown key (the message suggests the nearest one), or a value of another type or out of its range.
    """
    fields = {field.name: field for field in dataclasses.fields(method.Settings)}
    types = _types_of(name, method.Settings)
    defaults = {key: _default(field) for key, field in fields.items()}
    recipe = recipe_of(method, kind, {})
    for key, kind_of_value in _types_of(name, type(recipe)).items():
        types[RECIPE + key] = kind_of_value
        defaults[RECIPE + key] = getattr(recipe, key)
    known = [key for key in types if key not in NOT_SETTABLE]
    typed = {}
    for key, text in changed.items():
        if key not in known:
            raise unknown(f"setting of {name}", key, known)
        value = _convert(name, key, text, types[key])
        if value != defaults[key]:
            typed[key] = value
    return typed


def check_settings(name: str, method: type["Method"], kind: str, changed: Mapping[str, Any]) -> None:
    """Raise SslbenchError if the method's own checks refuse the settings, for example because two of them do not fit together."""
    try:
        settings_of(method, changed)
        recipe_of(method, kind, changed)
    except (ValueError, TypeError) as error:
        raise SslbenchError(f"settings of {name}: {error}") from error


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


def _types_of(name: str, cls: type[Any]) -> dict[str, Any]:
    """Return the types of a dataclass's fields, with their ranges."""
    try:
        hints = get_type_hints(cls, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        raise SslbenchError(f"method {name}: the annotations of {cls.__name__} cannot be read: {error}") from error
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _convert(name: str, key: str, text: str, expected: Any) -> Any:
    value = read_value(text)
    if not fits(value, expected):
        raise SslbenchError(f"--set {key}={text}: this setting of {name} takes {type_name(expected)}")
    reason = out_of_range(value, expected)
    if reason is not None:
        raise SslbenchError(f"--set {key}={text}: this setting of {name} {reason}")
    if type(value) is int and not fits(value, expected, exact=True):
        value = float(value)
    return _frozen(value)


def read_value(text: str) -> Any:
    """Return the value that a text means: a Python literal, ``true``, ``false``, ``none``, or the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)

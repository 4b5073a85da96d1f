"""Settings of a method: defaults from its dataclass, changes from ``--set KEY=VALUE``."""

import ast
import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from bench.errors import SslbenchError, unknown

if TYPE_CHECKING:
    from methods.base import Method, Recipe

RECIPE = "recipe."
"""Prefix of the keys that change the recipe: ``recipe.rate=0.1``."""
NOT_SET = {"recipe.version"}
OF_THE_RUN = {"batch_size", "share", "extended_from", "views"}
"""Settings that options of the command write, not ``--set``."""


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
    """Return the changes as values of the fields' types; a change to the default on this kind of backbone is dropped.

    Raises:
        SslbenchError: An unknown key (the message has the nearest one), or a value of another type.
    """
    fields = {field.name: field for field in dataclasses.fields(method.Settings)}
    kinds = {key: get_type_hints(method.Settings)[key] for key in fields}
    defaults = {key: _default(field) for key, field in fields.items()}
    recipe = recipe_of(method, kind, {})
    for field in dataclasses.fields(recipe):
        kinds[RECIPE + field.name] = get_type_hints(type(recipe))[field.name]
        defaults[RECIPE + field.name] = getattr(recipe, field.name)
    known = [key for key in kinds if key not in NOT_SET]
    typed = {}
    for key, text in changed.items():
        if key not in known:
            raise unknown(f"setting of {name}", key, known)
        value = _convert(name, key, text, kinds[key])
        if value != defaults[key]:
            typed[key] = value
    return typed


def settings_of(method: type["Method"], changed: Mapping[str, Any]) -> Any:
    """Return the method's settings object with the changes applied."""
    own = {key: _frozen(value) for key, value in changed.items() if "." not in key and key not in OF_THE_RUN}
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


def _convert(name: str, key: str, text: str, kind: Any) -> Any:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = {"true": True, "false": False, "none": None}.get(text.lower(), text)
    if not _fits(value, kind):
        wanted = getattr(kind, "__name__", None) if get_origin(kind) is None else None
        raise SslbenchError(f"--set {key}={text}: {name} takes {wanted or str(kind).replace('typing.', '')} here")
    if kind is float or (type(value) is int and float in get_args(kind)):
        value = float(value)
    return _frozen(value)


def _fits(value: Any, kind: Any) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        items = list(value) if isinstance(value, tuple | list) else None
        if items is None:
            return False
        if len(inner) == 2 and inner[1] is Ellipsis:
            return all(_fits(item, inner[0]) for item in items)
        return len(items) == len(inner) and all(_fits(item, one) for item, one in zip(items, inner, strict=True))
    if inner:
        return any(_fits(value, one) for one in inner)
    if kind is type(None):
        return value is None
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)

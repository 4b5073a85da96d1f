"""Checks what the class of a plugin's method declares, in the words of the contract (``methods/base.py``)."""

import dataclasses
import inspect
import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from annotated_types import BaseMetadata, GroupedMetadata

from bench.errors import SslbenchError
from bench.ranges import out_of_range
from bench.registry.search_space import space_problem
from methods.base import Family, Method, Needs, Recipe

ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "views": ("settings", "traits"),
    "collate": ("settings", "traits"),
    "forward": ("self", "batch", "progress"),
    "before_step": ("self", "progress"),
    "after_step": ("self", "progress"),
    "parameter_groups": ("self",),
    "encoder": ("self",),
    "__init__": ("self", "backbone", "settings", "traits"),
}
"""Functions of the contract, and what the harness calls them with."""
FROM_OPTIONS = ("batch_size", "share", "extended_from", "views")
"""Names that a record's settings use for options of the command; a field of ``Settings`` cannot have them."""
OWN_FAMILIES = tuple(family for family in get_args(Family) if family != "elsewhere")


def check_class(cls: type[Method], name: str) -> None:
    """Check a method's declarations.

    Raises:
        SslbenchError: One of them is missing, or is not what the contract says; the message names it.
    """
    # Each check relies on those before it.
    problem = (
        _text_problem(cls, "title")
        or _text_problem(cls, "paper")
        or _family_problem(cls)
        or _recipe_problem(cls, "recipe")
        or (cls.transformer_recipe and _recipe_problem(cls, "transformer_recipe"))
        or _needs_problem(cls)
        or _settings_problem(cls)
        or ("space" in vars(cls) and space_problem(cls))
        or _functions_problem(cls)
    )
    if problem:
        raise SslbenchError(f"method {name}: {cls.__name__}.{problem}")


def misspelt(cls: type[Method]) -> list[str]:
    """Return one line for each attribute whose name is nearly one of the contract's that the class does not define."""
    contract = {
        *ARGUMENTS,
        "title",
        "paper",
        "family",
        "needs",
        "recipe",
        "transformer_recipe",
        "space",
        "Settings",
    } - {"__init__"}
    own = {key for base in cls.__mro__[: cls.__mro__.index(Method)] for key in vars(base)}
    wanted = {_plain(key): key for key in contract - own}
    found = []
    for key in sorted(own - set(dir(Method)) - set(NOT_MISSPELT)):
        close = get_close_matches(_plain(key), wanted, n=1, cutoff=0.84)
        if close and not key.startswith("__"):
            found.append(f"`{key}` is never called; the contract's name is `{wanted[close[0]]}`")
    return found


def unsound_settings(cls: type[Method]) -> list[str]:
    """Return one line for each setting that has no range or whose default is outside of it, and if ``Settings`` is not frozen."""
    settings = cls.Settings
    found = [] if settings.__dataclass_params__.frozen else ["Settings is not frozen; use @dataclass(frozen=True)"]
    defaults = settings()
    for key, hint in get_type_hints(settings, include_extras=True).items():
        if _lacks_range(hint):
            found.append(
                f"{key} has no range; annotate it with a type of methods/ranges.py, for example Positive or Count"
            )
        elif out_of_range(getattr(defaults, key), hint) is not None:
            found.append(f"{key} is {getattr(defaults, key)!r:.60}, which is outside of its range")
    return found


def _lacks_range(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        return not any(isinstance(item, BaseMetadata | GroupedMetadata) for item in get_args(hint)[1:])
    if get_origin(hint) is Literal:
        return False
    return hint in (int, float) or any(map(_lacks_range, get_args(hint)))


NOT_MISSPELT = ("encode", "decode", "decoder", "encoders", "decoders", "view")
"""Names of a method's own parts that are similar to names of the contract."""


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _text_problem(cls: type[Method], field: str) -> str | None:
    value = getattr(cls, field, None)
    if isinstance(value, str) and value.strip() and value.isprintable():
        return None
    return f"{field}: {'is missing' if value is None else f'is {value!r:.60}'}; it must be a line of text"


def _family_problem(cls: type[Method]) -> str | None:
    value = getattr(cls, "family", None)
    if value in OWN_FAMILIES:
        return None
    close = get_close_matches(value, OWN_FAMILIES, n=1) if isinstance(value, str) else []
    hint = f"did you mean {close[0]!r}?" if close else f"it must be one of {', '.join(OWN_FAMILIES)}"
    return f"family: {'is missing' if value is None else f'is {value!r:.60}'}; {hint}"


def _recipe_problem(cls: type[Method], field: str) -> str | None:
    recipe = getattr(cls, field, None)
    if not isinstance(recipe, Recipe):
        kind = "is missing" if recipe is None else f"is a {type(recipe).__name__}"
        return f"{field}: {kind}; it must be a Recipe, for example Recipe(version=1)"
    for key, hint in get_type_hints(Recipe).items():
        value = getattr(recipe, key)
        if not _fits(value, hint):
            known = f"one of {', '.join(map(str, get_args(hint)))}" if get_origin(hint) is Literal else _name(hint)
            return f"{field}: {key} is {value!r:.60}; it must be {known}"
    if recipe.version < 1:
        return f"{field}: version is {recipe.version}; it must be at least 1"
    if field != "recipe" and recipe.version != cls.recipe.version:
        return f"{field}: has version {recipe.version}; it must have that of recipe, {cls.recipe.version}"
    if not recipe.rate > 0 or not 0 <= recipe.warmup < 1 or not (recipe.clip is None or recipe.clip > 0):
        return f"{field}: rate and clip must be above 0, warmup from 0 to below 1"
    return None


def _needs_problem(cls: type[Method]) -> str | None:
    if not isinstance(cls.needs, Needs):
        return f"needs: is a {type(cls.needs).__name__}; it must be a Needs, for example Needs(labels=True)"
    for key, hint in get_type_hints(Needs).items():
        value = getattr(cls.needs, key)
        if not _fits(value, hint):
            known = f"one of {', '.join(get_args(hint))}" if get_origin(hint) is Literal else _name(hint)
            return f"needs: {key} is {value!r:.60}; it must be {known}"
    if cls.needs.training and cls.needs.backbone == "none":
        return "needs: a method with backbone='none' cannot be trained; add training=False"
    return None


def _settings_problem(cls: type[Method]) -> str | None:
    settings = cls.Settings
    if not isinstance(settings, type) or not dataclasses.is_dataclass(settings):
        kind = f"the class {settings.__name__}" if isinstance(settings, type) else f"a {type(settings).__name__}"
        return f"Settings: is {kind}; it must be a frozen dataclass (decorate it with @dataclass(frozen=True))"
    try:
        get_type_hints(settings, include_extras=True)
    except Exception as error:  # an annotation may be any expression
        return f"Settings: its annotations cannot be read ({type(error).__name__}: {error})"
    for field in dataclasses.fields(settings):
        if field.name in FROM_OPTIONS:
            return f"Settings: {field.name} is the name of an option of sslbench; rename this field"
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            return f"Settings: {field.name} has no default; every setting needs one"
    settings()
    return None


def _functions_problem(cls: type[Method]) -> str | None:
    if cls.needs.training:
        for key in ("views", "forward"):
            if getattr(getattr(cls, key), "__func__", getattr(cls, key)) is getattr(
                Method.__dict__[key], "__func__", Method.__dict__[key]
            ):
                return f"{key}: is missing; a method that is trained implements {key}{_signature(key)}"
    for key, arguments in ARGUMENTS.items():
        function = getattr(cls, key, None)
        if not callable(function):
            return f"{key}: is no function; it must be {key}{_signature(key)}"
        try:
            inspect.signature(function).bind(*arguments)
        except TypeError:
            classmethod_ = "a classmethod " if arguments[0] != "self" else ""
            return f"{key}: cannot be called as {classmethod_}{key}({', '.join(arguments)})"
        except ValueError:  # no signature is known
            continue
    return None


def _signature(key: str) -> str:
    return f"({', '.join(ARGUMENTS[key])})"


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value has the type that a field of ``Recipe`` or ``Needs`` declares; numbers must be finite."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in inner)
    if origin is tuple:
        return isinstance(value, tuple) and len(value) == len(inner) and all(map(_fits, value, inner))
    if inner:
        return any(_fits(value, kind) for kind in inner)
    if hint in (int, float):
        kinds = int | float if hint is float else int
        return isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, hint)


def _name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)

"""Ranges of a protocol's constants, declared as the types of its fields, and their check; imports no torch."""

import math
import operator
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Interval, Le, Lt, MinLen

Count = Annotated[int, Interval(ge=1, le=1_000_000)]
Whole = Annotated[int, Interval(ge=0, le=1_000_000)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Interval(ge=0, le=1)]

_BOUNDS = (
    (Ge, "ge", operator.ge, "at least"),
    (Gt, "gt", operator.gt, "above"),
    (Le, "le", operator.le, "at most"),
    (Lt, "lt", operator.lt, "below"),
)


def outside(kind: type, constants: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the constants of a protocol in one line, or None.

    A field without a declared range is checked for its type only; a float must be finite. A class that is no dataclass declares nothing.

    Args:
        kind: The dataclass that the constants build.
        constants: Field -> value.
    """
    if not is_dataclass(kind):
        return None
    hints = get_type_hints(kind, include_extras=True)
    known = [field for field in fields(kind) if field.init]
    for name in constants:
        if name not in {field.name for field in known}:
            return f"{name} is no constant of {kind.__name__}; it has {', '.join(field.name for field in known)}"
    return next((problem for name, value in constants.items() for problem in _problems(name, value, hints[name])), None)


def _problems(name: str, value: Any, hint: Any) -> Iterator[str]:
    """Yield what is wrong with one value, in words that follow its name."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        found = list(_problems(name, value, inner[0]))
        yield from found or _outside_bounds(name, value, inner[1:])
    elif origin is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in inner):
            yield f"{name} is one of {', '.join(map(str, inner))}, not {value!r}"
    elif origin in (Union, types.UnionType):
        kinds = [list(_problems(name, value, kind)) for kind in inner]
        if all(kinds):
            # The first kind is the usual one, the others are like None.
            yield kinds[0][0]
    elif origin is tuple:
        if not isinstance(value, tuple):
            yield f"{name} is a tuple, not {value!r}"
        elif len(inner) == 2 and inner[1] is Ellipsis:
            for entry in value:
                yield from _problems(f"each {name}", entry, inner[0])
    elif hint is float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield f"{name} is a number, not {value!r}"
        elif not math.isfinite(value):
            yield f"{name} is a finite number, not {value!r}"
    elif isinstance(hint, type):
        if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
            yield f"{name} is {'a whole number' if hint is int else f'a {hint.__name__}'}, not {value!r}"
        elif is_dataclass(hint):
            hints = get_type_hints(hint, include_extras=True)
            for field in fields(hint):
                yield from _problems(f"{name}.{field.name}", getattr(value, field.name), hints[field.name])


def _outside_bounds(name: str, value: Any, declared: tuple[Any, ...]) -> Iterator[str]:
    for bound in (part for entry in declared for part in (entry if isinstance(entry, Interval) else (entry,))):
        if isinstance(bound, MinLen) and len(value) < bound.min_length:
            yield f"{name} has at least {bound.min_length} entries, not {value!r}"
        for kind, attribute, holds, words in _BOUNDS:
            if isinstance(bound, kind) and not holds(value, getattr(bound, attribute)):
                yield f"{name} is {words} {getattr(bound, attribute):,}, not {value!r}"

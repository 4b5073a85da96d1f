"""Check a value against a declared type and its range (``methods/ranges.py``). Pure."""

import math
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types

LARGEST_WHOLE = 2**53
"""Larger whole numbers are refused: floats no longer distinguish them."""


def fits(value: Any, expected: Any, *, exact: bool = False) -> bool:
    """Return whether a value has the declared type.

    Args:
        value: The value.
        expected: The annotation of a field.
        exact: Whether a whole number does not count as a float.
    """
    origin, inner = get_origin(expected), get_args(expected)
    if origin is Annotated:
        return fits(value, inner[0], exact=exact)
    if expected is Any:
        return True
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in inner)
    if origin in (Union, types.UnionType):
        return any(fits(value, kind, exact=exact) for kind in inner)
    if origin in (tuple, list, Sequence):
        kinds = _kinds_of_items(value, origin, inner)
        return kinds is not None and all(fits(item, kind, exact=exact) for item, kind in zip(value, kinds, strict=True))
    if expected is None or expected is type(None):
        return value is None
    if expected is float:
        return isinstance(value, float if exact else int | float) and not isinstance(value, bool)
    if expected is int:
        return isinstance(value, int) and not isinstance(value, bool)
    plain = origin or expected
    return isinstance(plain, type) and isinstance(value, plain)


def out_of_range(value: Any, expected: Any) -> str | None:
    """Return why a value of the right type is out of its range, as the end of a sentence ("must be above 0"), or None.

    Numbers that are not finite, and whole numbers above 2**53, are out of every range.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return "must be finite"
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        return f"must be at most {LARGEST_WHOLE:,}"
    if isinstance(value, str) and not value.isprintable():
        return "must have only printable characters"
    if value is None:
        return None
    origin, inner = get_origin(expected), get_args(expected)
    if origin is Annotated:
        for limit, holds in _limits(value, inner[1:]):
            if not holds:
                return f"must be {limit}"
        return out_of_range(value, inner[0])
    if origin in (Union, types.UnionType):
        reasons = [out_of_range(value, kind) for kind in inner if fits(value, kind)]
        return None if None in reasons else reasons[0]
    if isinstance(value, tuple | list):
        kinds = _kinds_of_items(value, origin, inner) or [Any] * len(value)
        reasons = [out_of_range(item, kind) for item, kind in zip(value, kinds, strict=True)]
        return next((f"is a list in which each number {reason}" for reason in reasons if reason is not None), None)
    if isinstance(value, Mapping):
        return next((reason for item in value.values() if (reason := out_of_range(item, Any)) is not None), None)
    return None


def type_name(expected: Any) -> str:
    """Return a declared type in words for a message, without its range."""
    origin, inner = get_origin(expected), get_args(expected)
    if origin is Annotated:
        return type_name(inner[0])
    if origin is Literal:
        return " or ".join(repr(choice) for choice in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(map(type_name, inner))
    if origin in (tuple, list):
        if len(inner) == 1 or (len(inner) == 2 and inner[1] is Ellipsis):
            return f"a list of {type_name(inner[0])}"
        return f"({', '.join(map(type_name, inner))})"
    if expected is type(None):
        return "none"
    return str(getattr(expected, "__name__", expected)).replace("typing.", "")


def _kinds_of_items(value: Any, origin: Any, inner: tuple[Any, ...]) -> list[Any] | None:
    """Return the expected type of each item of a list or tuple; None if it has another number of items, or is no list."""
    if not isinstance(value, tuple | list):
        return None
    if not inner:
        return [Any] * len(value)
    if origin is not tuple or (len(inner) == 2 and inner[1] is Ellipsis):
        return [inner[0]] * len(value)
    return list(inner) if len(inner) == len(value) else None


def _limits(value: Any, metadata: Sequence[Any]) -> Iterator[tuple[str, bool]]:
    """Yield each limit in words, and whether the value is within it."""
    for entry in metadata:
        if isinstance(entry, annotated_types.GroupedMetadata):
            yield from _limits(value, list(entry))
            continue
        match entry:
            case annotated_types.Gt(gt=limit):
                yield f"above {_number(limit)}", value > limit
            case annotated_types.Ge(ge=limit):
                yield f"at least {_number(limit)}", value >= limit
            case annotated_types.Lt(lt=limit):
                yield f"below {_number(limit)}", value < limit
            case annotated_types.Le(le=limit):
                yield f"at most {_number(limit)}", value <= limit
            case annotated_types.MultipleOf(multiple_of=step):
                yield f"a multiple of {_number(step)}", value % step == 0
            case annotated_types.MinLen(min_length=least):
                yield f"a list of at least {least} values", len(value) >= least
            case annotated_types.MaxLen(max_length=most):
                yield f"a list of at most {most} values", len(value) <= most
            case annotated_types.Predicate(func=holds):
                yield f"a value for which {getattr(holds, '__name__', 'its condition')} holds", bool(holds(value))


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)

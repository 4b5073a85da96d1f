"""Types of a record's fields, each with its bounds; a record from a file that is out of bounds is refused (``record_json.py``)."""

import math
from typing import Annotated, Any

from annotated_types import Ge, Le, Len, MaxLen
from pydantic import AfterValidator, Field, PlainValidator

LARGEST = 1e100
"""Largest absolute value of a finite number: sums of squares of such numbers are still finite."""
DEEPEST = 8
"""Largest depth of nested lists and objects in ``Json``."""
CURVE_POINTS = 100_000
"""Largest number of points of a curve."""
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def text_of(number: float) -> float | str:
    """Return a float, or its name in JSON if it is not finite."""
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _number(value: Any) -> float:
    if type(value) is float or type(value) is int:
        if not -LARGEST <= value <= LARGEST:
            raise ValueError(f"is not a number of at most {LARGEST:g}")
        return value
    if type(value) is str and value in _NON_FINITE:
        return _NON_FINITE[value]
    raise ValueError("is not a number")


def _numbers(value: Any) -> list[float]:
    if type(value) is not list or len(value) > CURVE_POINTS:
        raise ValueError(f"is not a list of at most {CURVE_POINTS} numbers")
    if value and set(map(type, value)) <= {int, float} and min(value) >= -LARGEST and max(value) <= LARGEST:
        return value
    return [_number(entry) for entry in value]


def _json(value: Any, depth: int = 0) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"is nested more than {DEEPEST} levels deep")
    if type(value) is dict:
        return {_key(key): _json(entry, depth + 1) for key, entry in value.items()}
    if type(value) is list:
        return [_json(entry, depth + 1) for entry in value]
    if type(value) is str and len(value) > _LONGEST_TEXT:
        raise ValueError(f"has a text of more than {_LONGEST_TEXT} characters")
    if type(value) is str:
        return _NON_FINITE.get(value, value)
    return value if value is None or type(value) is bool else _number(value)


def _key(key: str) -> str:
    if len(key) > _LONGEST_NAME or not key.isprintable():
        raise ValueError(f"has a key that is not printable or has more than {_LONGEST_NAME} characters")
    return key


def _object(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise ValueError("is not an object")
    converted: dict[str, Any] = _json(value)
    return converted


def _finite(value: Any) -> Any:
    entries = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("has a number that is not finite")
    for entry in entries:
        _finite(entry)
    return value


_LONGEST_NAME = 255
_LONGEST_TEXT = 10_000

_PRINTABLE = r"^[^\p{C}\p{Zl}\p{Zp}]*$"
"""No control, formatting or unassigned characters, and no line breaks."""

Name = Annotated[str, Len(1, _LONGEST_NAME), Field(pattern=_PRINTABLE)]
"""A name without control characters."""
Text = Annotated[str, MaxLen(_LONGEST_TEXT)]
Hash = Annotated[str, Len(1, 128), Field(pattern="^[0-9A-Za-z]*$")]
Version = Annotated[int, Ge(0), Le(1_000_000)]
Epochs = Annotated[int, Ge(0), Le(1_000_000)]
Count = Annotated[int, Ge(0), Le(1_000_000_000)]
"""A number of images."""
Trials = Annotated[int, Ge(1), Le(10_000)]
Parameters = Annotated[int, Ge(0), Le(10**15)]
Seed = Annotated[int, Ge(0), Le(2**63 - 1)]
Classes = Annotated[int, Ge(2), Le(1_000_000)]
Share = Annotated[float, Ge(0), Le(1)]
Amount = Annotated[float, Ge(0), Le(1e15)]
"""Seconds, megabytes or images per second."""
Number = Annotated[float, Ge(-LARGEST), Le(LARGEST)] | Annotated[float, PlainValidator(_number)]
"""A float that may be NaN or infinite; in JSON these are texts."""
Curve = Annotated[list[float], PlainValidator(_numbers)]
Json = Annotated[dict[str, Any], PlainValidator(_object)]
"""An object of plain JSON values."""
FiniteJson = Annotated[dict[str, Any], PlainValidator(_object), AfterValidator(_finite)]

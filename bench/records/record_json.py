"""The JSON form of a record: human-readable, and validated when read."""

import base64
import json
import math
import types
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from bench.errors import SslbenchError
from bench.records.record import SCHEMA_VERSION, Cost, DataFacts, Identity, Measurement, Record


class UnreadableRecord(SslbenchError):
    """A text is not a valid record; the message says why in one line, without the file's name."""


_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_json(record: Record) -> str:
    """Return the JSON text of a record, human-readable, with a final newline.

    JSON has no NaN: a float that is not finite is written as the string ``"NaN"``, ``"Infinity"`` or ``"-Infinity"``. Tuples
    become lists. Raises TypeError for a value that JSON cannot represent.
    """
    return _text(_plain(record), "") + "\n"


def from_json(text: str) -> Record:
    """Return the record that ``to_json`` wrote.

    Raises:
        UnreadableRecord: The text is truncated, is not a record, or was written by a newer sslbench.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UnreadableRecord(f"not valid JSON ({error})") from None
    except RecursionError:
        raise UnreadableRecord("JSON is nested too deeply") from None
    if not isinstance(data, dict) or not {"schema_version", "identity", "status"} <= data.keys():
        raise UnreadableRecord("not a record of sslbench")
    version = data["schema_version"]
    if type(version) is int and version > SCHEMA_VERSION:
        raise UnreadableRecord(
            f"written by a newer sslbench (schema version {version}; this one reads {SCHEMA_VERSION})"
        )
    if type(version) is not int or version < 1:
        raise UnreadableRecord(f"unknown schema version ({version!r}; this sslbench reads 1 to {SCHEMA_VERSION})")
    record = _reader(Record)(data, "record")
    assert isinstance(record, Record)
    return record


def _plain(value: Any) -> Any:
    if isinstance(value, Record | Identity | Measurement | Cost | DataFacts):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"keys in a record must be strings: {value!r}")
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _text(value: Any, indent: str) -> str:
    """Write objects with one entry per line, and lists of plain values on one line."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        entries = (f"{inner}{json.dumps(key)}: {_text(entry, inner)}" for key, entry in value.items())
        return "{\n" + ",\n".join(entries) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(entry, dict | list) for entry in value):
        return "[\n" + ",\n".join(inner + json.dumps(entry, allow_nan=False) for entry in value) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False)


Reader = Callable[[Any, str], Any]
"""From a JSON value and its position in the record (for messages) to the Python value."""


def _number(value: Any, where: str) -> float:
    if type(value) is float or type(value) is int:
        return value
    if type(value) is str and value in _NON_FINITE:
        return _NON_FINITE[value]
    raise UnreadableRecord(f"{where} is not a number")


def _anything(value: Any, where: str) -> Any:
    if type(value) is str:
        return _NON_FINITE.get(value, value)
    if type(value) is dict:
        return {key: _anything(entry, where) for key, entry in value.items()}
    if type(value) is list:
        return [_anything(entry, where) for entry in value]
    return value


def _numbers(value: Any, where: str) -> list[float]:
    if type(value) is not list:
        raise UnreadableRecord(f"{where} is not a list")
    return [entry if type(entry) is float else _number(entry, where) for entry in value]


@cache
def _reader(form: Any) -> Reader:
    """Return the function that validates plain JSON and converts it to ``form``, a dataclass or the annotation of a field."""
    origin, arguments = get_origin(form), get_args(form)
    if form is Any:
        return _anything
    if form is float:
        return _number
    if form == list[float]:
        return _numbers
    if origin is Literal:
        return _one_of(arguments)
    if origin in (Union, types.UnionType):
        inner = _reader(next(a for a in arguments if a is not type(None)))
        return lambda value, where: None if value is None else inner(value, where)
    if origin is list:
        return _list_of(_reader(arguments[0]))
    if origin is dict:
        return _dict_of(_reader(arguments[1]))
    if form in (Record, Identity, Measurement, Cost, DataFacts):
        return _object(form)
    return _exactly(form)


def _one_of(choices: tuple[Any, ...]) -> Reader:
    def read(value: Any, where: str) -> Any:
        if value not in choices:
            raise UnreadableRecord(f"{where} is {value!r}, not one of {', '.join(choices)}")
        return value

    return read


def _list_of(entry: Reader) -> Reader:
    def read(value: Any, where: str) -> Any:
        if type(value) is not list:
            raise UnreadableRecord(f"{where} is not a list")
        return [entry(v, where) for v in value]

    return read


def _dict_of(entry: Reader) -> Reader:
    def read(value: Any, where: str) -> Any:
        if type(value) is not dict:
            raise UnreadableRecord(f"{where} is not an object")
        return {key: entry(v, f"{where}.{key}") for key, v in value.items()}

    return read


def _exactly(form: type) -> Reader:
    def read(value: Any, where: str) -> Any:
        if type(value) is not form:
            raise UnreadableRecord(f"{where} is {value!r}, not {form.__name__}")
        return value

    return read


def _object(form: Any) -> Reader:
    hints = get_type_hints(form)
    entries = {f.name: _reader(hints[f.name]) for f in fields(form)}

    def read(value: Any, where: str) -> Any:
        if type(value) is not dict:
            raise UnreadableRecord(f"{where} is not an object")
        if unknown := value.keys() - entries.keys():
            raise UnreadableRecord(f"{where} has an unknown entry {min(unknown)!r}")
        try:
            found = form(**{key: entries[key](v, f"{where}.{key}") for key, v in value.items()})
        except TypeError as error:
            raise UnreadableRecord(f"{where} is incomplete ({error})") from None
        if isinstance(found, Measurement):
            _check_answers(found, where)
        return found

    return read


def _check_answers(measurement: Measurement, where: str) -> None:
    """Refuse answers that are not base64, or not one bit per image."""
    needed = (measurement.images + 7) // 8
    for draw in measurement.correct:
        try:
            length = len(base64.b64decode(draw, validate=True))
        except ValueError:
            raise UnreadableRecord(f"{where}.correct is not base64") from None
        if length != needed:
            raise UnreadableRecord(f"{where}.correct has {length} bytes, {measurement.images} images need {needed}")

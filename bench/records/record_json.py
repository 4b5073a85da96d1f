"""The JSON form of a record: human-readable, and validated when read."""

import json
from dataclasses import fields
from functools import cache
from typing import Any

import pydantic_core
from pydantic import TypeAdapter, ValidationError

from bench.errors import SslbenchError
from bench.records.consistency import disagreement, disagreement_within
from bench.records.fields import text_of
from bench.records.record import SCHEMA_VERSION, Cost, DataFacts, Identity, Measurement, Record, Transfer

_SHOWN = 200
"""Largest number of characters of a value of a file in a message."""


class UnreadableRecord(SslbenchError):
    """A text is not a valid record; the message says why in one line, without the file's name."""


def to_json(record: Record) -> str:
    """Return the JSON text of a record, human-readable, with a final newline.

    JSON has no NaN: a float that is not finite is written as the string ``"NaN"``, ``"Infinity"`` or ``"-Infinity"``. Tuples
    become lists. Raises TypeError for a value that JSON cannot represent.
    """
    return _text(_plain(record), "") + "\n"


def from_json(text: str | bytes) -> Record:
    """Return the record that ``to_json`` wrote.

    Raises:
        UnreadableRecord: The text is truncated, is not a record, contradicts itself, or was written by a newer sslbench.
    """
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    try:
        found = pydantic_core.from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise UnreadableRecord(f"not valid JSON ({_shown(str(error))})") from None
    if not isinstance(found, dict) or not {"schema_version", "identity", "status"} <= found.keys():
        raise UnreadableRecord("not a record of sslbench")
    version = found["schema_version"]
    if type(version) is int and version > SCHEMA_VERSION:
        raise UnreadableRecord(
            f"written by a newer sslbench (schema version {_shown(version)}; this one reads {SCHEMA_VERSION})"
        )
    if type(version) is not int or version < 1:
        raise UnreadableRecord(f"unknown schema version ({_shown(version)}; this sslbench reads 1 to {SCHEMA_VERSION})")
    try:
        record = _validator().validate_json(data)
    except ValidationError as error:
        raise UnreadableRecord(_reason(error)) from None
    if (reason := disagreement(record)) is not None:
        raise UnreadableRecord(_printable(reason))
    return record


def check(measurement: Measurement) -> None:
    """Check that a measurement can be recorded.

    Raises:
        UnreadableRecord: It could not be read back, because a value is out of bounds or its parts contradict each other.
    """
    try:
        text = json.dumps(_plain(measurement), allow_nan=False)
        found = _measurement_validator().validate_json(text)
    except ValidationError as error:
        raise UnreadableRecord(_reason(error)) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise UnreadableRecord(_shown(str(error))) from None
    if (reason := disagreement_within(found)) is not None:
        raise UnreadableRecord(_printable(reason))


@cache
def _validator() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


@cache
def _measurement_validator() -> TypeAdapter[Measurement]:
    return TypeAdapter(Measurement)


def _reason(error: ValidationError) -> str:
    """Return the first thing that is wrong, in one line: where, what, and the value."""
    first = error.errors(include_url=False, include_context=False)[0]
    *outer, last = [_printable(str(part)) for part in first["loc"]] or ["record"]
    parent, where = ".".join(outer) or "record", ".".join([*outer, last])
    match first["type"]:
        case "missing":
            return f"{parent} is incomplete ({last} is missing)"
        case "unexpected_keyword_argument":
            return f"{parent} has an unknown entry {last!r}"
        case "dataclass_type":
            return f"{where} is not an object"
        case "value_error":
            return f"{where} {first['msg'].removeprefix('Value error, ')}"
    return f"{where} is {_shown(first['input'])}: {first['msg'][:1].lower()}{first['msg'][1:]}"


def _shown(value: Any) -> str:
    """Return a value of a file for a message: short, in one line and without control characters."""
    if type(value) is int and abs(value) > 10**_SHOWN:
        return f"a number of more than {_SHOWN} digits"
    text = repr(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return _printable(text)


def _printable(text: str) -> str:
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _plain(value: Any) -> Any:
    if isinstance(value, Record | Identity | Measurement | Transfer | Cost | DataFacts):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"keys in a record must be strings: {value!r}")
        return {_without_surrogates(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return text_of(value)
    return _without_surrogates(value) if isinstance(value, str) else value


def _without_surrogates(text: str) -> str:
    """Return a text in which halves of surrogate pairs, as in names of files that are not UTF-8, are written as escapes."""
    return text.encode(errors="backslashreplace").decode()


def _text(value: Any, indent: str) -> str:
    """Write objects with one entry per line, and lists of plain values on one line."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        entries = (f"{inner}{json.dumps(key)}: {_text(entry, inner)}" for key, entry in value.items())
        return "{\n" + ",\n".join(entries) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(entry, dict | list) for entry in value):
        return "[\n" + ",\n".join(inner + json.dumps(entry, allow_nan=False) for entry in value) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False)

"""``ID@CONSTANT=VALUE,…``: a protocol with changed constants, for a search over hyper-parameters; imports no torch."""

import ast
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from protocols.entry import Entry

SIGN = "@"
LONGEST_ID = 500
"""Largest number of characters of an id."""
FIXED = ("labels", "draws", "total_labels", "unlabelled", "figure")
"""Constants that cannot be changed: the id itself gives them, or variants would not be comparable."""


def variant_id(id: str, changes: Mapping[str, Any]) -> str:
    """Return the id of a protocol with changed constants; changes are added to those that the id already has.

    Args:
        id: The protocol's id.
        changes: Constant -> value; ``training.steps`` is a field of the constant ``training``.
    """
    base, _, earlier = id.partition(SIGN)
    known = dict(pair.split("=", 1) for pair in earlier.split(",") if pair)
    known |= {name: value if isinstance(value, str) else repr(value) for name, value in changes.items()}
    return f"{base}{SIGN}{','.join(f'{name}={value}' for name, value in sorted(known.items()))}" if known else base


def variant(base: Entry, id: str) -> Entry:
    """Return a protocol with the changes that an id names.

    Args:
        base: The protocol whose id comes before the sign.
        id: The whole id.

    Raises:
        ValueError: A change cannot be read, names an unknown constant, or has a value of another type.
    """
    if len(id) > LONGEST_ID:
        raise ValueError(f"protocol '{base.id}': an id has at most {LONGEST_ID} characters, not {len(id):,}")
    constants = dict(base.constants)
    changed: set[str] = set()
    for pair in id.partition(SIGN)[2].split(","):
        name, equals, text = pair.partition("=")
        if not equals:
            raise ValueError(f"protocol '{id}': write {base.id}{SIGN}CONSTANT=VALUE, for example training.steps=400")
        outer, _, inner = name.partition(".")
        known = _names(base)
        if name not in known:
            raise ValueError(
                f"protocol '{id}': {base.id} has no constant '{name}' to change; it has {', '.join(known)}"
            )
        if name in changed:
            raise ValueError(f"protocol '{id}': {name} is given twice")
        changed.add(name)
        before = getattr(constants[outer], inner) if inner else constants[outer]
        value = _typed(id, name, text, before)
        try:
            constants[outer] = replace(constants[outer], **{inner: value}) if inner else value
        except ValueError as error:
            raise ValueError(f"protocol '{id}': {error}") from None
    return replace(base, id=id, title=f"{base.title}, {id.partition(SIGN)[2]}", constants=constants)


def _names(base: Entry) -> list[str]:
    names = []
    for name, value in base.constants.items():
        if is_dataclass(value) and not isinstance(value, type):
            names += [f"{name}.{field.name}" for field in fields(value)]
        elif name not in FIXED:
            names.append(name)
    return names


def _typed(id: str, name: str, text: str, before: Any) -> Any:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = text
    if isinstance(before, float) and type(value) is int and abs(value) < 2**53:
        value = float(value)
    if type(value) is not type(before):
        raise ValueError(f"protocol '{id}': {name} takes a value like {before!r}, not {text!r}")
    return value

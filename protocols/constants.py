"""Checks the constants of a protocol before anything is computed."""

from protocols.entry import Entry, class_of
from protocols.ranges import outside


def check_constants(entry: Entry) -> None:
    """Check names, types and declared ranges of a protocol's constants.

    Raises:
        ValueError: A constant makes no sense; one line that names the protocol and what is possible.
    """
    kind = class_of(entry)
    if (problem := outside(kind, entry.constants)) is not None:
        raise ValueError(f"protocol '{entry.id}': {problem}")
    try:
        kind(**entry.constants)
    except (TypeError, ValueError) as error:
        raise ValueError(f"protocol '{entry.id}': {error}") from error

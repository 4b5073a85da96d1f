"""Answers to a name that is not known: the nearest one that is."""

from collections.abc import Iterable
from difflib import get_close_matches

from bench.errors import SslbenchError

CUTOFF = 0.5
"""Least similarity of a name that is worth asking for."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like ``name``, or None where none is like it."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=CUTOFF)), None)


def unknown(kind: str, name: str, known: Iterable[str], more: str | None = None) -> SslbenchError:
    """Return the error for an unknown name: the nearest known one, else all of them in their order.

    Args:
        kind: What the name is of.
        name: What the user wrote.
        known: The names that there are.
        more: What else to say, in brackets.
    """
    known = list(known)
    close = nearest(name, known)
    hint = f"did you mean '{close}'?" if close else f"known: {', '.join(known)}"
    return SslbenchError(f"unknown {kind} {name!r}: {hint}" + (f" ({more})" if more else ""))

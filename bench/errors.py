"""Exceptions of the harness, and how a command line reports them."""

import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches

CUTOFF = 0.5
"""Least similarity (difflib's ratio) at which a name is suggested."""


class SslbenchError(Exception):
    """Bad input or a bad environment, in one line; the command line prints it and exits with code 2.

    Raised within a run it costs that run alone, unless it is a ``StorageError``.
    """


class StorageError(SslbenchError):
    """A file cannot be read or written: no other run could escape it."""


class Diverged(Exception):
    """A loss or the features became NaN or infinite."""


class Stopped(Exception):
    """The user asked to stop; what must be kept is written."""


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


def answer(commands: Callable[[], object]) -> None:
    """Run a command line; a user's mistake is one line on the error stream and exit code 2."""
    try:
        commands()
    except SslbenchError as error:
        print(f"sslbench: {error}", file=sys.stderr)
        raise SystemExit(2) from None

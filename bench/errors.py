"""Exceptions of sslbench, messages for unknown names, and how a command line reports errors."""

import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches

CUTOFF = 0.5
"""Smallest similarity (difflib's ratio) at which a name is suggested."""


class SslbenchError(Exception):
    """Invalid input or environment; the message is one line, which the command line prints before it exits with code 2.

    Raised within a run, it fails only that run, unless it is a ``StorageError``.
    """


class StorageError(SslbenchError):
    """The results folder cannot be written; the other runs would fail as well, so all of them stop."""


class DamagedFile(SslbenchError):
    """A stored encoder or checkpoint is damaged or has another form; only its own run cannot use it."""


class Diverged(Exception):
    """A loss or the features became NaN or infinite."""


class Stopped(Exception):
    """The user asked to stop; everything needed to continue is already written."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar to ``name``, or None if none is similar."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=CUTOFF)), None)


def unknown(kind: str, name: str, known: Iterable[str], more: str | None = None) -> SslbenchError:
    """Return the error for an unknown name: it suggests the nearest known name, or else lists all of them in their order.

    Args:
        kind: What the name refers to, for example ``method``.
        name: What the user wrote.
        known: The existing names.
        more: Further information, printed in brackets.
    """
    known = list(known)
    close = nearest(name, known)
    hint = f"did you mean '{close}'?" if close else f"known: {', '.join(known)}"
    return SslbenchError(f"unknown {kind} {name!r}: {hint}" + (f" ({more})" if more else ""))


def run_cli(app: Callable[[], object]) -> None:
    """Run a command-line app; an ``SslbenchError`` becomes one line on the error stream and exit code 2."""
    try:
        app()
    except SslbenchError as error:
        print(f"sslbench: {error}", file=sys.stderr)
        raise SystemExit(2) from None

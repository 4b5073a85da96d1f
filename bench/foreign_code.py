"""Code of plugins: whatever it raises becomes one line with its file and line number."""

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from bench.errors import Diverged, SslbenchError, Stopped

LONGEST = 300
"""Characters of an error's text that a message repeats."""
OWN = ("bench", "methods", "protocols")
"""Packages of sslbench."""


@contextmanager
def blamed_on(what: str) -> Iterator[None]:
    """Turn any exception within the block into an SslbenchError that starts with ``what``; only Ctrl-C passes.

    ``sys.exit`` counts as an error as well. ``os._exit`` ends the process and cannot be caught.

    Args:
        what: Whose code it is, for example ``plugin my_method.py``.

    Raises:
        SslbenchError: One line: ``what``, file and line, type and text of the exception.
    """
    try:
        yield
    except (SslbenchError, Diverged, Stopped, KeyboardInterrupt):
        raise
    except BaseException as error:
        place = place_of(error)
        raise SslbenchError(f"{what}: {f'{place}: ' if place else ''}{described(error)}") from error


def described(error: BaseException) -> str:
    """Return an exception as one line: its type, and the first line of its text if it has one."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # an exception class of a plugin may be broken itself
        lines = []
    if isinstance(error, SyntaxError) and error.msg:
        lines = [error.msg]
    text = lines[0][:LONGEST] if lines else ""
    if isinstance(error, SystemExit):
        return f"SystemExit: {text or 'None'} (code of a plugin must not end the process)"
    return f"{type(error).__name__}: {text}" if text else f"{type(error).__name__} without a message"


def place_of(error: BaseException) -> str | None:
    """Return ``FILE, line N`` of the innermost line outside of sslbench and installed packages; None if there is none."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{Path(error.filename).name}, line {error.lineno}"
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = [(file, line) for file, line in places if _is_foreign(file)]
    return f"{Path(own[-1][0]).name}, line {own[-1][1]}" if own else None


def _is_foreign(file: str) -> bool:
    return not file.startswith("<") and not any(Path(file).is_relative_to(folder) for folder in installed_folders())


@cache
def installed_folders() -> tuple[Path, ...]:
    """Return the folders of Python's library, of installed packages and of sslbench."""
    folders = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    root = Path(__file__).parents[1]
    return tuple(sorted({*folders, *(folder.resolve() for folder in folders), *(root / package for package in OWN)}))

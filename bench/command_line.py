"""How every command line of the project answers to a user's mistake."""

import sys
from collections.abc import Callable

from bench.errors import SslbenchError


def answer(commands: Callable[[], object]) -> None:
    """Run a command line; a user's mistake is one line on the error stream and exit code 2."""
    try:
        commands()
    except SslbenchError as error:
        print(f"sslbench: {error}", file=sys.stderr)
        raise SystemExit(2) from None

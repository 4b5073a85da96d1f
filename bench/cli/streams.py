"""Standard output and error: usable if they are closed, full, or cannot show every character."""

import codecs
import contextlib
import os
import sys

PLAIN = {
    "–": "-",
    "—": "-",
    "−": "-",
    "×": "x",
    "±": "+-",
    "…": "...",
    "·": ".",
    "†": "+",
    "‡": "++",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "λ": "lambda",
    "√": "sqrt",
    "’": "'",
}
"""What is written instead of a character that the output's encoding does not have; others become escapes such as ``\\u4e2d``."""


def prepare() -> None:
    """Make standard output and error usable: closed ones are replaced, and no character is an error."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is used; otherwise a file that is opened later would get it, and receive what is printed.
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    codecs.register_error("sslbench", _replaced)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="sslbench")  # type: ignore[union-attr]


def discard_output() -> None:
    """Write what is still buffered for standard output to nowhere, so that the interpreter does not fail again when it ends."""
    with contextlib.suppress(AttributeError, ValueError, OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    plain = (PLAIN.get(character) or character.encode("unicode_escape").decode("ascii") for character in text)
    return "".join(plain), error.end

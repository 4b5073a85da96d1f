"""The program: its commands, and the one place where errors are printed."""

import errno
import os
import re
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from bench.cli import streams
from bench.cli.check import check
from bench.cli.compare import compare
from bench.cli.doctor import doctor
from bench.cli.drop import drop
from bench.cli.embed import embed
from bench.cli.export import export
from bench.cli.inspect import inspect
from bench.cli.label_free import label_free
from bench.cli.leaderboard import leaderboard
from bench.cli.list import list_
from bench.cli.old_spellings import translated
from bench.cli.report import report
from bench.cli.run import run
from bench.cli.show import show
from bench.cli.study import study
from bench.cli.tune import tune
from bench.errors import SslbenchError
from bench.printable import printable

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""Base class of typer's errors about arguments (click's ``UsageError``, which typer does not export)."""
OUTPUT_ERRORS = (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EDQUOT, errno.EFBIG)
"""Errors of the system that mean, if no file is named, that standard output cannot be written."""
NUMBERS = ("COLUMNS", "LINES", "TERMINAL_WIDTH")
"""Environment variables that rich and typer read as numbers."""

app = typer.Typer(
    name="sslbench",
    help="Measure self-supervised methods on images under fixed protocols, and draw an honest leaderboard.",
    pretty_exceptions_enable=False,
)
for command in (
    run,
    leaderboard,
    compare,
    label_free,
    report,
    study,
    tune,
    show,
    drop,
    export,
    embed,
    inspect,
    check,
    doctor,
):
    app.command()(command)
app.command("list")(list_)


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            number = version("sslbench")
        except PackageNotFoundError:
            number = "(not installed as a package)"
        typer.echo(f"sslbench {number}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Measure self-supervised methods on images under fixed protocols, and draw an honest leaderboard."""


def run_program(arguments: Sequence[str]) -> int:
    """Run ``sslbench`` and return its exit code; an error becomes one line on the error stream and code 2.

    Args:
        arguments: The arguments after the program's name; without any, the help is shown.
    """
    streams.prepare()
    try:
        _check(arguments)
        result = app(translated(arguments) or ["--help"], prog_name="sslbench", standalone_mode=False)
        sys.stdout.flush()
    except SslbenchError as error:
        return _failed(str(error))
    except USAGE_ERROR as error:
        return _failed(_usage(error))
    except OSError as error:
        return _failed_by_system(error)
    return result if isinstance(result, int) else 0


def _check(arguments: Sequence[str]) -> None:
    """Refuse arguments and environment variables that later code cannot use.

    Raises:
        SslbenchError: An argument is not valid text, or an environment variable that must be a number is none.
    """
    for argument in arguments:
        if "\0" in argument or not _is_unicode(argument):
            encoding = sys.getfilesystemencoding()
            raise SslbenchError(
                f"argument {argument}: has characters that are not valid in {encoding}; rename the file"
            )
    for name in NUMBERS:
        value = os.environ.get(name, "")
        if not re.fullmatch(r"[0-9]{0,5}", value):
            raise SslbenchError(f"{name}={value}: must be a number of characters; correct or unset this variable")
        if value and int(value) < 1:
            del os.environ[name]  # several terminals set 0 if they do not know their size


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _usage(error: BaseException) -> str:
    message = " ".join(str(getattr(error, "format_message", error.__str__)()).split()).removesuffix(".")
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "sslbench")
    return f"{message} (`{path} --help` lists what it takes)"


def _failed(message: str) -> int:
    print(f"sslbench: {printable(message)}", file=sys.stderr)
    return 2


def _failed_by_system(error: OSError) -> int:
    """Report an error of the system: a closed pipe (``| head``) silently with code 1, any other in one line."""
    if error.errno == errno.EPIPE:
        streams.discard_output()
        return 1
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is None and error.errno in OUTPUT_ERRORS:
        streams.discard_output()
        return _failed(f"cannot write the output: {reason}")
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return _failed(f"{where}{reason}; check the path and its permissions")

"""What several commands share: options, the console, and exit codes."""

import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from bench.cli import completion
from bench.errors import SslbenchError
from bench.printable import printable
from bench.training.options import EngineName

if TYPE_CHECKING:
    from rich.console import Console

    from bench.records.store import Problem
    from bench.training.options import RunOptions

WHAT = "What to run"
DATA = "Data"
TRAINED = "Training"
CARRIED_OUT = "Execution"

_RESULTS = "Folder of records, encoders and leaderboards."
_PLUGIN = "A Python file or module with a method or a protocol; may be repeated."
_DATA_ROOT = "Folder with data sets that are downloaded already."

Results = Annotated[Path, typer.Option(help=_RESULTS)]
Plugins = Annotated[list[str] | None, typer.Option("--plugin", help=_PLUGIN)]
DataRoot = Annotated[Path | None, typer.Option(envvar="SSLBENCH_DATA", help=_DATA_ROOT)]

# Options of `run`, `study` and `tune`, whose help shows them in groups.
RunResults = Annotated[Path, typer.Option(help=_RESULTS, rich_help_panel=CARRIED_OUT)]
RunPlugins = Annotated[list[str] | None, typer.Option("--plugin", help=_PLUGIN, rich_help_panel=WHAT)]
RunDataRoot = Annotated[Path | None, typer.Option(envvar="SSLBENCH_DATA", help=_DATA_ROOT, rich_help_panel=DATA)]
# Options of `run` and `tune`.
Dataset = Annotated[
    str,
    typer.Option(
        autocompletion=completion.datasets,
        help="Name of a data set, or your own images: folder:PATH, csv:FILE, npz:FILE, wds:PATH, hf:NAME, torchvision:NAME.",
        rich_help_panel=DATA,
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        min=8,
        max=1024,
        help="Size in pixels to which the images of a folder are resized; 96 by default.",
        rich_help_panel=DATA,
    ),
]
NoFlip = Annotated[
    bool,
    typer.Option(
        "--no-flip",
        help="Images of this folder must not be mirrored, because a mirrored image would belong to another class.",
        rich_help_panel=DATA,
    ),
]
Budget = Annotated[
    str,
    typer.Option(
        autocompletion=completion.budgets,
        help="smoke, quick, standard, long, or a number of epochs such as 100ep.",
        rich_help_panel=TRAINED,
    ),
]
Backbone = Annotated[
    str | None,
    typer.Option(
        autocompletion=completion.backbones,
        help="The backbone; each data set has a default.",
        rich_help_panel=TRAINED,
    ),
]

# Options of `run`, `study` and `tune`.
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel=CARRIED_OUT)]
Devices = Annotated[
    str,
    typer.Option(
        metavar="N",
        help="Number of devices that train each run together: auto (one) or a number. They are GPUs, or processes on a CPU. The "
        "numbers are those of one device but for rounding.",
        rich_help_panel=CARRIED_OUT,
    ),
]
Jobs = Annotated[
    str,
    typer.Option(
        help="Number of runs at the same time: auto or a number, at most 8 per core. It does not change the results.",
        rich_help_panel=CARRIED_OUT,
    ),
]
Engine = Annotated[
    EngineName,
    typer.Option(
        help="local: this machine. ray: a Ray cluster whose machines all see the results folder (pip install 'sslbench[ray]'). "
        "The results are the same.",
        rich_help_panel=CARRIED_OUT,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="With --engine ray: auto (the cluster of this machine), HOST:PORT or ray://HOST:PORT. Without it: RAY_ADDRESS if set, "
        "else Ray is started on this machine.",
        rich_help_panel=CARRIED_OUT,
    ),
]
DevicesPerRun = Annotated[
    float | None,
    typer.Option(
        metavar="NUMBER",
        help="With --engine ray: GPUs of each run, 0.25: four runs share one; 2: two train each run together. 1 by default.",
        rich_help_panel=CARRIED_OUT,
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Repeat runs that are already recorded.", rich_help_panel=CARRIED_OUT)
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Print the plan with recipes, protocols and an estimate of the time, and stop; nothing is downloaded or written.",
        rich_help_panel=CARRIED_OUT,
    ),
]
RunName = Annotated[
    str,
    typer.Argument(
        autocompletion=completion.runs,
        help="A record's path, or dataset/backbone/budget/method/seed-0, or a unique part of this name.",
    ),
]


def number_of_devices(text: str) -> int:
    """Return the number that ``--devices`` gives; raises SslbenchError if it is neither ``auto`` nor a positive integer."""
    if not re.fullmatch(r"auto|0*[1-9][0-9]{0,3}", text):
        raise SslbenchError(f"--devices {text}: must be auto or a positive integer")
    return 1 if text == "auto" else int(text)


def with_environment(options: "RunOptions") -> "RunOptions":
    """Return the options with the checkpoint interval of ``SSLBENCH_CHECKPOINT_SECONDS``, if that is set.

    Raises:
        SslbenchError: It is not a number of seconds.
    """
    text = os.environ.get("SSLBENCH_CHECKPOINT_SECONDS")
    if text is None:
        return options
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise SslbenchError(f"SSLBENCH_CHECKPOINT_SECONDS={text}: must be a number of seconds")
    return replace(options, checkpoint_seconds=seconds)


def with_engine(
    options: "RunOptions", engine: EngineName, address: str | None, devices_per_run: float | None
) -> "RunOptions":
    """Return the options with the engine that carries out the runs.

    Raises:
        SslbenchError: An option of Ray is given without ``--engine ray``.
    """
    if engine != "ray":
        for name, value in (("--address", address), ("--devices-per-run", devices_per_run)):
            if value is not None:
                raise SslbenchError(f"{name} {value}: is an option of Ray; add --engine ray, or remove it")
    return replace(options, engine=engine, address=address, devices_per_run=devices_per_run)


def console() -> "Console":
    """Return the console: as wide as the terminal; without a terminal ``COLUMNS`` characters, or 160 by default.

    The program has checked that ``COLUMNS`` is a number.
    """
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS") or 160))


def load_plugins(plugins: Sequence[str] | None) -> None:
    """Load the protocols of installed packages, and the user's plugins."""
    from bench.registry.plugins import load_installed_protocols, load_plugin

    load_installed_protocols()
    for plugin in plugins or ():
        load_plugin(plugin)


def report_problems(problems: "Iterable[Problem]") -> None:
    """Print to the error stream each file of a results folder that was skipped."""
    for problem in problems:
        print(f"sslbench: {printable(str(problem))}", file=sys.stderr)


def end(work: Callable[[], Sequence[object]]) -> NoReturn:
    """Call ``work``, which returns the failed runs, and exit.

    Exit codes: 0; 1 if runs failed; 130 if the user stopped the command.
    """
    try:
        failed = work()
    except KeyboardInterrupt:
        print("sslbench: stopped; run the same command again to continue", file=sys.stderr)
        raise typer.Exit(130) from None
    raise typer.Exit(1 if failed else 0)

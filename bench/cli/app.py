"""The command line: parse, call, print."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench.errors import SslbenchError, answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from rich.console import Console

    from bench.records.store import Problem

app = typer.Typer(
    name="sslbench",
    help="Measure self-supervised methods on images under fixed protocols, and draw an honest leaderboard.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DATA_ROOT = Annotated[
    Path | None, typer.Option(envvar="SSLBENCH_DATA", help="Folder where downloaded data sets lie already.")
]
RESULTS = Annotated[Path, typer.Option(help="Folder of records, encoders and leaderboards.")]
PLUGIN = Annotated[
    list[str] | None, typer.Option(help="A Python file or module that brings a method or a protocol; may be repeated.")
]


STUDY_TAKES = (
    "study", "dataset", "budget", "backbone", "seeds", "device", "jobs", "results", "data_root", "force", "dry_run",
)  # fmt: skip
"""What else may be said beside ``run --study``: the rest stands in the study's file."""


@app.command()
def run(
    context: typer.Context,
    methods: Annotated[
        list[str] | None, typer.Argument(help="Methods to run; `sslbench list methods` names them.")
    ] = None,
    all_methods: Annotated[bool, typer.Option("--all", help="Run every method that the backbone can carry.")] = False,
    study: Annotated[
        str | None,
        typer.Option(help="Repeat a published comparison: a name of `sslbench list studies`, or a TOML file of yours."),
    ] = None,
    dataset: Annotated[
        str, typer.Option(help="A data set's name, or folder:PATH for a directory or zip of images.")
    ] = "digits",
    budget: Annotated[
        str, typer.Option(help="smoke, quick, standard, long, or a number of epochs such as 100ep.")
    ] = "standard",
    backbone: Annotated[str | None, typer.Option(help="The backbone; each data set has a default.")] = None,
    protocol: Annotated[
        list[str] | None, typer.Option(help="A protocol instead of the default set; may be repeated.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The one seed to run; 0 by default.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Run the seeds 0 to N-1.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a method's setting (or recipe.KEY); makes a marked row."
        ),
    ] = None,
    on: Annotated[
        Literal["test", "val"],
        typer.Option(help="val measures on the development task, stored apart and never ranked."),
    ] = "test",
    image_size: Annotated[
        int | None, typer.Option(min=8, help="Side in pixels of a folder's images; 96 by default.")
    ] = None,
    no_flip: Annotated[
        bool, typer.Option("--no-flip", help="A mirrored image of this folder changes its class.")
    ] = False,
    batch_size: Annotated[int | None, typer.Option(min=2, help="Images a step; makes a marked row.")] = None,
    share: Annotated[
        float | None,
        typer.Option(help="Pretrain on this share of the images (0.8), the same ones for all; makes a marked row."),
    ] = None,
    views: Annotated[
        Literal["auto", "batched", "per-sample"],
        typer.Option(
            help="batched: on the device, or not at all; per-sample: image by image in workers, which makes a marked row."
        ),
    ] = "auto",
    extend: Annotated[
        str | None,
        typer.Option(
            metavar="BUDGET",
            help="Let the finished runs of --budget go on to more epochs (100ep): their rates follow the schedule of the new length "
            "from where they stand; makes a marked row.",
        ),
    ] = None,
    snapshots: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Keep features of 500 images of val every N epochs of pretraining."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    jobs: Annotated[
        str, typer.Option(help="Runs side by side: auto or a number; the results do not depend on it.")
    ] = "auto",
    results: RESULTS = Path("results"),
    data_root: DATA_ROOT = None,
    force: Annotated[bool, typer.Option("--force", help="Run again what is recorded already.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    plugin: PLUGIN = None,
) -> None:
    """Run methods on a data set, record what the protocols measure, and show the leaderboard."""
    from bench.execution.session import Launch, run_request

    launch = Launch(results, device, jobs, force, dry_run, _console())
    if study is not None:
        said = _said(context)
        if refused := [name for name in said if name not in STUDY_TAKES]:
            options = " and ".join(
                "METHODS" if name == "methods" else f"--{name.strip('_').replace('_', '-')}" for name in refused
            )
            raise SslbenchError(f"--study {study} says what is run: leave out {options}")
        from bench.studies.run import Setting, run_study

        setting = Setting(
            data_root,
            dataset if "dataset" in said else None,
            budget if "budget" in said else None,
            seeds,
            backbone,
        )
        _leave(lambda: run_study(study, setting, launch))
    from bench.data.spec import DatasetSpec
    from bench.planning.request import Request

    request = Request(
        methods=_named(methods, all_methods),
        source=DatasetSpec(dataset, data_root, image_size, False if no_flip else None, on),
        budget=budget,
        backbone=backbone,
        protocols=protocol or (),
        seeds=_seeds(seed, seeds),
        settings=set_ or (),
        batch_size=batch_size,
        share=share,
        views=views,
        extend=extend,
        snapshots=snapshots,
        plugins=plugin or (),
    )
    _leave(lambda: run_request(request, launch))


def _leave(work: "Callable[[], Sequence[object]]") -> "NoReturn":
    """Do the work, and end the program: with 1 where runs did not end well, with 130 where the user stopped."""
    try:
        failures = work()
    except KeyboardInterrupt:
        print("sslbench: stopped; the same command continues", file=sys.stderr)
        raise typer.Exit(130) from None
    raise typer.Exit(1 if failures else 0)


def _said(context: typer.Context) -> list[str]:
    """Return the parameters that stand on the command line itself."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]


def _named(methods: list[str] | None, every: bool) -> list[str]:
    if bool(methods) == every:
        raise SslbenchError(
            "name methods or --all, not both"
            if every
            else "nothing to run: name methods (`sslbench list methods` shows them), or --all"
        )
    return methods or []


def _seeds(seed: int | None, seeds: int | None) -> list[int]:
    if seed is not None and seeds is not None:
        raise SslbenchError("--seed names one seed, --seeds a number of them: give one of the two")
    return list(range(seeds)) if seeds is not None else [seed or 0]


@app.command("list")
def list_(
    kind: Annotated[
        Literal["methods", "protocols", "datasets", "backbones", "studies"], typer.Argument(help="What to list.")
    ],
    format: Annotated[Literal["table", "json"], typer.Option(help="How to print it.")] = "table",
    data_root: DATA_ROOT = None,
    plugin: PLUGIN = None,
) -> None:
    """List what there is."""
    from bench.cli.list import rows
    from bench.registry.methods import load_plugin

    for source in plugin or ():
        load_plugin(source)
    found = rows(kind, data_root)
    if format == "json":
        typer.echo(json.dumps(found, indent=2))
    else:
        _table(_console(), found)


@app.command()
def leaderboard(
    dataset: Annotated[str | None, typer.Option(help="Only this data set, as the records name it.")] = None,
    budget: Annotated[str | None, typer.Option(help="Only this budget.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Only this backbone.")] = None,
    on: Annotated[Literal["test", "val"], typer.Option(help="val shows the runs on the development task.")] = "test",
    sort: Annotated[str, typer.Option(help="rank, method, a column or a cost.")] = "rank",
    format: Annotated[
        Literal["table", "markdown", "csv", "json", "latex"], typer.Option(help="How to print it.")
    ] = "table",
    all_protocols: Annotated[
        bool, typer.Option("--all-protocols", help="Also show what was measured on request.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Also load the methods and compare their versions (slower).")
    ] = False,
    compare: Annotated[
        Path | None, typer.Option(help="A second results folder: does each row differ by more than noise?")
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="A study's table, with the published figures and a conclusion.")
    ] = None,
    results: RESULTS = Path("results"),
    plugin: PLUGIN = None,
) -> None:
    """Show the tables that have records; without a choice, also write leaderboard.md, .csv and .json."""
    from bench.leaderboard.read import Selection, read_leaderboard
    from bench.registry.methods import load_installed_protocols, load_plugin
    from bench.reports.formats import FORMATS, write_leaderboard

    load_installed_protocols()
    for source in plugin or ():
        load_plugin(source)
    selection = Selection(dataset, backbone, budget, on)
    if study is not None:
        if selection != Selection() or compare is not None or sort != "rank" or all_protocols or check:
            raise SslbenchError(
                "--study prints a table of its own: of the other options it takes --format and --results"
            )
        from bench.studies.show import show

        show(study, results, format, _console())
        return
    if compare is not None:
        if format != "table" or sort != "rank" or all_protocols or check:
            raise SslbenchError(
                "--compare prints a table of its own: leave out --format, --sort, --all-protocols and --check"
            )
        from bench.leaderboard.read import read_comparison
        from bench.reports import comparison

        console = _console()
        found, problems = read_comparison(results, compare, selection)
        _name(problems)
        console.print(comparison.screen(found, (str(results), str(compare)), console.width))
        return
    board, problems = read_leaderboard(results, selection, all_protocols=all_protocols, check=check, sort=sort)
    _name(problems)
    if format == "table":
        from bench.reports.leaderboard import screen

        console = _console()
        console.print(screen(board, console.width))
    else:
        typer.echo(FORMATS[format](board), nl=False)
    if selection == Selection() and board.tables and sort == "rank" and not all_protocols:
        write_leaderboard(board, results)


@app.command()
def show(
    run: Annotated[
        str, typer.Argument(help="A record's path, dataset/backbone/budget/method/seed-0, or a clear part.")
    ],
    results: RESULTS = Path("results"),
) -> None:
    """Show one record in full, with its loss curve."""
    from bench.records.lookup import find
    from bench.records.store import Store
    from bench.reports.record import render

    console = _console()
    console.print(render(find(Store(results), run), console.width))


@app.command()
def export(
    run: Annotated[
        str, typer.Argument(help="A record's path, dataset/backbone/budget/method/seed-0, or a clear part.")
    ],
    file: Annotated[Path, typer.Argument(help="Where to write, for example simclr.safetensors.")],
    results: RESULTS = Path("results"),
) -> None:
    """Write a trained encoder as safetensors; `sslbench run checkpoint:FILE` measures it again."""
    from bench.pretrained import export as exporting
    from bench.records.store import Store

    typer.echo(exporting.export(Store(results), run, file))


@app.command()
def doctor(results: RESULTS = Path("results"), data_root: DATA_ROOT = None) -> None:
    """Look at versions, device, precision, threads, faiss, data and the results folder."""
    from rich.text import Text

    from bench.cli.doctor import examine

    console, wrong = _console(), False
    for finding in examine(results, data_root):
        style = {"ok": "green", "note": "yellow", "wrong": "bold red"}[finding.state]
        console.print(Text.assemble((f"{finding.state:<6}", style), f"{finding.subject:<14}", finding.text))
        wrong |= finding.state == "wrong"
    raise typer.Exit(2 if wrong else 0)


def _name(problems: "Sequence[Problem]") -> None:
    for problem in problems:
        print(f"sslbench: {problem}", file=sys.stderr)


def _console() -> "Console":
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS") or 160))


def _table(console: "Console", rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for key in rows[0]:
        table.add_column(key, justify="right" if isinstance(rows[0][key], int) else "left", overflow="fold")
    for row in rows:
        table.add_row(
            *(
                ""
                if value is None
                else {True: "yes", False: ""}.get(value, str(value))
                if isinstance(value, bool)
                else str(value)
                for value in row.values()
            )
        )
    console.print(table)


def main() -> None:
    """Run ``sslbench``."""
    answer(app)


if __name__ == "__main__":
    main()

"""``sslbench leaderboard``: show the tables of a results folder."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.cli import options as shared
from bench.errors import SslbenchError, StorageError, unknown
from bench.printable import printable
from bench.reports.format_names import NAMES


def leaderboard(
    dataset: Annotated[
        str | None, typer.Option(help="Only this data set, named as for `sslbench run` or in the records.")
    ] = None,
    budget: Annotated[str | None, typer.Option(help="Only this budget.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Only this backbone.")] = None,
    on: Annotated[
        Literal["test", "val"],
        typer.Option(help="val shows the runs on the development task (--on val of `sslbench run`)."),
    ] = "test",
    sort: Annotated[str, typer.Option(help="Sort by rank, method, a column or a cost.")] = "rank",
    format: Annotated[str, typer.Option(help=f"How to print it: table, {', '.join(NAMES)}.")] = "table",
    all_protocols: Annotated[
        bool, typer.Option("--all-protocols", help="Also show protocols outside the default set.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Also load the methods and compare their versions (slower).")
    ] = False,
    costs: Annotated[
        bool | None,
        typer.Option(
            "--costs/--no-costs",
            help="With or without times, speed, memory and size; by default table and markdown have them, latex has not.",
        ),
    ] = None,
    gaps: Annotated[
        bool,
        typer.Option(
            "--gaps", help="Also show how far each score is below the best of its column (CSV and JSON always do)."
        ),
    ] = False,
    results: shared.Results = Path("results"),
    plugin: shared.Plugins = None,
) -> None:
    """Show the tables of a results folder; if nothing is selected, also write leaderboard.md, .csv and .json."""
    if format not in ("table", *NAMES):
        raise unknown("format", format, ["table", *NAMES])
    from bench.leaderboard.read import Selection, read_leaderboard
    from bench.reports.formats import FORMATS, PRINTED_FORMATS, write_leaderboard
    from bench.reports.numbers import COST_COLUMNS, CostColumn

    if gaps and format not in ("table", *PRINTED_FORMATS):
        raise SslbenchError(f"--format {format} always has the gaps: leave --gaps out")
    if costs is not None and format not in ("table", *PRINTED_FORMATS):
        raise SslbenchError(f"--format {format} always has the costs: leave --{'' if costs else 'no-'}costs out")
    shared.load_plugins(plugin)
    selection = Selection(dataset, backbone, budget, on)
    chosen: tuple[CostColumn, ...] = COST_COLUMNS if costs in (True, None) and (costs or format != "latex") else ()
    tables, problems = read_leaderboard(results, selection, all_protocols=all_protocols, check=check, sort=sort)
    shared.report_problems(problems)
    if meaning := selection.meaning(table.dataset for table in tables.tables):
        typer.echo(f"sslbench: {printable(meaning)}", err=True)
    if format == "table":
        from bench.reports.leaderboard import to_screen

        console = shared.console()
        console.print(to_screen(tables, console.width, chosen, gaps))
    elif format in PRINTED_FORMATS:
        typer.echo(PRINTED_FORMATS[format](tables, chosen, gaps), nl=False)
    else:
        typer.echo(FORMATS[format](tables), nl=False)
    if selection == Selection() and tables.tables and sort == "rank" and not all_protocols:
        try:
            write_leaderboard(tables, results)
        except StorageError as error:
            typer.echo(f"sslbench: the tables were not written: {printable(str(error))}", err=True)

"""``sslbench compare``: two results folders, row by row."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.cli import options as shared
from bench.printable import printable


def compare(
    first: Annotated[Path, typer.Argument(help="A results folder.")],
    second: Annotated[Path, typer.Argument(help="Another results folder.")],
    dataset: Annotated[
        str | None, typer.Option(help="Only this data set, named as for `sslbench run` or in the records.")
    ] = None,
    budget: Annotated[str | None, typer.Option(help="Only this budget.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Only this backbone.")] = None,
    on: Annotated[Literal["test", "val"], typer.Option(help="val compares the runs on the development task.")] = "test",
    plugin: shared.Plugins = None,
) -> None:
    """Compare two results folders: does each row differ by more than noise?"""
    from bench.leaderboard.read import Selection, read_comparison
    from bench.reports.comparison import to_screen

    shared.load_plugins(plugin)
    selection = Selection(dataset, backbone, budget, on)
    comparison, problems = read_comparison(first, second, selection)
    shared.report_problems(problems)
    if meaning := selection.meaning(row.table.partition(",")[0] for row in comparison.rows):
        typer.echo(f"sslbench: {printable(meaning)}", err=True)
    console = shared.console()
    console.print(to_screen(comparison, (str(first), str(second)), console.width))

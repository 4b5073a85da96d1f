"""``sslbench label-free``: do figures that need no labels order the methods as accuracy does?"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.cli import options as shared
from bench.printable import printable


def label_free(
    dataset: Annotated[
        str | None, typer.Option(help="Only this data set, named as for `sslbench run` or in the records.")
    ] = None,
    budget: Annotated[str | None, typer.Option(help="Only this budget.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Only this backbone.")] = None,
    on: Annotated[Literal["test", "val"], typer.Option(help="val shows the runs on the development task.")] = "test",
    format: Annotated[Literal["table", "markdown"], typer.Option(help="How to print it.")] = "table",
    results: shared.Results = Path("results"),
    plugin: shared.Plugins = None,
) -> None:
    """Could one choose without labels? Correlate RankMe, alignment, other label-free figures and the loss with accuracy."""
    from bench.leaderboard.read import Selection, leaderboard_of, read_records
    from bench.reports.label_free import answers, to_markdown, to_screen

    shared.load_plugins(plugin)
    selection = Selection(dataset, backbone, budget, on)
    records, problems = read_records(results, on)
    tables = leaderboard_of(records, selection, all_protocols=True, folder=str(results))
    shared.report_problems(problems)
    if meaning := selection.meaning(table.dataset for table in tables.tables):
        typer.echo(f"sslbench: {printable(meaning)}", err=True)
    found = answers(tables, records)
    if format == "markdown":
        typer.echo(to_markdown(found), nl=False)
    else:
        console = shared.console()
        console.print(to_screen(found, console.width))

"""``sslbench report``: one HTML file with the tables, pictures and studies of a results folder."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import options as shared
from bench.printable import printable


def report(
    results: Annotated[
        list[Path] | None,
        typer.Option(help="A results folder, results by default; each further one is compared with the first."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write; report.html in the first folder by default.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    plugin: shared.Plugins = None,
) -> None:
    """Write one HTML file with everything in a results folder: tables, rows in full, pictures, studies, comparison."""
    from bench.reports.page.write import write_report
    from bench.studies.sections import sections
    from bench.tuning.sections import sections as searches

    shared.load_plugins(plugin)
    folders = results or [Path("results")]
    studies, missing = sections(folders[0])
    tuned, unreadable = searches(folders[0])
    missing += unreadable
    written = write_report(folders, out, [*studies, *tuned])
    shared.report_problems(written.problems)
    for line in (*missing, *written.notices):
        typer.echo(f"sslbench: {printable(line)}", err=True)
    typer.echo(f"The page: {printable(str(written.path))} ({written.path.stat().st_size / 1e6:.2g} MB)")
    if open_:
        import webbrowser

        if not webbrowser.open(written.path.resolve().as_uri()):
            typer.echo("sslbench: no browser was found; open the file by hand", err=True)

"""The command line: parse, call, print."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench.errors import SslbenchError

if TYPE_CHECKING:
    from rich.console import Console

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


@app.command()
def run(
    methods: Annotated[
        list[str] | None, typer.Argument(help="Methods to run; `sslbench list methods` names them.")
    ] = None,
    all_methods: Annotated[bool, typer.Option("--all", help="Run every method that the backbone can carry.")] = False,
    dataset: Annotated[
        str, typer.Option(help="A data set's name, or folder:PATH for a directory or zip of images.")
    ] = "digits",
    budget: Annotated[
        str, typer.Option(help="smoke, quick, standard, long, or a number of epochs such as 100ep.")
    ] = "standard",
    backbone: Annotated[str | None, typer.Option(help="The trunk; each data set has a default.")] = None,
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
    from bench.request import Request, Source
    from bench.session import run_request

    request = Request(
        methods=_named(methods, all_methods),
        source=Source(dataset, data_root, image_size, False if no_flip else None, on),
        budget=budget,
        backbone=backbone,
        protocols=protocol or (),
        seeds=_seeds(seed, seeds),
        settings=set_ or (),
        batch_size=batch_size,
        plugins=plugin or (),
    )
    failures = run_request(
        request, results=results, device=device, jobs=jobs, force=force, dry_run=dry_run, console=_console()
    )
    raise typer.Exit(1 if failures else 0)


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
    kind: Annotated[Literal["methods", "protocols", "datasets", "backbones"], typer.Argument(help="What to list.")],
    format: Annotated[Literal["table", "json"], typer.Option(help="How to print it.")] = "table",
    data_root: DATA_ROOT = None,
    plugin: PLUGIN = None,
) -> None:
    """List what there is."""
    from bench.discover import load_plugin
    from bench.listing import rows

    for source in plugin or ():
        load_plugin(source)
    found = rows(kind, data_root)
    if format == "json":
        typer.echo(json.dumps(found, indent=2))
    else:
        _table(_console(), found)


def _console() -> "Console":
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "160")))


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
    """Run the command line; a user's mistake is one line on the error stream and exit code 2."""
    try:
        app()
    except SslbenchError as error:
        print(f"sslbench: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("sslbench: stopped; the same command continues", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


if __name__ == "__main__":
    main()

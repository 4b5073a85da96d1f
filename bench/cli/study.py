"""``sslbench study``: repeat a published comparison."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.cli import completion
from bench.cli import options as shared
from bench.cli.options import DATA, TRAINED, WHAT
from bench.errors import SslbenchError

SHOW_TAKES = ("name", "show", "format", "results")
"""Parameters that can be given with ``--show``."""


def study(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.studies,
            help="A name of `sslbench list studies`, or the path of your own TOML file.",
        ),
    ],
    show: Annotated[
        bool,
        typer.Option(
            "--show",
            help="Run nothing; show the table and the conclusion of the existing records.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    format: Annotated[
        Literal["table", "markdown", "json"], typer.Option(help="With --show: how to print it.", rich_help_panel=WHAT)
    ] = "table",
    seeds: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Number of seeds, instead of the study's.", rich_help_panel=WHAT),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="A data set instead of the study's.", rich_help_panel=DATA)
    ] = None,
    data_root: shared.RunDataRoot = None,
    budget: Annotated[
        str | None, typer.Option(help="A budget instead of the study's.", rich_help_panel=TRAINED)
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="A backbone instead of the study's.", rich_help_panel=TRAINED)
    ] = None,
    device: shared.Device = "auto",
    devices: shared.Devices = "auto",
    jobs: shared.Jobs = "auto",
    engine: shared.Engine = "local",
    address: shared.Address = None,
    devices_per_run: shared.DevicesPerRun = None,
    results: shared.RunResults = Path("results"),
    force: shared.Force = False,
    dry_run: shared.DryRun = False,
) -> None:
    """Repeat a published comparison: run what is missing, draw its figures, show its table and its conclusion."""
    if show:
        sources = {parameter: context.get_parameter_source(parameter) for parameter in context.params}
        given = {parameter for parameter, source in sources.items() if source and source.name == "COMMANDLINE"}
        if given - set(SHOW_TAKES):
            raise SslbenchError("study --show runs nothing; it can be combined only with --format and --results")
        from bench.studies.show import show as show_study

        show_study(name, results, format, shared.console())
        return
    if format != "table":
        raise SslbenchError(
            "study --format: works only with --show; without it the table is shown and all files are written"
        )
    from bench.data.spec import DatasetSpec
    from bench.studies.requests import StudyOptions
    from bench.studies.run import run_study
    from bench.training.options import RunOptions

    study_options = StudyOptions(dataset=dataset, budget=budget, seeds=seeds, backbone=backbone, force=force)
    options = shared.with_environment(
        RunOptions(
            results=results,
            dataset=DatasetSpec(dataset or "", data_root),
            device=device,
            devices=shared.number_of_devices(devices),
            jobs=jobs,
        )
    )
    options = shared.with_engine(options, engine, address, devices_per_run)

    def work() -> Sequence[object]:
        return run_study(name, study_options, options, shared.console(), dry_run=dry_run)

    shared.end(work)

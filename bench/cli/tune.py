"""``sslbench tune``: the same search over settings for every method."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import completion
from bench.cli import options as shared
from bench.cli.options import CARRIED_OUT, WHAT
from bench.errors import SslbenchError


def tune(
    methods: Annotated[
        list[str] | None,
        typer.Argument(autocompletion=completion.methods, help="Methods to tune (`sslbench list methods` shows them)."),
    ] = None,
    all_methods: Annotated[
        bool,
        typer.Option(
            "--all", help="Tune every method that has a search space and can use the backbone.", rich_help_panel=WHAT
        ),
    ] = False,
    trials: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Trials of each method: the shipped recipe, then points of its search space, the same for everyone.",
            rich_help_panel=WHAT,
        ),
    ] = 20,
    plugin: shared.RunPlugins = None,
    dataset: shared.Dataset = "digits",
    data_root: shared.RunDataRoot = None,
    image_size: shared.ImageSize = None,
    no_flip: shared.NoFlip = False,
    budget: shared.Budget = "standard",
    backbone: shared.Backbone = None,
    device: shared.Device = "auto",
    devices: shared.Devices = "auto",
    jobs: shared.Jobs = "auto",
    engine: shared.Engine = "local",
    address: shared.Address = None,
    devices_per_run: shared.DevicesPerRun = None,
    results: shared.RunResults = Path("results"),
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print search spaces, trials and an estimate of the time, and stop; nothing is downloaded or written.",
            rich_help_panel=CARRIED_OUT,
        ),
    ] = False,
) -> None:
    """Tune methods by the same search on the development task, and measure the winners on the test set, in a table of their own."""
    if bool(methods) == all_methods:
        raise SslbenchError(
            "name methods or --all, not both"
            if all_methods
            else "nothing to tune: name methods (`sslbench list methods` shows them), or --all"
        )
    from bench.data.spec import DatasetSpec
    from bench.planning.request import Request
    from bench.training.options import RunOptions
    from bench.tuning.search import tune as search

    request = Request(methods=methods or [], budget=budget, backbone=backbone)
    options = shared.with_environment(
        RunOptions(
            results=results,
            dataset=DatasetSpec(dataset, data_root, image_size, False if no_flip else None),
            device=device,
            devices=shared.number_of_devices(devices),
            plugins=plugin or (),
            jobs=jobs,
        )
    )
    options = shared.with_engine(options, engine, address, devices_per_run)

    def work() -> Sequence[object]:
        return search(request, trials, options, shared.console(), dry_run=dry_run)

    shared.end(work)

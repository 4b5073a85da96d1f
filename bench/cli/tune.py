"""``sslbench tune``: the same search over settings for every method."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import completion
from bench.cli import options as shared
from bench.cli.options import CARRIED_OUT, DATA, TRAINED, WHAT
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
    dataset: Annotated[
        str,
        typer.Option(
            autocompletion=completion.datasets,
            help="Name of a data set, or your own images: folder:PATH, csv:FILE, npz:FILE, wds:PATH, hf:NAME, torchvision:NAME.",
            rich_help_panel=DATA,
        ),
    ] = "digits",
    data_root: shared.RunDataRoot = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=8,
            max=1024,
            help="Size in pixels to which the images of a folder are resized; 96 by default.",
            rich_help_panel=DATA,
        ),
    ] = None,
    no_flip: Annotated[
        bool,
        typer.Option("--no-flip", help="Images of this folder must not be mirrored.", rich_help_panel=DATA),
    ] = False,
    budget: Annotated[
        str,
        typer.Option(
            autocompletion=completion.budgets,
            help="smoke, quick, standard, long, or a number of epochs such as 100ep.",
            rich_help_panel=TRAINED,
        ),
    ] = "standard",
    backbone: Annotated[
        str | None,
        typer.Option(
            autocompletion=completion.backbones,
            help="The backbone; each data set has a default.",
            rich_help_panel=TRAINED,
        ),
    ] = None,
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

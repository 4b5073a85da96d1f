"""``sslbench run``: run methods, record the results of the protocols, show the leaderboard."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli import completion
from bench.cli import options as shared
from bench.cli.options import CARRIED_OUT, DATA, TRAINED, WHAT
from bench.errors import SslbenchError, StorageError
from bench.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

    from bench.planning.plan import PlannedRun

UNRANKED = "The row in the leaderboard shows the change and has no rank."


def run(
    methods: Annotated[
        list[str] | None,
        typer.Argument(
            autocompletion=completion.methods,
            help="Methods to run (`sslbench list methods` shows them), or encoders pretrained elsewhere: timm:NAME, checkpoint:FILE.",
        ),
    ] = None,
    all_methods: Annotated[
        bool, typer.Option("--all", help="Run every method that can use the backbone.", rich_help_panel=WHAT)
    ] = False,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=completion.protocols,
            help="A protocol instead of the default set; may be repeated.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**31 - 1, help="Run only this seed; 0 by default.", rich_help_panel=WHAT)
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Run the seeds 0 to N-1.", rich_help_panel=WHAT)
    ] = None,
    plugin: shared.RunPlugins = None,
    dataset: shared.Dataset = "digits",
    data_root: shared.RunDataRoot = None,
    image_size: shared.ImageSize = None,
    no_flip: shared.NoFlip = False,
    on: Annotated[
        Literal["test", "val"],
        typer.Option(
            help="test: measure on the test images. val: measure on a tenth of the training images instead (the development task), to "
            "choose settings without seeing the test images; these records are stored separately and never ranked.",
            rich_help_panel=DATA,
        ),
    ] = "test",
    measure_on: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=completion.datasets,
            metavar="DATASET",
            help="Also measure each encoder on another data set, under knn, linear and lowshot-1pct-frozen (transfer); named as for "
            "--dataset; may be repeated.",
            rich_help_panel=DATA,
        ),
    ] = None,
    budget: shared.Budget = "standard",
    backbone: shared.Backbone = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting of the method (or recipe.KEY). " + UNRANKED,
            rich_help_panel=TRAINED,
        ),
    ] = None,
    saw: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGES",
            help="What an encoder from elsewhere was pretrained on, for example imagenet: its row is marked with it.",
            rich_help_panel=TRAINED,
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=2, help="Images per step. " + UNRANKED, rich_help_panel=TRAINED)
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(
            help="Pretrain on this share of the images, for example 0.8; the same images for all methods. " + UNRANKED,
            rich_help_panel=TRAINED,
        ),
    ] = None,
    views: Annotated[
        Literal["auto", "batched", "per-sample"],
        typer.Option(
            help="auto: in batches on the device if possible; batched: in batches, or stop with an error; "
            "per-sample: image by image in worker processes, and the row shows this and has no rank.",
            rich_help_panel=TRAINED,
        ),
    ] = "auto",
    extend: Annotated[
        str | None,
        typer.Option(
            metavar="BUDGET",
            help="Continue the finished runs of --budget to this longer budget, for example 100ep; from there on their learning "
            "rates follow the schedule of the new length. " + UNRANKED,
            rich_help_panel=TRAINED,
        ),
    ] = None,
    snapshots: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Store features of 500 validation images every N epochs of pretraining.",
            rich_help_panel=CARRIED_OUT,
        ),
    ] = None,
    watch: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Measure kNN on validation images and RankMe every N epochs of pretraining. It does not change the results.",
            rich_help_panel=CARRIED_OUT,
        ),
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(
            metavar="tensorboard|wandb|mlflow",
            help="Send losses, rates, watched figures and scores to a tracker as well (pip install 'sslbench[NAME]'); may be repeated.",
            rich_help_panel=CARRIED_OUT,
        ),
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
    """Run methods on a data set, record the results of the protocols, and show the leaderboard."""
    if bool(methods) == all_methods:
        raise SslbenchError(
            "name methods or --all, not both"
            if all_methods
            else "nothing to run: name methods (`sslbench list methods` shows them), or --all"
        )
    if seed is not None and seeds is not None:
        raise SslbenchError("--seed is one seed, --seeds a number of seeds: give one of the two")
    from bench.data.spec import DatasetSpec
    from bench.execution.session import perform
    from bench.planning.request import Request
    from bench.training.options import RunOptions

    request = Request(
        methods=methods or [],
        budget=budget,
        backbone=backbone,
        protocols=protocol or (),
        seeds=list(range(seeds)) if seeds is not None else [seed or 0],
        settings=[*(set_ or ()), *_marked(saw, methods or [])],
        batch_size=batch_size,
        share=share,
        views=views,
        extend=extend,
        force=force,
        measure_on=measure_on or (),
    )
    options = shared.with_environment(
        RunOptions(
            results=results,
            dataset=DatasetSpec(dataset, data_root, image_size, False if no_flip else None, on),
            device=device,
            devices=shared.number_of_devices(devices),
            snapshots=snapshots,
            watch=watch,
            track=tuple(dict.fromkeys(track or ())),
            plugins=plugin or (),
            jobs=jobs,
        )
    )
    options = shared.with_engine(options, engine, address, devices_per_run)

    def work() -> Sequence[object]:
        console = shared.console()
        performed = perform(request, options, console, dry_run=dry_run)
        if not dry_run:
            _show_tables(results, performed.runs, bool(protocol), console)
        return performed.failed

    shared.end(work)


def _marked(saw: str | None, methods: Sequence[str]) -> list[str]:
    """Return the setting that marks encoders from elsewhere with what they were pretrained on.

    Raises:
        SslbenchError: A method is one that sslbench trains, or the text cannot be shown.
    """
    if saw is None:
        return []
    from bench.registry.methods import method_names

    trained = [name for name in methods if name in method_names()]
    if trained or not methods:
        whose = f"{trained[0]} is trained here" if trained else "--all are methods that are trained here"
        raise SslbenchError(
            f"--saw {saw}: is for encoders pretrained elsewhere (timm:, hf-model:, checkpoint:, a plugin's); {whose}"
        )
    if not re.fullmatch(r"[A-Za-z][\w.+ -]{0,59}", saw):
        raise SslbenchError(f"--saw {saw!r}: write a name such as imagenet, at most 60 letters and digits")
    return [f"saw={saw}"]


def _show_tables(results: Path, runs: "Sequence[PlannedRun]", all_protocols: bool, console: "Console") -> None:
    """Show the tables of these runs, and write the leaderboard's files."""
    from bench.execution.plan_summary import backbones_of, first_trained
    from bench.leaderboard.read import Selection, leaderboard_of, read_records
    from bench.records.record import NO_BUDGET, OWN_NETWORK
    from bench.reports.formats import write_leaderboard
    from bench.reports.leaderboard import to_screen

    first = first_trained(runs)
    records, problems = read_records(results, first.task)
    for problem in problems:
        console.print(printable(str(problem)), style="yellow", markup=False, highlight=False, soft_wrap=True)
    for backbone in backbones_of(runs):
        selection = Selection(first.dataset, backbone, first.budget, first.task)
        if first.budget == NO_BUDGET:
            selection = Selection(first.dataset, None if backbone == OWN_NETWORK else backbone, None, first.task)
        tables = leaderboard_of(records, selection, all_protocols=all_protocols, check=True, folder=str(results))
        console.print(to_screen(tables, console.width))
    if first.task == "test":
        try:
            write_leaderboard(leaderboard_of(records, Selection()), results)
        except StorageError as error:
            console.print(
                printable(f"the tables were not written: {error}"), style="yellow", markup=False, soft_wrap=True
            )
        folder = "" if results == Path("results") else f" --results {shlex.quote(str(results))}"
        console.print(
            printable(f"As a page in the browser: sslbench report --open{folder}"),
            style="dim",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

"""One `sslbench run`: request to plan to runs, told to the user as it goes."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import SslbenchError
from bench.execution.live_table import GrowingTable
from bench.execution.pool import jobs_for, run_all
from bench.execution.progress_bars import RunProgress, label
from bench.execution.worker import CHECKPOINT_SECONDS, Ended, Machine, warm_up
from bench.leaderboard.read import Selection, read_leaderboard
from bench.planning.extend import with_sources
from bench.planning.plan import PlannedRun, place, plan
from bench.planning.request import Request, check_names
from bench.planning.resolve import Resolved, resolve
from bench.records.record import NO_BUDGET, OWN_NETWORK, Identity, Record
from bench.records.store import Store
from bench.reports.formats import write_leaderboard
from bench.reports.leaderboard import screen

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Launch:
    """How a request is carried out; the numbers do not depend on it.

    Attributes:
        results: Folder of the records.
        device: As ``--device`` names it.
        jobs: As ``--jobs`` names it.
        force: Run again what is recorded already.
        dry_run: Print the plan and stop.
        console: Where the user is told.
    """

    results: Path
    device: str
    jobs: str
    force: bool
    dry_run: bool
    console: "Console"


@dataclass(frozen=True)
class Done:
    """What came of a request.

    Attributes:
        runs: All runs that were asked for, as they were planned.
        lost: Those that did not end well, now or in their record: failed, diverged or interrupted.
    """

    runs: Sequence[PlannedRun]
    lost: list[Identity]


def run_request(request: Request, launch: Launch) -> list[Identity]:
    """Perform a request, and show the leaderboard.

    Returns:
        The runs that did not end well.

    Raises:
        SslbenchError, KeyboardInterrupt: As ``perform``.
    """
    done = perform(request, launch)
    if not launch.dry_run:
        _show(launch.results, done.runs, bool(request.protocols), launch.console)
    return done.lost


def perform(request: Request, launch: Launch) -> Done:
    """Plan what has no valid record, print the plan, and run it.

    Raises:
        SslbenchError: Bad input, or a results folder that cannot be written.
        KeyboardInterrupt: The user stopped.
    """
    check_names(request)
    from bench.device import choose_device, runs_side_by_side, threads_of_run

    chosen = choose_device(launch.device)
    jobs_for(launch.jobs, 1, 1)
    store = Store(launch.results)
    if not launch.dry_run:
        store.check_writable()
        warm_up()
    resolved = resolve(request)
    found = [record for wanted in resolved.wanted if (record := store.read(wanted.identity)) is not None]
    runs = plan(resolved.wanted, found, force=launch.force)
    if request.extend is not None:
        runs = with_sources(runs, request.budget, store)
    _print_plan(runs, resolved, launch.console)
    if request.snapshots is not None:
        _print_without_snapshots(runs, found, store, launch.console)
    todo = [run for run in runs if not run.done]
    ended: list[Ended] = []
    if todo and not launch.dry_run:
        name = "cuda" if launch.device in ("auto", "cuda") and chosen.type == "cuda" else str(chosen)
        machine = Machine(
            results=launch.results,
            source=request.source,
            device=name,
            threads=threads_of_run(resolved.image_size),
            plugins=request.plugins,
            elsewhere=resolved.elsewhere,
            checkpoint_seconds=_checkpoint_seconds(),
            snapshots=request.snapshots,
        )
        side_by_side = jobs_for(launch.jobs, len(todo), runs_side_by_side(name, resolved.image_size))
        table = GrowingTable(todo, store, launch.console.width)
        for line in table.heading():
            launch.console.print(line, style="bold", markup=False, highlight=False, soft_wrap=True)
        with RunProgress(launch.console, len(todo), table.line) as progress:
            ended = run_all(todo, machine, side_by_side, progress)
    lost = [run.identity for run in runs if run.done and run.status == "diverged"]
    return Done(runs, [one.identity for one in ended if one.status not in ("ok", "collapsed")] + lost)


def _print_plan(runs: Sequence[PlannedRun], resolved: Resolved, console: "Console") -> None:
    first = _first_trained(runs)
    task = " (development task)" if first.task == "val" else ""
    todo = [run for run in runs if not run.done]
    backbones = " and ".join(_backbones(runs))
    trained = f"{backbones}, {first.budget}[/bold]: {first.epochs} epochs, batch {first.batch}; "
    if first.budget == NO_BUDGET:
        trained = "pretrained elsewhere[/bold]: "
    console.print(
        f"[bold]{first.dataset}{task}, {trained}"
        f"{len(runs)} run{'s' if len(runs) != 1 else ''}, {len(runs) - len(todo)} recorded, {len(todo)} to do",
        highlight=False,
        soft_wrap=True,
    )
    for note in resolved.notes:
        console.print(f"  {note}", highlight=False, markup=False, soft_wrap=True)
    for name, reason in resolved.skipped.items():
        console.print(f"  left out {name}: {reason}", highlight=False, markup=False, soft_wrap=True)
    for run in todo:
        what = "" if not run.recorded else f": {', '.join(run.protocols)}"
        why = f" ({run.reason})" if run.reason != "new" else ""
        console.print(f"  {label(run.identity)}{why}{what}", highlight=False, markup=False, soft_wrap=True)


def _print_without_snapshots(
    runs: Sequence[PlannedRun], found: Sequence[Record], store: Store, console: "Console"
) -> None:
    trained = {place(record.identity) for record in found if record.cost.pretrain_s is not None}
    for run in runs:
        if run.done and place(run.identity) in trained and not store.snapshots_path(run.identity).exists():
            line = f"  {label(run.identity)}: recorded without snapshots; --force trains it again"
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def _backbones(runs: Sequence[PlannedRun]) -> list[str]:
    """Return the backbones of the runs; those of encoders from elsewhere only where there are no others."""
    ours = [run for run in runs if run.identity.budget != NO_BUDGET]
    return list(dict.fromkeys(run.identity.backbone for run in ours or runs))


def _first_trained(runs: Sequence[PlannedRun]) -> Identity:
    return next((run.identity for run in runs if run.identity.budget != NO_BUDGET), runs[0].identity)


def _show(results: Path, runs: Sequence[PlannedRun], all_protocols: bool, console: "Console") -> None:
    """Show the tables of these runs, and write the leaderboard's files."""
    of = _first_trained(runs)
    elsewhere = of.budget == NO_BUDGET
    for backbone in _backbones(runs):
        selection = Selection(of.dataset, backbone, of.budget, of.task)
        if elsewhere:
            selection = Selection(of.dataset, None if backbone == OWN_NETWORK else backbone, None, of.task)
        board, problems = read_leaderboard(results, selection, all_protocols=all_protocols, check=True)
        for problem in problems:
            console.print(str(problem), style="yellow", markup=False, highlight=False, soft_wrap=True)
        console.print(screen(board, console.width))
    if of.task == "test":
        write_leaderboard(read_leaderboard(results, Selection())[0], results)


def _checkpoint_seconds() -> float:
    text = os.environ.get("SSLBENCH_CHECKPOINT_SECONDS", str(CHECKPOINT_SECONDS))
    try:
        return float(text)
    except ValueError:
        raise SslbenchError(f"SSLBENCH_CHECKPOINT_SECONDS={text}: must be a number of seconds") from None

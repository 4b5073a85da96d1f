"""Carry out a request: plan its runs, print the plan, run them and show their progress."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.execution.live_table import LiveTable
from bench.execution.plan_summary import print_plan, print_runs_without_snapshots
from bench.execution.pool import number_of_jobs, run_all
from bench.execution.progress_bars import RunProgress
from bench.execution.worker import start_fork_server
from bench.planning.plan import PlannedRun
from bench.planning.plan_runs import plan_runs
from bench.planning.request import Request
from bench.records.record import Identity
from bench.records.store import Store
from bench.training.options import RunOptions

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Performed:
    """Outcome of a request.

    Attributes:
        runs: All requested runs, as they were planned.
        failed: Runs that failed, diverged or were interrupted, and runs that were already recorded as diverged.
    """

    runs: Sequence[PlannedRun]
    failed: list[Identity]


def perform(request: Request, options: RunOptions, console: "Console", *, dry_run: bool = False) -> Performed:
    """Plan a request, print the plan, and carry out the runs that have no valid record.

    Args:
        request: The request.
        options: Options of the runs.
        console: Where the plan and the progress are printed.
        dry_run: Only print the plan.

    Raises:
        SslbenchError: Invalid input, or a results folder that cannot be written.
        KeyboardInterrupt: The user stopped.
    """
    store = Store(options.results)

    def prepare() -> None:
        from bench.device import resolve_device

        number_of_jobs(options.jobs, 1, 1)
        resolve_device(options.device)
        if not dry_run:
            store.check_writable()
            store.remove_abandoned()
            start_fork_server()

    plan = plan_runs(request, options, prepare)
    print_plan(plan, console)
    if options.snapshots is not None:
        print_runs_without_snapshots(plan, store, console)
    failed = [run.identity for run in plan.runs if run.done and run.status == "diverged"]
    if not plan.todo or dry_run:
        return Performed(plan.runs, failed)
    from bench.device import resolve_device, runs_side_by_side, threads_of_run

    options = replace(options, device=resolve_device(options.device), threads=threads_of_run(plan.image_size))
    jobs = number_of_jobs(options.jobs, len(plan.todo), runs_side_by_side(options.device, plan.image_size))
    table = LiveTable(plan.todo, console.width)
    for line in table.heading():
        console.print(line, style="bold", markup=False, highlight=False, soft_wrap=True)
    with RunProgress(console, len(plan.todo), table.line) as progress:
        ended = run_all(plan.todo, options, jobs, progress)
    return Performed(plan.runs, [run.identity for run in ended if run.status not in ("ok", "collapsed")] + failed)

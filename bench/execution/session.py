"""Carry out a request: plan its runs, print the plan, run them and show their progress."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.execution.engine import Engine, run_all
from bench.execution.events import RunEnded, RunUpdate
from bench.execution.live_table import LiveTable
from bench.execution.plan_summary import print_estimate, print_plan, print_runs_without
from bench.execution.pool import LocalPool
from bench.execution.progress_bars import RunProgress
from bench.execution.time_left import TimeLeft, run_name
from bench.planning.estimate import Estimate, estimate
from bench.planning.plan import PlannedRun
from bench.planning.plan_runs import Plan, plan_runs
from bench.planning.request import Request
from bench.printable import printable
from bench.records.record import Identity
from bench.records.store import Store
from bench.tracking import catalogue as trackers
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


def perform(
    request: Request, options: RunOptions, console: "Console", *, dry_run: bool = False, in_study: bool = False
) -> Performed:
    """Plan a request, print the plan, and carry out the runs that have no valid record.

    Args:
        request: The request.
        options: Options of the runs.
        console: Where the plan and the progress are printed.
        dry_run: Only print the plan, with recipes and protocols.
        in_study: Whether the request is a part of a study, which has printed the data set and the estimate itself.

    Raises:
        SslbenchError: Invalid input, or a results folder that cannot be written.
        KeyboardInterrupt: The user stopped.
    """
    plan = plan_runs(request, options, lambda: prepare(options, dry_run=dry_run), download=not dry_run)
    return carry_out(plan, options, console, dry_run=dry_run, in_study=in_study)


def carry_out(
    plan: Plan,
    options: RunOptions,
    console: "Console",
    *,
    dry_run: bool = False,
    in_study: bool = False,
    on_ended: Callable[[RunEnded], None] = lambda _: None,
) -> Performed:
    """Print a plan and carry out the runs that have no valid record; ``prepare`` was called before.

    Args:
        plan: The plan.
        options: Options of the runs.
        console: Where the plan and the progress are printed.
        dry_run: Only print the plan, with recipes and protocols.
        in_study: Whether the plan is a part of a study, which has printed the data set and the estimate itself.
        on_ended: Called after each run.

    Raises:
        SslbenchError: The results folder cannot be written, or the engine cannot carry out runs.
        KeyboardInterrupt: The user stopped.
    """
    store = Store(options.results)
    print_plan(plan, console, details=dry_run, dataset=not in_study)
    print_runs_without(plan, options, console)
    failed = [run.identity for run in plan.runs if run.done and run.status == "diverged"]
    if not plan.todo:
        return Performed(plan.runs, failed)
    engine = engine_of(options).sized(plan.image_size)
    jobs, estimated = expected(plan, engine)
    if (place := engine.place()) is not None:
        console.print(f"  {printable(place)}", highlight=False, markup=False, soft_wrap=True)
    if not in_study:
        print_estimate(estimated, jobs, console)
    if dry_run:
        return Performed(plan.runs, failed)
    seconds = zip(plan.todo, estimated.seconds, strict=True)
    time_left = TimeLeft({run_name(run.identity): each for run, each in seconds}, jobs)
    table = LiveTable(plan.todo, console.width)
    for line in table.heading():
        console.print(line, style="bold", markup=False, highlight=False, soft_wrap=True)

    def line_of(event: RunEnded, seconds: float) -> str:
        line, log = table.line(event, seconds), str(store.log_path(event.identity))
        return f"{line}\n  log: {log}" if event.status in ("failed", "diverged") and log not in line else line

    with RunProgress(console, len(plan.todo), line_of, time_left) as progress:

        def on_event(event: RunUpdate | RunEnded) -> None:
            progress(event)
            if isinstance(event, RunEnded):
                on_ended(event)

        ended = run_all(plan.todo, engine, jobs, on_event)
    return Performed(plan.runs, [run.identity for run in ended if run.status not in ("ok", "collapsed")] + failed)


def engine_of(options: RunOptions) -> Engine:
    """Return the engine that ``--engine`` names."""
    if options.engine == "ray":
        from bench.execution.ray_engine import RayEngine

        return RayEngine(options)
    return LocalPool(options)


def prepare(options: RunOptions, *, dry_run: bool) -> None:
    """Check the options that do not depend on the runs, and start what the runs need.

    Raises:
        SslbenchError: An option of the engine is invalid, its machines cannot be reached, or the results folder cannot be written.
    """
    engine = engine_of(options)
    engine.check()
    trackers.check(options.track)
    if not dry_run:
        store = Store(options.results)
        store.check_writable()
        store.remove_abandoned()
        engine.start()


def expected(plan: Plan, engine: Engine) -> tuple[int, Estimate]:
    """Return the number of runs at the same time, and how long the runs that are still to do will take.

    Args:
        plan: The plan.
        engine: An engine for the size of the plan's images.
    """
    jobs = engine.jobs(len(plan.todo))
    cores = engine.options.threads if engine.options.device == "cpu" else 0
    return jobs, estimate(plan.todo, replace(plan.workload, cores=cores), Store(engine.options.results))

"""Print the plan of a command before its runs start."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from bench.execution.plan_groups import groups_of, recipe_lines, seeds_text, shortened
from bench.execution.time_left import duration
from bench.planning.estimate import Estimate
from bench.planning.plan import PlannedRun, run_key
from bench.planning.plan_runs import Plan
from bench.printable import printable
from bench.records.record import NO_BUDGET, Identity
from bench.records.store import Store
from bench.training.options import RunOptions

if TYPE_CHECKING:
    from rich.console import Console


def print_plan(plan: Plan, console: "Console", *, details: bool = False, dataset: bool = True) -> None:
    """Print the data set, backbones, budget, notes, and the runs that are still to do in a few lines.

    Args:
        plan: The plan.
        console: Where to print.
        details: Whether to print the recipe of each method and the protocols.
        dataset: Whether to print the lines about the data set.
    """
    first = first_trained(plan.runs)
    task = " (development task: measured on validation images, not on test images)" if first.task == "val" else ""
    backbones = " and ".join(backbones_of(plan.runs))
    trained = (
        f"{backbones}, {first.budget}: {first.epochs} epoch{'s' if first.epochs != 1 else ''}, batch {first.batch}"
    )
    if first.budget == NO_BUDGET:
        trained = "pretrained elsewhere"
    todo, total = len(plan.todo), len(plan.runs)
    counts = f"{total:,} run{'s' if total != 1 else ''}, {total - todo:,} recorded, {todo:,} to do"
    console.print(Text(printable(f"{first.dataset}{task}, {trained}; {counts}"), "bold"), soft_wrap=True)
    for line in [*(plan.dataset if dataset else ()), *_lines(plan, details)]:
        console.print(f"  {printable(line)}", highlight=False, markup=False, soft_wrap=True)


def print_estimate(estimate: Estimate, jobs: int, console: "Console") -> None:
    """Print how long the runs will take, and where the estimate comes from."""
    runs = len(estimate.seconds)
    source = "from earlier records of the same methods"
    if not estimate.measured:
        source = "by a rule from images, views and epochs; it may be wrong by a factor of three"
    elif estimate.measured < runs:
        source = f"from earlier records for {estimate.measured:,} of {runs:,} runs, by a rule for the others"
    side_by_side = f" with {jobs} runs at the same time" if jobs > 1 else ""
    line = f"  about {duration(estimate.total(jobs))}{side_by_side} (an estimate, {source})"
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def _lines(plan: Plan, details: bool) -> Iterator[str]:
    yield from plan.notes
    left_out: dict[str, list[str]] = {}
    for name, reason in plan.skipped.items():
        left_out.setdefault(reason, []).append(name)
    for reason, names in left_out.items():
        yield f"left out {shortened(names)}: {reason}"
    yield from recipe_lines(plan.todo) if details else groups_of(plan.todo)


def print_runs_without(plan: Plan, options: RunOptions, console: "Console") -> None:
    """Print one line per method that is recorded, but was trained without the snapshots, watched figures or answers asked for."""
    store = Store(options.results)
    trained = {run_key(r.identity): r for r in plan.records if r.cost.pretrain_s is not None}
    without: dict[tuple[str, str], list[int]] = {}
    for run in plan.runs:
        record, identity = trained.get(run_key(run.identity)), run.identity
        if not run.done or record is None:
            continue
        lacks = ["snapshots"] if options.snapshots and not store.snapshots_path(identity).exists() else []
        lacks += ["--watch"] if options.watch and not record.watched else []
        lacks += ["answers after every epoch"] if options.answers and not store.answers_path(identity).exists() else []
        if lacks:
            name = f"{identity.method} {identity.backbone}"
            without.setdefault((name, " and ".join(lacks)), []).append(identity.seed)
    for (name, lacking), seeds in without.items():
        line = f"  {printable(name)} {seeds_text(seeds)}: recorded without {lacking}; use --force to train it again"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if options.track and (done := sum(run.done for run in plan.runs)):
        line = f"  {done:,} recorded run{'s' if done > 1 else ''}: not sent to the trackers; use --force to repeat"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def backbones_of(runs: Sequence[PlannedRun]) -> list[str]:
    """Return the backbones of the runs; those of encoders from elsewhere only if there are no others."""
    trained = [run for run in runs if run.identity.budget != NO_BUDGET]
    return list(dict.fromkeys(run.identity.backbone for run in trained or runs))


def first_trained(runs: Sequence[PlannedRun]) -> Identity:
    """Return the identity of the first run that is trained here, or of the first run if none is."""
    return next((run.identity for run in runs if run.identity.budget != NO_BUDGET), runs[0].identity)

"""Print the plan of a command before its runs start."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bench.execution.progress_bars import label
from bench.planning.plan import PlannedRun, run_key
from bench.planning.plan_runs import Plan
from bench.records.record import NO_BUDGET, Identity
from bench.records.store import Store

if TYPE_CHECKING:
    from rich.console import Console


def print_plan(plan: Plan, console: "Console") -> None:
    """Print the data set, backbones, budget, notes, and one line per run that is still to do."""
    first = first_trained(plan.runs)
    task = " (development task)" if first.task == "val" else ""
    backbones = " and ".join(backbones_of(plan.runs))
    trained = f"{backbones}, {first.budget}[/bold]: {first.epochs} epochs, batch {first.batch}; "
    if first.budget == NO_BUDGET:
        trained = "pretrained elsewhere[/bold]: "
    todo, total = len(plan.todo), len(plan.runs)
    console.print(
        f"[bold]{first.dataset}{task}, {trained}"
        f"{total} run{'s' if total != 1 else ''}, {total - todo} recorded, {todo} to do",
        highlight=False,
        soft_wrap=True,
    )
    for line in _lines(plan):
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)


def _lines(plan: Plan) -> Iterator[str]:
    yield from plan.notes
    for name, reason in plan.skipped.items():
        yield f"left out {name}: {reason}"
    for run in plan.todo:
        protocols = "" if not run.recorded else f": {', '.join(run.protocols)}"
        reason = f" ({run.reason})" if run.reason != "new" else ""
        yield f"{label(run.identity)}{reason}{protocols}"


def print_runs_without_snapshots(plan: Plan, store: Store, console: "Console") -> None:
    """Print one line per recorded run that was trained without snapshots."""
    trained = {run_key(record.identity) for record in plan.records if record.cost.pretrain_s is not None}
    for run in plan.runs:
        if run.done and run_key(run.identity) in trained and not store.snapshots_path(run.identity).exists():
            line = f"  {label(run.identity)}: recorded without snapshots; use --force to train it again"
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def backbones_of(runs: Sequence[PlannedRun]) -> list[str]:
    """Return the backbones of the runs; those of encoders from elsewhere only if there are no others."""
    trained = [run for run in runs if run.identity.budget != NO_BUDGET]
    return list(dict.fromkeys(run.identity.backbone for run in trained or runs))


def first_trained(runs: Sequence[PlannedRun]) -> Identity:
    """Return the identity of the first run that is trained here, or of the first run if none is."""
    return next((run.identity for run in runs if run.identity.budget != NO_BUDGET), runs[0].identity)

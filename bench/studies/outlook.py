"""What a study will take, before anything runs: the runs of each pretraining, its rows and an estimate of the time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.execution.plan_groups import name_of, seeds_text, shortened
from bench.execution.session import engine_of, expected
from bench.execution.time_left import duration
from bench.planning.plan_runs import plan_runs
from bench.records.record import TaskName
from bench.studies.load import variants
from bench.studies.requests import Pretraining, pretrainings_of
from bench.studies.study import Study
from bench.training.options import RunOptions


@dataclass(frozen=True)
class Outlook:
    """What a study will take.

    Attributes:
        dataset: The data set, in lines for the user.
        lines: One line per pretraining: its runs, the rows that need them, and the time.
        seconds: Estimated seconds of everything that is still to do.
        from_records: Whether all of it is estimated from earlier records of the same methods.
    """

    dataset: Sequence[str]
    lines: Sequence[str]
    seconds: float
    from_records: bool


def outlook_of(study: Study, options: RunOptions, *, force: bool, dry_run: bool) -> Outlook:
    """Plan every run of a study and estimate its time; the protocols that the search chooses are not yet known.

    Raises:
        SslbenchError: Invalid input in any of the runs; nothing has run yet.
    """
    lines, total, measured, todo = [], 0.0, 0, 0
    dataset: Sequence[str] = ()
    for pretraining in pretrainings_of(study):
        seconds = 0.0
        tasks = tasks_of(study, pretraining)
        for task, (protocols, seeds) in tasks.items():
            request = pretraining.request(study, protocols, seeds, force=force)
            plan = plan_runs(request, pretraining.run_options(study, options, task), download=not dry_run)
            dataset = plan.dataset if task == "test" else dataset
            if plan.todo:
                jobs, estimated = expected(plan, engine_of(options).sized(plan.image_size))
                seconds += estimated.total(jobs)
                measured += estimated.measured
                todo += len(plan.todo)
        first = plan.runs[0].identity
        names = shortened([f'"{system.name}"' for system in pretraining.systems], 20)
        before = _before(study, pretraining)
        when = f"about {duration(seconds)}" if seconds else "recorded"
        epochs = f"{first.epochs} epoch{'s' if first.epochs != 1 else ''}"
        what = f"{name_of(first)} {first.backbone}, {epochs}, {seeds_text(range(pretraining.seeds(study)))}{before}"
        lines.append(f"{what}: {when}; for {names}")
        total += seconds
    return Outlook(dataset, lines, total, 0 < todo == measured)


def _before(study: Study, pretraining: Pretraining) -> str:
    """Return what is run on the development task first, in words."""
    searched = {entry.system for entry in study.search.systems} if study.search else set()
    ids = {system.id for system in pretraining.systems}
    if ids & searched:
        return f", after a search over {len(trials_of(study, pretraining))} protocols on the development task"
    return ", after a run on the development task for its curves" if trials_of(study, pretraining) else ""


def tasks_of(study: Study, pretraining: Pretraining) -> Mapping[TaskName, tuple[list[str], int]]:
    """Return the protocols and the number of seeds of a pretraining on each task, the development task first if it is needed."""
    own = [system.protocol for system in pretraining.systems]
    trials = trials_of(study, pretraining)
    test: dict[TaskName, tuple[list[str], int]] = {"test": (own, pretraining.seeds(study))}
    return {"val": (trials, 1), **test} if trials else test


def trials_of(study: Study, pretraining: Pretraining) -> list[str]:
    """Return the protocols that are measured on the development task: those whose curves are drawn, and those of the search."""
    drawn = {id for figure in study.figures if figure.kind == "classifiers" for id in figure.systems}
    searched = {entry.system for entry in study.search.systems} if study.search else set()
    trials = [system.protocol for system in pretraining.systems if system.id in drawn]
    for system in pretraining.systems:
        if system.id in searched:
            trials += variants(study, system.id)
    return trials

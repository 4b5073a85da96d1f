"""What a search will do, before it starts: search spaces, trials and an estimate of the time."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.execution.session import engine_of
from bench.execution.time_left import duration
from bench.filenames import settings_text
from bench.planning.estimate import estimate
from bench.printable import printable
from bench.records.store import Store
from bench.tuning.score import BEST, REPEATED, TESTED
from bench.tuning.trials import MethodTrials, Part, planned
from protocols import catalogue as protocols

if TYPE_CHECKING:
    from rich.console import Console


def print_outlook(methods: Sequence[MethodTrials], parts: Sequence[Part], console: "Console") -> None:
    """Print each method's search space and trials, the numbers of runs, and an estimate of the time."""
    count = len(methods[0].points)
    for line in parts[0].shipped.dataset:
        _print(console, f"  {line}")
    for trials in methods:
        _print(console, f"{trials.method}, {trials.backbone}", "bold")
        for axis in trials.axes:
            _print(console, f"  {axis.text()}")
        for number, changed in enumerate(trials.changed):
            _print(console, f"    trial {number}: {settings_text(changed) or 'the shipped recipe'}")
    on = "val" if len(parts) == 1 else f"{len(parts)} folds of train"
    best = min(BEST, count)
    runs = (
        len(methods) * count * len(parts),
        len(methods) * best * len(REPEATED[1:]) * len(parts),
        len(methods) * 2 * len(TESTED),
    )
    _print(
        console,
        f"Runs: {runs[0]:,} trials on {on}, then {runs[1]:,} of the best {best} with more seeds, then at most {runs[2]:,} on the test set",
    )
    seconds, jobs, todo = _seconds(methods, parts)
    _print(
        console,
        f"Runs of trials left: {todo:,}; about {duration(seconds / jobs)} for everything with {jobs} runs at the same time (an estimate)",
    )


def _seconds(methods: Sequence[MethodTrials], parts: Sequence[Part]) -> tuple[float, int, int]:
    """Return the seconds of all runs that are left, the number of runs at the same time, and how many trials are left."""
    engine = engine_of(parts[0].options).sized(parts[0].shipped.image_size)
    cores = engine.options.threads if engine.options.device == "cpu" else 0
    store = Store(engine.options.results)
    count = len(methods[0].points)
    total, todo = 0.0, 0
    for part in parts:
        workload = replace(part.shipped.workload, cores=cores)
        trials = [run for run in planned(part, [(m, t, 0) for m in methods for t in range(count)]) if not run.done]
        todo += len(trials)
        total += sum(estimate(trials, workload, store).seconds)
        # Which trials are repeated is not known yet: the shipped recipe takes about as long.
        again = planned(part, [(m, 0, seed) for m in methods for seed in REPEATED[1:]])
        total += min(BEST, count) * sum(estimate(again, workload, store).seconds)
        if part is parts[0]:
            tested = planned(part, [(m, 0, seed) for m in methods for seed in TESTED], tuple(protocols.DEFAULT))
            total += 2 * sum(estimate(tested, workload, store).seconds)
    return total, engine.jobs(max(1, todo)), todo


def _print(console: "Console", line: str, style: str = "") -> None:
    console.print(printable(line), style=style, markup=False, highlight=False, soft_wrap=True)

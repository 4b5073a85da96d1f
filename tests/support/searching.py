"""A small search on digits in one process: two trials, few seeds, and runs that are carried out one after another in this process.

``python -m support.searching RESULTS METHOD…`` carries one out, as a process that may be killed.
"""

import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
import torch
from rich.console import Console
from support.in_process import context_of, options_of

from bench.data.dataset import Dataset
from bench.data.spec import DatasetSpec
from bench.execution import session
from bench.execution.engine import Assignment, Message
from bench.execution.events import RunEnded, RunLocked, metrics_of
from bench.execution.run import execute
from bench.planning.request import Request
from bench.records.record import Identity
from bench.training.options import RunOptions
from bench.tuning import outlook, search, trials
from protocols import catalogue

TRIALS = 2
REPEATED, TESTED = range(2), range(1)


@cache
def dataset_of(spec: DatasetSpec) -> Dataset:
    return spec.load()


class InProcess:
    """An engine that carries out one run after another in this process; see ``bench.execution.engine.Engine``."""

    def __init__(self, options: RunOptions) -> None:
        self.options = options
        self.submitted: list[Assignment] = []

    def check(self) -> None:
        pass

    def start(self) -> None:
        pass

    def sized(self, size: int) -> "InProcess":
        return self

    def jobs(self, runs: int) -> int:
        return 1

    def place(self) -> None:
        return None

    def most_submitted(self, jobs: int) -> int:
        return 1

    def submit(self, assignment: Assignment) -> None:
        self.submitted.append(assignment)

    def wait(self, seconds: float) -> Sequence[tuple[Assignment, Message]]:
        assignment = self.submitted.pop()
        run = assignment.run
        record = execute(run, dataset_of(self.options.dataset), context_of(self.options), wait=assignment.wait)
        if record is None:
            return [(assignment, RunLocked(run.identity))]
        ended = RunEnded(run.identity, record.status, record.cause, metrics_of(record.protocols))
        return [(assignment, ended)]

    def cancel(self) -> None:
        pass


def small(patch: pytest.MonkeyPatch) -> None:
    """Make searches small: few seeds, two protocols, and the 145 images of val of digits, although these are too few."""
    patch.setattr(session, "engine_of", InProcess)
    patch.setattr(outlook, "engine_of", InProcess)
    patch.setattr(search, "REPEATED", REPEATED)
    patch.setattr(search, "TESTED", TESTED)
    patch.setattr(catalogue, "DEFAULT", ("knn", "linear"))
    patch.setattr(trials, "ENOUGH", 100)


def tuned(
    results: Path,
    *methods: str,
    count: int = TRIALS,
    dry_run: bool = False,
    console: Console | None = None,
    **changed: str,
) -> list[Identity]:
    """Search in this process; returns the runs that did not end well."""
    request = Request(methods=methods, budget="1ep", backbone="mlp")
    printed = console or Console(file=sys.stdout, width=200)
    return search.tune(request, count, options_of(results, **changed), printed, dry_run=dry_run)


Tune = Callable[..., list[Identity]]

if __name__ == "__main__":
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        tuned(Path(sys.argv[1]), *sys.argv[2:])

"""The interface of an engine, which carries out runs somewhere, and the loop that gives it the runs of a command."""

import signal
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bench.errors import StorageError
from bench.execution.events import RunDied, RunEnded, RunLocked, RunUpdate
from bench.execution.failures import record_crash
from bench.planning.plan import PlannedRun
from bench.training.options import RunOptions

GRACE_SECONDS = 30.0
"""Time in which runs must write their checkpoints after they were asked to stop."""
POLL_SECONDS = 0.5
"""Longest time until Ctrl-C is noticed."""

Message = RunUpdate | RunEnded | RunLocked | RunDied | StorageError
"""What an engine reports about a run; each but a ``RunUpdate`` is the last one."""


@dataclass(frozen=True)
class Assignment:
    """A run, its slot among the concurrent runs (on one machine the slot decides the GPU), and whether to wait for the run's lock."""

    run: PlannedRun
    slot: int
    wait: bool = False


class Engine(Protocol):
    """Carries out runs, each in a process of its own; the results folder is all that the engine and the runs share.

    ``check`` and ``start`` are called before the runs are planned; ``submit``, ``wait`` and ``cancel`` by ``run_all``.

    Attributes:
        options: The options of the runs.
    """

    options: RunOptions

    def check(self) -> None:
        """Raise SslbenchError if an option cannot be used."""

    def start(self) -> None:
        """Start what the runs need, while they are still being planned.

        Raises:
            SslbenchError: The machines cannot be reached.
        """

    def sized(self, size: int) -> "Engine":
        """Return an engine for runs on images of ``size`` pixels; its options have the device and the number of threads of a run.

        Raises:
            SslbenchError: No machine can carry out such a run.
        """

    def jobs(self, runs: int) -> int:
        """Return how many of ``runs`` runs are carried out at the same time; call it on an engine that is sized."""

    def place(self) -> str | None:
        """Return where the runs are carried out, in one line for the user; None for this machine without more."""

    def most_submitted(self, jobs: int) -> int:
        """Return how many runs may be submitted and not ended; those that ``jobs`` does not allow wait in the engine."""

    def submit(self, assignment: Assignment) -> None:
        """Begin a run."""

    def wait(self, seconds: float) -> Sequence[tuple[Assignment, Message]]:
        """Return what the submitted runs have reported, after at most about this time; there is at least one such run.

        Raises:
            SslbenchError: No run can be carried out, for example because a machine does not see the results folder.
        """

    def cancel(self) -> None:
        """Stop the runs that have not ended: each writes a checkpoint at its next step, or is ended after ``GRACE_SECONDS``."""


def run_all(
    runs: Sequence[PlannedRun],
    engine: Engine,
    jobs: int,
    on_event: Callable[[RunUpdate | RunEnded], None],
) -> list[RunEnded]:
    """Carry out the runs and return how they ended.

    If the process of a run dies (for example because memory ran out), only this run is recorded as failed.

    Raises:
        KeyboardInterrupt: The user stopped; every run has written its checkpoint.
        SslbenchError: The results folder cannot be written, or the engine cannot carry out runs; the other runs are stopped.
    """
    waiting = deque(Assignment(run, number % jobs) for number, run in enumerate(runs))
    ended: list[RunEnded] = []
    submitted, most = 0, engine.most_submitted(jobs)
    with _Signals() as signals:
        try:
            while waiting or submitted:
                while waiting and submitted < most:
                    engine.submit(waiting.popleft())
                    submitted += 1
                for assignment, message in engine.wait(POLL_SECONDS):
                    if isinstance(message, RunUpdate):
                        on_event(message)
                        continue
                    submitted -= 1
                    if isinstance(message, StorageError):
                        raise message
                    if isinstance(message, RunLocked):
                        waiting.append(replace(assignment, wait=True))
                        continue
                    if isinstance(message, RunDied):
                        if signals.stopping:
                            continue
                        message = record_crash(message.identity, message.cause, engine.options)
                    ended.append(message)
                    on_event(message)
                if signals.stopping:
                    break
        finally:
            engine.cancel()
        if signals.stopping:
            raise KeyboardInterrupt
    return ended


class _Signals:
    """Turns Ctrl-C and SIGTERM into a request to stop, so that runs can write checkpoints; a second signal ends the command at once."""

    def __init__(self) -> None:
        self.stopping = False

    def __enter__(self) -> "_Signals":
        self.previous = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: object) -> None:
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True

"""Many runs on one machine, several at a time; they share nothing but the results folder."""

import contextlib
import re
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait

from bench.device import cores
from bench.errors import SslbenchError, StorageError
from bench.execution.events import RunEnded, RunLocked, RunUpdate
from bench.execution.worker import GRACE_SECONDS, Assignment, Worker
from bench.planning.plan import PlannedRun
from bench.training.options import RunOptions

JOBS_PER_CORE = 8
"""Largest number of runs at the same time, per core of the machine."""


def number_of_jobs(jobs: str, runs: int, auto: int) -> int:
    """Return the number of runs that are carried out at the same time.

    Args:
        jobs: Value of ``--jobs``.
        runs: Number of runs.
        auto: Number of jobs if ``jobs`` is ``auto``.

    Raises:
        SslbenchError: ``jobs`` is neither ``auto`` nor a positive integer, or it is far more than this machine can carry out.
    """
    if jobs != "auto":
        if not re.fullmatch(r"0*[1-9][0-9]{0,5}", jobs):
            raise SslbenchError(f"--jobs {jobs}: must be auto or a positive integer")
        if int(jobs) > JOBS_PER_CORE * cores():
            raise SslbenchError(
                f"--jobs {jobs}: this machine has {cores()} cores; give at most {JOBS_PER_CORE * cores()}, or auto"
            )
    return max(1, min(auto if jobs == "auto" else int(jobs), runs))


def run_all(
    runs: Sequence[PlannedRun], options: RunOptions, jobs: int, on_event: Callable[[RunUpdate | RunEnded], None]
) -> list[RunEnded]:
    """Carry out the runs, ``jobs`` at a time, each in its own process; return how they ended.

    If a process dies (for example because memory ran out), only its own run is recorded as failed.

    Raises:
        KeyboardInterrupt: The user stopped; every run has written its checkpoint.
        StorageError: The results folder cannot be written, or a stored file is corrupt; the other runs are stopped.
    """
    waiting = deque(Assignment(run, number % jobs) for number, run in enumerate(runs))
    ended: list[RunEnded] = []
    workers: dict[Connection, Worker] = {}
    with _Signals() as signals:
        try:
            while waiting or workers:
                while waiting and len(workers) < jobs:
                    worker = Worker(options, waiting.popleft())
                    workers[worker.connection] = worker
                for connection in wait(list(workers), timeout=0.5):
                    assert isinstance(connection, Connection)
                    message = workers[connection].receive(signals.stopping)
                    if isinstance(message, RunUpdate):
                        on_event(message)
                        continue
                    worker = workers.pop(connection)
                    worker.end()
                    if isinstance(message, StorageError):
                        raise message
                    if isinstance(message, RunLocked):
                        waiting.append(replace(worker.assignment, wait=True))
                    elif message is not None:
                        ended.append(message)
                        on_event(message)
                if signals.stopping:
                    waiting.clear()
                    _stop(workers)
        finally:
            _stop(workers)
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


def _stop(workers: dict[Connection, Worker]) -> None:
    """Ask all runs to stop, and wait for them within one grace period."""
    for worker in workers.values():
        worker.stop()
    deadline = time.monotonic() + GRACE_SECONDS
    while workers:
        connection, worker = workers.popitem()
        # Read its last messages, so that it does not block on a full pipe.
        with contextlib.suppress(EOFError, OSError):
            while connection.poll(max(0.0, deadline - time.monotonic())):
                connection.recv()
        worker.end(max(0.0, deadline - time.monotonic()))

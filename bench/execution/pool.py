"""The local engine: runs on this machine, several at a time, each in its own process."""

import contextlib
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait

from bench.device import cores
from bench.errors import SslbenchError
from bench.execution.engine import GRACE_SECONDS, Assignment, Message
from bench.execution.events import RunUpdate
from bench.execution.worker import Worker, start_fork_server
from bench.training.options import RunOptions

JOBS_PER_CORE = 8
"""Largest number of runs at the same time, per core of the machine."""


def number_of_jobs(jobs: str, runs: int, auto: int, *, here: bool = True) -> int:
    """Return the number of runs that are carried out at the same time.

    Args:
        jobs: Value of ``--jobs``.
        runs: Number of runs.
        auto: Number of jobs if ``jobs`` is ``auto``.
        here: Whether the runs are carried out on this machine.

    Raises:
        SslbenchError: ``jobs`` is neither ``auto`` nor a positive integer, or it is far more than this machine can carry out.
    """
    if jobs != "auto":
        if not re.fullmatch(r"0*[1-9][0-9]{0,5}", jobs):
            raise SslbenchError(f"--jobs {jobs}: must be auto or a positive integer")
        if here and int(jobs) > JOBS_PER_CORE * cores():
            raise SslbenchError(
                f"--jobs {jobs}: this machine has {cores()} cores; give at most {JOBS_PER_CORE * cores()}, or auto"
            )
    return max(1, min(auto if jobs == "auto" else int(jobs), runs))


class LocalPool:
    """Carries out runs on this machine; see ``Engine``."""

    def __init__(self, options: RunOptions, size: int = 0) -> None:
        self.options, self._size = options, size
        self._workers: dict[Connection, Worker] = {}

    def check(self) -> None:
        """Raise SslbenchError if ``--jobs``, ``--device`` or ``--devices`` is invalid."""
        from bench.device import check_devices

        number_of_jobs(self.options.jobs, 1, 1)
        check_devices(self.options.devices, self.options.device)

    def start(self) -> None:
        """Start the process from which runs are forked."""
        start_fork_server()

    def sized(self, size: int) -> "LocalPool":
        """Return a pool for images of ``size`` pixels, with the device resolved and the number of threads by this size."""
        from bench.device import resolve_device, threads_of_run

        options = replace(self.options, device=resolve_device(self.options.device), threads=threads_of_run(size))
        return LocalPool(options, size)

    def jobs(self, runs: int) -> int:
        """Return how many of the runs fit on this machine at the same time, or ``--jobs``."""
        from bench.device import runs_side_by_side

        side_by_side = runs_side_by_side(self.options.device, self._size, self.options.devices)
        return number_of_jobs(self.options.jobs, runs, side_by_side)

    def place(self) -> None:
        """Return None: the runs are carried out on this machine."""

    def most_submitted(self, jobs: int) -> int:
        """Return ``jobs``: a submitted run begins at once."""
        return jobs

    def submit(self, assignment: Assignment) -> None:
        """Start the process of a run."""
        worker = Worker(self.options, assignment)
        self._workers[worker.connection] = worker

    def wait(self, seconds: float) -> Sequence[tuple[Assignment, Message]]:
        """Return the next message of each process that has one."""
        messages: list[tuple[Assignment, Message]] = []
        for connection in wait(list(self._workers), timeout=seconds):
            assert isinstance(connection, Connection)
            worker = self._workers[connection]
            message = worker.receive()
            messages.append((worker.assignment, message))
            if not isinstance(message, RunUpdate):
                del self._workers[connection]
                worker.end()
        return messages

    def cancel(self) -> None:
        """Ask all runs to stop, and wait for them within one grace period."""
        for worker in self._workers.values():
            worker.stop()
        deadline = time.monotonic() + GRACE_SECONDS
        while self._workers:
            connection, worker = self._workers.popitem()
            # Read its last messages, so that it does not block on a full pipe.
            with contextlib.suppress(EOFError, OSError):
                while connection.poll(max(0.0, deadline - time.monotonic())):
                    connection.recv()
            worker.end(max(0.0, deadline - time.monotonic()))

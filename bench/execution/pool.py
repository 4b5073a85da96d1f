"""Many runs on one machine, side by side; they share nothing but the results folder."""

import contextlib
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait

from bench.errors import SslbenchError, StorageError
from bench.execution.worker import GRACE_SECONDS, Assignment, Elsewhere, Ended, Machine, Told, Worker
from bench.planning.plan import PlannedRun


def jobs_for(asked: str, runs: int, auto: int) -> int:
    """Return how many runs go side by side.

    Args:
        asked: ``auto`` or a number.
        runs: How many there are.
        auto: What ``auto`` means on this machine.

    Raises:
        SslbenchError: ``asked`` is neither.
    """
    if asked != "auto" and (not asked.isdigit() or int(asked) < 1):
        raise SslbenchError(f"--jobs {asked}: write auto or a number from 1 on")
    return max(1, min(auto if asked == "auto" else int(asked), runs))


def run_all(runs: Sequence[PlannedRun], machine: Machine, jobs: int, tell: Callable[[Told], None]) -> list[Ended]:
    """Do the runs, ``jobs`` at a time, each in a process of its own; return how they ended.

    A process that dies (killed for memory, say) costs its run alone, which is recorded as failed.

    Raises:
        KeyboardInterrupt: The user stopped; every run has kept its checkpoint.
        StorageError: What no other run could escape either: a results folder that cannot be written.
    """
    waiting = deque(Assignment(run, number % jobs) for number, run in enumerate(runs))
    ended: list[Ended] = []
    workers: dict[Connection, Worker] = {}
    with _Signals() as signals:
        try:
            while waiting or workers:
                while waiting and len(workers) < jobs:
                    worker = Worker(machine, waiting.popleft())
                    workers[worker.connection] = worker
                for connection in wait(list(workers), timeout=0.5):
                    assert isinstance(connection, Connection)
                    message = workers[connection].hear(signals.stopping)
                    if not isinstance(message, Told):
                        worker = workers.pop(connection)
                        worker.end()
                    if isinstance(message, StorageError):
                        raise message
                    if isinstance(message, Elsewhere):
                        waiting.append(replace(worker.assignment, wait=True))
                    elif isinstance(message, Ended):
                        ended.append(message)
                        tell(Told(message.identity, message))
                    elif message is not None:
                        tell(message)
                if signals.stopping:
                    waiting.clear()
                    _stop(workers)
        finally:
            _stop(workers)
        if signals.stopping:
            raise KeyboardInterrupt
    return ended


class _Signals:
    """Turns Ctrl-C and SIGTERM into a request to stop, so that runs can write their checkpoints; the second one is final."""

    def __init__(self) -> None:
        self.stopping = False

    def __enter__(self) -> "_Signals":
        self.before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: object) -> None:
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True


def _stop(workers: dict[Connection, Worker]) -> None:
    """Ask all to stop, and see them end within one grace."""
    for worker in workers.values():
        worker.stop()
    deadline = time.monotonic() + GRACE_SECONDS
    while workers:
        connection, worker = workers.popitem()
        # What it says to its end is taken in, so that it cannot wait for a full pipe.
        with contextlib.suppress(EOFError, OSError):
            while connection.poll(max(0.0, deadline - time.monotonic())):
                connection.recv()
        worker.end(max(0.0, deadline - time.monotonic()))

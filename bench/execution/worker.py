"""The process of one run, as the session controls it: start it, receive its messages, stop it, record its crash."""

import contextlib
import multiprocessing
import multiprocessing.context
import os
import signal
from dataclasses import dataclass
from multiprocessing import forkserver

from bench.errors import StorageError
from bench.execution.child import carry_out
from bench.execution.events import RunEnded, RunLocked, RunUpdate
from bench.execution.failures import record_failure
from bench.planning.plan import PlannedRun
from bench.records.run_log import RunLog
from bench.records.store import Store
from bench.training.options import RunOptions

GRACE_SECONDS = 30.0
"""Time in which runs must write their checkpoints after they were asked to stop."""


@dataclass(frozen=True)
class Assignment:
    """A run, its slot among the concurrent runs (the slot decides the GPU), and whether to wait for the run's lock."""

    run: PlannedRun
    slot: int
    wait: bool = False


def start_fork_server() -> None:
    """Start the process from which runs are forked, so that it imports torch while the runs are planned.

    It ignores Ctrl-C from its first instruction; otherwise it would print a traceback while it imports. Its path has no working folder,
    whose files could hide installed packages.
    """
    _fork_server()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, handler)
        del os.environ["PYTHONSAFEPATH"]
        if before is not None:
            os.environ["PYTHONSAFEPATH"] = before


class Worker:
    """The process of one run.

    The session and the process talk through one pipe. After every step the run stops if it finds a message (None) in the pipe, or
    if the pipe is closed, which means that the session was killed.
    """

    def __init__(self, options: RunOptions, assignment: Assignment) -> None:
        self.options, self.assignment = options, assignment
        self.connection, child_connection = _fork_server().Pipe()
        arguments = (child_connection, options, assignment.run, assignment.slot, assignment.wait)
        self.process = _fork_server().Process(target=carry_out, args=arguments)
        self.process.start()
        child_connection.close()

    def receive(self, stopping: bool) -> RunUpdate | RunEnded | RunLocked | StorageError | None:
        """Return the next message of the process; if it died, how its run ended (None if the session is stopping)."""
        try:
            message: RunUpdate | RunEnded | RunLocked | StorageError = self.connection.recv()
            return message
        except (EOFError, OSError):
            self.process.join()
            return None if stopping else self._record_crash()

    def stop(self) -> None:
        """Ask the run to stop at its next step."""
        with contextlib.suppress(OSError):
            self.connection.send(None)

    def end(self, seconds: float = GRACE_SECONDS) -> None:
        """Wait for the process to end, at most this long, then kill it."""
        self.process.join(seconds)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()

    def _record_crash(self) -> RunEnded:
        """Record the run of a process that died as failed; a record with measurements of the same identity is kept."""
        code = self.process.exitcode
        cause = f"the run's process died (exit code {code}{'; out of memory?' if code == -signal.SIGKILL else ''})"
        identity = self.assignment.run.identity
        RunLog(Store(self.options.results).log_path(identity))(f"end: failed, {cause}")
        message = record_failure(identity, cause, self.options)
        return RunEnded(identity, "failed", f"{cause}; {message}" if message else cause)


def _fork_server() -> "multiprocessing.context.ForkServerContext":
    """Return the context whose server imports torch and the methods once, and computes nothing, so that forks are quick and safe."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.execution.run", "methods.simclr", "methods.byol"])
    return context

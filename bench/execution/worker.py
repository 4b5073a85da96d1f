"""The process of one run, as an engine controls it: start it, receive its messages, stop it."""

import contextlib
import multiprocessing
import multiprocessing.context
import os
import signal
from multiprocessing import forkserver

from bench.execution.child import carry_out
from bench.execution.engine import GRACE_SECONDS, Assignment, Message
from bench.execution.events import RunDied
from bench.training.options import RunOptions


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

    The engine and the process talk through one pipe. After every step the run stops if it finds a message (None) in the pipe, or
    if the pipe is closed, which means that the engine's process was killed.
    """

    def __init__(self, options: RunOptions, assignment: Assignment) -> None:
        self.options, self.assignment = options, assignment
        self.connection, child_connection = _fork_server().Pipe()
        arguments = (child_connection, options, assignment.run, assignment.slot, assignment.wait)
        self.process = _fork_server().Process(target=carry_out, args=arguments)
        self.process.start()
        child_connection.close()

    def receive(self) -> Message:
        """Return the next message of the process; ``RunDied`` if it has ended without a last one."""
        try:
            message: Message = self.connection.recv()
            return message
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            cause = f"the run's process died (exit code {code}{'; out of memory?' if code == -signal.SIGKILL else ''})"
            return RunDied(self.assignment.run.identity, cause)

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


def _fork_server() -> "multiprocessing.context.ForkServerContext":
    """Return the context whose server imports torch and the methods once, and computes nothing, so that forks are quick and safe."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.execution.run", "methods.simclr", "methods.byol"])
    return context

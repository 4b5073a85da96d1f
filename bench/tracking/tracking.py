"""The trackers of one run, each in a process of its own: whatever happens there costs one warning, and the run never waits for it.

The run puts its figures into a queue, from which a thread sends them. A process keeps the libraries of trackers away from the memory,
the random numbers and the signals of the run.
"""

import multiprocessing
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from filelock import FileLock

from bench.foreign_code import described
from bench.tracking.catalogue import load
from bench.tracking.tracker import TrackedRun, Tracker, allowed, renamed

END_SECONDS = 60.0
"""Longest time that a run waits at its end for what its trackers still have to send."""
STOP_SECONDS = 10.0
"""The same if the user has stopped the run."""
_CREDENTIALS = re.compile(r"//[^/@\s]*@")

Figures = Mapping[str, float]


class Tracking:
    """The trackers of one run; by default there are none.

    Args:
        names: Names of the trackers.
        run: The run; it is needed if there are trackers.
        warn: Receives one line for each tracker that fails.
    """

    def __init__(
        self,
        names: Sequence[str] = (),
        run: TrackedRun | None = None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._channels = [_Channel(name, run, warn) for name in names]
        self._started = False

    def start(self, step: int | None, history: Mapping[int, Figures] | None = None) -> None:
        """Begin or continue the run.

        Args:
            step: Training steps that are done; None if nothing is trained in this session.
            history: Figures by step of earlier sessions, for trackers that do not have them.
        """
        self._started = True
        self._send("start", step, dict(history or {}))

    def log(self, step: int, figures: Figures) -> None:
        """Add figures of the training after ``step`` steps."""
        self._send("log", step, dict(figures))

    def scores(self, step: int, protocol: str, metrics: Figures) -> None:
        """Add the metrics of a protocol, measured on the encoder after ``step`` steps."""
        self._send("scores", step, protocol, dict(metrics))

    def end(self, status: str, cause: str | None) -> None:
        """End the run; waits a limited time for what is not sent yet."""
        if self._started:
            self._send("end", status, cause)
        patience = STOP_SECONDS if status == "interrupted" else END_SECONDS
        deadline = time.monotonic() + patience
        channels, self._channels = self._channels, []
        for channel in channels:
            channel.close(deadline if self._started else 0.0, patience)

    def _send(self, *message: Any) -> None:
        for channel in self._channels:
            channel.send(message)


class _Channel:
    """The process of one tracker, and the pipe to it."""

    def __init__(self, name: str, run: TrackedRun | None, warn: Callable[[str], None]) -> None:
        self._name, self._warn, self._failed = name, warn, False
        self._waiting: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        context = multiprocessing.get_context("forkserver")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, name, run), daemon=True)
        try:
            self._process.start()
        except (OSError, EOFError) as error:  # no memory for a process, or the server that forks it is gone
            self._fail(described(error))
        else:
            threading.Thread(target=self._send_all, daemon=True).start()
        other.close()

    def send(self, message: tuple[Any, ...]) -> None:
        """Send a message soon; a failure that the tracker has reported becomes a warning."""
        if not self._failed and self._connection.poll():
            self._receive()
        if not self._failed:
            self._waiting.put(message)

    def close(self, deadline: float, patience: float) -> None:
        """Wait until the tracker has ended, at most until ``deadline``, and end its process."""
        if not self._failed and deadline:
            if self._connection.poll(max(0.0, deadline - time.monotonic())):
                self._receive()
            else:
                self._fail(f"it has not ended within {patience:.0f} s; its last figures may be missing")
        if self._process.pid is not None:
            self._process.kill()
            self._process.join()
        self._connection.close()

    def _receive(self) -> None:
        try:
            line = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(1.0)
            line = f"its process died (exit code {self._process.exitcode})"
        if line is not None:
            self._fail(line)

    def _fail(self, line: str) -> None:
        self._failed = True
        self._warn(f"tracking with {self._name} stopped: {line}; the run does not depend on it")

    def _send_all(self) -> None:
        with suppress(OSError, ValueError):  # the tracker or the run has ended
            while True:
                self._connection.send(self._waiting.get())


def _serve(connection: Connection, name: str, run: TrackedRun) -> None:
    """Carry out the messages of a run; the main function of a tracker's process."""
    # If the command and its processes are killed, this one still ends in good order: the end of the pipe is its end.
    os.setsid()
    silent = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(silent, number)
    line = None
    try:
        lock = run.folder / ".locks" / f"{name}-{run.digest}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        # The tracker of an earlier session may still have to send.
        with FileLock(lock, timeout=2 * END_SECONDS):
            _carry_out(connection, load(name), run)
    except BaseException as error:  # libraries of trackers raise errors of many types, SystemExit too
        line = _CREDENTIALS.sub("//…@", described(error).removesuffix(" (code of a plugin must not end the process)"))
    with suppress(OSError):
        connection.send(line)
        if line is not None:
            while True:
                connection.recv()  # the run may still send; it ends this process
    os._exit(0)


def _carry_out(connection: Connection, tracker: Tracker, run: TrackedRun) -> None:
    held: Mapping[str, int] = {}

    def log(step: int, figures: Figures) -> None:
        if new := {name: value for name, value in renamed(figures).items() if step > held.get(name, -1)}:
            tracker.log(step, new)

    started = False
    while True:
        try:
            kind, *arguments = connection.recv()
        except (EOFError, OSError):
            kind, arguments = "end", ["interrupted", "the process of the run ended"]
        if kind == "start":
            step, history = arguments
            held, started = tracker.start(run, step), True
            for earlier, figures in history.items():
                log(earlier, figures)
        elif kind == "log":
            log(*arguments)
        elif kind == "scores":
            step, protocol, metrics = arguments
            tracker.scores(step, allowed(protocol), renamed(metrics))
        else:
            # A tracker that hangs must not outlive the run.
            threading.Thread(target=_exit_later, daemon=True).start()
            if started:
                tracker.end(*arguments)
            return


def _exit_later() -> None:
    time.sleep(END_SECONDS)
    os._exit(1)

"""Code that runs on the nodes of a Ray cluster: the supervisor of one run's process, and the mailbox for its progress.

A run has its own process there too, the same as on this machine (``child.py``). The supervisor is the Ray task: it passes on what
the run reports, and asks it to stop when Ray cancels the task.
"""

import contextlib
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import bench
from bench.errors import SslbenchError
from bench.execution.engine import Assignment, Message
from bench.execution.events import RunUpdate
from bench.execution.worker import Worker, start_fork_server
from bench.records.environment import commit, package_versions
from bench.records.shared_folder import Beacon
from bench.training.options import RunOptions

REPORT_SECONDS = 0.5
"""Time between two reports of the progress of a run."""
_PATIENCE_SECONDS = 10.0
"""Longest time that a run waits until its lines have reached the mailbox."""
_MOST_LINES = 1000
"""Largest number of lines that the mailbox keeps."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables that set the number of threads of libraries; Ray sets the first one in tasks."""

_TRACKERS = ("MLFLOW_", "WANDB_")
"""Beginnings of the names of variables of trackers; those of the command replace those of the node."""


@dataclass(frozen=True)
class Surroundings:
    """What a node must have in common with the machine of the command.

    Attributes:
        folder: Working folder of the command; relative paths start there.
        paths: Where the command imports modules from.
        variables: Variables of sslbench, and for the number of threads.
        code: Version of sslbench, of its results and its commit.
        beacon: File in the results folder by which a node recognises it.
        trackers: Variables of MLflow and W&B; they may hold passwords.
    """

    folder: str
    paths: Sequence[str]
    variables: Mapping[str, str]
    code: str
    beacon: Beacon
    trackers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def here(cls, beacon: Beacon, *, tracked: bool = False) -> "Surroundings":
        """Return those of this process; the variables of trackers only if runs are ``tracked``."""
        paths = [str(Path(path).absolute()) for path in sys.path if path]
        trackers = {name: value for name, value in os.environ.items() if tracked and name.startswith(_TRACKERS)}
        return cls(str(Path.cwd()), paths, _variables(), _code(), beacon, trackers)

    @contextlib.contextmanager
    def entered(self) -> Iterator[str | None]:
        """Use them in this process within a ``with`` block; yield a line for the user if the locks of the folder do not hold.

        Raises:
            SslbenchError: This node does not have them.
        """
        node = f"node {socket.gethostname()}"
        if _code() != self.code:
            raise SslbenchError(f"{node} has {_code()}, but this command {self.code}; install the same on all nodes")
        before = _variables()
        _set_variables(self.variables)
        os.environ.update(self.trackers)
        sys.path += [path for path in self.paths if path not in sys.path]
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise SslbenchError(
                f"{node} does not see the folder {self.folder} ({error.strerror}); start sslbench in a folder that all nodes see"
            ) from error
        try:
            yield self.beacon.check(node)
        finally:
            _set_variables(before)


class Mailbox:
    """What the runs have reported since the session last looked: the latest progress of each run, and lines for the user.

    It is a Ray actor. If its node is lost, so are its messages, and an empty one is started elsewhere.
    """

    def __init__(self) -> None:
        self._progress: dict[int, RunUpdate] = {}
        self._lines: deque[tuple[int, RunUpdate]] = deque(maxlen=_MOST_LINES)

    def put(self, number: int, updates: Sequence[RunUpdate]) -> None:
        """Keep the reports of the run that was submitted as this number."""
        for update in updates:
            if isinstance(update.content, str):
                self._lines.append((number, update))
            else:
                self._progress[number] = update

    def take(self) -> list[tuple[int, RunUpdate]]:
        """Return all reports with the numbers of their runs, and forget them."""
        taken = [*self._lines, *self._progress.items()]
        self._lines.clear()
        self._progress.clear()
        return taken


def supervise(
    options: RunOptions, assignment: Assignment, surroundings: Surroundings, number: int, mailbox: Any
) -> Message:
    """Carry out one run in a process of its own, and return its last message; this is the Ray task.

    Raises:
        SslbenchError: No run can be carried out on this node.
    """
    report = _Report(number, mailbox)
    with _stop_requests() as stopping, surroundings.entered() as warning:
        if warning:
            report.add(RunUpdate(assignment.run.identity, warning))
        start_fork_server()
        worker = Worker(options, assignment)
        try:
            return _last_message(worker, report, stopping)
        finally:
            worker.end()
            report.finish()


def _last_message(worker: Worker, report: "_Report", stopping: list[bool]) -> Message:
    """Pass on what the run reports until it ends; ask it once to stop if Ray has cancelled the task."""
    asked = False
    while True:
        if stopping and not asked:
            asked = True
            worker.stop()
        if worker.connection.poll(REPORT_SECONDS):
            message = worker.receive()
            if not isinstance(message, RunUpdate):
                return message
            report.add(message)
        report.send_if_due()


class _Report:
    """Collects the updates of a run, and sends them to the mailbox: progress now and then, lines at once."""

    def __init__(self, number: int, mailbox: Any) -> None:
        self.number, self.mailbox = number, mailbox
        self.progress: RunUpdate | None = None
        self.lines: list[RunUpdate] = []
        self.sent = 0.0
        self.last: Any = None

    def add(self, update: RunUpdate) -> None:
        if isinstance(update.content, str):
            self.lines.append(update)
        else:
            self.progress = update

    def send_if_due(self) -> None:
        if self.lines or (self.progress is not None and time.monotonic() - self.sent >= REPORT_SECONDS):
            updates = [*self.lines, *([self.progress] if self.progress else [])]
            self.last = self.mailbox.put.remote(self.number, updates)
            self.progress, self.lines, self.sent = None, [], time.monotonic()

    def finish(self) -> None:
        """Send what is left, and wait until it has arrived."""
        import ray

        self.send_if_due()
        if self.last is not None:
            ray.wait([self.last], timeout=_PATIENCE_SECONDS)


@contextlib.contextmanager
def _stop_requests() -> Iterator[list[bool]]:
    """Yield a list that gets an entry when Ray cancels this task, which it does as if Ctrl-C was pressed."""
    requests: list[bool] = []

    def note(number: int, frame: FrameType | None) -> None:
        requests.append(True)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield requests
    finally:
        signal.signal(signal.SIGINT, before)


def _variables() -> dict[str, str]:
    """Return the variables of sslbench and for the number of threads."""
    return {name: value for name, value in os.environ.items() if name.startswith("SSLBENCH_") or name in _THREADS}


def _set_variables(variables: Mapping[str, str]) -> None:
    for name in _variables().keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


def _code() -> str:
    """Return which code this process runs: versions of sslbench and of its results, and the commit of a checkout."""
    version = package_versions().get("sslbench", "not installed as a package")
    found = (commit() or "").removesuffix("-dirty")[:12]
    return f"sslbench {version}{f' at commit {found}' if found else ''} (results of version {bench.HARNESS_VERSION})"

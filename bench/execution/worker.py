"""The process of one run: how it is started, what it says, how it is stopped and what its death costs."""

import contextlib
import multiprocessing
import multiprocessing.context
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.data.spec import DatasetSpec
from bench.errors import Stopped, StorageError
from bench.planning.plan import PlannedRun
from bench.records.record import OWN_NETWORK, Identity, Status

CHECKPOINT_SECONDS = 15.0
GRACE_SECONDS = 30.0
"""How long runs that were asked to stop may take to write their checkpoints."""


@dataclass(frozen=True)
class Machine:
    """What the runs are done on; small and picklable.

    Attributes:
        results: The results folder.
        source: The data set; every run loads it itself.
        device: As ``--device`` names it.
        threads: Of one run; by a rule, not by the load.
        plugins: Loaded by every run.
        elsewhere: Encoders from elsewhere: the name of their records -> the user's name.
        checkpoint_seconds: Shortest time between two checkpoints of a run.
        snapshots: How many epochs lie between two snapshots; None for none.
    """

    results: Path
    source: DatasetSpec
    device: str
    threads: int
    plugins: Sequence[str] = ()
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    snapshots: int | None = None


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    identity: Identity
    status: Status
    cause: str | None


@dataclass(frozen=True)
class Elsewhere:
    """Another process is at this run now: it is tried again after the others, and then waited for."""

    identity: Identity


@dataclass(frozen=True)
class Told:
    """What a run says of itself: an ``execute.Progress``, or a line for the user."""

    identity: Identity
    what: Any


@dataclass(frozen=True)
class Assignment:
    """A run, its place among those side by side (hence its GPU), and whether to wait where another command is at it."""

    run: PlannedRun
    place: int
    wait: bool = False


def warm_up() -> None:
    """Begin to load what every run imports, while the runs are still being planned."""
    _context()
    forkserver.ensure_running()


class Worker:
    """The process of one run.

    All goes through one pipe. The run looks at every step whether something came through it: None means stop, and so does a
    pipe whose other end is closed because this process was killed.
    """

    def __init__(self, machine: Machine, assignment: Assignment) -> None:
        self.machine, self.assignment = machine, assignment
        self.connection, theirs = _context().Pipe()
        self.process = _context().Process(target=_work, args=(theirs, machine, assignment))
        self.process.start()
        theirs.close()

    def hear(self, stopping: bool) -> "Told | Ended | Elsewhere | StorageError | None":
        """Return what the process said; where it died, how its run ended (None where it was to stop)."""
        try:
            message: Told | Ended | Elsewhere | StorageError = self.connection.recv()
            return message
        except (EOFError, OSError):
            self.process.join()
            return None if stopping else self._bury()

    def stop(self) -> None:
        """Ask the run to stop at its next step."""
        with contextlib.suppress(OSError):
            self.connection.send(None)

    def end(self, seconds: float = GRACE_SECONDS) -> None:
        """Wait for the process, so long at the most, then kill it."""
        self.process.join(seconds)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()

    def _bury(self) -> Ended:
        """Record the run of a process that died; a measured record of the same identity stands."""
        from bench.planning.plan import MEASURED
        from bench.records.environment import describe
        from bench.records.record import Record
        from bench.records.run_log import RunLog
        from bench.records.store import Store

        code = self.process.exitcode
        cause = f"the run's process died (exit code {code}{'; out of memory?' if code == -signal.SIGKILL else ''})"
        identity, store = self.assignment.run.identity, Store(self.machine.results)
        RunLog(store.log_path(identity))(f"end: failed, {cause}")
        old = store.read(identity)
        if old is None or old.identity != identity or old.status not in MEASURED:
            environment = describe(self.machine.device, "unknown", self.machine.threads)
            said = store.write(Record(identity, "failed", cause, environment=environment))
            return Ended(identity, "failed", f"{cause}; {said}" if said else cause)
        return Ended(identity, "failed", cause)


def _context() -> "multiprocessing.context.ForkServerContext":
    """Return the context whose server has imported torch and the rest once, and computes nothing: its forks start at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.execution.run", "methods.simclr", "methods.byol"])
    return context


def _work(connection: Connection, machine: Machine, assignment: Assignment) -> None:
    """Do one run; the main function of its process."""
    # Ctrl-C reaches every process of the terminal: the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        connection.send(_Runner(connection, machine, assignment).run())
    except StorageError as error:
        connection.send(error)
    except OSError:  # the parent is gone
        return


class _Runner:
    """The inside of a run's process."""

    def __init__(self, connection: Connection, machine: Machine, assignment: Assignment) -> None:
        self.connection, self.machine, self.assignment = connection, machine, assignment
        self.identity = assignment.run.identity
        self.told = 0.0
        self.leaving = False
        signal.signal(signal.SIGTERM, self._leave)

    def run(self) -> Ended | Elsewhere:
        """Do the run and return how it ended."""
        from bench.device import choose_device
        from bench.execution.context import Surroundings
        from bench.execution.run import execute
        from bench.records.store import Store
        from bench.registry.methods import load_installed_protocols, load_plugin

        for plugin in self.machine.plugins:
            load_plugin(plugin)
        load_installed_protocols()
        self._look_elsewhere()
        surroundings = Surroundings(
            store=Store(self.machine.results),
            device=choose_device(_own_device(self.machine.device, self.assignment.place)),
            threads=self.machine.threads,
            checkpoint_seconds=self.machine.checkpoint_seconds,
            snapshots=self.machine.snapshots,
            keep_going=self._keep_going,
            tell=self._tell,
            say=self._say,
        )
        try:
            record = execute(self.assignment.run, self.machine.source.load(), surroundings, wait=self.assignment.wait)
        except Stopped as error:
            return Ended(self.identity, "interrupted", str(error))
        if record is None:
            return Elsewhere(self.identity)
        return Ended(self.identity, record.status, record.cause)

    def _look_elsewhere(self) -> None:
        from bench.registry.methods import origin_of, plan_elsewhere

        asked = self.machine.elsewhere.get(self.identity.method)
        if asked is not None:
            backbone = self.identity.backbone
            origin = origin_of(asked, None if backbone == OWN_NETWORK else backbone)
            assert origin is not None
            plan_elsewhere(self.identity.method, origin)

    def _leave(self, *_: object) -> None:
        self.leaving = True

    def _keep_going(self) -> bool:
        return not self.leaving and not self.connection.poll()

    def _tell(self, progress: Any) -> None:
        """Send progress at most five times a second, except at the beginning and the end of a stage."""
        now = time.monotonic()
        if now - self.told >= 0.2 or progress.done in (0, progress.total):
            self.told = now
            self._say(progress)

    def _say(self, what: Any) -> None:
        try:
            self.connection.send(Told(self.identity, what))
        except OSError:
            raise Stopped("the command that started this run is gone") from None


def _own_device(device: str, place: int) -> str:
    if device != "cuda":
        return device
    import torch

    return f"cuda:{place % max(1, torch.cuda.device_count())}"

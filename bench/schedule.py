"""Many runs on one machine: worker processes, threads, GPUs. Workers share nothing but the results folder."""

import contextlib
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from bench.errors import SslbenchError
from bench.plan import PlannedRun
from bench.records import Identity, Status
from bench.request import Source

CHECKPOINT_SECONDS = 15.0
GRACE_SECONDS = 30.0
"""How long a worker that was asked to stop may take to write its checkpoint."""


@dataclass(frozen=True)
class Machine:
    """What the runs are done on; small and picklable.

    Attributes:
        results: The results folder.
        source: The data set; every worker loads it itself.
        device: As ``--device`` names it.
        threads: Of one run; by a rule, not by the load.
        plugins: Loaded by every worker.
        checkpoint_seconds: Shortest time between two checkpoints of a run.
    """

    results: Path
    source: Source
    device: str
    threads: int
    plugins: Sequence[str] = ()
    checkpoint_seconds: float = CHECKPOINT_SECONDS


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


def jobs_for(asked: str, runs: int, threads: int, device: str) -> int:
    """Return how many runs go side by side.

    Args:
        asked: ``auto`` or a number.
        runs: How many there are.
        threads: Of one run.
        device: ``cpu``, ``cuda`` or ``cuda:N``, already chosen.

    Raises:
        SslbenchError: ``asked`` is neither.
    """
    if asked != "auto":
        if not asked.isdigit() or int(asked) < 1:
            raise SslbenchError(f"--jobs {asked}: write auto or a number from 1 on")
        return max(1, min(int(asked), runs))
    from bench.device import cores

    if device == "cuda":
        import torch

        return max(1, min(torch.cuda.device_count(), runs))
    if device.startswith("cuda"):
        return 1
    return max(1, min(cores() // threads, runs))


def run_all(
    runs: Sequence[PlannedRun],
    machine: Machine,
    jobs: int,
    tell: Callable[[Told], None],
) -> list[Ended]:
    """Do the runs, ``jobs`` at a time, each in a worker process of its own kind; return how they ended.

    A worker that dies (killed for memory, say) costs its run alone: the run is recorded as failed, and a new worker takes
    the next one.

    Raises:
        KeyboardInterrupt: The user stopped; every run has kept its checkpoint.
        SslbenchError: What no other run could escape either: a results folder that cannot be written.
    """
    waiting = deque(_Assignment(run) for run in runs)
    ended: list[Ended] = []
    workers = [_Worker(machine, number) for number in range(jobs)]
    with _Signals() as signals:
        try:
            for worker in workers:
                if waiting:
                    worker.give(waiting.popleft())
            while any(worker.busy for worker in workers):
                if signals.seen:
                    waiting.clear()
                    for worker in workers:
                        worker.stop()
                _listen(workers, waiting, ended, machine, tell)
        finally:
            for worker in workers:
                worker.stop()
            for worker in workers:
                worker.end()
        if signals.seen:
            raise KeyboardInterrupt
    return ended


@dataclass(frozen=True)
class _Assignment:
    """A run for a worker, and whether to wait where another process is at it."""

    run: PlannedRun
    wait: bool = False


class _Signals:
    """Turns Ctrl-C and SIGTERM into a request to stop, so that runs can write their checkpoints; the second one is final."""

    def __init__(self) -> None:
        self.seen = False

    def __enter__(self) -> "_Signals":
        self.before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: object) -> None:
        if self.seen:
            raise KeyboardInterrupt
        self.seen = True


class _Worker:
    """One worker process and what it is doing.

    All goes through one pipe: a run to do, or None to stop. A worker that is busy looks whether something waits there; a pipe whose
    other end is closed, because this process was killed, says the same.
    """

    def __init__(self, machine: Machine, number: int) -> None:
        self._machine, self._number = machine, number
        self.assignment: _Assignment | None = None
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, self._machine, self._number))
        self.process.start()
        theirs.close()
        self._stopped = False

    @property
    def busy(self) -> bool:
        return self.assignment is not None

    def give(self, assignment: _Assignment) -> None:
        self.assignment = assignment
        self.connection.send(assignment)

    def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            with contextlib.suppress(OSError):
                self.connection.send(None)

    def restart(self) -> None:
        self.process.join()
        self.connection.close()
        self._start()

    def end(self) -> None:
        self.process.join(GRACE_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()


def _listen(
    workers: list[_Worker],
    waiting: "deque[_Assignment]",
    ended: list[Ended],
    machine: Machine,
    tell: Callable[[Told], None],
) -> None:
    """Take in what the workers say, once."""
    busy = {worker.connection: worker for worker in workers if worker.busy}
    for connection in wait(list(busy), timeout=0.5):
        assert isinstance(connection, Connection)
        worker = busy[connection]
        assert worker.assignment is not None
        try:
            message = connection.recv()
        except (EOFError, ConnectionResetError):
            message = _bury(worker, machine)
        if isinstance(message, Told):
            tell(message)
            continue
        if isinstance(message, SslbenchError):
            raise message
        if isinstance(message, Elsewhere):
            waiting.append(_Assignment(worker.assignment.run, wait=True))
        if isinstance(message, Ended):
            ended.append(message)
            tell(Told(message.identity, message))
        worker.assignment = None
        if waiting:
            worker.give(waiting.popleft())


def _bury(worker: _Worker, machine: Machine) -> Ended:
    """Record the run of a worker that died, and start another worker."""
    from bench.environment import describe
    from bench.records import Record
    from bench.store import Store

    assert worker.assignment is not None
    worker.process.join()
    code = worker.process.exitcode
    cause = f"the worker process died (exit code {code}{'; out of memory?' if code == -signal.SIGKILL else ''})"
    identity = worker.assignment.run.identity
    store = Store(machine.results)
    if store.read(identity) is None:
        environment = describe(machine.device, "unknown", machine.threads)
        store.write(Record(identity, "failed", cause, environment=environment))
    worker.restart()
    return Ended(identity, "failed", cause)


def _work(connection: Connection, machine: Machine, number: int) -> None:
    """Do runs until told to end; the worker's main function."""
    # Ctrl-C reaches every process of the terminal: the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        runner = _Runner(connection, machine, number)
        signal.signal(signal.SIGTERM, runner.leave)
        runner.serve()
    except (BrokenPipeError, EOFError, ConnectionResetError):
        return
    except SslbenchError as error:
        connection.send(error)


class _Runner:
    """The inside of a worker process."""

    def __init__(self, connection: Connection, machine: Machine, number: int) -> None:
        from bench.device import choose_device
        from bench.discover import load_installed_protocols, load_plugin
        from bench.store import Store

        for plugin in machine.plugins:
            load_plugin(plugin)
        load_installed_protocols()
        self.connection, self.machine = connection, machine
        self.device = choose_device(_own_device(machine.device, number))
        self.store = Store(machine.results)
        self.dataset = machine.source.load()
        self.told = 0.0
        self.leaving = False

    def leave(self, *_: object) -> None:
        """Stop at the next step: somebody sent SIGTERM to this process."""
        self.leaving = True

    def serve(self) -> None:
        """Do what comes through the pipe until None does."""
        while (assignment := self.connection.recv()) is not None:
            self.connection.send(self._do(assignment.run, assignment.wait))

    def _do(self, run: PlannedRun, wait: bool) -> Ended | Elsewhere:
        from bench.execute import Surroundings, execute
        from bench.pretrain import Stopped

        surroundings = Surroundings(
            store=self.store,
            device=self.device,
            threads=self.machine.threads,
            checkpoint_seconds=self.machine.checkpoint_seconds,
            keep_going=self._keep_going,
            tell=lambda progress: self._tell(run, progress),
            say=lambda line: self.connection.send(Told(run.identity, line)),
        )
        try:
            record = execute(run, self.dataset, surroundings, wait=wait)
        except Stopped as error:
            return Ended(run.identity, "interrupted", str(error))
        if record is None:
            return Elsewhere(run.identity)
        return Ended(run.identity, record.status, record.cause)

    def _keep_going(self) -> bool:
        return not self.leaving and not self.connection.poll()

    def _tell(self, run: PlannedRun, progress: Any) -> None:
        """Send progress at most five times a second, except at the beginning and the end of a stage."""
        now = time.monotonic()
        if now - self.told >= 0.2 or progress.done in (0, progress.total):
            self.told = now
            self.connection.send(Told(run.identity, progress))


def _own_device(device: str, number: int) -> str:
    if device != "cuda":
        return device
    import torch

    return f"cuda:{number % max(1, torch.cuda.device_count())}"

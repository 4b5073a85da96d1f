"""The Ray engine: runs on the nodes of a Ray cluster, each as one Ray task.

Ray may lose anything: a run whose node or process is lost is submitted again, and continues from its checkpoint in the results folder.
"""

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.errors import SslbenchError
from bench.execution.engine import GRACE_SECONDS, Assignment, Message
from bench.execution.events import RunDied, RunUpdate
from bench.execution.pool import number_of_jobs
from bench.execution.progress_bars import label
from bench.execution.ray_cluster import connect, described, load_ray, nodes
from bench.execution.ray_resources import Node, Resources, resources_of_run, room
from bench.execution.ray_task import Mailbox, Surroundings, supervise
from bench.records.record import Identity
from bench.records.shared_folder import beacon
from bench.records.store import Store
from bench.training.options import RunOptions

ATTEMPTS = 3
"""Number of times that a run is lost, without a newer checkpoint in between, until it counts as failed."""
MOST_SUBMITTED = 1000
"""Largest number of runs that wait in Ray for a free node; more than there is room for, so that a cluster that can grow does so."""
_CANCEL_AGAIN_SECONDS = 5.0
"""Time after which a task that has not stopped is asked again."""
_LOOK_SECONDS = 20.0
"""Time between two looks at the nodes while no run reports anything."""
_PATIENCE_SECONDS = 10.0
"""Longest time to wait for the mailbox when a run has ended."""


@dataclass(frozen=True)
class _Submitted:
    """A run that is in Ray's hands.

    Attributes:
        assignment: The run.
        number: Number by which the mailbox knows it.
        lost: How many attempts in a row were lost without a newer checkpoint.
        stored: When the checkpoint or the encoder was last written before this attempt.
    """

    assignment: Assignment
    number: int
    lost: int
    stored: int


class RayEngine:
    """Carries out runs on a Ray cluster; see ``Engine``."""

    def __init__(self, options: RunOptions, found: Sequence[Node] = (), each: Resources | None = None) -> None:
        self.options, self._nodes, self._each = options, found, each
        self._tasks: dict[Any, _Submitted] = {}
        self._count = 0
        self._open = contextlib.ExitStack()
        self._surroundings: Surroundings | None = None
        self._mailbox: Any = None
        self._taking: Any = None
        self._looked, self._waiting = time.monotonic(), False

    def check(self) -> None:
        """Raise SslbenchError if Ray is not installed, or ``--jobs``, ``--device`` or ``--devices`` is invalid."""
        load_ray()
        number_of_jobs(self.options.jobs, 1, 1, here=False)
        if self.options.devices != 1:
            raise SslbenchError(
                f"--devices {self.options.devices}: with --engine ray, give --devices-per-run {self.options.devices}"
            )
        if not re.fullmatch("auto|cpu|cuda", self.options.device):
            raise SslbenchError(
                f"--device {self.options.device}: with --engine ray, write auto, cpu or cuda; Ray chooses the GPU of each run"
            )

    def start(self) -> None:
        """Connect to the cluster."""
        connect(self.options.address)

    def sized(self, size: int) -> "RayEngine":
        """Return an engine for runs on images of ``size`` pixels; the device is ``cpu``, or each node resolves it.

        Raises:
            SslbenchError: No node can carry out such a run.
        """
        found = nodes(self.options.address)
        each = resources_of_run(found, self.options.device, self.options.devices_per_run, size)
        device, devices = self.options.device if each.gpus else "cpu", max(1, int(each.gpus))
        options = replace(self.options, device=device, devices=devices, threads=each.threads)
        return RayEngine(options, found, each)

    def jobs(self, runs: int) -> int:
        """Return how many of the runs fit on the cluster at the same time, or ``--jobs``."""
        assert self._each is not None
        return number_of_jobs(self.options.jobs, runs, room(self._nodes, self._each), here=False)

    def place(self) -> str:
        """Return the cluster and what each run gets, in words."""
        assert self._each is not None
        return f"{described(self.options.address, self._nodes)}; {self._each.described()} for each run"

    def most_submitted(self, jobs: int) -> int:
        """Return ``--jobs``, or all that Ray shall queue."""
        return MOST_SUBMITTED if self.options.jobs == "auto" else jobs

    def submit(self, assignment: Assignment) -> None:
        """Give a run to Ray."""
        self._submit(assignment, 0)

    def wait(self, seconds: float) -> Sequence[tuple[Assignment, Message]]:
        """Return what the runs have reported; a run whose process or node was lost is submitted again."""
        ray = load_ray()
        ended, _ = ray.wait(list(self._tasks), num_returns=1, timeout=seconds)
        if ended:
            ended, _ = ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        messages: list[tuple[Assignment, Message]] = [*self._updates(_PATIENCE_SECONDS if ended else seconds)]
        for task in ended:
            submitted = self._tasks.pop(task)
            messages.append((submitted.assignment, self._result(task, submitted)))
        return messages or self._without_nodes()

    def cancel(self) -> None:
        """Ask all runs to stop, wait for them within one grace period, and then end them."""
        ray = load_ray()
        left, deadline = list(self._tasks), time.monotonic() + GRACE_SECONDS
        self._tasks.clear()
        try:
            while left and time.monotonic() < deadline:
                for task in left:
                    ray.cancel(task)
                _, left = ray.wait(left, num_returns=len(left), timeout=_CANCEL_AGAIN_SECONDS)
            for task in left:
                ray.cancel(task, force=True)
        finally:
            self._mailbox = self._taking = self._surroundings = None
            self._open.close()

    def _submit(self, assignment: Assignment, lost: int) -> None:
        ray, each = load_ray(), self._each
        assert each is not None
        if self._surroundings is None:
            found = self._open.enter_context(beacon(self.options.results))
            self._surroundings = Surroundings.here(found, tracked=bool(self.options.track))
            self._mailbox = ray.remote(Mailbox).options(num_cpus=0, max_restarts=-1).remote()
        # A process that had one GPU cannot be given another, so that it serves one run only.
        task = ray.remote(max_calls=1 if each.gpus else 0)(supervise).options(
            num_gpus=each.gpus, num_cpus=each.cpus, max_retries=0, retry_exceptions=False
        )
        self._count += 1
        reference = task.remote(self.options, assignment, self._surroundings, self._count, self._mailbox)
        self._tasks[reference] = _Submitted(assignment, self._count, lost, self._stored(assignment.run.identity))

    def _result(self, task: Any, submitted: _Submitted) -> Message:
        """Return how an attempt ended; if it was lost, submit the run again and return a line for the user.

        Raises:
            SslbenchError: The node of the attempt cannot carry out runs.
        """
        ray = load_ray()
        identity = submitted.assignment.run.identity
        try:
            message: Message = ray.get(task)
            return message
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, SslbenchError):
                raise error.cause from None
            raise SslbenchError(f"a node of the Ray cluster cannot carry out runs: {_cause(error.cause)}") from error
        except ray.exceptions.RayError as error:
            why = _loss(ray, error)
        progressed = self._stored(identity) != submitted.stored
        lost = 1 if progressed else submitted.lost + 1
        if lost >= ATTEMPTS:
            return RunDied(
                identity, f"the run was lost {lost} times without a newer checkpoint, the last time because {why}"
            )
        self._submit(submitted.assignment, lost)
        return RunUpdate(identity, f"{label(identity)}: {why}; it continues on any free node")

    def _updates(self, seconds: float) -> Iterator[tuple[Assignment, RunUpdate]]:
        """Yield what the runs that have not ended put into the mailbox; nothing while the mailbox cannot be reached."""
        ray = load_ray()
        self._taking = self._taking or self._mailbox.take.remote()
        arrived, _ = ray.wait([self._taking], timeout=seconds)
        if not arrived:
            return
        taking, self._taking = self._taking, None
        with contextlib.suppress(ray.exceptions.RayError):
            numbers = {submitted.number: submitted.assignment for submitted in self._tasks.values()}
            for number, update in ray.get(taking):
                if number in numbers:
                    yield numbers[number], update

    def _without_nodes(self) -> Sequence[tuple[Assignment, Message]]:
        """Return one line for the user when no node is left that can carry out a run."""
        if time.monotonic() - self._looked < _LOOK_SECONDS or self._each is None:
            return []
        self._looked = time.monotonic()
        waiting, self._waiting = self._waiting, not room(nodes(self.options.address), self._each)
        if waiting or not self._waiting:
            return []
        assignment = next(iter(self._tasks.values())).assignment
        line = "no node of the Ray cluster can carry out a run now; the runs wait until one joins"
        return [(assignment, RunUpdate(assignment.run.identity, line))]

    def _stored(self, identity: Identity) -> int:
        """Return when the checkpoint or the encoder of a run was last written, in nanoseconds; 0 if there is none."""
        store = Store(self.options.results)
        times = [0]
        for path in (store.checkpoint_path(identity), store.encoder_path(identity)):
            with contextlib.suppress(OSError):
                times.append(path.stat().st_mtime_ns)
        return max(times)


def _loss(ray: Any, error: BaseException) -> str:
    """Return why Ray lost an attempt, in words."""
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "the memory of its node was nearly full, and Ray ended its process"
    if isinstance(error, ray.exceptions.NodeDiedError):
        return "its node was lost"
    if isinstance(error, ray.exceptions.WorkerCrashedError):
        return "its process ended, or its node was lost"
    return f"Ray lost it ({_cause(error)})"


def _cause(error: BaseException) -> str:
    """Return type and first line of an error."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"[:300]

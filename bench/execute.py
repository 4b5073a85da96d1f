"""One run from start to record; an exception becomes a failed record."""

import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bench.data.dataset import Dataset
from bench.device import device_name
from bench.encoders import Encoded, Sitting, encode
from bench.environment import describe
from bench.errors import Diverged, Stopped, StorageError
from bench.evaluate import Evaluation
from bench.naming import settings_text
from bench.plan import MEASURED, PlannedRun, Wanted, plan
from bench.pretrain import Finished
from bench.records import Cost, Identity, Measurement, Record, Status
from bench.run_log import RunLog
from bench.store import Store
from protocols.catalogue import resolve

POLL_SECONDS = 0.5
"""How often a run that another process holds is asked for again."""


@dataclass(frozen=True)
class Progress:
    """Where a run is.

    Attributes:
        stage: ``pretrain``, ``features`` or the protocol's id.
        done: Steps, images or protocols that are done.
        total: Of how many.
        epoch: The epoch, in pretraining, from 1.
        epochs: Of how many.
        loss: The last loss that was read.
        images_per_s: In pretraining.
    """

    stage: str
    done: int
    total: int
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    images_per_s: float | None = None


@dataclass(frozen=True)
class Surroundings:
    """What a run needs besides itself.

    Attributes:
        store: Where records, encoders, checkpoints, logs and snapshots lie.
        device: Where it computes.
        threads: Of this process for the run.
        checkpoint_seconds: Shortest time between two checkpoints.
        snapshots: How many epochs lie between two snapshots; None for none.
        keep_going: False asks the run to stop.
        tell: Told where the run is.
        say: Told one line that the user should read.
    """

    store: Store
    device: torch.device
    threads: int
    checkpoint_seconds: float
    snapshots: int | None = None
    keep_going: Callable[[], bool] = lambda: True
    tell: Callable[[Progress], None] = lambda _: None
    say: Callable[[str], None] = lambda _: None


class _Story:
    """What is known of a run so far, for its record; it begins with what an old record of the same run measured."""

    def __init__(self, run: PlannedRun, old: Record | None, log: RunLog) -> None:
        self.log = log
        same = old is not None and old.identity == run.identity and run.reason != "forced"
        self.encoded: Encoded | None = None
        self.protocols: dict[str, Measurement] = {}
        self.evaluate_s = 0.0
        self.peak_memory_mb = 0.0
        if old is not None and same:
            self.protocols = {name: m for name, m in old.protocols.items() if name not in run.protocols}
            self.evaluate_s = old.cost.evaluate_s or 0.0
            self.peak_memory_mb = old.cost.peak_memory_mb or 0.0


def execute(run: PlannedRun, dataset: Dataset, surroundings: Surroundings, *, wait: bool = True) -> Record | None:
    """Do one run and write its record; nothing is done where another process has done it meanwhile.

    Returns:
        The record; None where another process is at this run now and we do not ``wait`` for it.

    Raises:
        Stopped: The user asked to stop; the checkpoint is kept.
        StorageError: The results folder cannot be written, or a stored file is corrupt.
    """
    store, identity = surroundings.store, run.identity
    with _claim(run, surroundings, wait) as ours:
        if not ours:
            return None
        old = store.read(identity)
        todo = run if run.reason == "forced" else _left(run, old)
        if todo.done and old is not None:
            return old
        story = _Story(todo, old, RunLog(store.log_path(identity), surroundings.say))
        story.log(_beginning(todo, surroundings))
        kept = len(story.protocols)
        try:
            status, cause = _attempt(todo, dataset, surroundings, story)
        except Stopped as error:
            story.log(f"interrupted: {error}")
            measured = old is not None and old.identity == identity and old.status in MEASURED
            if not measured or len(story.protocols) > kept:
                ended = (old.status, old.cause) if old is not None and measured else ("interrupted", str(error))
                _write(_record(identity, dataset, *ended, story, surroundings), surroundings)
            raise
        except StorageError as error:
            story.log(f"given up: {error}")
            raise
        record = _record(identity, dataset, status, cause, story, surroundings)
        _write(record, surroundings)
        if status in MEASURED:
            store.checkpoint_path(identity).unlink(missing_ok=True)
        story.log(f"end: {status}{f', {cause}' if cause else ''}")
        return record


def _beginning(run: PlannedRun, surroundings: Surroundings) -> str:
    """Return the first lines of a sitting, for the log."""
    of, where = run.identity, describe(device_name(surroundings.device), "", surroundings.threads)
    versions = ", ".join(f"{name} {version}" for name, version in where["packages"].items())
    settings = f" with {settings_text(of.settings)}" if of.settings else ""
    return (
        f"start ({run.reason}): {of.method}{settings} on {of.dataset} ({of.task}), {of.backbone}, {of.budget}: "
        f"{of.epochs} epochs, batch {of.batch}, seed {of.seed}; protocols {', '.join(run.protocols)}\n"
        f"{where['device']} ({where['processor']}), threads {where['threads']}\n"
        f"python {where['python']}, {versions}, commit {where['commit']}"
    )


def _write(record: Record, surroundings: Surroundings) -> None:
    """Write a record, and tell the user of a file that had to make room."""
    said = surroundings.store.write(record)
    if said:
        surroundings.say(said)


@contextmanager
def _claim(run: PlannedRun, surroundings: Surroundings, wait: bool) -> Iterator[bool]:
    """Hold the run's lock, and yield whether it is ours; one who waits can be stopped."""
    while True:
        with surroundings.store.claim(run.identity, wait=False) as ours:
            if ours or not wait:
                yield ours
                return
        time.sleep(POLL_SECONDS)
        if not surroundings.keep_going():
            raise Stopped("stopped while another process was at this run")


def _left(run: PlannedRun, old: Record | None) -> PlannedRun:
    """Plan this run again from the record that stands there now."""
    names = (*run.recorded, *run.protocols)
    wanted = Wanted(run.identity, {name: resolve(name).version for name in names})
    return replace(plan([wanted], [old] if old is not None else [])[0], extends=run.extends)


def _attempt(run: PlannedRun, dataset: Dataset, surroundings: Surroundings, story: _Story) -> tuple[Status, str | None]:
    """Train and measure; return how it ended, and why."""
    try:
        return _train_and_measure(run, dataset, surroundings, story)
    except Diverged as error:
        return "diverged", str(error)
    except (Stopped, StorageError):
        raise
    except Exception as error:
        story.log.failure("failed", error)
        return "failed", cause_of(error)


def cause_of(error: BaseException) -> str:
    """Return one line for a record: what went wrong, with the error's type."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    starved = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or "can't allocate memory" in str(error)
    return f"out of memory: {line}" if starved else f"{type(error).__name__}: {line}"


def _train_and_measure(
    run: PlannedRun, dataset: Dataset, surroundings: Surroundings, story: _Story
) -> tuple[Status, str | None]:
    identity = run.identity
    story.encoded = encode(identity, dataset, _sitting(run, surroundings, story.log), anew=run.reason == "forced")
    started = time.monotonic()

    def on_images(done: int, total: int) -> None:
        surroundings.tell(Progress("features", done, total))
        _go_on(surroundings)

    evaluation = Evaluation(
        story.encoded.encoder, dataset, identity.backbone, identity.seed, on_images, lambda: _go_on(surroundings)
    )
    collapsed = evaluation.collapse()
    wrong: dict[str, list[str]] = {}
    for number, name in enumerate(run.protocols):
        surroundings.tell(Progress(name, number, len(run.protocols)))
        _go_on(surroundings)
        try:
            story.protocols[name] = evaluation.measure(name, beside=tuple(story.protocols))
            story.log(f"{name}: {_result(story.protocols[name])}")
        except (Stopped, StorageError):
            raise
        except Exception as error:
            story.log.failure(f"{name}: failed", error)
            wrong.setdefault(cause_of(error), []).append(name)
    story.evaluate_s += time.monotonic() - started
    if collapsed:
        return "collapsed", collapsed
    if wrong:
        return "failed", "; ".join(f"{', '.join(names)}: {cause}" for cause, names in wrong.items())
    return "ok", None


def _result(measured: Measurement) -> str:
    if measured.same_as is not None:
        return f"the same label sets as {measured.same_as}"
    figures = ", ".join(f"{name} {value:.4g}" for name, value in measured.metrics.items())
    return f"{figures} ({measured.seconds:.1f} s)"


def _go_on(surroundings: Surroundings) -> None:
    if not surroundings.keep_going():
        raise Stopped("stopped while measuring; the trained encoder is kept")


def _sitting(run: PlannedRun, surroundings: Surroundings, log: RunLog) -> Sitting:
    identity, store = run.identity, surroundings.store

    def on_step(step: int, steps: int, loss: float | None, images_per_s: float) -> None:
        epoch = (step - 1) // max(1, steps // identity.epochs) + 1
        surroundings.tell(
            Progress("pretrain", step, steps, min(epoch, identity.epochs), identity.epochs, loss, images_per_s)
        )

    return Sitting(
        device=surroundings.device,
        threads=surroundings.threads,
        checkpoint=store.checkpoint_path(identity),
        encoder=store.encoder_path(identity),
        checkpoint_seconds=surroundings.checkpoint_seconds,
        keep_going=surroundings.keep_going,
        on_step=on_step,
        say=surroundings.say,
        last=store.last_path(identity),
        extends=Finished(store.last_path(run.extends), run.extends) if run.extends else None,
        snapshots=(store.snapshots_path(identity), surroundings.snapshots) if surroundings.snapshots else None,
        log=log,
    )


def _record(
    identity: Identity,
    dataset: Dataset,
    status: Status,
    cause: str | None,
    story: _Story,
    surroundings: Surroundings,
) -> Record:
    encoded = story.encoded
    trained = encoded.trained if encoded else None
    cost = Cost(
        pretrain_s=trained.seconds if trained else None,
        evaluate_s=story.evaluate_s or None,
        images_per_s=trained.images_per_s if trained else None,
        peak_memory_mb=max(_peak_memory_mb(surroundings.device), story.peak_memory_mb),
        parameters=sum(p.numel() for p in encoded.encoder.parameters()) if encoded else None,
        views_per_image=encoded.views_per_image if encoded else None,
    )
    precision = encoded.precision if encoded else "32-true"
    threads = encoded.threads if encoded else surroundings.threads
    return Record(
        identity=identity,
        status=status,
        cause=cause,
        protocols=dict(sorted(story.protocols.items())),
        curve=trained.curve if trained else {},
        cost=cost,
        environment=describe(encoded.device if encoded else device_name(surroundings.device), precision, threads),
        classes=dataset.traits.classes,
    )


def _peak_memory_mb(device: torch.device) -> float:
    """Return the most that this run's process took: on the GPU where it ran on one, else of main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: on Linux a new process begins with its parent's peak there.
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) / 2**10
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20

"""One run from start to record; an exception becomes a failed record."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from bench.data.dataset import Dataset
from bench.errors import Diverged, Stopped, StorageError
from bench.evaluation.evaluate import Evaluation
from bench.execution.context import Progress, Surroundings
from bench.execution.encoder import Sitting, encode
from bench.execution.run_state import Story, beginning
from bench.planning.plan import MEASURED, PlannedRun, Wanted, plan
from bench.records.record import Measurement, Record, Status
from bench.records.run_log import RunLog
from bench.training.pretrain import Finished
from protocols.catalogue import resolve

POLL_SECONDS = 0.5
"""How often a run that another process holds is asked for again."""


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
        story = Story(todo, old, RunLog(store.log_path(identity), surroundings.say))
        story.log(beginning(todo, surroundings))
        kept = len(story.protocols)
        try:
            status, cause = _attempt(todo, dataset, surroundings, story)
        except Stopped as error:
            story.log(f"interrupted: {error}")
            measured = old is not None and old.identity == identity and old.status in MEASURED
            if not measured or len(story.protocols) > kept:
                ended = (old.status, old.cause) if old is not None and measured else ("interrupted", str(error))
                _write(story.record(identity, dataset, *ended, surroundings), surroundings)
            raise
        except StorageError as error:
            story.log(f"given up: {error}")
            raise
        record = story.record(identity, dataset, status, cause, surroundings)
        _write(record, surroundings)
        if status in MEASURED:
            store.checkpoint_path(identity).unlink(missing_ok=True)
        story.log(f"end: {status}{f', {cause}' if cause else ''}")
        return record


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


def _attempt(run: PlannedRun, dataset: Dataset, surroundings: Surroundings, story: Story) -> tuple[Status, str | None]:
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
    run: PlannedRun, dataset: Dataset, surroundings: Surroundings, story: Story
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

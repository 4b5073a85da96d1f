"""Carry out one run from start to record; after an exception the record's status is ``failed``."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from bench.data.dataset import Dataset
from bench.errors import Diverged, SslbenchError, Stopped, StorageError
from bench.evaluation.evaluate import Evaluation
from bench.execution.encoder import encoder_of
from bench.execution.failures import LONGEST_CAUSE, cause_of
from bench.execution.run_state import RunState, first_log_lines
from bench.execution.tracked import tracked
from bench.planning.plan import MEASURED, PlannedRun, Wanted, plan
from bench.records.record import Measurement, Record, Status
from bench.records.record_json import UnreadableRecord, check
from bench.registry.methods import method_of_run
from bench.registry.protocols import content_of, contents_of
from bench.training.context import Progress, RunContext
from protocols.base import NotFinite
from protocols.catalogue import resolve

POLL_SECONDS = 0.5
"""Time between two attempts to lock a run that another process is carrying out."""


class DataChanged(SslbenchError):
    """The images are no longer those that the run was planned for; nothing is recorded."""


def execute(run: PlannedRun, dataset: Dataset, context: RunContext, *, wait: bool = True) -> Record | None:
    """Carry out one run and write its record, unless another process has done so in the meantime.

    Returns:
        The record; None if another process is carrying out this run and ``wait`` is False.

    Raises:
        Stopped: The user asked to stop; the checkpoint is kept.
        DataChanged: The data set is not the one of the run's identity, or another one is not the one that was to be measured on.
        StorageError: The results folder cannot be written.
    """
    store, identity = context.store, run.identity
    _check_unchanged(identity.dataset, identity.fingerprint, dataset)
    with _claim(run, context, wait) as locked:
        if not locked:
            return None
        old = store.read(identity)
        todo = run if run.reason == "forced" else _remaining(run, old)
        if todo.done and old is not None:
            return old
        others = _others(todo)
        if run.reason == "forced":
            store.remove_trained(identity)
        with tracked(todo, context) as tracking:
            record = _recorded(RunState(todo, old, dataset, replace(context, tracking=tracking), others), old)
            tracking.end(record.status, record.cause)
        return record


def _check_unchanged(name: str, fingerprint: str, dataset: Dataset) -> None:
    """Raise DataChanged if a data set is not the one that the run was planned for."""
    if dataset.fingerprint != fingerprint:
        raise DataChanged(
            f"the images of {name} have changed since the run was planned: nothing is recorded; run the command again"
        )


def _others(run: PlannedRun) -> dict[str, Dataset]:
    """Load the other data sets that the run is still to be measured on, before it is trained; return them by name."""
    needed = {resolve(name).on for name in run.protocols}
    loaded = {}
    for other in run.others:
        if other.name in needed:
            loaded[other.name] = other.spec.load()
            _check_unchanged(other.name, other.fingerprint, loaded[other.name])
    return loaded


def _recorded(state: RunState, old: Record | None) -> Record:
    """Train, measure and write the record; see ``execute``."""
    run, context = state.run, state.context
    identity = run.identity
    state.log(first_log_lines(run, context))
    measured_before = len(state.protocols)
    try:
        status, cause = _attempt(state)
    except Stopped as error:
        state.log(f"interrupted: {error}")
        finished = old is not None and old.identity == identity and old.status in MEASURED
        if not finished or len(state.protocols) > measured_before:
            outcome = (old.status, old.cause) if old is not None and finished else ("interrupted", str(error))
            _write(state.record(*outcome), context)
        raise
    except StorageError as error:
        state.log(f"given up: {error}")
        raise
    record = _write(state.record(status, cause), context)
    status, cause = record.status, record.cause
    if status in MEASURED:
        context.store.checkpoint_path(identity).unlink(missing_ok=True)
    state.log(f"end: {status}{f', {cause}' if cause else ''}")
    return record


def _write(record: Record, context: RunContext) -> Record:
    """Write a record and return it; report if another file with its name was found and renamed.

    A record that could not be read back, for example because a plugin named a part of its loss with a line break, is written as failed.
    """
    try:
        message = context.store.write(record)
    except UnreadableRecord as error:
        cause = f"the results cannot be recorded: {error}"
        record = Record(record.identity, "failed", cause, environment=record.environment, classes=record.classes)
        message = context.store.write(record)
    if message:
        context.on_message(message)
    return record


@contextmanager
def _claim(run: PlannedRun, context: RunContext, wait: bool) -> Iterator[bool]:
    """Lock the run, and yield whether it is locked by this process; the user can stop while this waits."""
    while True:
        with context.store.claim(run.identity, wait=False) as locked:
            if locked or not wait:
                yield locked
                return
        time.sleep(POLL_SECONDS)
        if not context.keep_going():
            raise Stopped("stopped while another process was carrying out this run")


def _remaining(run: PlannedRun, old: Record | None) -> PlannedRun:
    """Plan this run again, with the record that is stored now."""
    names = (*run.recorded, *run.protocols)
    versions = {name: resolve(name).version for name in names}
    wanted = Wanted(run.identity, versions, run.origin, contents_of(names), run.others)
    return replace(plan([wanted], [old] if old is not None else [])[0], extends=run.extends)


def _attempt(state: RunState) -> tuple[Status, str | None]:
    """Train and measure; return how it ended, and why."""
    try:
        return _train_and_measure(state)
    except Diverged as error:
        return "diverged", str(error)
    except (Stopped, StorageError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a plugin may also raise SystemExit
        state.log.failure("failed", error)
        return "failed", cause_of(error)


def _train_and_measure(state: RunState) -> tuple[Status, str | None]:
    run, context = state.run, state.context
    state.describe_method(method_of_run(run.identity, run.origin))
    state.encoder = encoder_of(run, state.dataset, context, state.log)
    encoder = state.encoder.network
    started = time.monotonic()

    def on_images(done: int, total: int) -> None:
        context.on_progress(Progress("features", done, total))
        _check_stop(context)

    def evaluation_on(dataset: Dataset) -> Evaluation:
        return Evaluation(
            encoder,
            dataset,
            run.identity.backbone,
            run.identity.seed,
            on_images,
            lambda: _check_stop(context),
            context.store.root,
        )

    evaluation, transfer = evaluation_on(state.dataset), None
    collapsed = evaluation.collapse()
    failed: dict[str, list[str]] = {}
    diverged: dict[str, list[str]] = {}
    for number, name in enumerate(run.protocols):
        context.on_progress(Progress(name, number, len(run.protocols)))
        _check_stop(context)
        on = resolve(name).on
        if on != (transfer.dataset if transfer else None):
            # Replaced only here, because it holds the features of its data set.
            evaluation, transfer = evaluation_on(state.dataset_of(on)), state.transfer_to(on)
        try:
            found = evaluation.measure(name, _current(state.protocols, on))
            state.protocols[name] = _checked(replace(found, transfer=transfer))
            state.log(f"{name}: {_result(state.protocols[name])}")
            if metrics := state.protocols[name].metrics:
                context.tracking.scores(state.steps, name, metrics)
        except (Stopped, StorageError, KeyboardInterrupt):
            raise
        except (Diverged, NotFinite) as error:
            state.log(f"{name}: diverged, {error}")
            # On other images it says nothing about the training.
            (diverged if on is None else failed).setdefault(str(error), []).append(name)
        except BaseException as error:  # a plugin may also raise SystemExit
            state.log.failure(f"{name}: failed", error)
            failed.setdefault(cause_of(error), []).append(name)
    state.evaluate_s += time.monotonic() - started
    if collapsed:
        return "collapsed", collapsed
    if failed:
        return "failed", _causes(failed | diverged)
    if diverged:
        return "diverged", _causes(diverged)
    return "ok", None


def _causes(protocols: Mapping[str, Sequence[str]]) -> str:
    """Return one line of the protocols without a result, by cause."""
    return "; ".join(f"{', '.join(names)}: {cause}" for cause, names in protocols.items())[:LONGEST_CAUSE]


def _checked(measurement: Measurement) -> Measurement:
    """Return a measurement that can be recorded.

    Raises:
        Diverged: A metric is not finite.
        UnreadableRecord: A value could not be read back from a record.
    """
    for name, value in ((n, v) for metrics in (measurement.metrics, *measurement.draws) for n, v in metrics.items()):
        if isinstance(value, float) and not math.isfinite(value):
            raise Diverged(f"{name} is not finite")
    check(measurement)
    return measurement


def _current(measured: Mapping[str, Measurement], on: str | None) -> tuple[str, ...]:
    """Return the protocols on one data set with own results of the current version and content; None: on that of pretraining."""
    return tuple(
        name
        for name, m in measured.items()
        if m.same_as is None
        and (m.transfer.dataset if m.transfer else None) == on
        and (m.version, m.plugin) == (resolve(name).version, content_of(name))
    )


def _result(measurement: Measurement) -> str:
    if measurement.same_as is not None:
        return f"the same label sets as {measurement.same_as}"
    figures = ", ".join(f"{name} {value:.4g}" for name, value in measurement.metrics.items())
    return f"{figures} ({measurement.seconds:.1f} s)"


def _check_stop(context: RunContext) -> None:
    if not context.keep_going():
        raise Stopped("stopped while measuring; the trained encoder is kept")

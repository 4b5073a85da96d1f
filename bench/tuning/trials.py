"""The runs of a search: each is a run with settings on the development task, or five of them on the folds of ``train``."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from bench.backbones import catalogue as backbones
from bench.data.development import FOLDS
from bench.errors import SslbenchError
from bench.planning.plan import PlannedRun, Wanted, plan
from bench.planning.plan_runs import Plan, plan_runs
from bench.planning.request import Request
from bench.planning.settings import check_settings, recipe_of, typed_settings
from bench.pretrained.names import is_pretrained_name
from bench.records.record import Identity, Measurement, Record
from bench.records.store import Store
from bench.registry.methods import load_method
from bench.registry.protocols import contents_of
from bench.registry.search_space import Axis, axes_of
from bench.training.options import RunOptions
from bench.tuning.points import Point, points
from bench.tuning.score import SCORED, Outcome
from protocols.catalogue import resolve

ENOUGH = 1000
"""Images of ``val`` below which the folds of ``train`` are measured on instead."""
UNTRAINED = "is not trained here, so it has nothing to tune"
NO_SPACE = "declares no search space (`space` in its file)"


@dataclass(frozen=True)
class Part:
    """A development task that each trial is measured on.

    Attributes:
        options: Options of its runs; they name the task.
        shipped: Plan of the shipped recipes on it, of all methods that are searched.
    """

    options: RunOptions
    shipped: Plan


@dataclass(frozen=True)
class MethodTrials:
    """The trials of one method on one backbone.

    Attributes:
        method: The method's id.
        backbone: The backbone's name.
        plugin: Content of the plugin that defines it, or None.
        version: ``recipe.version``.
        axes: Its search space.
        points: The settings of each trial; the first is the shipped recipe.
        changed: The same as a run's identity has them: without what equals the shipped recipe.
    """

    method: str
    backbone: str
    plugin: str | None
    version: int
    axes: Sequence[Axis]
    points: Sequence[Point]
    changed: Sequence[Mapping[str, Any]]

    def identity(self, shipped: Identity, trial: int, seed: int) -> Identity:
        """Return the identity of one run of a trial, from that of the shipped recipe."""
        return replace(shipped, settings=dict(self.changed[trial]), seed=seed)


def parts_of(request: Request, options: RunOptions, *, download: bool) -> list[Part]:
    """Return the development tasks of a search: ``val``, or the folds of ``train`` where ``val`` has fewer than ``ENOUGH`` images.

    Args:
        request: What is searched: methods, budget, backbone and plugins; its protocols, seeds and settings do not count.
        options: Options of the runs.
        download: Whether a data set whose files are missing is downloaded.

    Raises:
        SslbenchError: Invalid input.
    """
    asked = replace(request, protocols=SCORED, seeds=(0,), settings=())
    on_val = replace(options, dataset=replace(options.dataset, task="val", fold=None))
    whole = Part(on_val, plan_runs(asked, on_val, download=download))
    if whole.shipped.workload.test >= ENOUGH:
        return [whole]
    folds = (replace(on_val, dataset=replace(on_val.dataset, fold=number)) for number in range(1, FOLDS + 1))
    return [Part(fold, plan_runs(asked, fold, download=download)) for fold in folds]


def trials_of(part: Part, count: int) -> tuple[list[MethodTrials], dict[str, str]]:
    """Return the trials of each method of a plan, and for each method without a search space the reason why it has none.

    Raises:
        SslbenchError: A search space is not what the contract says, or a method refuses settings within it.
    """
    found, left_out = [], {}
    for run in part.shipped.runs:
        identity = run.identity
        reason = why_not(run.origin or identity.method)
        if reason is not None:
            left_out[run.origin or identity.method] = reason
            continue
        found.append(_trials(identity, count))
    return found, left_out


def why_not(name: str) -> str | None:
    """Return why a method cannot be tuned, or None."""
    if is_pretrained_name(name):
        return UNTRAINED
    method = load_method(name)
    if not method.needs.training:
        return UNTRAINED
    return None if method.space else NO_SPACE


def _trials(identity: Identity, count: int) -> MethodTrials:
    name, kind = identity.method, backbones.find(identity.backbone).kind
    method = load_method(name)
    try:
        axes = axes_of(method, recipe_of(method, kind, {}))
    except ValueError as error:
        raise SslbenchError(f"method {name}: space: {error}") from error
    tried = points(axes, count)
    changed = []
    for point in tried:
        settings = typed_settings(name, method, kind, {key: repr(value) for key, value in point.items()})
        check_settings(name, method, kind, settings)
        changed.append(settings)
    return MethodTrials(name, identity.backbone, identity.plugin, identity.method_version, axes, tried, changed)


def planned(
    part: Part, wanted: Iterable[tuple[MethodTrials, int, int]], protocols: Sequence[str] = SCORED
) -> list[PlannedRun]:
    """Return the runs of trials on a development task, each with what is left to do.

    Args:
        part: The task.
        wanted: Method, trial and seed of each run.
        protocols: What is measured.
    """
    store = Store(part.options.results)
    versions = {name: resolve(name).version for name in protocols}
    contents = contents_of(protocols)
    shipped = {(run.identity.method, run.identity.backbone): run.identity for run in part.shipped.runs}
    runs = [
        Wanted(trials.identity(shipped[trials.method, trials.backbone], trial, seed), versions, plugins=contents)
        for trials, trial, seed in wanted
    ]
    records = [record for run in runs if (record := store.read(run.identity)) is not None]
    return plan(runs, records)


def outcome_of(trials: MethodTrials, trial: int, seed: int, parts: Sequence[Part]) -> Outcome | None:
    """Return what came of a trial with a seed, from the records of all parts; None if a run has not ended."""
    records = []
    for part in parts:
        (run,) = planned(part, [(trials, trial, seed)])
        record = Store(part.options.results).read(run.identity)
        if record is None or record.identity != run.identity or (not run.done and record.status != "failed"):
            return None
        records.append(record)
    return combined(records)


def combined(records: Sequence[Record]) -> Outcome:
    """Return the outcome of a trial from the records of its runs, one per part."""
    worst = min(records, key=lambda r: ("failed", "diverged", "interrupted", "collapsed", "ok").index(r.status))
    accuracy = {}
    for name in SCORED:
        measured = [record.protocols.get(name) for record in records]
        counts = [_right(m) for m in measured if m is not None and "top1" in m.metrics]
        if len(counts) == len(records):
            accuracy[name] = Fraction(sum(right for right, _ in counts), sum(images for _, images in counts))
    seconds = sum((r.cost.pretrain_s or 0.0) + (r.cost.evaluate_s or 0.0) for r in records)
    return Outcome(worst.status, worst.cause, accuracy, seconds, len(records))


def _right(measurement: Measurement) -> tuple[int, int]:
    """Return the number of right answers and of images."""
    return round(measurement.metrics["top1"] * measurement.images), measurement.images

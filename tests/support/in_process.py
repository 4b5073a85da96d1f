"""Carry out runs in the test's process: faster than the command line, and a run can be stopped at any step."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from bench.data.spec import DatasetSpec
from bench.errors import Stopped
from bench.execution.run import execute
from bench.planning.plan import Wanted
from bench.planning.plan_runs import plan_runs
from bench.planning.request import Request, check_names
from bench.planning.resolve import resolve
from bench.records.record import Record
from bench.records.store import Store
from bench.training.context import Progress, RunContext
from bench.training.options import RunOptions

KNN = ("knn",)


def options_of(results: Path, dataset: str = "digits", **changed: Any) -> RunOptions:
    """Options on the CPU with one thread; a checkpoint is written only when the run is stopped."""
    task = changed.pop("task", "test")
    data_root = changed.pop("data_root", None)
    spec = DatasetSpec(dataset, data_root, task=task)
    return RunOptions(results, spec, **{"device": "cpu", "checkpoint_seconds": math.inf, **changed})


def context_of(options: RunOptions, **callbacks: Any) -> RunContext:
    """The context of a run on the CPU in this process."""
    return RunContext(options, Store(options.results), torch.device("cpu"), **callbacks)


def wanted_runs(request: Request, options: RunOptions) -> list[Wanted]:
    """The runs of a request; records are ignored."""
    check_names(request, options)
    return resolve(request, options).wanted


def perform(
    store: Store,
    method: str,
    *,
    stop_at: int | None = None,
    on_message: Callable[[str], None] = lambda _: None,
    protocols: Sequence[str] = KNN,
    snapshots: int | None = None,
    watch: int | None = None,
    answers: str | None = None,
    track: Sequence[str] = (),
    task: str = "test",
    **request: Any,
) -> Record:
    """Carry out one run on digits; with ``stop_at`` it stops after this number of steps in this session and raises Stopped."""
    options = options_of(store.root, task=task, snapshots=snapshots, watch=watch, answers=answers, track=track)
    (run,) = plan_runs(Request(methods=[method], protocols=protocols, **request), options).runs
    steps: list[int] = []

    def on_progress(progress: Progress) -> None:
        if progress.stage == "pretrain":
            steps.append(progress.done)

    context = context_of(
        options,
        keep_going=lambda: stop_at is None or len(steps) < stop_at,
        on_progress=on_progress,
        on_message=on_message,
    )
    record = execute(run, options.dataset.load(), context)
    assert record is not None
    assert record.status == "ok", record.cause
    return record


def stopped(store: Store, method: str, stop_at: int, **request: Any) -> None:
    """Carry out one run and stop it after this number of steps."""
    try:
        perform(store, method, stop_at=stop_at, **request)
    except Stopped:
        return
    raise AssertionError("the run was not stopped")


def same(store: Store, record: Record, other_store: Store, other: Record) -> bool:
    """Whether two runs ended with the same weights, the same curve and the same measurements, bit for bit."""
    weights = [load_file(s.encoder_path(r.identity)) for s, r in ((store, record), (other_store, other))]
    measured = [{name: (m.draws, m.correct, m.variants) for name, m in r.protocols.items()} for r in (record, other)]
    return (
        weights[0].keys() == weights[1].keys()
        and all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
        and record.curve == other.curve
        and measured[0] == measured[1]
    )


def lines_of(path: Path) -> list[str]:
    """The entries of a log, without their times; the lines of one entry stay together."""
    entries: list[str] = []
    for line in path.read_text().splitlines():
        if line.startswith("    "):
            entries[-1] += "\n" + line[4:]
        else:
            stamp, _, rest = line.partition(" ")
            assert stamp.startswith("20") and stamp.endswith("+00:00"), line
            entries.append(rest)
    return entries

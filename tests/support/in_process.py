"""Requests done in the test's own process: quicker than the command line, and they can be stopped at any step."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from bench.data.spec import DatasetSpec
from bench.errors import Stopped
from bench.execution.context import Surroundings
from bench.execution.run import execute
from bench.planning.extend import with_sources
from bench.planning.plan import plan
from bench.planning.request import Request
from bench.planning.resolve import resolve
from bench.records.record import Record
from bench.records.store import Store

KNN = ("knn",)


def perform(
    store: Store,
    method: str,
    *,
    stop_at: int | None = None,
    force: bool = False,
    say: Callable[[str], None] = lambda _: None,
    protocols: Sequence[str] = KNN,
    **of: Any,
) -> Record:
    """Do one run on digits; with ``stop_at`` it is stopped after so many steps of this sitting, and Stopped is raised."""
    request = Request(
        methods=[method], source=DatasetSpec("digits", task=of.pop("task", "test")), protocols=protocols, **of
    )
    wanted = resolve(request).wanted
    old = [record for one in wanted if (record := store.read(one.identity)) is not None]
    runs = plan(wanted, old, force=force)
    if request.extend is not None:
        runs = with_sources(runs, request.budget, store)
    (run,) = runs
    steps: list[int] = []

    def tell(progress: Any) -> None:
        if progress.stage == "pretrain":
            steps.append(progress.done)

    surroundings = Surroundings(
        store,
        torch.device("cpu"),
        1,
        checkpoint_seconds=float("inf"),
        snapshots=request.snapshots,
        keep_going=lambda: stop_at is None or len(steps) < stop_at,
        tell=tell,
        say=say,
    )
    record = execute(run, request.source.load(), surroundings)
    assert record is not None
    assert record.status == "ok", record.cause
    return record


def stopped(store: Store, method: str, stop_at: int, **of: Any) -> None:
    """Do one run and stop it after so many steps."""
    try:
        perform(store, method, stop_at=stop_at, **of)
    except Stopped:
        return
    raise AssertionError("the run was not stopped")


def same(store: Store, one: Record, other_store: Store, other: Record) -> bool:
    """Whether two runs ended with the same weights, the same curve and the same measurements, bit for bit."""
    weights = [load_file(s.encoder_path(r.identity)) for s, r in ((store, one), (other_store, other))]
    measured = [{name: (m.draws, m.correct, m.variants) for name, m in r.protocols.items()} for r in (one, other)]
    return (
        weights[0].keys() == weights[1].keys()
        and all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
        and one.curve == other.curve
        and measured[0] == measured[1]
    )


def lines_of(path: Path) -> list[str]:
    """The entries of a log, without their times; what belongs to an entry stays with it."""
    entries: list[str] = []
    for line in path.read_text().splitlines():
        if line.startswith("    "):
            entries[-1] += "\n" + line[4:]
        else:
            stamp, _, rest = line.partition(" ")
            assert stamp.startswith("20") and stamp.endswith("+00:00"), line
            entries.append(rest)
    return entries

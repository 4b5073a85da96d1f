"""``--extend``: find the finished run that a longer run continues."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.errors import SslbenchError
from bench.planning.plan import PlannedRun
from bench.records.record import EXTENDED_FROM, Identity, Record
from bench.records.store import Store


def with_sources(runs: Sequence[PlannedRun], budget: str, store: Store) -> list[PlannedRun]:
    """Return the runs; each one that is still to do gets the finished run that it continues.

    Args:
        runs: Runs of the new length.
        budget: Budget of the finished runs.
        store: The results folder.

    Raises:
        SslbenchError: There is no such finished run, or there are several.
    """
    return [run if run.done else replace(run, extends=_source(run, budget, store)) for run in runs]


def _source(run: PlannedRun, budget: str, store: Store) -> Identity | None:
    """Return the finished run to continue; None if there is none, but this run already has its own checkpoint or encoder."""
    finished = _finished(run.identity, budget, store)
    if len(finished) == 1:
        return finished[0]
    if not finished and run.reason != "forced" and _has_begun(run.identity, store):
        return None
    name = f"{run.identity.method}, seed {run.identity.seed}"
    if finished:
        files = " or ".join(str(store.last_path(identity)) for identity in finished)
        raise SslbenchError(
            f"--extend: {len(finished)} finished runs of {name} have reached {budget}; delete the unwanted one: {files}"
        )
    raise SslbenchError(
        f"--extend: no finished run of {name} at {budget} has a last checkpoint in {store.root}; "
        "run it first, with --force if it is already recorded"
    )


def _has_begun(identity: Identity, store: Store) -> bool:
    """Return whether a checkpoint or an encoder of the run is stored."""
    from bench.records.checkpoints import is_checkpoint, is_encoder

    has_checkpoint = is_checkpoint(store.checkpoint_path(identity), identity)
    return has_checkpoint or is_encoder(store.encoder_path(identity), identity)


def _finished(identity: Identity, budget: str, store: Store) -> list[Identity]:
    """Return the finished runs to continue: the run trained with ``budget`` from the start, else the runs extended to it."""
    from bench.records.checkpoints import is_checkpoint

    settings = {key: value for key, value in identity.settings.items() if key != EXTENDED_FROM}
    plain = replace(identity, budget=budget, epochs=identity.settings[EXTENDED_FROM], settings=settings)
    if is_checkpoint(store.last_path(plain), plain):
        return [plain]
    extended = (replace(plain, settings={**settings, EXTENDED_FROM: epochs}) for epochs in _extended_from(plain, store))
    return [candidate for candidate in extended if is_checkpoint(store.last_path(candidate), candidate)]


def _extended_from(plain: Identity, store: Store) -> Iterator[int]:
    """Yield the numbers of epochs that recorded runs of this budget were extended from."""
    path = store.record_path(plain)
    for candidate in sorted(path.parent.parent.glob(f"*/{path.name}")):
        record = store.read_file(candidate)
        if isinstance(record, Record) and EXTENDED_FROM in record.identity.settings:
            epochs = record.identity.settings[EXTENDED_FROM]
            if record.identity == replace(plain, settings={**plain.settings, EXTENDED_FROM: epochs}):
                yield epochs

"""``--extend``: which finished run a longer one goes on from."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.errors import SslbenchError
from bench.planning.plan import PlannedRun
from bench.records.record import EXTENDED_FROM, Identity, Record
from bench.records.store import Store, read_record


def with_sources(runs: Sequence[PlannedRun], budget: str, store: Store) -> list[PlannedRun]:
    """Return the runs to do, each with the finished run that it goes on from.

    Args:
        runs: Of the new length.
        budget: Of the finished runs.
        store: Where they stand.

    Raises:
        SslbenchError: There is no such run, or two that this one may mean.
    """
    return [run if run.done else replace(run, extends=_source(run, budget, store)) for run in runs]


def _source(run: PlannedRun, budget: str, store: Store) -> Identity | None:
    """Return a run's source; None where there is none and its own state or encoder is kept."""
    found = _finished(run.identity, budget, store)
    if len(found) == 1:
        return found[0]
    if not found and run.reason != "forced" and _has_begun(run.identity, store):
        return None
    name = f"{run.identity.method}, seed {run.identity.seed}"
    if found:
        files = " or ".join(str(store.last_path(one)) for one in found)
        raise SslbenchError(
            f"--extend: {name} reached {budget} in {len(found)} ways; remove {files}, which you do not mean"
        )
    raise SslbenchError(
        f"--extend: no finished run of {name} at {budget} has left its state in {store.root}; "
        "run it first, with --force where only its record is left"
    )


def _has_begun(identity: Identity, store: Store) -> bool:
    from bench.records.checkpoints import is_checkpoint, stored_encoder

    begun = is_checkpoint(store.checkpoint_path(identity), identity)
    return begun or stored_encoder(store.encoder_path(identity), identity) is not None


def _finished(identity: Identity, budget: str, store: Store) -> list[Identity]:
    """Return the finished runs that ``identity`` may go on from: the one that had ``budget`` from its start, else those extended to it."""
    from bench.records.checkpoints import is_checkpoint

    settings = {key: value for key, value in identity.settings.items() if key != EXTENDED_FROM}
    plain = replace(identity, budget=budget, epochs=identity.settings[EXTENDED_FROM], settings=settings)
    if is_checkpoint(store.last_path(plain), plain):
        return [plain]
    extended = (replace(plain, settings={**settings, EXTENDED_FROM: epochs}) for epochs in _reached_from(plain, store))
    return [one for one in extended if is_checkpoint(store.last_path(one), one)]


def _reached_from(plain: Identity, store: Store) -> Iterator[int]:
    """Yield the epochs that recorded runs of this budget were extended from."""
    place = store.record_path(plain)
    for path in sorted(place.parent.parent.glob(f"*/{place.name}")):
        found = read_record(path)
        if isinstance(found, Record) and EXTENDED_FROM in found.identity.settings:
            epochs = found.identity.settings[EXTENDED_FROM]
            if found.identity == replace(plain, settings={**plain.settings, EXTENDED_FROM: epochs}):
                yield epochs

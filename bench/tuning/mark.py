"""Mark the records of a search's winner as tuned."""

from collections.abc import Collection
from dataclasses import replace

from bench.records.record import Identity, Record
from bench.records.store import Store

MOST = 20
"""Largest number of searches that a record names; those with the most trials stay."""


def mark(store: Store, winners: Collection[Identity], trials: int) -> None:
    """Mark the records of a method's winner, one per seed, as found by a search of this many trials, and no other record of the method.

    Args:
        store: The results folder.
        winners: The winner's runs on the test set; at least one.
        trials: Number of trials of the search.

    Raises:
        StorageError: A record cannot be written.
    """
    first = next(iter(winners))
    for path in store.record_path(first).parent.parent.glob("*/seed-*.json"):
        record = store.read_file(path)
        if isinstance(record, Record) and _same_method(record.identity, first):
            if record.identity in winners:
                _write(store, record.identity, {*record.tuned, trials})
            elif trials in record.tuned:
                _write(store, record.identity, {*record.tuned} - {trials})


def _same_method(one: Identity, other: Identity) -> bool:
    return (one.method, one.plugin, one.fingerprint) == (other.method, other.plugin, other.fingerprint)


def _write(store: Store, identity: Identity, tuned: Collection[int]) -> None:
    """Write the mark into a record as it is now: another process may have written it in the meantime."""
    with store.claim(identity):
        record = store.read(identity)
        if record is not None and record.identity == identity and record.tuned != sorted(tuned):
            store.write(replace(record, tuned=sorted(tuned)[-MOST:]))

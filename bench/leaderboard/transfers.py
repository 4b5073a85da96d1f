"""Measurements on another data set than that of pretraining: pairs of data sets, and the columns of their tables."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.leaderboard.tables import Column
from bench.records.record import Measurement, Record, Transfer
from protocols.transfer import PROTOCOLS, transfer_id


@dataclass(frozen=True, order=True)
class Target:
    """A data set on which encoders of another one were measured.

    Attributes:
        dataset: Its name.
        fingerprint: Hash of its content: other images of the same name are another target.
    """

    dataset: str
    fingerprint: str


def target_of(measurement: Measurement) -> Target | None:
    """Return the other data set that was measured on; None for that of pretraining."""
    found = measurement.transfer
    return None if found is None else Target(found.dataset, found.fingerprint)


def targets_of(records: Iterable[Record]) -> list[Target]:
    """Return all other data sets that the records were measured on, sorted by name."""
    found = {target_of(measurement) for record in records for measurement in record.protocols.values()}
    return sorted(target for target in found if target is not None)


def measured_on(record: Record, target: Target | None) -> list[Measurement]:
    """Return the measurements of a record on another data set; None: on that of pretraining."""
    return [measurement for measurement in record.protocols.values() if target_of(measurement) == target]


def facts_of(records: Iterable[Record], target: Target) -> list[Transfer]:
    """Return what the records say about another data set."""
    return [m.transfer for record in records for m in measured_on(record, target) if m.transfer is not None]


def columns_on(records: Sequence[Record], target: Target) -> tuple[Column, ...]:
    """Return the columns of a table of encoders that were measured on another data set; they are named by the protocol alone."""
    columns = [
        Column(protocol, protocol=transfer_id(target.dataset, protocol), fingerprint=target.fingerprint)
        for protocol in PROTOCOLS
    ]
    return tuple(column for column in columns if any(column.of(record) for record in records))

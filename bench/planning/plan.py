"""What is asked and what is recorded, to the runs still to do; pure, no torch, no disk."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.records.record import Identity, Record, Status

MEASURED = ("ok", "collapsed", "diverged")
"""How a run may have ended for its record to count; a failed or interrupted one is tried again."""


@dataclass(frozen=True)
class Wanted:
    """One run that is asked for.

    Attributes:
        identity: Of the run.
        protocols: Protocol ids with their versions that apply to the method, in the order of measuring.
    """

    identity: Identity
    protocols: Mapping[str, int]


@dataclass(frozen=True)
class PlannedRun:
    """One run with what is left to do.

    Attributes:
        identity: Of the run.
        protocols: Ids still to measure; empty where all is recorded.
        recorded: Ids with a valid measurement.
        status: How its record ended, where all is recorded.
        reason: Why there is work: ``new``, ``protocols missing``, ``stale``, ``failed before``, ``forced``; or ``recorded``.
        extends: The finished run that this one goes on from, or None.
    """

    identity: Identity
    protocols: tuple[str, ...]
    recorded: tuple[str, ...]
    reason: str
    status: Status | None = None
    extends: Identity | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.reason == "recorded"


def plan(wanted: Sequence[Wanted], found: Iterable[Record], *, force: bool = False) -> list[PlannedRun]:
    """Return the wanted runs in order, each with what is left to do.

    Args:
        wanted: The runs that are asked for.
        found: The records at the places of the wanted runs, in any order.
        force: Do everything again.
    """
    by_place = {place(record.identity): record for record in found}
    return [_planned(one, by_place.get(place(one.identity)), force) for one in wanted]


def place(identity: Identity) -> tuple[object, ...]:
    """Return what names a record's place in the store: all of the identity but its versions."""
    return (
        identity.dataset,
        identity.task,
        identity.backbone,
        identity.budget,
        identity.method,
        tuple(sorted((key, str(value)) for key, value in identity.settings.items())),
        identity.seed,
    )


def _planned(wanted: Wanted, record: Record | None, force: bool) -> PlannedRun:
    every = tuple(wanted.protocols)
    if record is None or force:
        return PlannedRun(wanted.identity, every, (), "forced" if record is not None else "new")
    if record.identity != wanted.identity:
        return PlannedRun(wanted.identity, every, (), "stale")
    if record.status == "diverged":
        return PlannedRun(wanted.identity, (), (), "recorded", "diverged")
    valid = tuple(
        name
        for name, version in wanted.protocols.items()
        if name in record.protocols and record.protocols[name].version == version
    )
    missing = tuple(name for name in every if name not in valid)
    if record.status not in MEASURED:
        return PlannedRun(wanted.identity, missing, valid, f"{record.status} before")
    if missing:
        return PlannedRun(wanted.identity, missing, valid, "protocols missing")
    return PlannedRun(wanted.identity, (), valid, "recorded", record.status)

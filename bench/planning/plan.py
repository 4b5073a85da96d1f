"""From the runs that are asked for and the records to the runs that are still to do. Pure: no torch, no disk."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.records.record import Identity, Record, Status

MEASURED = ("ok", "collapsed", "diverged")
"""Statuses of a finished run; a failed or interrupted one is tried again."""


@dataclass(frozen=True)
class Wanted:
    """One run that is asked for.

    Attributes:
        identity: The run's identity.
        protocols: Ids of the protocols that apply to the method, with their versions, in the order of measuring.
        origin: For an encoder from elsewhere the name that the user gave (``timm:NAME``, ``checkpoint:FILE``, a plugin's), else None.
    """

    identity: Identity
    protocols: Mapping[str, int]
    origin: str | None = None


@dataclass(frozen=True)
class PlannedRun:
    """One run with what is left to do.

    Attributes:
        identity: The run's identity.
        protocols: Ids still to measure; empty if all are recorded.
        recorded: Ids with a valid measurement.
        status: How the run ended, if all is recorded.
        reason: Why there is work: ``new``, ``protocols missing``, ``stale``, ``failed before``, ``forced``; or ``recorded``.
        extends: The finished run that this one continues, or None.
        origin: As in ``Wanted``.
    """

    identity: Identity
    protocols: tuple[str, ...]
    recorded: tuple[str, ...]
    reason: str
    status: Status | None = None
    extends: Identity | None = None
    origin: str | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.reason == "recorded"


def plan(wanted: Sequence[Wanted], records: Iterable[Record], *, force: bool = False) -> list[PlannedRun]:
    """Return the wanted runs in order, each with what is left to do.

    Args:
        wanted: The runs that are asked for.
        records: The records with the run keys of the wanted runs, in any order.
        force: Do everything again.
    """
    by_key = {run_key(record.identity): record for record in records}
    return [_planned(run, by_key.get(run_key(run.identity)), force) for run in wanted]


def run_key(identity: Identity) -> tuple[object, ...]:
    """Return what decides where a record is stored: all of the identity but its versions."""
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
    def planned(
        protocols: tuple[str, ...], recorded: tuple[str, ...], reason: str, status: Status | None = None
    ) -> PlannedRun:
        return PlannedRun(wanted.identity, protocols, recorded, reason, status, origin=wanted.origin)

    every = tuple(wanted.protocols)
    if record is None or force:
        return planned(every, (), "forced" if record is not None else "new")
    if record.identity != wanted.identity:
        return planned(every, (), "stale")
    if record.status == "diverged":
        return planned((), (), "recorded", "diverged")
    valid = tuple(
        name
        for name, version in wanted.protocols.items()
        if name in record.protocols and record.protocols[name].version == version
    )
    missing = tuple(name for name in every if name not in valid)
    if record.status not in MEASURED:
        return planned(missing, valid, f"{record.status} before")
    if missing:
        return planned(missing, valid, "protocols missing")
    return planned((), valid, "recorded", record.status)

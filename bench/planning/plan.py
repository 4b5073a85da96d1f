"""Compare requested runs with their records to find what is left to do. Pure: no torch, no disk access."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.records.record import Identity, Record, Status

MEASURED = ("ok", "collapsed", "diverged")
"""Statuses of a finished run; failed and interrupted runs are tried again."""


@dataclass(frozen=True)
class Wanted:
    """One requested run.

    Attributes:
        identity: The run's identity.
        protocols: Versions of the protocols that apply to the method, by id, in the order in which they are measured.
        origin: Name that the user gave for an encoder from elsewhere (``timm:NAME``, ``checkpoint:FILE``, or a plugin's); else None.
        plugins: Contents of those of the protocols that plugins define, by id; see ``Measurement.plugin``.
    """

    identity: Identity
    protocols: Mapping[str, int]
    origin: str | None = None
    plugins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedRun:
    """One run with what is left to do.

    Attributes:
        identity: The run's identity.
        protocols: Ids still to measure; empty if all are recorded.
        recorded: Ids with a valid measurement.
        status: Status of the record if nothing is left to do, else None.
        reason: ``recorded`` if nothing is left to do; else ``new``, ``protocols missing``, ``stale``, ``failed before``,
            ``interrupted before`` or ``forced``.
        extends: The finished run that this one continues, or None.
        origin: See ``Wanted``.
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
    """Return the requested runs in the same order, each with what is left to do.

    Args:
        wanted: The requested runs.
        records: Existing records, in any order; those of other runs are ignored.
        force: Whether to repeat what is recorded.
    """
    by_key = {run_key(record.identity): record for record in records}
    return [_planned(run, by_key.get(run_key(run.identity)), force) for run in wanted]


def run_key(identity: Identity) -> tuple[object, ...]:
    """Return the fields of an identity that decide where its record is stored; versions are not among them, a plugin's content is."""
    return (
        identity.dataset,
        identity.task,
        identity.backbone,
        identity.budget,
        identity.method,
        identity.plugin,
        tuple(sorted((key, str(value)) for key, value in identity.settings.items())),
        identity.seed,
    )


def _planned(wanted: Wanted, record: Record | None, force: bool) -> PlannedRun:
    def planned(
        protocols: tuple[str, ...], recorded: tuple[str, ...], reason: str, status: Status | None = None
    ) -> PlannedRun:
        return PlannedRun(wanted.identity, protocols, recorded, reason, status, origin=wanted.origin)

    requested = tuple(wanted.protocols)
    if record is None or force:
        return planned(requested, (), "forced" if force else "new")
    if record.identity != wanted.identity:
        return planned(requested, (), "stale")
    if record.status == "diverged":
        return planned((), (), "recorded", "diverged")
    valid = tuple(
        name
        for name, version in wanted.protocols.items()
        if (measured := record.protocols.get(name)) is not None
        and (measured.version, measured.plugin) == (version, wanted.plugins.get(name))
    )
    missing = tuple(name for name in requested if name not in valid)
    if record.status not in MEASURED:
        return planned(missing, valid, f"{record.status} before")
    if missing:
        return planned(missing, valid, "protocols missing")
    return planned((), valid, "recorded", record.status)

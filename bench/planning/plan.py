"""Compare requested runs with their records to find what is left to do. Pure: no torch, no disk access."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.data.spec import DatasetSpec
from bench.records.record import Identity, Measurement, Record, Status
from protocols.transfer import parse_transfer

MEASURED = ("ok", "collapsed", "diverged")
"""Statuses of a finished run; failed and interrupted runs are tried again."""


@dataclass(frozen=True)
class OtherSet:
    """Another data set than that of pretraining, on which runs are measured too.

    Attributes:
        spec: Its name and how it is loaded.
        name: Its name in records and in the ids of protocols.
        fingerprint: Hash of its content when the run was planned.
    """

    spec: DatasetSpec
    name: str
    fingerprint: str


@dataclass(frozen=True)
class Wanted:
    """One requested run.

    Attributes:
        identity: The run's identity.
        protocols: Versions of the protocols that apply to the method, by id, in the order in which they are measured.
        origin: Name that the user gave for an encoder from elsewhere (``timm:NAME``, ``checkpoint:FILE``, or a plugin's); else None.
        plugins: Contents of those of the protocols that plugins define, by id; see ``Measurement.plugin``.
        others: The data sets that the ids of transfer protocols name.
    """

    identity: Identity
    protocols: Mapping[str, int]
    origin: str | None = None
    plugins: Mapping[str, str] = field(default_factory=dict)
    others: tuple[OtherSet, ...] = ()

    def is_met(self, protocol: str, measured: Measurement | None) -> bool:
        """Whether a measurement is the one that is wanted for a protocol: of its version and content, and on the same images."""
        if measured is None or (measured.version, measured.plugin) != (
            self.protocols[protocol],
            self.plugins.get(protocol),
        ):
            return False
        named = parse_transfer(protocol)
        fingerprint = next((other.fingerprint for other in self.others if named and other.name == named[0]), None)
        return fingerprint == (None if measured.transfer is None else measured.transfer.fingerprint)


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
        others: See ``Wanted``.
    """

    identity: Identity
    protocols: tuple[str, ...]
    recorded: tuple[str, ...]
    reason: str
    status: Status | None = None
    extends: Identity | None = None
    origin: str | None = None
    others: tuple[OtherSet, ...] = ()

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
        return PlannedRun(
            wanted.identity, protocols, recorded, reason, status, origin=wanted.origin, others=wanted.others
        )

    requested = tuple(wanted.protocols)
    if record is None or force:
        return planned(requested, (), "forced" if force else "new")
    if record.identity != wanted.identity:
        return planned(requested, (), "stale")
    if record.status == "diverged":
        return planned((), (), "recorded", "diverged")
    valid = tuple(name for name in requested if wanted.is_met(name, record.protocols.get(name)))
    missing = tuple(name for name in requested if name not in valid)
    if record.status not in MEASURED:
        return planned(missing, valid, f"{record.status} before")
    if missing:
        return planned(missing, valid, "protocols missing")
    return planned((), valid, "recorded", record.status)

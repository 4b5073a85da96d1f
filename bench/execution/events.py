"""Messages that the process of a run, or the engine that started it, sends to the session."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.records.record import Identity, Measurement, Status
from bench.training.context import Progress


@dataclass(frozen=True)
class RunUpdate:
    """The progress of a run, or a line for the user."""

    identity: Identity
    content: Progress | str


@dataclass(frozen=True)
class RunEnded:
    """A run ended.

    Attributes:
        identity: The run's identity.
        status: How it ended.
        cause: Why, if the status is not ``ok``: one line.
        metrics: Mean metrics by protocol id; empty for a protocol that is not measured, because another one has the same label sets.
    """

    identity: Identity
    status: Status
    cause: str | None
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class RunDied:
    """The process of a run ended without a result; the session records the run as failed.

    Attributes:
        identity: The run's identity.
        cause: What is known about it: one line.
    """

    identity: Identity
    cause: str


@dataclass(frozen=True)
class RunLocked:
    """Another process is carrying out this run; the session tries it again after the other runs, and then waits for it."""

    identity: Identity


def metrics_of(protocols: Mapping[str, Measurement]) -> dict[str, Mapping[str, float]]:
    """Return the mean metrics by protocol id."""
    return {name: measurement.metrics for name, measurement in protocols.items()}

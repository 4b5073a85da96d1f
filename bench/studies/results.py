"""The results of a study's runs: the records of each row, and what the search found. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.records.record import Measurement, Record


@dataclass(frozen=True)
class SystemResult:
    """The records of one row.

    Attributes:
        protocol: Id of the protocol that was measured; after a fallback or a search it may differ from the system's.
        records: One record per seed.
    """

    protocol: str
    records: Sequence[Record]


@dataclass(frozen=True)
class SearchResult:
    """What the search found for one system on the development task.

    Attributes:
        scores: Top-1 in percent by protocol id, mean over draws and seeds; without those that could not be trained.
        tried: Number of protocols that were tried.
        chosen: Id of the best protocol.
        point: Its point on the grid: axis to value.
    """

    scores: Mapping[str, float]
    tried: int
    chosen: str
    point: Mapping[str, Any]


@dataclass(frozen=True)
class StudyResults:
    """The results of all runs of a study.

    Attributes:
        systems: Result by system id.
        searched: Result on the test set of the protocol that the search chose, by system id.
        tried: Result of the search, by system id.
        fallback: Whether the fallback data set was used.
    """

    systems: Mapping[str, SystemResult]
    searched: Mapping[str, SystemResult] = field(default_factory=dict)
    tried: Mapping[str, SearchResult] = field(default_factory=dict)
    fallback: bool = False


def best_protocol(scores: Mapping[str, float]) -> str:
    """Return the id with the highest score; of equal scores the first."""
    return max(scores, key=lambda id: scores[id])


def mean_score(records: Sequence[Record], protocol: str) -> float | None:
    """Return top-1 in percent, mean over seeds and draws; None if it was not measured."""
    scores = [m.metrics["top1"] for m in measurements(SystemResult(protocol, records)) if "top1" in m.metrics]
    return 100 * math.fsum(scores) / len(scores) if scores else None


def measurements(result: SystemResult) -> list[Measurement]:
    """Return the measurements of a row, at most one per seed. ``same_as`` is followed to the measurement that it names."""
    found = []
    for record in result.records:
        measurement = record.protocols.get(result.protocol)
        if measurement is not None and measurement.same_as:
            measurement = record.protocols.get(measurement.same_as)
        if measurement is not None:
            found.append(measurement)
    return found

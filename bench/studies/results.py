"""What a study's runs left behind: which records stand behind which row, and what a search found; pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.records.record import Measurement, Record


@dataclass(frozen=True)
class SystemResult:
    """The records behind one row.

    Attributes:
        protocol: As it was measured; a fallback's or a search's may differ from the system's own.
        records: One a seed.
    """

    protocol: str
    records: Sequence[Record]


@dataclass(frozen=True)
class SearchResult:
    """What a search found for one system on the development task.

    Attributes:
        scores: Top-1 in percent by protocol id, mean over draws and seeds; what could not be trained is missing.
        tried: How many there were.
        chosen: Id of the best.
        point: Its place on the grid.
    """

    scores: Mapping[str, float]
    tried: int
    chosen: str
    point: Mapping[str, Any]


@dataclass(frozen=True)
class StudyResults:
    """All that a study's runs left behind.

    Attributes:
        systems: By id.
        searched: By id, measured on the test set under the protocol that the search chose.
        tried: By id.
        fallback: Whether the fallback's data were taken.
    """

    systems: Mapping[str, SystemResult]
    searched: Mapping[str, SystemResult] = field(default_factory=dict)
    tried: Mapping[str, SearchResult] = field(default_factory=dict)
    fallback: bool = False


def best(scores: Mapping[str, float]) -> str:
    """Return the protocol with the best score; of equal ones the first."""
    return max(scores, key=lambda id: scores[id])


def mean_score(records: Sequence[Record], protocol: str) -> float | None:
    """Return top-1 in percent over seeds and draws, or None where it was not measured."""
    found = [m.metrics["top1"] for m in measurements(SystemResult(protocol, records)) if "top1" in m.metrics]
    return 100 * math.fsum(found) / len(found) if found else None


def measurements(measured: SystemResult) -> list[Measurement]:
    """Return what was measured; a protocol that another stands for is read from that one."""
    found = []
    for record in measured.records:
        one = record.protocols.get(measured.protocol)
        if one is not None and one.same_as:
            one = record.protocols.get(one.same_as)
        if one is not None:
            found.append(one)
    return found

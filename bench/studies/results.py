"""The results of a study's runs: the records of each row, and what the search found. Pure."""

import base64
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
class BestEpoch:
    """The best epoch of one run, chosen on the test images.

    Attributes:
        run: Hash of the run's identity.
        epochs: The epochs after which the run answered the test images; the last one is the run's last.
        top1: Accuracy on the test images after each of them, in [0, 1].
        epoch: The epoch with the highest accuracy; of equal ones the first.
        correct: The right answers after that epoch, as in ``Measurement.correct``.
    """

    run: str
    epochs: list[int]
    top1: list[float]
    epoch: int
    correct: str

    def __post_init__(self) -> None:
        if len(self.epochs) != len(self.top1) or not self.top1 or not all(0 <= value <= 1 for value in self.top1):
            raise ValueError("the accuracies after every epoch are not one per epoch, each in [0, 1]")
        base64.b64decode(self.correct, validate=True)


@dataclass(frozen=True)
class StudyResults:
    """The results of all runs of a study.

    Attributes:
        systems: Result by system id.
        searched: Result on the test set of the protocol that the search chose, by system id.
        tried: Result of the search, by system id.
        fallback: Whether the fallback data set was used.
        best_epochs: Best epoch of each run by system id, for the systems with ``best_epoch_on_test``.
    """

    systems: Mapping[str, SystemResult]
    searched: Mapping[str, SystemResult] = field(default_factory=dict)
    tried: Mapping[str, SearchResult] = field(default_factory=dict)
    fallback: bool = False
    best_epochs: Mapping[str, Sequence[BestEpoch]] = field(default_factory=dict)


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

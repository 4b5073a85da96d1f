"""The rows of a study's table: scores with their spread, next to the published ones. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.leaderboard.rows import WORST_FIRST, answers_of, deviation
from bench.leaderboard.significance import interval
from bench.records.record import Measurement, Record, Status
from bench.studies.choosing import chosen_of
from bench.studies.results import BestEpoch, SystemResult, measurements
from bench.studies.study import Metric, Study, System

METRICS: tuple[Metric, ...] = ("top1", "top5")


@dataclass(frozen=True)
class Score:
    """A score in percent.

    Attributes:
        mean: Mean over seeds and draws.
        std: Standard deviation over seeds (n - 1); None for a single seed.
        draw_std: Standard deviation over draws of the mean over seeds (n - 1); None for a single draw.
        interval: 95 % interval; None if the record holds no answers per image.
        published: Published score.
        same_data: Whether it was measured on the study's own data set.
    """

    mean: float
    std: float | None
    draw_std: float | None
    interval: tuple[float, float] | None = None
    published: float | None = None
    same_data: bool = True

    @property
    def less_published(self) -> float | None:
        """Measured minus published, in points; None if another data set was measured."""
        return self.mean - self.published if self.published is not None and self.same_data else None


@dataclass(frozen=True)
class Row:
    """One system of the table.

    Attributes:
        name: Name shown to the reader.
        protocol: Id of the protocol that was measured.
        backbone: Backbone name; empty if there is no record.
        seeds: Number of seeds.
        draws: Number of draws of the label set.
        scores: Score by metric; empty if nothing was measured.
        status: Worst status of its seeds; None if there is no record.
        cause: Cause of the worst status; None if it is ``ok``.
        note: Remark for the reader.
    """

    name: str
    protocol: str
    backbone: str
    seeds: int
    draws: int
    scores: Mapping[Metric, Score]
    status: Status | None
    cause: str | None
    note: str | None


def row_of(
    study: Study,
    system: System,
    result: SystemResult,
    published: Mapping[str, float],
    name: str | None = None,
    note: str | None = None,
) -> Row:
    """Return the row of a system; ``name`` and ``note`` replace its own."""
    return _row(study, system, result, measurements(result), published, name, note or system.note)


def best_epoch_row(study: Study, system: System, result: SystemResult, best: Sequence[BestEpoch]) -> Row:
    """Return the row of a system at the best epoch on the test images, with the published score, which was chosen in this way."""
    found = chosen_of(result, best).best
    row = _row(study, system, result, found, system.published, f"{system.name}, best epoch on test", None)
    return row if found else replace(row, status=None, cause="no answers after every epoch are stored")


def _row(
    study: Study,
    system: System,
    result: SystemResult,
    found: Sequence[Measurement],
    published: Mapping[str, float],
    name: str | None,
    note: str | None,
) -> Row:
    worst = min(result.records, key=lambda r: WORST_FIRST.index(r.status), default=None)
    same_data = not other_datasets(study, result.records)
    scores: dict[Metric, Score] = {}
    for metric in METRICS:
        if any(metric in m.metrics for m in found):
            scores[metric] = _score(found, metric, published.get(metric), same_data)
    return Row(
        name=name or system.name,
        protocol=result.protocol,
        backbone=result.records[0].identity.backbone if result.records else "",
        seeds=len(found),
        draws=max((len(m.draws) for m in found), default=0),
        scores=scores,
        status=worst.status if worst else None,
        cause=worst.cause if worst else None,
        note=note,
    )


def _score(found: Sequence[Measurement], metric: Metric, published: float | None, same_data: bool) -> Score:
    values = [100 * m.metrics[metric] for m in found if metric in m.metrics]
    table = [[100 * draw[metric] for draw in m.draws] for m in found if metric in m.metrics]
    equal_draws = len({len(draws) for draws in table}) == 1
    draw_means = [math.fsum(column) / len(column) for column in zip(*table, strict=True)] if equal_draws else []
    answers = answers_of(found) if metric == "top1" else None
    ends = interval(answers) if answers is not None else None
    return Score(
        mean=math.fsum(values) / len(values),
        std=deviation(values),
        draw_std=deviation(draw_means),
        interval=(100 * ends[0], 100 * ends[1]) if ends else None,
        published=published,
        same_data=same_data,
    )


def other_datasets(study: Study, records: Sequence[Record]) -> list[str]:
    """Return the data sets that were measured instead of the study's; unknown for a folder, whose records have another name."""
    return sorted({r.identity.dataset for r in records} - {study.dataset}) if ":" not in study.dataset else []

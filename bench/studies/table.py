"""A study's records to its table, with the published figures beside the measured ones; pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.leaderboard.rows import WORST_FIRST, answers_of, deviation
from bench.leaderboard.significance import interval
from bench.records.record import Measurement, Record, Status
from bench.studies.conclusions import Finding, findings, finite
from bench.studies.results import SearchResult, StudyResults, SystemResult, measurements
from bench.studies.study import Metric, Study, System

CHANCE_OF: dict[Metric, int] = {"top1": 1, "top5": 5}
METRICS: tuple[Metric, ...] = ("top1", "top5")


@dataclass(frozen=True)
class Score:
    """A figure in percent.

    Attributes:
        mean: Over seeds and draws.
        std: Deviation over seeds (n - 1), from two seeds on.
        draw_std: Deviation over draws of the mean over seeds (n - 1), from two draws on.
        interval: 95 %; None where no answers were kept for it.
        published: The published figure.
        same_data: Whether it is of the data that were published on.
    """

    mean: float
    std: float | None
    draw_std: float | None
    interval: tuple[float, float] | None = None
    published: float | None = None
    same_data: bool = True

    @property
    def less_published(self) -> float | None:
        """SystemResult less published, in points; None where other data were measured."""
        return self.mean - self.published if self.published is not None and self.same_data else None


@dataclass(frozen=True)
class Row:
    """One system of the table.

    Attributes:
        name: How a reader sees it.
        protocol: As it was measured.
        backbone: The backbone.
        seeds: How many.
        draws: How many label sets.
        scores: By metric; empty where nothing was measured.
        status: The worst of its seeds; None where there is no record.
        cause: Why, where it is not ``ok``.
        note: What a reader must know.
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


@dataclass(frozen=True)
class Report:
    """A study's table and conclusion.

    Attributes:
        study: What was repeated.
        rows: One a system, then one a searched system.
        findings: The conclusion.
        notes: What stands under the table.
        classes: Of the data set.
        images: Test images.
        place: Data set, budget and epochs, in words.
    """

    study: Study
    rows: Sequence[Row]
    findings: Sequence[Finding]
    notes: Sequence[str]
    classes: int | None
    images: int | None
    place: str

    def chance(self, metric: Metric) -> float | None:
        """Return the chance of a metric in percent, or None where it is not known."""
        return None if not self.classes else min(100.0, 100 * CHANCE_OF[metric] / self.classes)


def report(study: Study, evidence: StudyResults) -> Report:
    """Return a study's table and conclusion."""
    rows = [_row(study, system, evidence.systems[system.id], system.published) for system in study.systems]
    for id, measured in evidence.searched.items():
        system, tried = study.system(id), evidence.tried[id]
        rows.append(_row(study, system, measured, {}, f"{system.name}, after the search", _choice(study, tried)))
    every = [r for m in (*evidence.systems.values(), *evidence.searched.values()) for r in m.records]
    found = [m for m in evidence.systems.values() if m.records]
    images = {m.images for measured in found for m in measurements(measured)}
    return Report(
        study=study,
        rows=rows,
        findings=[*findings(study, evidence), *_beside(study, rows), finite(every)],
        notes=_notes(study, evidence, every),
        classes=next((r.classes for r in every if r.classes), None),
        images=max(images, default=0) or None,
        place=_place(every),
    )


def _row(
    study: Study,
    system: System,
    measured: SystemResult,
    published: Mapping[str, float],
    name: str | None = None,
    note: str | None = None,
) -> Row:
    found = measurements(measured)
    worst = min(measured.records, key=lambda r: WORST_FIRST.index(r.status), default=None)
    scores: dict[Metric, Score] = {}
    for metric in METRICS:
        if any(metric in m.metrics for m in found):
            scores[metric] = _score(found, metric, published.get(metric), not _other_data(study, measured.records))
    return Row(
        name=name or system.name,
        protocol=measured.protocol,
        backbone=measured.records[0].identity.backbone if measured.records else "",
        seeds=len(found),
        draws=max((len(m.draws) for m in found), default=0),
        scores=scores,
        status=worst.status if worst else None,
        cause=worst.cause if worst else None,
        note=note or system.note,
    )


def _score(found: Sequence[Measurement], metric: Metric, published: float | None, same_data: bool) -> Score:
    values = [100 * m.metrics[metric] for m in found if metric in m.metrics]
    table = [[100 * draw[metric] for draw in m.draws] for m in found if metric in m.metrics]
    alike = len({len(draws) for draws in table}) == 1
    of_draw = [math.fsum(column) / len(column) for column in zip(*table, strict=True)] if alike else []
    answers = answers_of(found) if metric == "top1" else None
    between = interval(answers) if answers is not None else None
    return Score(
        mean=math.fsum(values) / len(values),
        std=deviation(values),
        draw_std=deviation(of_draw),
        interval=(100 * between[0], 100 * between[1]) if between else None,
        published=published,
        same_data=same_data,
    )


def _beside(study: Study, rows: Sequence[Row]) -> list[Finding]:
    """Say where the best row stands beside a published figure that is no row's own."""
    scored = [row for row in rows if "top1" in row.scores]
    if not scored or not study.beside:
        return []
    best = max(scored, key=lambda row: row.scores["top1"].mean)
    score = best.scores["top1"]
    between = f", 95 % interval {score.interval[0]:.2f} to {score.interval[1]:.2f}" if score.interval else ""
    first = f"{best.name[0].upper()}{best.name[1:]} is the best of the table"
    return [
        Finding(
            f"{first}: top-1 {score.mean:.2f}, an error of {100 - score.mean:.2f} %{between}; {one.name}: {one.top1:.2f}.",
            None,
        )
        for one in study.beside
        if one.top1 is not None
    ]


def _other_data(study: Study, records: Sequence[Record]) -> list[str]:
    """Return the data sets that were measured in the place of the study's; a folder has no other name to be told by."""
    return sorted({r.identity.dataset for r in records} - {study.dataset}) if ":" not in study.dataset else []


def _choice(study: Study, tried: SearchResult) -> str:
    """Say what a search chose, and where that lies at the edge of the grid, so that more may be had beyond it."""
    grid = study.search.grid if study.search else {}
    point = ", ".join(
        f"{axis} {value}{' (at the edge of the grid)' if value in (grid[axis][0], grid[axis][-1]) else ''}"
        for axis, value in tried.point.items()
    )
    score = f"{tried.scores[tried.chosen]:.1f} there"
    return f"chosen of {tried.tried} on the development task ({score}): {point or 'its own constants'}"


def _notes(study: Study, evidence: StudyResults, records: Sequence[Record]) -> list[str]:
    notes = []
    if evidence.fallback and study.fallback is not None:
        notes.append(study.fallback.reason)
    elif other := _other_data(study, records):
        notes.append(
            f"SystemResult on {', '.join(other)}, not on {study.dataset}: published figures are of the latter."
        )
    for line in study.differs:
        notes.append(line)
    devices = sorted({str(r.environment.get("device", "unknown")).split(":")[0] for r in records})
    if len(devices) > 1:
        notes.append(f"Rows ran on different devices: {', '.join(devices)}.")
    return notes


def _place(records: Sequence[Record]) -> str:
    if not records:
        return "no records"
    of = [r.identity for r in records]
    data = ", ".join(sorted({one.dataset for one in of}))
    budgets = ", ".join(sorted({f"{one.budget} ({one.epochs} epochs)" for one in of}))
    return f"{data}, {budgets}"

"""A study's table and conclusion from its results, with the published scores next to the measured ones. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.leaderboard.rows import WORST_FIRST, answers_of, deviation
from bench.leaderboard.significance import interval
from bench.records.record import Measurement, Record, Status
from bench.studies.conclusions import Finding, findings, loss_finding
from bench.studies.results import SearchResult, StudyResults, SystemResult, measurements
from bench.studies.study import Metric, Study, System

GUESSES: dict[Metric, int] = {"top1": 1, "top5": 5}
"""Number of classes that a metric accepts as an answer."""
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


@dataclass(frozen=True)
class Report:
    """A study's table and conclusion.

    Attributes:
        study: The study.
        rows: One per system, then one per searched system.
        findings: The sentences of the conclusion.
        notes: Remarks below the table.
        classes: Number of classes of the data set; None if unknown.
        images: Number of test images; None if nothing was measured.
        measured_on: Data set, budgets and epochs, in words.
    """

    study: Study
    rows: Sequence[Row]
    findings: Sequence[Finding]
    notes: Sequence[str]
    classes: int | None
    images: int | None
    measured_on: str

    def chance(self, metric: Metric) -> float | None:
        """Return the score of random guessing in percent; None if the number of classes is unknown."""
        return None if not self.classes else min(100.0, 100 * GUESSES[metric] / self.classes)


def build_report(study: Study, results: StudyResults) -> Report:
    """Return a study's table and conclusion."""
    rows = [_row(study, system, results.systems[system.id], system.published) for system in study.systems]
    for id, result in results.searched.items():
        system, search = study.system(id), results.tried[id]
        rows.append(_row(study, system, result, {}, f"{system.name}, after the search", _choice(study, search)))
    records = [r for result in (*results.systems.values(), *results.searched.values()) for r in result.records]
    images = {m.images for result in results.systems.values() if result.records for m in measurements(result)}
    return Report(
        study=study,
        rows=rows,
        findings=[*findings(study, results), *_best_against_published(study, rows), loss_finding(records)],
        notes=_notes(study, results, records),
        classes=next((r.classes for r in records if r.classes), None),
        images=max(images, default=0) or None,
        measured_on=_measured_on(records),
    )


def _row(
    study: Study,
    system: System,
    result: SystemResult,
    published: Mapping[str, float],
    name: str | None = None,
    note: str | None = None,
) -> Row:
    found = measurements(result)
    worst = min(result.records, key=lambda r: WORST_FIRST.index(r.status), default=None)
    same_data = not _other_datasets(study, result.records)
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
        note=note or system.note,
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


def _best_against_published(study: Study, rows: Sequence[Row]) -> list[Finding]:
    """Compare the best row with each published score that has no row."""
    scored = [row for row in rows if "top1" in row.scores]
    if not scored or not study.other_published:
        return []
    best = max(scored, key=lambda row: row.scores["top1"].mean)
    score = best.scores["top1"]
    ends = f", 95 % interval {score.interval[0]:.2f} to {score.interval[1]:.2f}" if score.interval else ""
    subject = f"{best.name[0].upper()}{best.name[1:]} has the best top-1 of the table"
    return [
        Finding(
            f"{subject}: {score.mean:.2f}, an error of {100 - score.mean:.2f} %{ends}. Published: "
            f"{published.name}: {published.top1:.2f}.",
            None,
        )
        for published in study.other_published
        if published.top1 is not None
    ]


def _other_datasets(study: Study, records: Sequence[Record]) -> list[str]:
    """Return the data sets that were measured instead of the study's; unknown for a folder, whose records have another name."""
    return sorted({r.identity.dataset for r in records} - {study.dataset}) if ":" not in study.dataset else []


def _choice(study: Study, search: SearchResult) -> str:
    """Return a sentence on what the search chose. At the edge of the grid, values beyond it may be better."""
    grid = study.search.grid if study.search else {}
    point = ", ".join(
        f"{axis} {value}{' (at the edge of the grid)' if value in (grid[axis][0], grid[axis][-1]) else ''}"
        for axis, value in search.point.items()
    )
    score = f"accuracy {search.scores[search.chosen]:.1f} % there"
    return f"best of {search.tried} tried on the development task ({score}): {point or 'its own settings'}"


def _notes(study: Study, results: StudyResults, records: Sequence[Record]) -> list[str]:
    notes = []
    if results.fallback and study.fallback is not None:
        notes.append(study.fallback.reason)
    elif others := _other_datasets(study, records):
        notes.append(
            f"Measured on {', '.join(others)}, not on {study.dataset}: the published scores are of {study.dataset}."
        )
    notes += study.differs
    devices = sorted({str(r.environment.get("device", "unknown")).split(":")[0] for r in records})
    if len(devices) > 1:
        notes.append(f"Rows ran on different devices: {', '.join(devices)}.")
    return notes


def _measured_on(records: Sequence[Record]) -> str:
    if not records:
        return "no records"
    identities = [r.identity for r in records]
    data = ", ".join(sorted({identity.dataset for identity in identities}))
    budgets = ", ".join(sorted({f"{identity.budget} ({identity.epochs} epochs)" for identity in identities}))
    return f"{data}, {budgets}"

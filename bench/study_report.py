"""A study's records to its table and its conclusion: every sentence is written from the numbers and their intervals; pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.plan import place
from bench.records import Measurement, Record, Status
from bench.rows import WORST_FIRST, answers_of, deviation
from bench.significance import Answers, Difference, difference, interval, unpaired
from bench.studies.study import Comparison, Metric, Study, System

Verdict = Literal["holds", "does not hold", "cannot tell"]
CHANCE_OF: dict[Metric, int] = {"top1": 1, "top5": 5}
METRICS: tuple[Metric, ...] = ("top1", "top5")
NAMES: dict[Metric, str] = {"top1": "top-1", "top5": "top-5"}


@dataclass(frozen=True)
class Measured:
    """The records behind one row.

    Attributes:
        protocol: As it was measured; a fallback's or a search's may differ from the system's own.
        records: One a seed.
    """

    protocol: str
    records: Sequence[Record]


@dataclass(frozen=True)
class Tried:
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
        """Measured less published, in points; None where other data were measured."""
        return self.mean - self.published if self.published is not None and self.same_data else None


@dataclass(frozen=True)
class Row:
    """One system of the table.

    Attributes:
        name: How a reader sees it.
        protocol: As it was measured.
        backbone: The trunk.
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
class Finding:
    """What became of one published finding.

    Attributes:
        sentence: For a reader.
        verdict: In one word; None where the study claims nothing.
        value: First less second, in points; None where a side is missing.
        interval: 95 %, in points.
    """

    sentence: str
    verdict: Verdict | None
    value: float | None = None
    interval: tuple[float, float] | None = None


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


@dataclass(frozen=True)
class Evidence:
    """All that a study's runs left behind.

    Attributes:
        systems: By id.
        searched: By id, measured on the test set under the protocol that the search chose.
        tried: By id.
        fallback: Whether the fallback's data were taken.
    """

    systems: Mapping[str, Measured]
    searched: Mapping[str, Measured] = field(default_factory=dict)
    tried: Mapping[str, Tried] = field(default_factory=dict)
    fallback: bool = False


def report(study: Study, evidence: Evidence) -> Report:
    """Return a study's table and conclusion."""
    rows = [_row(study, system, evidence.systems[system.id], system.published) for system in study.systems]
    for id, measured in evidence.searched.items():
        system, tried = study.system(id), evidence.tried[id]
        rows.append(_row(study, system, measured, {}, f"{system.name}, after the search", _choice(tried)))
    every = [r for m in (*evidence.systems.values(), *evidence.searched.values()) for r in m.records]
    found = [m for m in evidence.systems.values() if m.records]
    images = {m.images for measured in found for m in _measurements(measured)}
    return Report(
        study=study,
        rows=rows,
        findings=[*_findings(study, evidence), _finite(every)],
        notes=_notes(study, evidence, every),
        classes=next((r.classes for r in every if r.classes), None),
        images=max(images, default=0) or None,
        place=_place(every),
    )


def best(scores: Mapping[str, float]) -> str:
    """Return the protocol with the best score; of equal ones the first."""
    return max(scores, key=lambda id: scores[id])


def mean_score(records: Sequence[Record], protocol: str) -> float | None:
    """Return top-1 in percent over seeds and draws, or None where it was not measured."""
    found = [m.metrics["top1"] for m in _measurements(Measured(protocol, records)) if "top1" in m.metrics]
    return 100 * math.fsum(found) / len(found) if found else None


def _measurements(measured: Measured) -> list[Measurement]:
    """Return what was measured; a protocol that another stands for is read from that one."""
    found = []
    for record in measured.records:
        one = record.protocols.get(measured.protocol)
        if one is not None and one.same_as:
            one = record.protocols.get(one.same_as)
        if one is not None:
            found.append(one)
    return found


def _row(
    study: Study,
    system: System,
    measured: Measured,
    published: Mapping[str, float],
    name: str | None = None,
    note: str | None = None,
) -> Row:
    found = _measurements(measured)
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


def _other_data(study: Study, records: Sequence[Record]) -> list[str]:
    """Return the data sets that were measured in the place of the study's; a folder has no other name to be told by."""
    return sorted({r.identity.dataset for r in records} - {study.dataset}) if ":" not in study.dataset else []


def _findings(study: Study, evidence: Evidence) -> list[Finding]:
    findings = []
    for comparison in study.comparisons:
        before = _compared(study, comparison, evidence.systems)
        findings.append(before)
        if comparison.first in evidence.searched and comparison.second in evidence.searched:
            findings.append(_after_search(study, comparison, evidence, before))
    return findings


def _compared(study: Study, comparison: Comparison, measured: Mapping[str, Measured], after: str = "") -> Finding:
    first, second = study.system(comparison.first), study.system(comparison.second)
    found = _difference(measured[first.id], measured[second.id], comparison.metric)
    if found is None:
        return Finding(f"{first.name} against {second.name}: not measured on both sides, so nothing can be said.", None)
    value, (low, high) = 100 * found.value, (100 * found.interval[0], 100 * found.interval[1])
    verdict: Verdict = "holds" if low > 0 else "does not hold" if high < 0 else "cannot tell"
    figures = f"{value:+.2f} points of {NAMES[comparison.metric]}, 95 % interval {low:+.2f} to {high:+.2f}"
    published = comparison.published
    if published is not None:
        figures += f"; published {published:+.2f}"
    said = {
        "holds": "is better than",
        "does not hold": "is worse than",
        "cannot tell": "cannot be told apart from",
    }[verdict]
    sentence = f"{after}{first.name} {said} {second.name} ({figures})"
    sentence = sentence[0].upper() + sentence[1:]
    if comparison.finding is not None and not after:
        sentence += {
            "holds": f": the finding ({comparison.finding}) holds here",
            "does not hold": f": the finding ({comparison.finding}) does not hold here, it is the other way round",
            "cannot tell": f": whether the finding ({comparison.finding}) holds cannot be told from these runs",
        }[verdict]
    if published is not None and not after:
        if high < published:
            sentence += ", and the published size lies above the interval"
        elif low > published:
            sentence += ", by more than was published"
    sides = [_measurements(measured[id]) for id in (first.id, second.id)]
    if min(map(len, sides)) < 2:
        sentence += " (one seed on a side: its noise of pretraining is taken from the other, or not in it)"
    return Finding(sentence + ".", verdict if comparison.finding is not None else None, value, (low, high))


def _after_search(study: Study, comparison: Comparison, evidence: Evidence, before: Finding) -> Finding:
    """Say whether a gain outlives the same search for both sides."""
    tried = max(evidence.tried[id].tried for id in (comparison.first, comparison.second))
    after = _compared(
        study, comparison, evidence.searched,
        f"After the same search of {tried} settings for both, chosen on the development task, ",
    )  # fmt: skip
    if after.interval is None or before.value is None or before.interval is None:
        return after
    low, high = after.interval
    if low > 0 and before.interval[0] > 0 and after.value is not None:
        answer = f"The gain comes from the approach: {after.value:.1f} of {before.value:.1f} points outlive the search."
    elif low > 0:
        answer = "The approach is better once both are searched."
    elif high < 0 or before.interval[0] > 0:
        answer = "The gain comes from the hyper-parameters: it is gone when both are searched."
    else:
        answer = "Whether approach or hyper-parameters made the gain cannot be told: there is none before the search."
    return Finding(f"{after.sentence} {answer}", after.verdict, after.value, after.interval)


def _difference(first: Measured, second: Measured, metric: Metric) -> Difference | None:
    sides = [_measurements(first), _measurements(second)]
    if not all(sides) or any(metric not in m.metrics for side in sides for m in side):
        return None
    if metric == "top1":
        answers: list[Answers | None] = [answers_of(side) for side in sides]
        if answers[0] is not None and answers[1] is not None and answers[0].paired(answers[1]):
            return difference(answers[0], answers[1])
    tables = [[[draw[metric] for draw in m.draws] for m in side] for side in sides]
    return unpaired(tables[0], tables[1], (sides[0][0].images, sides[1][0].images))


def _choice(tried: Tried) -> str:
    point = ", ".join(f"{axis} {value}" for axis, value in tried.point.items()) or "its own constants"
    return f"chosen of {tried.tried} on the development task ({tried.scores[tried.chosen]:.1f} there): {point}"


def _finite(records: Sequence[Record]) -> Finding:
    trained = list({place(r.identity): r for r in records if r.curve or r.status == "diverged"}.values())
    lost = [r for r in trained if r.status == "diverged"]
    if lost:
        causes = "; ".join(
            f"{r.identity.method} on {r.identity.backbone}, seed {r.identity.seed}: {r.cause}" for r in lost
        )
        return Finding(f"{len(lost)} of {len(trained)} pretrainings became infinite or NaN: {causes}.", None)
    steps = max((int(r.curve["step"][-1]) for r in trained if r.curve.get("step")), default=0)
    return Finding(
        f"The loss of all {len(trained)} pretrainings stayed finite to the last step (at most {steps:,} steps)."
        if trained
        else "Nothing was pretrained.",
        None,
    )


def _notes(study: Study, evidence: Evidence, records: Sequence[Record]) -> list[str]:
    notes = []
    if evidence.fallback and study.fallback is not None:
        notes.append(study.fallback.reason)
    elif other := _other_data(study, records):
        notes.append(f"Measured on {', '.join(other)}, not on {study.dataset}: published figures are of the latter.")
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

"""A study's table and conclusion from its results, with the published scores next to the measured ones. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.records.record import Record
from bench.studies.against_published import against_published
from bench.studies.choosing import NOTE, choosing_findings
from bench.studies.conclusions import Finding, findings, loss_finding
from bench.studies.results import SearchResult, StudyResults, measurements
from bench.studies.rows import Row, best_epoch_row, other_datasets, row_of
from bench.studies.study import Metric, Study

GUESSES: dict[Metric, int] = {"top1": 1, "top5": 5}
"""Number of classes that a metric accepts as an answer."""


@dataclass(frozen=True)
class Report:
    """A study's table and conclusion.

    Attributes:
        study: The study.
        rows: One per system (and a second one if it has ``best_epoch_on_test``), then one per searched system.
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
    rows, of_system = [], {}
    for system in study.systems:
        result = results.systems[system.id]
        of_system[system.id] = row_of(study, system, result, {} if system.best_epoch_on_test else system.published)
        rows.append(of_system[system.id])
        if system.best_epoch_on_test:
            rows.append(best_epoch_row(study, system, result, results.best_epochs.get(system.id, ())))
    for id, result in results.searched.items():
        system, search = study.system(id), results.tried[id]
        rows.append(row_of(study, system, result, {}, f"{system.name}, after the search", _choice(study, search)))
    records = [r for result in (*results.systems.values(), *results.searched.values()) for r in result.records]
    images = {m.images for result in results.systems.values() if result.records for m in measurements(result)}
    return Report(
        study=study,
        rows=rows,
        findings=[
            *findings(study, results),
            *choosing_findings(study, results, same_data=not other_datasets(study, records)),
            *against_published(study, rows, of_system),
            loss_finding(records),
        ],
        notes=_notes(study, results, records),
        classes=next((r.classes for r in records if r.classes), None),
        images=max(images, default=0) or None,
        measured_on=_measured_on(records),
    )


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
    elif others := other_datasets(study, records):
        notes.append(
            f"Measured on {', '.join(others)}, not on {study.dataset}: the published scores are of {study.dataset}."
        )
    if any(system.best_epoch_on_test for system in study.systems):
        notes.append(NOTE)
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

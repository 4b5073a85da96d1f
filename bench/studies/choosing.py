"""What choosing the epoch on the test images adds to a table: the sentences of a study with ``best_epoch_on_test``. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.leaderboard.rows import answers_of, deviation, mean
from bench.leaderboard.significance import LEVEL, difference
from bench.records.digest import digest
from bench.records.record import Measurement
from bench.studies.conclusions import Finding
from bench.studies.results import BestEpoch, StudyResults, SystemResult
from bench.studies.study import Study, System

NOTE = (
    "Rows with 'best epoch on test' choose the epoch on the test images, as the published table does. This is not allowed anywhere else in "
    "sslbench: these scores are in no record, leaderboard or rank, and nothing is chosen by them."
)


@dataclass(frozen=True)
class Chosen:
    """The runs of one system at their last and at their best epoch, in the same order.

    Attributes:
        last: Measurements of the last epoch, from the records.
        best: Measurements of the best epoch.
        epochs: The best epochs.
    """

    last: Sequence[Measurement]
    best: Sequence[Measurement]
    epochs: Sequence[int]


def chosen_of(result: SystemResult, best: Sequence[BestEpoch]) -> Chosen:
    """Return the runs of a system whose best epoch is known."""
    by_run = {entry.run: entry for entry in best}
    last, at_best, epochs = [], [], []
    for record in result.records:
        measurement, entry = record.protocols.get(result.protocol), by_run.get(digest(record.identity))
        if measurement is None or entry is None:
            continue
        top1 = {"top1": max(entry.top1)}
        last.append(measurement)
        at_best.append(
            Measurement(measurement.version, top1, [top1], correct=[entry.correct], images=measurement.images)
        )
        epochs.append(entry.epoch)
    return Chosen(last, at_best, epochs)


def choosing_findings(study: Study, results: StudyResults, *, same_data: bool) -> list[Finding]:
    """Return a sentence per system on its best and its last epoch, then what choosing adds to the whole table.

    Args:
        study: The study.
        results: Its results.
        same_data: Whether the study's own data set was measured, so that the scores can be compared with the published ones.
    """
    asking = [system for system in study.systems if system.best_epoch_on_test]
    chosen = {
        system.id: chosen_of(results.systems[system.id], results.best_epochs.get(system.id, ())) for system in asking
    }
    measured = [system for system in asking if chosen[system.id].best]
    findings = [_of_row(system, chosen[system.id], results.systems[system.id]) for system in asking]
    if len(measured) > 1:
        findings.append(_of_table(measured, [chosen[system.id] for system in measured], same_data))
    return findings


def _of_row(system: System, chosen: Chosen, result: SystemResult) -> Finding:
    best, last = (answers_of(side) if side else None for side in (chosen.best, chosen.last))
    if best is None or last is None:
        return Finding(f"{system.name}: the best epoch was not measured.", None)
    found = difference(best, last)
    value, (low, high) = 100 * found.value, (100 * found.interval[0], 100 * found.interval[1])
    of = max(record.identity.epochs for record in result.records)
    epochs = ", ".join(map(str, chosen.epochs))
    sentence = (
        f"{system.name}: the best epoch on the test images ({epochs} of {of}) is {value:.2f} points above the last one, "
        f"95 % interval {low:+.2f} to {high:+.2f}"
    )
    if value > 0 and low <= 0:
        sentence += ": on other images it may not be better"
    if len(chosen.best) < 2:
        sentence += " (one seed: the interval does not include the variation between seeds)"
    return Finding(f"{sentence}.", None, value, (low, high))


def _of_table(systems: Sequence[System], chosen: Sequence[Chosen], same_data: bool) -> Finding:
    """Return how much choosing adds to the rows on average, with Student's interval over the rows."""
    import scipy.special

    last, best = ([_percent(getattr(row, side)) for row in chosen] for side in ("last", "best"))
    gains = [high - low for high, low in zip(best, last, strict=True)]
    count, average = len(gains), mean(gains)
    half = float(scipy.special.stdtrit(count - 1, 1 - LEVEL / 2)) * (deviation(gains) or 0.0) / math.sqrt(count)
    smallest, largest = (pick(range(count), key=lambda i: gains[i]) for pick in (min, max))
    pairs = list(combinations(range(count), 2))
    changed = sum((last[i] - last[j]) * (best[i] - best[j]) < 0 for i, j in pairs)
    sentence = (
        f"Choosing the epoch on the test images adds {average:.2f} points to these {count} rows on average, 95 % interval over rows "
        f"{average - half:+.2f} to {average + half:+.2f}: from {gains[smallest]:.2f} ({systems[smallest].name}) to {gains[largest]:.2f} "
        f"({systems[largest].name}). It changes the order of {changed} of {len(pairs)} pairs of rows"
    )
    published = [system.published["top1"] for system in systems if "top1" in system.published]
    if same_data and len(published) == count:
        sentence += (
            f". Ours minus published, on average: {mean(last) - mean(published):+.2f} points at the last epoch, "
            f"{mean(best) - mean(published):+.2f} at the best one"
        )
    return Finding(f"{sentence}.", None, average, (average - half, average + half))


def _percent(found: Sequence[Measurement]) -> float:
    return mean([100 * m.metrics["top1"] for m in found])

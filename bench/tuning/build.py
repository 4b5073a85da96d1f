"""Build the summary of a search from what came of its runs, and from the tables of the results folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from bench.leaderboard.read import Selection, leaderboard_of, read_records
from bench.leaderboard.tables import Row, Table
from bench.tuning.best_of import curve
from bench.tuning.order import gains, orders
from bench.tuning.points import SEED
from bench.tuning.score import SCORED, Outcome, in_order, mean_scores, scores
from bench.tuning.summary import CandidateSummary, MethodSummary, Summary, TrialSummary, joined
from bench.tuning.trials import MethodTrials, Part


@dataclass(frozen=True)
class Searching:
    """The search of one method as far as it has come.

    Attributes:
        trials: Its trials.
        outcomes: What came of each trial with the first seed.
        repeated: What came of the best trials with each seed.
        winner: The best of them, or None.
    """

    trials: MethodTrials
    outcomes: Sequence[Outcome]
    repeated: Mapping[int, Sequence[Outcome]]
    winner: int | None


def summary_of(
    searches: Sequence[Searching], parts: Sequence[Part], results: Path, old: Summary | None = None
) -> Summary:
    """Return the summary of searches on one backbone, with the methods of an older one, and with what the test set says so far.

    Args:
        searches: The searches.
        parts: The development tasks that they were measured on.
        results: The results folder, whose tables of the test set are compared.
        old: The summary that another command has written, or None.
    """
    shipped, backbone = parts[0].shipped, searches[0].trials.backbone
    identity = next(run.identity for run in shipped.runs if run.identity.backbone == backbone)
    classes = shipped.workload.traits.classes
    dataset = identity.dataset if len(parts) == 1 else identity.dataset.removesuffix("-fold-1")
    found = Summary(
        dataset=dataset,
        fingerprint=identity.fingerprint,
        backbone=backbone,
        budget=identity.budget,
        epochs=identity.epochs,
        trials=len(searches[0].outcomes),
        folds=len(parts),
        images=sum(part.shipped.workload.test for part in parts),
        classes=classes,
        seed=SEED,
        methods=[_method(search, classes) for search in searches],
    )
    found = joined(old, found)
    tables = _tables(results, found)
    if tables is None:
        return found
    return replace(found, methods=[_with_gains(method, *tables) for method in found.methods], orders=orders(*tables))


def _method(search: Searching, classes: int) -> MethodSummary:
    trials, outcomes = search.trials, search.outcomes
    found = scores(outcomes)
    means = mean_scores(search.repeated) if search.repeated else {}
    more = [outcome for repeated in search.repeated.values() for outcome in repeated[1:]]
    # A failed trial is worth as much as guessing.
    values = [_percent(outcomes[at].mean or Fraction(1, classes)) for at in in_order(outcomes)]
    return MethodSummary(
        method=trials.method,
        plugin=trials.plugin,
        version=trials.version,
        space=[axis.text() for axis in trials.axes],
        trials=[
            TrialSummary(dict(changed), o.status, o.cause, _accuracy([o]) if not o.failed else {}, score, o.seconds)
            for changed, o, score in zip(trials.changed, outcomes, found, strict=True)
        ],
        candidates=[
            CandidateSummary(at, means[at], _accuracy(repeated), sum(o.failed for o in repeated))
            for at, repeated in search.repeated.items()
        ],
        winner=search.winner,
        curve=curve(values),
        runs=sum(outcome.runs for outcome in [*outcomes, *more]),
        seconds=sum(outcome.seconds for outcome in [*outcomes, *more]),
    )


def _accuracy(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Return the mean accuracy by protocol, in percent, of the outcomes that did not fail."""
    able = [outcome.accuracy for outcome in outcomes if not outcome.failed]
    return {name: _percent(sum((found[name] for found in able), Fraction(0)) / len(able)) for name in SCORED if able}


def _percent(share: Fraction) -> float:
    return float(100 * share)


def _tables(results: Path, summary: Summary) -> tuple[Table, Table] | None:
    """Return the shipped and the tuned table of the test set, or None if one is missing."""
    records, _ = read_records(results)
    own = (summary.dataset, summary.backbone, summary.budget)
    known = [r for r in records if (r.identity.dataset, r.identity.backbone, r.identity.budget) == own]
    tables = leaderboard_of(known, Selection()).tables
    shipped = [table for table in tables if table.tuned is None]
    tuned = [table for table in tables if table.tuned == summary.trials]
    if len(shipped) != 1 or len(tuned) != 1 or shipped[0].fingerprint != tuned[0].fingerprint:
        return None
    return shipped[0], tuned[0]


def _with_gains(method: MethodSummary, shipped: Table, tuned: Table) -> MethodSummary:
    rows = [_row(table, method, table.tuned) for table in (shipped, tuned)]
    if rows[0] is None or rows[1] is None:
        return replace(method, gains=[])
    return replace(method, gains=gains(rows[0], rows[1]))


def _row(table: Table, method: MethodSummary, tuned: int | None) -> Row | None:
    """Return a method's row: with shipped settings, or that which a search found."""
    rows = [
        row
        for row in table.rows
        if (row.method, row.plugin) == (method.method, method.plugin) and (tuned is not None or not row.settings)
    ]
    return rows[0] if len(rows) == 1 else None

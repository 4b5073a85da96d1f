"""Label-free figures against accuracy: could one choose a method, or its settings, without labels?

Figures such as RankMe are correlated with an accuracy over the trained methods of a table. The final loss is not: losses of different methods
have different meanings and scales, so that a correlation over methods would be about the losses' formulas. It is correlated over the runs of one
method, which differ in seeds and settings.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from bench.leaderboard.tables import DIGITS, Column, Row, Table
from bench.records.record import Record

ACCURACIES = ("knn", "linear")
"""Columns of accuracies that the figures are compared with; both use all labels."""
FEWEST = 8
"""Smallest number of methods, or of runs of a method, for a correlation."""
NORMAL = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""
END = 0.1
"""Part of a loss curve whose mean is the final loss."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of two sides.

    Attributes:
        value: In [-1, 1].
        interval: Its 95 % interval.
        count: Number of pairs.
    """

    value: float
    interval: tuple[float, float]
    count: int

    @property
    def clear(self) -> bool:
        """Whether the interval excludes 0."""
        return self.interval[0] > 0 or self.interval[1] < 0


@dataclass(frozen=True)
class Choice:
    """The method that a figure would choose.

    Attributes:
        label: The row's label.
        lost: How far its accuracy is below the best of the same rows, in percentage points.
        typical: How far the median of the rows is below the best, in percentage points.
    """

    label: str
    lost: float
    typical: float


@dataclass(frozen=True)
class OverMethods:
    """A label-free figure against an accuracy, over the trained methods of a table.

    Attributes:
        figure: Column of the figure.
        accuracy: Id of the column of the accuracy.
        points: Label, figure and accuracy (percent) of each row.
        correlation: Their rank correlation.
        choice: What the figure would choose; None for a figure without a direction.
    """

    figure: Column
    accuracy: str
    points: tuple[tuple[str, float, float], ...]
    correlation: Correlation
    choice: Choice | None

    @property
    def as_declared(self) -> bool | None:
        """Whether the correlation has the sign of the figure's direction; None for a figure without one."""
        if self.figure.higher_is_better is None:
            return None
        return (self.correlation.value > 0) is self.figure.higher_is_better


@dataclass(frozen=True)
class WithinMethod:
    """The final loss against an accuracy, over the runs of one method in a table.

    Attributes:
        method: The method, with the first digits of its plugin's content.
        accuracy: Id of the column of the accuracy.
        varied: Names of the settings in which the runs differ.
        correlation: The rank correlation of loss and accuracy.
    """

    method: str
    accuracy: str
    varied: tuple[str, ...]
    correlation: Correlation


def spearman(first: Sequence[float], second: Sequence[float]) -> Correlation | None:
    """Return Spearman's rank correlation, in which equal values share the mean of their ranks; None if one side is constant.

    The interval is Fisher's, with the standard error ``sqrt((1 + r**2 / 2) / (n - 3))`` of Bonett and Wright (Psychometrika 65, 2000). In a
    simulation it holds the true value in 94 to 97 % of the cases from 8 pairs on. It treats the pairs as a random sample.
    """
    from scipy.stats import rankdata

    count = len(first)
    if count < 4 or len(set(first)) < 2 or len(set(second)) < 2:
        return None
    a, b = (rankdata(side) - (count + 1) / 2 for side in (first, second))
    value = float((a * b).sum() / math.sqrt(float((a * a).sum() * (b * b).sum())))
    value = max(-1.0, min(1.0, value))
    # Fisher's transform is infinite at 1: take the middle between 1 and the largest correlation below it.
    largest = 1 - 6 / (count**3 - count)
    middle = math.atanh(max(-largest, min(largest, value)))
    half = NORMAL * math.sqrt((1 + value**2 / 2) / (count - 3))
    interval = min(value, math.tanh(middle - half)), max(value, math.tanh(middle + half))
    return Correlation(value, interval, count)


def over_methods(table: Table) -> list[OverMethods]:
    """Return each label-free figure of a table against each accuracy, if enough methods have both.

    The rows are the ranked ones that ended well: no changed settings, no encoder from elsewhere, no floor or ceiling, and no collapsed run, which
    the harness reports by itself.
    """
    rows = [row for row in table.rows if row.group == "methods" and row.status == "ok"]
    figures = [column for column in table.columns if not column.percent and column.same_as is None]
    pairs = [(figure, accuracy) for figure in figures for accuracy in ACCURACIES]
    return [one for pair in pairs if (one := _over_methods(rows, *pair)) is not None]


def _over_methods(rows: Sequence[Row], figure: Column, accuracy: str) -> OverMethods | None:
    points = tuple(
        (row.label, row.scores[figure.id].mean, row.scores[accuracy].mean)
        for row in rows
        if figure.id in row.scores and accuracy in row.scores and math.isfinite(row.scores[figure.id].mean)
    )
    found = spearman([x for _, x, _ in points], [y for _, _, y in points]) if len(points) >= FEWEST else None
    if found is None:
        return None
    choice = None
    if figure.higher_is_better is not None:
        label, _, score = (max if figure.higher_is_better else min)(points, key=lambda point: point[1])
        scores = [y for _, _, y in points]
        choice = Choice(label, max(scores) - score, max(scores) - median(scores))
    return OverMethods(figure, accuracy, points, found, choice)


def within_methods(table: Table, of_row: Mapping[str, Sequence[Record]]) -> list[WithinMethod]:
    """Return the final loss against each accuracy, for each method with enough finished runs in a table, over all its seeds and settings.

    Args:
        table: The table.
        of_row: The records of each row, by the row's label.
    """
    methods: dict[tuple[str, str | None], list[Record]] = {}
    for row in table.rows:
        if row.group in ("methods", "changed settings"):
            finished = [record for record in of_row.get(row.label, ()) if record.status == "ok"]
            methods.setdefault((row.method, row.plugin), []).extend(finished)
    columns = [column for column in table.columns if column.id in ACCURACIES]
    return list(_within_methods(methods, columns))


def _within_methods(
    methods: Mapping[tuple[str, str | None], Sequence[Record]], columns: Sequence[Column]
) -> Iterator[WithinMethod]:
    for (method, plugin), records in methods.items():
        for column in columns:
            runs = [
                (record, loss, measured.metrics["top1"])
                for record in records
                if (loss := final_loss(record)) is not None
                and (measured := column.of(record)) is not None
                and "top1" in measured.metrics
            ]
            found = spearman([loss for _, loss, _ in runs], [score for *_, score in runs])
            if found is not None and found.count >= FEWEST:
                name = method if plugin is None else f"{method}@{plugin[:DIGITS]}"
                yield WithinMethod(name, column.id, _varied([record for record, *_ in runs]), found)


def final_loss(record: Record) -> float | None:
    """Return the mean of the last tenth of a run's recorded losses; None if there are none or they are not finite."""
    losses = record.curve.get("loss", ())
    last = losses[-max(1, round(END * len(losses))) :]
    value = fmean(last) if last else math.nan
    return value if math.isfinite(value) else None


def _varied(records: Sequence[Record]) -> tuple[str, ...]:
    """Return the names of the settings that are not the same in all records."""
    settings = [record.identity.settings for record in records]
    names = sorted({name for one in settings for name in one})
    return tuple(name for name in names if len({repr(one.get(name)) for one in settings}) > 1)

"""Comparison with the best of a column and with the untrained network, mean ranks with their intervals, and the order of rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction

from bench.errors import unknown
from bench.leaderboard.best import Comparisons, compare_all, rank_quantile
from bench.leaderboard.significance import LEVEL, difference, holm
from bench.leaderboard.tables import GROUPS, NOISE, UNTRAINED, Column, Gap, Row
from bench.records.record import Cost

COSTS = tuple(field.name for field in fields(Cost))
LOW_SHOT = "lowshot-"
"""The columns of the low-shot family start with it."""


@dataclass(frozen=True)
class Compared:
    """The compared rows of a column.

    Attributes:
        rows: Their places among the rows of the table.
        comparisons: Their comparisons, in this order.
    """

    rows: tuple[int, ...]
    comparisons: Comparisons


def compared_columns(rows: Sequence[Row], columns: Sequence[Column]) -> dict[str, Compared]:
    """Compare the rows of each column with each other; a column in which fewer than two can be compared is missing.

    Compared are the ranked rows that are ``ok`` and have stored answers and several seeds, or that are deterministic: with one seed
    nobody knows how much a score varies from one pretraining to the next. If rows have answers under other draws or to other images, the
    largest set of rows with the same ones is compared (of equally large sets, the one with the highest score).
    """
    result = {}
    for column in columns:
        if not column.percent:
            continue
        sets: dict[tuple[object, ...], list[int]] = {}
        for i, r in enumerate(rows):
            answers = r.answers.get(column.id)
            if _can_be_ranked(r) and answers is not None and answers.seeds is not None:
                sets.setdefault((answers.label_sets, *answers.by_draw.shape), []).append(i)
        if not sets:
            continue
        places = max(sets.values(), key=lambda found: (len(found), max(rows[i].exact(column.id)[1] for i in found)))
        if len(places) > 1:
            answers_of_rows = [rows[i].answers[column.id] for i in places]
            result[column.id] = Compared(tuple(places), compare_all(answers_of_rows, column.id))
    return result


def with_best(rows: Sequence[Row], compared: Mapping[str, Compared]) -> list[Row]:
    """Return the rows with what their scores say about the best of each column: whether a row could be it, and the gap to it."""
    rows = list(rows)
    for name, column in compared.items():
        for i, found in zip(column.rows, column.comparisons.standings(), strict=True):
            gap = Gap(100 * found.gap, (100 * found.interval[0], 100 * found.interval[1]))
            score = replace(rows[i].scores[name], could_be_best=found.could_be_best, gap=gap)
            rows[i] = replace(rows[i], scores=rows[i].scores | {name: score})
    return rows


def with_untrained(rows: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    """Return the rows with their accuracies compared with those of ``random_init`` in the same table: higher, and by more than noise.

    The test is Welch's, paired by image and draw; Holm's correction counts the tested rows of a column. ``pixels`` and rows that
    are not ``ok`` are not compared, nor is any row of a table without ``random_init``.
    """
    rows = list(rows)
    untrained = next((r for r in rows if r.label == UNTRAINED and r.status == "ok"), None)
    if untrained is None:
        return rows
    others = [i for i, r in enumerate(rows) if r.label not in (UNTRAINED, "pixels") and r.status == "ok"]
    for column in columns:
        name = column.id
        if not column.percent or name not in untrained.scores:
            continue
        compared = [i for i in others if name in rows[i].scores]
        known = untrained.answers.get(name)
        tested = {}
        if known is not None:
            answers = {i: rows[i].answers[name] for i in compared if name in rows[i].answers}
            tested = {i: difference(own, known) for i, own in answers.items() if own.paired(known)}
        corrected = dict(zip(tested, holm([d.p for d in tested.values()]), strict=True))
        for i in compared:
            own, base = _comparable([rows[i].exact(name), untrained.exact(name)])
            surely = tested[i].value > 0 and corrected[i] < LEVEL if i in tested else None
            score = replace(rows[i].scores[name], above_untrained=own > base, surely_above_untrained=surely)
            rows[i] = replace(rows[i], scores=rows[i].scores | {name: score})
    return rows


def with_ranks(
    rows: Sequence[Row], default: Sequence[Column], compared: Mapping[str, Compared] | None = None
) -> list[Row]:
    """Return the rows with their ranks: the mean of the ranks on ``knn``, ``linear`` and the low-shot family.

    The rank on the low-shot family is the mean over its columns with different label sets. A row that lacks a value has no rank and
    does not count in the ranks of the others. Equal scores share the mean of their ranks: scores with the same share of right answers
    are equal; if the answers of a row are not stored, scores that are equal after rounding.

    The interval of a rank is the mean of its bounds in the columns: one more than the number of rows that are surely above, and the
    number of rows without those that are surely below, where all comparisons of the row in all columns hold together at 95 % (Mogstad,
    Romano, Shaikh & Wilhelm 2024). A comparison that cannot be made leaves both bounds as they are; a row that is not compared in one of
    the columns has no interval.
    """
    counted = [column.id for column in default if column.same_as is None]
    low_shot = [name for name in counted if name.startswith(LOW_SHOT)]
    parts = [[name] for name in ("knn", "linear") if name in counted] + ([low_shot] if low_shot else [])
    complete = [i for i, r in enumerate(rows) if _can_be_ranked(r) and all(name in r.scores for name in counted)]
    if len(parts) < 3 or not complete:
        return list(rows)

    def mean_rank(of_column: Mapping[str, float]) -> float:
        means = [math.fsum(of_column[name] for name in part) / len(part) for part in parts]
        return math.fsum(means) / len(means)

    ranks = {name: _ranks(_comparable([rows[i].exact(name) for i in complete])) for name in counted}
    result = list(rows)
    for position, i in enumerate(complete):
        bounds = _rank_bounds(i, complete, {name: (compared or {}).get(name) for name in counted})
        ends = None
        if bounds is not None:
            low, high = ({name: both[at] for name, both in bounds.items()} for at in (0, 1))
            ends = mean_rank(low), mean_rank(high)
        rank = mean_rank({name: ranks[name][position] for name in counted})
        result[i] = replace(rows[i], rank=rank, rank_interval=ends)
    return result


def _rank_bounds(
    row: int, ranked: Sequence[int], columns: Mapping[str, Compared | None]
) -> dict[str, tuple[int, int]] | None:
    """Return the lowest and the highest rank of a row in each column, or None if it is not compared in all of them."""
    found = {name: c for name, c in columns.items() if c is not None and row in c.rows}
    if len(found) < len(columns):
        return None
    critical = rank_quantile([(c.comparisons, c.rows.index(row)) for c in found.values()])
    bounds = {}
    for name, c in found.items():
        z = c.comparisons.z[c.rows.index(row)]
        others = [float(z[at]) for at, i in enumerate(c.rows) if i in ranked]
        above, below = sum(v > critical for v in others), sum(v < -critical for v in others)
        bounds[name] = (1 + above, len(ranked) - below)
    return bounds


def order(rows: Sequence[Row], by: str, columns: Sequence[Column]) -> list[Row]:
    """Return the rows sorted within their groups by ``rank``, ``method``, a column or a cost; rows without a value come last.

    Raises:
        SslbenchError: The column is unknown; the message names the nearest one.
    """
    ids = {column.id: column for column in columns}
    if by not in {"rank", "method", *ids, *COSTS}:
        raise unknown("column", by, ["rank", "method", *ids, *COSTS])

    def value(r: Row) -> tuple[float, float, str]:
        if by == "method":
            found = None
        elif by == "rank":
            found = None if r.rank is None else round(r.rank, NOISE)
        elif by in ids:
            found = r.exact(by)[1] if by in r.scores else None
            if found is not None and ids[by].higher_is_better is not False:
                found = -found
        else:
            found = getattr(r.cost, by)
            if found is not None and by == "images_per_s":
                found = -found
        overall = (
            math.fsum(score.mean for name, score in r.scores.items() if ids[name].percent) if by == "rank" else 0.0
        )
        key = math.inf if found is None or math.isnan(found) else found
        return (key, -round(overall, NOISE), r.label)

    return sorted(rows, key=lambda r: (GROUPS.index(r.group), *value(r)))


def _can_be_ranked(r: Row) -> bool:
    return r.group == "methods" and r.status == "ok"


def _comparable(scores: Sequence[tuple[Fraction | None, float]]) -> list[Fraction] | list[float]:
    """Return the exact shares of right answers, or the rounded means if one row has no stored answers."""
    shares = [share for share, _ in scores if share is not None]
    return shares if len(shares) == len(scores) else [rounded for _, rounded in scores]


def _ranks(values: Sequence[Fraction] | Sequence[float]) -> list[float]:
    """Return the rank of each value, the highest first; equal values share the mean of their ranks."""
    return [sum(v > value for v in values) + (sum(v == value for v in values) + 1) / 2 for value in values]

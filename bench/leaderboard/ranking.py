"""The order of rows: ties with the best of a column, mean ranks, and the columns one can sort by."""

import math
from collections.abc import Sequence
from dataclasses import fields, replace

from bench.errors import unknown
from bench.leaderboard.significance import tied_with_best
from bench.leaderboard.tables import GROUPS, Column, Row
from bench.records.record import Cost

COSTS = tuple(field.name for field in fields(Cost))
FAMILY = "lowshot-"


def tied(rows: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    """Return the rows with their ties: in each column, which do not differ from the best by more than noise.

    Only rows that could be ranked take part, and only those that answered the same images under the same draws as the best.
    """
    rows = list(rows)
    for column in columns:
        asked = [i for i, r in enumerate(rows) if _competes(r) and column.id in r.answers]
        if not asked or not column.percent:
            continue
        best = max(asked, key=lambda i: rows[i].scores[column.id].mean)
        alike = [i for i in asked if rows[i].answers[column.id].paired(rows[best].answers[column.id])]
        for i, tie in zip(alike, tied_with_best([rows[i].answers[column.id] for i in alike]), strict=True):
            scores = rows[i].scores
            rows[i] = replace(rows[i], scores=scores | {column.id: replace(scores[column.id], tied_with_best=tie)})
    return rows


def ranked(rows: Sequence[Row], default: Sequence[Column]) -> list[Row]:
    """Return the rows with their ranks: the mean of the ranks in ``knn``, ``linear`` and the low-shot family.

    The family's rank is the mean over its columns, those of other label sets only. A row that lacks a value has no rank and takes
    no place. Equal scores share the mean of their places.
    """
    counted = [column.id for column in default if column.same_as is None]
    family = [name for name in counted if name.startswith(FAMILY)]
    parts = [[name] for name in ("knn", "linear") if name in counted] + ([family] if family else [])
    complete = [i for i, r in enumerate(rows) if _competes(r) and all(name in r.scores for name in counted)]
    if len(parts) < 3 or not complete:
        return list(rows)
    places = {name: _places([rows[i].scores[name].mean for i in complete]) for name in counted}
    result = list(rows)
    for place, i in enumerate(complete):
        means = [math.fsum(places[name][place] for name in part) / len(part) for part in parts]
        result[i] = replace(rows[i], rank=math.fsum(means) / len(means))
    return result


def order(rows: Sequence[Row], by: str, columns: Sequence[Column]) -> list[Row]:
    """Return the rows sorted within their groups by ``rank``, ``method``, a column or a cost; rows without a value last.

    Raises:
        SslbenchError: An unknown column, with the nearest one.
    """
    ids = {column.id: column for column in columns}
    if by not in {"rank", "method", *ids, *COSTS}:
        raise unknown("column", by, ["rank", "method", *ids, *COSTS])

    def value(r: Row) -> tuple[float, float, str]:
        if by == "method":
            found = None
        elif by == "rank":
            found = r.rank
        elif by in ids:
            found = r.scores[by].mean if by in r.scores else None
            if found is not None and ids[by].higher_is_better is not False:
                found = -found
        else:
            found = getattr(r.cost, by)
            if found is not None and by == "images_per_s":
                found = -found
        overall = (
            math.fsum(score.mean for name, score in r.scores.items() if ids[name].percent) if by == "rank" else 0.0
        )
        return (math.inf if found is None else found, -overall, r.label)

    return sorted(rows, key=lambda r: (GROUPS.index(r.group), *value(r)))


def _competes(r: Row) -> bool:
    return r.group == "methods" and r.status == "ok"


def _places(values: Sequence[float]) -> list[float]:
    """Return the place of each value, the highest first; equal ones share the mean of their places."""
    return [sum(v > value for v in values) + (sum(v == value for v in values) + 1) / 2 for value in values]

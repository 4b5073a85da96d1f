"""Curves of training: the loss, and what ``--watch`` measured."""

import math
from collections.abc import Mapping, Sequence

import altair as alt

from bench.leaderboard.tables import Table
from bench.records.record import WATCHED, Record
from bench.reports import numbers
from bench.reports.pictures.chart import Values
from bench.reports.pictures.lines import lines
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.tables import by_row, identifier, in_colour, name_of

POINTS = 40
"""Largest number of points of a line."""


def pictures(table: Table, records: Sequence[Record]) -> list[Picture]:
    """Return the picture of the losses and one per watched figure, if there are any; of each row the first seed."""
    of_row = {label: found[0] for label, found in by_row(table, records).items()}
    losses = {label: _scaled(r.curve) for label, r in of_row.items() if len(r.curve.get("loss", ())) > 1}
    drawn = [_picture(table, losses, "loss", "loss, relative to its start", "Learning curves", _LOSS)] if losses else []
    for name, title in WATCHED.items():
        percent = 100 if name == "knn" else 1
        found = {
            label: [
                (float(epoch), percent * value)
                for epoch, value in zip(r.watched["epoch"], r.watched[name], strict=True)
            ]
            for label, r in of_row.items()
            if len(r.watched.get(name, ())) > 1
        }
        if found:
            unit = f"{title}, percent" if name == "knn" else title
            drawn.append(_picture(table, found, name, unit, f"{title} during training", _WATCHED, "epoch"))
    return drawn


_LOSS = "The loss of the first seed of each row divided by the largest absolute loss of its curve, so that methods can be shown together: "
_LOSS += "heights of two methods mean nothing, shapes do."
_WATCHED = "Measured by --watch on val, a part of the training images, with the first seed of each row; no test image was used."

Line = list[tuple[float, float]]


def _scaled(curve: Mapping[str, Sequence[float]]) -> Line:
    """Return (share of the training, loss relative to the largest absolute one)."""
    steps, losses = curve["step"], curve["loss"]
    kept = [(step, loss) for step, loss in zip(steps, losses, strict=True) if math.isfinite(loss)]
    largest = max((abs(loss) for _, loss in kept), default=0.0) or 1.0
    last = max((step for step, _ in kept), default=1) or 1
    return [(100 * step / last, loss / largest) for step, loss in kept]


def _thinned(line: Line) -> Line:
    return line if len(line) <= POINTS else [line[round(at * (len(line) - 1) / (POINTS - 1))] for at in range(POINTS)]


def _picture(
    table: Table,
    found: Mapping[str, Line],
    kind: str,
    unit: str,
    title: str,
    caption: str,
    axis: str = "percent of the training",
) -> Picture:
    rows = {row.label: row for row in table.rows}
    values: list[Values] = [
        {"n": name_of(rows[label]), "x": x, "y": y} for label, line in found.items() for x, y in _thinned(line)
    ]
    tip = [
        alt.Tooltip("n:N", title="row"),
        alt.Tooltip("x:Q", title=axis, format=".3~g"),
        alt.Tooltip("y:Q", title=unit, format=".3~g"),
    ]
    x_axis = alt.X("x:Q", title=axis, scale=alt.Scale(nice=False))
    y_axis = alt.Y("y:Q", title=unit, scale=alt.Scale(zero=False))
    return Picture(
        identifier("curve", table, kind),
        numbers.title(table),
        title,
        caption,
        lines(values, [name_of(row) for row in in_colour(table)], x_axis, y_axis, points=False, tip=tip),
        ("row", "points", f"first {unit}", f"last {unit}"),
        tuple(
            (name_of(rows[label]), len(line), round(line[0][1], 4), round(line[-1][1], 4))
            for label, line in found.items()
        ),
    )

"""Curves of training: the loss, and what ``--watch`` measured."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import altair as alt

from bench.leaderboard.tables import Table
from bench.records.record import WATCHED, Record
from bench.reports import numbers
from bench.reports.pictures.chart import Values
from bench.reports.pictures.lines import lines
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.tables import identifier, in_colour, name_of
from bench.reports.row_records import by_row

POINTS = 40
"""Largest number of points of a line."""


def pictures(table: Table, records: Sequence[Record]) -> list[Picture]:
    """Return the picture of the losses and one per watched figure, if at least two rows have them; of each row the first seed."""
    of_row = {label: found[0] for label, found in by_row(table, records).items()}
    images = _count(of_row.values(), "train")
    trained = (
        f"The loss of the first seed of each row{f' (the data set has {images}training images)' if images else ''}, "
    )
    losses = {label: _loss(r) for label, r in of_row.items()}
    drawn = [
        _picture(
            table, losses, "loss", "Learning curves", f"loss / {LARGEST}", "percent of the training", trained + _LOSS
        )
    ]
    for name, title in WATCHED.items():
        unit = f"{title}, percent" if name == "knn" else title
        watched = {label: _watched(r, name) for label, r in of_row.items()}
        caption = (
            f"{title}, measured during training with --watch on {_count(of_row.values(), 'val')}images of val, a part of the training images; no test "
            "image was used. First seed of each row."
        )
        drawn.append(_picture(table, watched, name, f"{title} during training", unit, "epoch", caption))
    return [picture for picture in drawn if picture is not None]


LARGEST = "largest absolute loss"
_LOSS = (
    "divided by the largest absolute value of its curve: losses of different methods have different meanings, so that only the "
    "shapes can be compared."
)

Line = list[tuple[float, float]]


def _count(records: Iterable[Record], part: Literal["train", "val"]) -> str:
    """Return the number of images of a part of the data set, before a word; nothing if no record has it."""
    counts = [getattr(record.data, part) for record in records if record.data is not None]
    return f"{max(counts):,} " if counts else ""


def _loss(record: Record) -> Line:
    """Return (percent of the training, loss relative to the largest absolute one)."""
    line = _line(record.curve.get("step", ()), record.curve.get("loss", ()))
    largest = max((abs(loss) for _, loss in line), default=0.0) or 1.0
    last = max((step for step, _ in line), default=0.0) or 1.0
    return [(100 * step / last, loss / largest) for step, loss in line]


def _watched(record: Record, name: str) -> Line:
    """Return (epoch, watched figure)."""
    factor = 100 if name == "knn" else 1
    line = _line(record.watched.get("epoch", ()), record.watched.get(name, ()))
    return [(epoch, factor * value) for epoch, value in line]


def _line(x: Sequence[float], y: Sequence[float]) -> Line:
    return [(float(a), float(b)) for a, b in zip(x, y, strict=False) if math.isfinite(a) and math.isfinite(b)]


def _thinned(line: Line) -> Line:
    return line if len(line) <= POINTS else [line[round(at * (len(line) - 1) / (POINTS - 1))] for at in range(POINTS)]


def _picture(
    table: Table, lines_of: Mapping[str, Line], kind: str, title: str, unit: str, axis: str, caption: str
) -> Picture | None:
    named = [(name_of(row), line) for row in table.rows if len(line := lines_of.get(row.label, [])) > 1]
    if len(named) < 2:
        return None
    values: list[Values] = [
        {"n": name, "x": [x for x, _ in _thinned(line)], "y": [y for _, y in _thinned(line)]} for name, line in named
    ]
    tip = [
        alt.Tooltip("n:N", title="row"),
        alt.Tooltip("x:Q", title=axis, format=".3~g"),
        alt.Tooltip("y:Q", title=unit, format=".3~g"),
    ]
    x_axis = alt.X("x:Q", title=axis, scale=alt.Scale(nice=False), axis=alt.Axis(tickCount=5, tickMinStep=1))
    y_axis = alt.Y("y:Q", title=unit, scale=alt.Scale(zero=False))
    return Picture(
        identifier("curve", table, kind),
        numbers.title(table),
        title,
        caption,
        lines(values, [name_of(row) for row in in_colour(table)], x_axis, y_axis, points=False, tip=tip),
        ("row", "points", f"first {unit}", f"last {unit}"),
        tuple((name, len(line), round(line[0][1], 4), round(line[-1][1], 4)) for name, line in named),
    )

"""Which pairs of methods differ by more than noise, as a matrix."""

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from bench.leaderboard.significance import LEVEL, difference, holm
from bench.leaderboard.tables import Row, Table
from bench.records.record import Record
from bench.reports import numbers
from bench.reports.pictures.chart import BLUE, GREY, Values, data, finished, names_axis
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.tables import FULL, identifier, measured_on, name_of

DIFFER, SAME = "differ", "not told apart"


@dataclass(frozen=True)
class Pair:
    """Two rows compared.

    Attributes:
        first: Position of the first row.
        second: Position of the second row, which is larger.
        points: Score of the first minus that of the second, in percentage points.
        interval: Its 95 % interval, for this pair alone.
        p: p-value of no difference, corrected for all pairs (Holm).
    """

    first: int
    second: int
    points: float
    interval: tuple[float, float]
    p: float


def pictures(table: Table, records: Sequence[Record]) -> list[Picture]:
    """Return a matrix per column of all labels, if at least two rows have stored answers."""
    return [picture for column in FULL if (picture := _picture(table, column)) is not None]


def compared(rows: Sequence[Row], column: str) -> list[Pair]:
    """Return all pairs of rows in a column."""
    places = [(i, j) for i in range(len(rows)) for j in range(i + 1, len(rows))]
    found = [difference(rows[i].answers[column], rows[j].answers[column]) for i, j in places]
    corrected = holm([entry.p for entry in found])
    return [
        Pair(i, j, 100 * entry.value, (100 * entry.interval[0], 100 * entry.interval[1]), p)
        for (i, j), entry, p in zip(places, found, corrected, strict=True)
    ]


def _picture(table: Table, column: str) -> Picture | None:
    candidates = [row for row in table.rows if row.status == "ok" and column in row.answers and row.group == "methods"]
    rows = [row for row in candidates if row.answers[column].paired(candidates[0].answers[column])]
    if len(rows) < 2:
        return None
    rows.sort(key=lambda row: -row.scores[column].mean)
    names = [name_of(row) for row in rows]
    pairs = compared(rows, column)
    values: list[Values] = [
        {
            "a": names[pair.first],
            "b": names[pair.second],
            "d": round(pair.points, 1),
            "l": round(pair.interval[0], 1),
            "h": round(pair.interval[1], 1),
            "p": round(pair.p, 3),
            "v": DIFFER if pair.p < LEVEL else SAME,
        }
        for pair in pairs
    ]
    tip = [
        alt.Tooltip("a:N", title="row"),
        alt.Tooltip("b:N", title="above"),
        alt.Tooltip("d:Q", title="by points", format=".1f"),
        alt.Tooltip("l:Q", title="from", format=".1f"),
        alt.Tooltip("h:Q", title="to", format=".1f"),
        alt.Tooltip("p:Q", title="p, corrected", format=".3f"),
        alt.Tooltip("v:N", title="verdict"),
    ]
    below = alt.Axis(labelLimit=110, grid=False, labelAngle=-90, labelFontSize=11, labelOverlap=True)
    colour = alt.Color("v:O", title=None, scale=alt.Scale(domain=[DIFFER, SAME], range=[BLUE, GREY]))
    opacity = alt.Opacity("v:O", title=None, scale=alt.Scale(domain=[DIFFER, SAME], range=[0.9, 0.22]))
    chart = (
        alt.Chart(data(values))
        .mark_rect()
        .encode(
            x=alt.X("b:N", **names_axis(names[1:], below)),
            y=alt.Y("a:N", **names_axis(names[:-1], alt.Axis(labelLimit=110, grid=False, labelFontSize=11))),
            color=colour,
            opacity=opacity,
            tooltip=tip,
        )
    )
    different = sum(pair.p < LEVEL for pair in pairs)
    caption = (
        f"{different} of {len(pairs)} pairs differ in {column} by more than noise (5 % level, paired by image, corrected for all pairs by "
        f"Holm's method); {measured_on(table)}. The row on the left scored higher. A pair that is not told apart may still differ."
    )
    return Picture(
        identifier("pairs", table, column),
        numbers.title(table),
        f"Which pairs differ in {column}",
        caption,
        finished(chart, height=18 * len(rows) + 10),
        ("row", *(f"{verdict}: points above (95 % interval; corrected p)" for verdict in (DIFFER, SAME))),
        tuple((name, *_listed(values, name)) for name in names[:-1]),
    )


def _listed(values: Sequence[Values], name: str) -> list[str]:
    """Return the rows below a row with the differences, those that differ and those that are not told apart."""
    below = [value for value in values if value["a"] == name]
    return [
        ", ".join(f"{v['b']} {v['d']} ({v['l']} to {v['h']}; {v['p']:.3g})" for v in below if v["v"] == verdict)
        or numbers.NONE
        for verdict in (DIFFER, SAME)
    ]

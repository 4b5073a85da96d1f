"""Which pairs of methods differ by more than noise, as a matrix."""

from collections.abc import Sequence

import altair as alt

from bench.leaderboard.significance import LEVEL, difference, holm
from bench.leaderboard.tables import Row, Table
from bench.records.record import Record
from bench.reports import numbers
from bench.reports.pictures.chart import BLUE, GREY, ORANGE, Values, data, finished
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.tables import FULL, identifier, measured_on, name_of

HIGHER, LOWER, SAME = "higher", "lower", "not told apart"


def pictures(table: Table, records: Sequence[Record]) -> list[Picture]:
    """Return a matrix per column of all labels, if at least two rows have stored answers."""
    drawn = (_picture(table, column) for column in FULL)
    return [picture for picture in drawn if picture is not None]


def compared(rows: Sequence[Row], column: str) -> list[tuple[int, int, float, float]]:
    """Return each pair of rows with the difference of its scores in percentage points and the p-value corrected for all pairs (Holm)."""
    pairs = [(i, j) for i in range(len(rows)) for j in range(i)]
    found = [difference(rows[i].answers[column], rows[j].answers[column]) for i, j in pairs]
    corrected = holm([entry.p for entry in found])
    return [(i, j, 100 * entry.value, p) for (i, j), entry, p in zip(pairs, found, corrected, strict=True)]


def _picture(table: Table, column: str) -> Picture | None:
    candidates = [row for row in table.rows if row.status == "ok" and column in row.answers and row.group == "methods"]
    rows = [row for row in candidates if row.answers[column].paired(candidates[0].answers[column])]
    if len(rows) < 2:
        return None
    rows.sort(key=lambda row: -row.scores[column].mean)
    names = [name_of(row) for row in rows]
    values: list[Values] = []
    behind = []
    different = 0
    for i, j, points, p in compared(rows, column):
        real = p < LEVEL
        different += real
        for first, second, value in ((i, j, points), (j, i, -points)):
            verdict = SAME if not real else HIGHER if value > 0 else LOWER
            values.append({"a": names[first], "b": names[second], "d": float(value), "p": p, "v": verdict})
        behind.append((names[j], names[i], round(-points, 2), round(p, 4), "yes" if real else ""))
    axis = alt.Axis(labelLimit=160, grid=False, labelFontSize=11)
    tip = [
        alt.Tooltip("a:N", title="row"), alt.Tooltip("b:N", title="compared with"), alt.Tooltip("d:Q", title="difference in points", format="+.1f"),
        alt.Tooltip("p:Q", title="p, corrected", format=".3f"),
    ]  # fmt: skip
    colour = alt.Color(
        "v:N", title="the row on the left is", scale=alt.Scale(domain=[HIGHER, LOWER, SAME], range=[BLUE, ORANGE, GREY])
    )
    chart = (
        alt.Chart(data(values))
        .mark_rect(stroke=None)
        .encode(
            x=alt.X(
                "b:N",
                title=None,
                sort=names,
                axis=alt.Axis(labelLimit=160, grid=False, labelAngle=-90, labelFontSize=11),
            ),
            y=alt.Y("a:N", title=None, sort=names, axis=axis),
            color=colour,
            opacity=alt.condition(alt.FieldEqualPredicate(field="v", equal=SAME), alt.value(0.15), alt.value(0.85)),
            tooltip=tip,
        )
        .properties(height=17 * len(rows))
    )
    caption = (
        f"{different} of {len(behind)} pairs differ in {column} by more than noise (5 % level, paired by image, corrected for all pairs by Holm's "
        f"method); {measured_on(table)}. A pair that is not told apart may still differ."
    )
    return Picture(
        identifier("pairs", table, column),
        numbers.title(table),
        f"Which pairs differ in {column}",
        caption,
        finished(chart),
        ("row", "compared with", "difference in points", "p, corrected", "differ"),
        tuple(behind),
    )

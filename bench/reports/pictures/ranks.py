"""The rank of each row with its interval."""

from collections.abc import Sequence

import altair as alt

from bench.leaderboard.tables import Table
from bench.records.record import Record
from bench.reports import numbers
from bench.reports.pictures.chart import BLUE, Values, data, finished, names_axis
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.tables import identifier, measured_on, name_of


def pictures(table: Table, records: Sequence[Record]) -> list[Picture]:
    """Return the picture of the ranks, if at least two rows have one."""
    values: list[Values] = []
    for row in table.rows:
        if row.rank is not None:
            low, high = row.rank_interval or (row.rank, row.rank)
            values.append({"n": name_of(row), "r": row.rank, "l": float(low), "h": float(high)})
    if len(values) < 2:
        return []
    known = any(row.rank_interval for row in table.rows)
    names = [value["n"] for value in values]
    y = alt.Y("n:N", **names_axis(names, alt.Axis(labelLimit=130, grid=False)))
    scale = alt.Scale(domain=[1, max(value["h"] for value in values)], nice=False, padding=10)
    tip = [alt.Tooltip("n:N", title="row"), alt.Tooltip("r:Q", title="rank", format=".1f")]
    if known:
        tip += [alt.Tooltip("l:Q", title="from", format=".1f"), alt.Tooltip("h:Q", title="to", format=".1f")]
    base = alt.Chart(data(values)).encode(y=y)
    left = alt.X("l:Q", title="rank (1 is the best)", scale=scale, axis=alt.Axis(tickCount=6))
    chart = alt.layer(
        base.mark_rule(strokeWidth=4, opacity=0.35, color=BLUE).encode(x=left, x2="h:Q", tooltip=tip),
        base.mark_point(filled=True, size=70, color=BLUE, opacity=1).encode(x=alt.X("r:Q", scale=scale), tooltip=tip),
    )
    interval = " with its 95 % interval" if known else "; its interval was not computed"
    caption = f"Mean of the ranks on knn, linear and the low-shot family{interval}; {measured_on(table)}."
    rows = [(v["n"], round(v["r"], 2), round(v["l"], 2), round(v["h"], 2)) for v in values]
    return [
        Picture(
            identifier("ranks", table),
            numbers.title(table),
            "Ranks",
            caption,
            finished(chart, height=20 * len(values) + 20),
            ("row", "rank", "from", "to") if known else ("row", "rank"),
            tuple(row if known else row[:2] for row in rows),
        )
    ]

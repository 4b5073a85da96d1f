"""Accuracy against cost: seconds of pretraining, and images seen, with the rows that no cheaper row beats."""

from collections.abc import Sequence

import altair as alt

from bench.leaderboard.tables import Row, Table
from bench.records.record import Record
from bench.reports import numbers
from bench.reports.pictures.chart import GREY, GROUP_COLOURS, Values, data, finished
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.tables import FULL, by_row, identifier, measured_on, name_of

AXES = {"seconds": "seconds of pretraining", "images": "images seen in pretraining (views count)"}


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the positions of the (cost, score) pairs that no pair with at most this cost beats or equals, cheapest first."""
    best = float("-inf")
    front = []
    for at in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if points[at][1] > best:
            best = points[at][1]
            front.append(at)
    return front


def pictures(table: Table, records: Sequence[Record]) -> list[Picture]:
    """Return a picture per column of all labels and per kind of cost, if at least two rows have both."""
    of_row = by_row(table, records)
    drawn = (_picture(table, of_row, column, axis) for axis in AXES for column in FULL)
    return [picture for picture in drawn if picture is not None]


def _range(scores: Sequence[float]) -> list[float]:
    """Return the range of the axis: that of the scores with a margin; longer intervals are cut off."""
    margin = 0.12 * (max(scores) - min(scores)) + 0.3
    return [max(0.0, min(scores) - margin), min(100.0, max(scores) + margin)]


def _costs(row: Row, records: Sequence[Record], axis: str) -> float | None:
    """Return the mean cost of a row over its seeds."""
    if axis == "seconds":
        return row.cost.pretrain_s
    seen = [images for record in records if (images := _images_seen(record)) is not None]
    return sum(seen) / len(seen) if seen else None


def _images_seen(record: Record) -> float | None:
    """Return how many views a training saw; by time and speed where the record does not have the number of images."""
    views = record.cost.views_per_image or 1
    if not record.identity.epochs:
        return None
    if record.data is not None:
        share = float(record.identity.settings.get("share", 1.0))
        return record.identity.epochs * share * (record.data.train + record.data.unlabelled) * views
    if record.cost.pretrain_s is None or record.cost.images_per_s is None:
        return None
    return record.cost.pretrain_s * record.cost.images_per_s * views


def _picture(table: Table, of_row: dict[str, list[Record]], column: str, axis: str) -> Picture | None:
    values: list[Values] = []
    for row in table.rows:
        score, cost = row.scores.get(column), _costs(row, of_row.get(row.label, ()), axis)
        if score is None or not cost or row.status != "ok":
            continue
        low, high = score.interval or (score.mean, score.mean)
        values.append({"n": name_of(row), "c": float(cost), "s": score.mean, "l": low, "h": high, "g": row.group})
    if len(values) < 2:
        return None
    methods = [at for at, value in enumerate(values) if value["g"] == "methods"]
    front = [methods[at] for at in pareto([(values[at]["c"], values[at]["s"]) for at in methods])]
    values = [{**value, "f": "yes" if at in front else ""} for at, value in enumerate(values)]
    groups = list(dict.fromkeys(value["g"] for value in values))
    colour = alt.Color(
        "g:N", title=None, scale=alt.Scale(domain=groups, range=[GROUP_COLOURS[group] for group in groups])
    )
    x = alt.X(
        "c:Q",
        title=AXES[axis],
        scale=alt.Scale(type="log", nice=False, padding=24),
        axis=alt.Axis(format="~s", tickCount=5),
    )
    y = alt.Y(
        "s:Q", title=f"{column}, top-1 in percent", scale=alt.Scale(domain=_range([v["s"] for v in values]), nice=False)
    )
    tip = [
        alt.Tooltip("n:N", title="row"), alt.Tooltip("s:Q", title=column, format=".1f"), alt.Tooltip("l:Q", title="from", format=".1f"),
        alt.Tooltip("h:Q", title="to", format=".1f"), alt.Tooltip("c:Q", title=AXES[axis], format=",.4~g"),
    ]  # fmt: skip
    every, best = data(values), data([values[at] for at in front])
    chart = alt.layer(
        alt.Chart(every).mark_rule(opacity=0.35, clip=True).encode(x=x, y=alt.Y("l:Q"), y2="h:Q", color=colour),
        alt.Chart(best)
        .mark_line(interpolate="step-after", color=GREY, strokeDash=[4, 3], opacity=0.9)
        .encode(x=x, y=y),
        alt.Chart(every).mark_point(filled=True, size=70, opacity=0.9).encode(x=x, y=y, color=colour, tooltip=tip),
        alt.Chart(best).mark_text(align="left", dx=8, dy=-7, fontSize=12, color=GREY).encode(x=x, y=y, text="n:N"),
    )
    devices = ", ".join(dict.fromkeys(row.device for row in table.rows))
    seconds = f" The seconds are those of: {devices}." if axis == "seconds" else ""
    return Picture(
        identifier("cost", table, axis, column),
        numbers.title(table),
        f"{column} against {AXES[axis].split(' (')[0]}",
        f"Mean top-1 of {column} with its 95 % interval; {measured_on(table)}. Dashed: the methods that no cheaper method reaches.{seconds}",
        finished(chart),
        ("row", column, "from", "to", AXES[axis], "not beaten by a cheaper method"),
        tuple((v["n"], round(v["s"], 2), round(v["l"], 2), round(v["h"], 2), round(v["c"], 1), v["f"]) for v in values),
    )

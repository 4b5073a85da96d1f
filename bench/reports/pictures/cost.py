"""Accuracy against cost: seconds of pretraining in a table, and images seen over the budgets, with the methods that no cheaper one reaches."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import altair as alt

from bench.leaderboard.tables import Row, Table
from bench.printable import printable
from bench.records.record import NO_BUDGET, Record
from bench.reports import numbers
from bench.reports.pictures.chart import (
    GREY,
    GROUP_COLOURS,
    Values,
    data,
    finished,
    label,
    labels_at_points,
    without_overlap,
)
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.tables import FULL, identifier, measured_on, name_of
from bench.reports.row_records import by_row

SECONDS, IMAGES = "seconds of pretraining", "images seen in pretraining"


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the positions of the (cost, score) pairs that no pair with at most this cost beats or equals, cheapest first."""
    best = -math.inf
    front = []
    for at in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if points[at][1] > best:
            best = points[at][1]
            front.append(at)
    return front


def pictures(table: Table, records: Sequence[Record]) -> list[Picture]:
    """Return a picture of the seconds per column of all labels, if at least two rows have both."""
    return [picture for column in FULL if (picture := _seconds(table, by_row(table, records), column)) is not None]


def pictures_of_budgets(tables: Sequence[Table], records: Sequence[Record]) -> list[Picture]:
    """Return pictures of the images seen, for the same data set and backbone with at least two budgets.

    Args:
        tables: All tables.
        records: Their records.
    """
    groups: dict[tuple[str, ...], list[Table]] = {}
    for table in tables:
        if table.budget != NO_BUDGET and table.tuned is None:
            groups.setdefault((table.dataset, table.fingerprint, table.backbone, table.task), []).append(table)
    drawn = (_images(group, records, column) for group in groups.values() if len(group) > 1 for column in FULL)
    return [picture for picture in drawn if picture is not None]


def images_seen(record: Record) -> float | None:
    """Return how many images a training saw, each view counted once; None without a training."""
    if record.cost.pretrain_s is None or record.cost.images_per_s is None:
        return None
    # The speed is the number of images of all steps divided by these seconds.
    return record.cost.pretrain_s * record.cost.images_per_s


def _seconds(table: Table, records: Mapping[str, Sequence[Record]], column: str) -> Picture | None:
    found = [_value(row, row.cost.pretrain_s, column) for row in table.rows]
    values = [value for value in found if value is not None]
    if len(values) < 2:
        return None
    used = [record for row in table.rows if row.cost.pretrain_s for record in records.get(row.label, ())]
    devices = ", ".join(dict.fromkeys(map(_device, used)))
    caption = f"Mean top-1 of {column} with its 95 % interval; {measured_on(table)}. Seconds on: {devices}."
    return _picture(
        identifier("cost", table, "seconds", column),
        numbers.title(table),
        f"{column} against {SECONDS}",
        caption,
        column,
        SECONDS,
        values,
        _floors(table, column),
    )


def _images(tables: Sequence[Table], records: Sequence[Record], column: str) -> Picture | None:
    values: list[dict[str, Any]] = []
    budgets: dict[str, int] = {}
    for table in tables:
        of_row = by_row(table, records)
        for row in table.rows:
            seen = [images for r in of_row.get(row.label, ()) if (images := images_seen(r)) is not None]
            value = _value(row, fmean(seen) if seen else None, column)
            if value is not None and row.group != "elsewhere":
                values.append(value | {"n": f"{value['r']}, {printable(table.budget, 30)}"})
                budgets[value["r"]] = budgets.get(value["r"], 0) + 1
    if max(budgets.values(), default=0) < 2 or len(budgets) < 2:
        return None
    of = ", ".join(printable(name, 60) for name in (tables[0].dataset, tables[0].backbone))
    of += ", development task" if tables[0].task == "val" else ""
    measured = "; ".join(f"{printable(table.budget, 30)}: {measured_on(table)}" for table in tables)
    caption = f"Mean top-1 of {column} with its 95 % interval. {measured}. Lines connect the budgets of a method. An image counts once per epoch."
    return _picture(
        identifier("cost", tables[0], "images", column),
        None,
        f"{column} against {IMAGES}: {of}",
        caption,
        column,
        IMAGES,
        values,
        _floors(tables[-1], column),
    )


def _value(row: Row, cost: float | None, column: str) -> dict[str, Any] | None:
    """Return the point of a row; None if it has no score or no cost, or is not ``ok``."""
    score = row.scores.get(column)
    if score is None or row.status != "ok" or not cost or not math.isfinite(cost):
        return None
    low, high = score.interval or (score.mean, score.mean)
    name = name_of(row)
    return {"n": name, "r": name, "c": float(cost), "s": score.mean, "l": low, "h": high, "g": row.group}


def _floors(table: Table, column: str) -> list[dict[str, Any]]:
    """Return the scores of rows without training, which have no cost."""
    rows = [row for row in table.rows if row.group == "floor and ceiling" and row.status == "ok"]
    kept = [row for row in rows if not row.cost.pretrain_s and column in row.scores]
    return [{"n": name_of(row), "s": row.scores[column].mean} for row in kept]


def _device(record: Record) -> str:
    """Return the device of a run; of a CPU also its name."""
    device = str(record.environment.get("device", "unknown"))
    processor = record.environment.get("processor")
    return printable(f"CPU ({processor})" if device == "cpu" and processor else device, 80)


def _limits(scores: Sequence[float]) -> tuple[float, float]:
    """Return the range of the axis: that of the scores with a margin; longer intervals are cut off."""
    margin = 0.12 * (max(scores) - min(scores)) + 0.3
    return max(0.0, min(scores) - margin), min(100.0, max(scores) + margin)


def _picture(
    id: str,
    table: str | None,
    title: str,
    caption: str,
    column: str,
    cost: str,
    values: Sequence[Values],
    floors: Sequence[Values],
) -> Picture:
    methods = [at for at, value in enumerate(values) if value["g"] == "methods"]
    front = [methods[at] for at in pareto([(values[at]["c"], values[at]["s"]) for at in methods])]
    rows = tuple(
        (v["n"], round(v["s"], 2), round(v["l"], 2), round(v["h"], 2), round(v["c"], 1), "yes" if at in front else "")
        for at, v in enumerate(values)
    )
    unreached = "not reached by a cheaper method"
    return Picture(
        id,
        table,
        title,
        f"{caption} Dashed: the methods that no cheaper method reaches.",
        _chart(values, front, floors, column, cost),
        ("row", column, "from", "to", cost, unreached),
        rows,
    )


def _chart(
    values: Sequence[Values], front: Sequence[int], floors: Sequence[Values], column: str, cost: str
) -> dict[str, Any]:
    low, high = _limits([value["s"] for value in (*values, *floors)])
    groups = list(dict.fromkeys(value["g"] for value in values))
    colour = alt.Color(
        "g:N", title=None, scale=alt.Scale(domain=groups, range=[GROUP_COLOURS[group] for group in groups])
    )
    x = alt.X(
        "c:Q",
        title=cost,
        scale=alt.Scale(type="log", nice=False, padding=24),
        axis=alt.Axis(format="~s", tickCount=5, labelOverlap=True),
    )
    y = alt.Y("s:Q", title=f"{column}, top-1 in percent", scale=alt.Scale(domain=[low, high], nice=False))
    tip = [
        alt.Tooltip("n:N", title="row"),
        alt.Tooltip("s:Q", title=column, format=".1f"),
        alt.Tooltip("l:Q", title="from", format=".1f"),
        alt.Tooltip("h:Q", title="to", format=".1f"),
        alt.Tooltip("c:Q", title=cost, format=",.4~r"),
    ]
    floor_tip = [alt.Tooltip("n:N", title="row"), alt.Tooltip("s:Q", title=column, format=".1f")]
    every, best, level = data(values), data([values[at] for at in front]), data(floors)
    rule: dict[str, Any] = {"strokeDash": [1, 3], "color": GREY, "strokeWidth": 1.5}
    layers = [
        alt.Chart(level).mark_rule(**rule).encode(y=y, tooltip=floor_tip),
        alt.Chart(every).mark_rule(opacity=0.35, clip=True).encode(x=x, y=alt.Y("l:Q"), y2="h:Q", color=colour),
        alt.Chart(every).mark_line(opacity=0.3, strokeWidth=1).encode(x=x, y=y, color=colour, detail="r:N"),
        alt.Chart(best).mark_line(interpolate="step-after", color=GREY, strokeDash=[5, 3], strokeWidth=1.5).encode(x=x, y=y),
        alt.Chart(every).mark_point(filled=True, size=70, opacity=0.9).encode(x=x, y=y, color=colour, tooltip=tip),
    ]  # fmt: skip
    levels, points = _labelled(values, front, floors, (low, high))
    for at, side in levels.items():
        place = alt.value(0 if side == "right" else "width")
        layers.append(label([floors[at]], side, distance=4).encode(x=place, y=y, text="n:N"))
    layers += labels_at_points(values, points, x, y)
    return finished(alt.layer(*layers))


def _labelled(
    values: Sequence[Values], front: Sequence[int], floors: Sequence[Values], limits: tuple[float, float]
) -> tuple[dict[int, str], dict[int, str]]:
    """Return which floors and which points have a label, and on which side: the floors, the front, the best first, and the ceiling."""
    costs = [math.log(value["c"]) for value in values]
    start, length = min(costs), (max(costs) - min(costs)) or 1.0
    ceiling = [at for at, value in enumerate(values) if value["g"] == "floor and ceiling"]
    wanted = [*reversed(front), *ceiling]
    places = [(float(at % 2), floor["s"]) for at, floor in enumerate(floors)]
    places += [((costs[at] - start) / length, values[at]["s"]) for at in wanted]
    heights = [(x, (score - limits[0]) / (limits[1] - limits[0])) for x, score in places]
    shown = without_overlap(heights, [value["n"] for value in (*floors, *(values[at] for at in wanted))])
    of_floors = {at: side for at, side in shown.items() if at < len(floors)}
    return of_floors, {wanted[at - len(floors)]: side for at, side in shown.items() if at >= len(floors)}

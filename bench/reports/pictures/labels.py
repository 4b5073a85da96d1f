"""Accuracy against the number of labels: one per class, 1 %, 10 % and all."""

from collections.abc import Mapping, Sequence

import altair as alt

from bench.leaderboard.tables import Column, Row, Score, Table
from bench.records.record import Record
from bench.reports import numbers
from bench.reports.pictures.chart import Values
from bench.reports.pictures.lines import lines
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.tables import draws_of, identifier, in_colour, measured_on, name_of

AMOUNTS = {"1": "1 per class", "1pct": "1 %", "10pct": "10 %"}
ALL = "all"
KINDS = {"-frozen": "frozen encoder", "": "fine-tuned network"}


def pictures(table: Table, records: Sequence[Record]) -> list[Picture]:
    """Return a picture for the frozen encoder and one for the fine-tuned network, if rows have at least two numbers of labels."""
    drawn = (_picture(table, records, ending) for ending in KINDS)
    return [picture for picture in drawn if picture is not None]


def _columns(table: Table, ending: str) -> dict[str, Column]:
    """Return the column of each number of labels, the one that shows its scores; only frozen encoders have all labels, in ``linear``."""
    by_id = {column.id: column for column in table.columns}
    names = {text: f"lowshot-{labels}{ending}" for labels, text in AMOUNTS.items()} | (
        {ALL: "linear"} if ending else {}
    )
    found = {}
    for text, name in names.items():
        column = by_id.get(name)
        if column is not None:
            found[text] = by_id.get(column.same_as, column) if column.same_as else column
    return found


def _picture(table: Table, records: Sequence[Record], ending: str) -> Picture | None:
    columns = _columns(table, ending)
    scored: list[tuple[Row, dict[str, Score]]] = []
    for row in table.rows:
        scores = {text: row.scores[column.id] for text, column in columns.items() if column.id in row.scores}
        if row.status == "ok" and len(scores) > 1:
            scored.append((row, scores))
    if len(scored) < 2:
        return None
    values = [_line(name_of(row), scores) for row, scores in scored]
    x = alt.X(
        "x:O", title="labels", sort=None, scale=alt.Scale(domain=list(columns)), axis=alt.Axis(labelAngle=0, grid=False)
    )
    y = alt.Y("y:Q", title="top-1 in percent", scale=alt.Scale(zero=False))
    tip = [
        alt.Tooltip("n:N", title="row"),
        alt.Tooltip("x:N", title="labels"),
        alt.Tooltip("y:Q", title="top-1", format=".1f"),
        alt.Tooltip("l:Q", title="from", format=".1f"),
        alt.Tooltip("h:Q", title="to", format=".1f"),
    ]
    draws = ", ".join(
        f"{draws_of(table, records, column.id)} for {text}" for text, column in columns.items() if text != ALL
    )
    shared = [text for text in columns if [c.id for c in columns.values()].count(columns[text].id) > 1]
    same = f" The label sets of {' and '.join(shared)} are the same." if shared else ""
    linear = "; all labels: linear" if ALL in columns else ""
    return Picture(
        identifier("labels", table, KINDS[ending]),
        numbers.title(table),
        f"Accuracy against the number of labels, {KINDS[ending]}",
        f"Mean top-1 with its 95 % interval; {measured_on(table)}; random label sets: {draws}{linear}. In colour: the best rows, floor and ceiling.{same}",
        lines(values, [name_of(row) for row in in_colour(table)], x, y, points=True, tip=tip),
        ("row", *columns),
        tuple(
            (name_of(row), *(round(scores[text].mean, 2) if text in scores else None for text in columns))
            for row, scores in scored
        ),
    )


def _line(name: str, scores: Mapping[str, Score]) -> Values:
    """Return the line of a row with its intervals."""
    bounds = [score.interval or (score.mean, score.mean) for score in scores.values()]
    return {
        "n": name,
        "x": list(scores),
        "y": [score.mean for score in scores.values()],
        "l": [low for low, _ in bounds],
        "h": [high for _, high in bounds],
    }

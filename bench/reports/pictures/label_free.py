"""Figures that need no labels against accuracy: could one choose without labels?"""

from collections.abc import Sequence
from itertools import groupby

import altair as alt

from bench.leaderboard.label_free import ACCURACIES, Correlation, OverMethods
from bench.leaderboard.tables import Table
from bench.printable import printable
from bench.records.record import Record
from bench.reports import numbers
from bench.reports.label_free import LOSS, METHOD, OVER, WITHIN, answer, on_losses, on_methods, over_row, within_row
from bench.reports.pictures.chart import BLUE, ORANGE, Values, data, finished, names_axis
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.tables import identifier, measured_on
from bench.reports.row_records import by_row


def pictures(table: Table, records: Sequence[Record]) -> list[Picture]:
    """Return the correlations over methods with one picture of points per figure, and those of the loss within methods.

    A table without enough methods, or methods without enough runs, has none of them.
    """
    found = answer(table, by_row(table, records))
    drawn: list[Picture] = []
    if found.over:
        named = {f"{one.figure.id} with {one.accuracy}": one.correlation for one in found.over}
        rows = tuple(map(over_row, found.over))
        words = [*on_methods(found.over), METHOD, f"{measured_on(table)}."]
        drawn.append(_correlations(table, "Label-free figures against accuracy", named, words, OVER, rows))
    for _, both in groupby(found.over, key=lambda one: one.figure.id):
        drawn.append(_points(table, list(both)))
    if found.within:
        named = {f"{one.method} with {one.accuracy}": one.correlation for one in found.within}
        rows = tuple(map(within_row, found.within))
        words = [*on_losses(found.within), LOSS]
        drawn.append(_correlations(table, "Final loss against accuracy, within methods", named, words, WITHIN, rows))
    return drawn


def _correlations(
    table: Table,
    title: str,
    named: dict[str, Correlation],
    words: Sequence[str],
    headings: tuple[str, ...],
    rows: tuple[tuple[str, ...], ...],
) -> Picture:
    """Return the picture of correlations with their intervals."""
    values: list[Values] = [
        {"n": printable(name), "r": found.value, "l": found.interval[0], "h": found.interval[1], "c": found.count}
        for name, found in named.items()
    ]
    y = alt.Y("n:N", **names_axis([value["n"] for value in values], alt.Axis(labelLimit=180, grid=False)))
    tip = [
        alt.Tooltip("n:N", title="figure"),
        alt.Tooltip("r:Q", title="correlation", format=".2f"),
        alt.Tooltip("l:Q", title="from", format=".2f"),
        alt.Tooltip("h:Q", title="to", format=".2f"),
        alt.Tooltip("c:Q", title="pairs"),
    ]
    scale = alt.Scale(domain=[-1, 1])
    base = alt.Chart(data(values)).encode(y=y)
    left = alt.X("l:Q", title="Spearman's rank correlation", scale=scale, axis=alt.Axis(tickCount=5))
    chart = alt.layer(
        base.mark_rule(strokeWidth=4, opacity=0.35, color=BLUE).encode(x=left, x2="h:Q", tooltip=tip),
        base.mark_point(filled=True, size=70, color=BLUE, opacity=1).encode(x=alt.X("r:Q", scale=scale), tooltip=tip),
    )
    plot = finished(chart, height=22 * len(values) + 20)
    id = identifier("label-free", table, title)
    return Picture(id, numbers.title(table), title, " ".join(words), plot, headings, rows)


def _points(table: Table, over: Sequence[OverMethods]) -> Picture:
    """Return the picture of a figure against each accuracy."""
    figure = over[0].figure.id
    values: list[Values] = [
        {"n": printable(name), "x": x, "y": y, "c": one.accuracy} for one in over for name, x, y in one.points
    ]
    tip = [
        alt.Tooltip("n:N", title="row"),
        alt.Tooltip("x:Q", title=figure, format=".4~g"),
        alt.Tooltip("c:N", title="accuracy"),
        alt.Tooltip("y:Q", title="top-1", format=".1f"),
    ]
    colours = alt.Scale(domain=list(ACCURACIES), range=[BLUE, ORANGE])
    chart = (
        alt.Chart(data(values))
        .mark_point(filled=True, size=70, opacity=0.85)
        .encode(
            x=alt.X("x:Q", title=figure, scale=alt.Scale(zero=False, padding=16), axis=alt.Axis(tickCount=6)),
            y=alt.Y("y:Q", title="top-1 in percent", scale=alt.Scale(zero=False, padding=12)),
            color=alt.Color("c:N", title=None, scale=colours),
            shape=alt.Shape("c:N", title=None, scale=alt.Scale(domain=list(ACCURACIES))),
            tooltip=tip,
        )
    )
    scores = [{name: y for name, _, y in one.points} for one in over]
    rows = {name: float(f"{x:.5g}") for one in over for name, x, _ in one.points}
    correlations = "; ".join(
        f"{one.accuracy}: {one.correlation.value:.2f}, 95 % interval {one.correlation.interval[0]:.2f} to "
        f"{one.correlation.interval[1]:.2f}, {one.correlation.count} methods"
        for one in over
    )
    return Picture(
        identifier("label-free", table, figure),
        numbers.title(table),
        f"{figure} against accuracy",
        f"Spearman's rank correlation with {correlations}; {measured_on(table)}.",
        finished(chart),
        ("row", figure, *(one.accuracy for one in over)),
        tuple(
            (printable(name), x, *(round(of[name], 2) if name in of else None for of in scores))
            for name, x in rows.items()
        ),
    )

"""Lines of many rows: some in colour, the others grey until one is chosen."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from bench.reports.pictures.chart import GREY, PALETTE, Values, data, finished

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-left", "triangle-right")
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3])


def lines(
    values: Sequence[Values], coloured: Sequence[str], x: Any, y: Any, *, points: bool, tip: Sequence[Any]
) -> dict[str, Any]:
    """Return a plot with one line per row.

    Args:
        values: Lines with the field ``n`` (the row) and the lists ``x`` and ``y``; with ``points`` also ``l`` and ``h``, the intervals.
        coloured: Names of the rows in colour.
        x: Encoding of the horizontal axis.
        y: Encoding of the vertical axis.
        points: Whether to mark the points, with their intervals; otherwise dashes tell the lines apart.
        tip: What is shown at the pointer.
    """
    names = [value["n"] for value in values]
    shown = [name for name in coloured if name in names][: len(PALETTE)]
    others = [name for name in names if name not in shown]
    fields: list[Any] = ["x", "y", "l", "h"] if points else ["x", "y"]

    def told_apart(range: Sequence[Any]) -> alt.Scale:
        return alt.Scale(domain=shown, range=[range[at % len(range)] for at, _ in enumerate(shown)])

    colour = alt.Color("n:N", title=None, scale=told_apart(PALETTE))
    front = alt.Chart(data([value for value in values if value["n"] in shown])).transform_flatten(fields)
    layers = []
    if others:
        chosen = alt.param(
            "chosen",
            value=None,
            bind=alt.binding_select(options=[None, *others], labels=["none", *others], name="Also show "),
        )
        is_chosen = "datum.n === chosen"
        layers.append(
            alt.Chart(data([value for value in values if value["n"] in others]))
            .transform_flatten(fields)
            .mark_line(color=GREY)
            .encode(
                x=x,
                y=y,
                detail="n:N",
                opacity=alt.condition(is_chosen, alt.value(1), alt.value(0.3)),
                strokeWidth=alt.condition(is_chosen, alt.value(3.5), alt.value(1)),
                tooltip=list(tip),
            )
            .add_params(chosen)
        )
    line = front.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour, tooltip=list(tip))
    if points:
        shape = alt.Shape("n:N", title=None, scale=told_apart(SHAPES))
        layers += [
            front.mark_rule(opacity=0.35).encode(x=x, y=alt.Y("l:Q"), y2="h:Q", color=colour),
            line,
            front.mark_point(filled=True, size=60, opacity=1).encode(
                x=x, y=y, color=colour, shape=shape, tooltip=list(tip)
            ),
        ]
    else:
        layers.append(line.encode(strokeDash=alt.StrokeDash("n:N", title=None, scale=told_apart(DASHES))))
    return finished(alt.layer(*layers))

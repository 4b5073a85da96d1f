"""Lines of many rows: some in colour, the others grey until one is chosen."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from bench.reports.pictures.chart import GREY, PALETTE, Values, data, finished


def lines(
    values: Sequence[Values], coloured: Sequence[str], x: Any, y: Any, *, points: bool, tip: Sequence[Any]
) -> dict[str, Any]:
    """Return a plot with one line per row.

    Args:
        values: Points with the fields ``n`` (the row), ``x`` and ``y``; ``k`` separates the lines of one row, as ``l`` and ``h`` its interval.
        coloured: Names of the rows in colour.
        x: Encoding of the horizontal axis.
        y: Encoding of the vertical axis.
        points: Whether to mark the points, with their intervals.
        tip: What is shown at the pointer.
    """
    names = list(dict.fromkeys(value["n"] for value in values))
    shown = [name for name in coloured if name in names][: len(PALETTE)]
    others = [name for name in names if name not in shown]
    colour = alt.Color("n:N", title=None, scale=alt.Scale(domain=shown, range=list(PALETTE[: len(shown)])))
    dash = alt.StrokeDash("k:N", title=None) if any(value.get("k") for value in values) else alt.Undefined
    front = alt.Chart(data([value for value in values if value["n"] in shown]))
    layers = []
    if others:
        chosen = alt.param(
            "chosen",
            value=None,
            bind=alt.binding_select(options=[None, *others], labels=["none", *others], name="also show "),
        )
        back = alt.Chart(data([value for value in values if value["n"] in others])).encode(
            x=x, y=y, detail=["n:N", "k:N"]
        )
        strong = back.transform_filter("datum.n === chosen")
        layers += [
            back.mark_line(color=GREY, opacity=0.3, strokeWidth=1).encode(tooltip=list(tip)),
            strong.mark_line(color=GREY, strokeWidth=3.5).encode(tooltip=list(tip)).add_params(chosen),
        ]
    if points:
        layers.append(front.mark_rule(opacity=0.35).encode(x=x, y=alt.Y("l:Q"), y2="h:Q", color=colour))
    layers.append(front.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour, strokeDash=dash, tooltip=list(tip)))
    if points:
        layers.append(front.mark_point(filled=True, size=50).encode(x=x, y=y, color=colour, tooltip=list(tip)))
    return finished(alt.layer(*layers).resolve_scale(color="shared"))

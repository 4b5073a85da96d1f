"""What all plots have in common: size, colours, and data without needless digits."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

HEIGHT = 340
BLUE, ORANGE, GREEN, GREY = "#3d85c6", "#c9701c", "#2f9e75", "#767c85"
"""Middle tones: a contrast of at least 3 with a white and with a black page, and told apart by people with colour-blindness."""
PALETTE = (BLUE, ORANGE, GREEN, "#c2557f", "#8a6fd1", "#a37e10", "#1f93a3", "#d1605e", "#6b8e23", GREY)
"""Colours of lines and classes; shapes and dashes tell lines apart as well."""
GROUP_COLOURS = {"methods": BLUE, "changed settings": GREEN, "elsewhere": ORANGE, "floor and ceiling": GREY}
DIGITS = 4
CHARACTER = 7.0
"""Width of a character of a label in pixels."""
LINE = 14.0
"""Height of a label in pixels."""
NARROW = 240.0
"""Width of a plot without its axis on a telephone, in pixels."""

Values = Mapping[str, Any]
"""One mark, or one line with lists of its points: fixed field names, so that no name from a record becomes part of an expression."""


def rounded(value: float | None) -> float | int | None:
    """Return a number with four significant digits; None if it is missing or not finite."""
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() else short


def data(values: Sequence[Values]) -> alt.InlineData:
    """Return inline data of a plot."""
    return alt.InlineData(values=[{key: _short(value) for key, value in entry.items()} for entry in values])


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return [_short(entry) for entry in value]
    return rounded(value) if isinstance(value, float) else value


def names_axis(names: Sequence[str], axis: alt.Axis) -> dict[str, Any]:
    """Return the options of an axis of names, in the order given.

    Vega-Lite would write the names of a list under ``sort`` into an expression; those of a scale's domain stay text.
    """
    return {"title": None, "sort": None, "scale": alt.Scale(domain=list(names)), "axis": axis}


def labels_at_points(values: Sequence[Values], sides: Mapping[int, str], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Return the layers of labels beside points.

    Args:
        values: Points with the field ``n``, the label.
        sides: ``left`` or ``right`` of each labelled point, by position.
        x: Encoding of the horizontal axis.
        y: Encoding of the vertical axis.
    """
    layers = []
    for side in ("left", "right"):
        named = [values[at] for at, where in sides.items() if where == side]
        if named:
            layers.append(label(named, side).encode(x=x, y=y, text="n:N"))
    return layers


def label(values: Sequence[Values], side: str, distance: int = 8) -> alt.Chart:
    """Return a text mark on one side of its place."""
    align: Any = "right" if side == "left" else "left"
    dx = -distance if side == "left" else distance
    chart: alt.Chart = alt.Chart(data(values)).mark_text(align=align, dx=dx, dy=-8, fontSize=12, color=GREY)
    return chart


def without_overlap(places: Sequence[tuple[float, float]], names: Sequence[str]) -> dict[int, str]:
    """Return which labels are shown, with their sides: those that meet no label before them, also on a narrow screen.

    Args:
        places: Of each label in the order of importance: the horizontal place in [0, 1] and the vertical one in [0, 1].
        names: The labels.

    Returns:
        ``left`` or ``right``, the side of its mark where a label is written, by position.
    """
    shown: dict[int, str] = {}
    boxes: list[tuple[float, float, float]] = []
    for at, ((x, y), name) in enumerate(zip(places, names, strict=True)):
        length, side = CHARACTER * len(name) + 8, "left" if x > 0.5 else "right"
        start = NARROW * x - (length if side == "left" else 0)
        box = (start, start + length, HEIGHT * 0.8 * y)
        if all(box[1] < left or box[0] > right or abs(box[2] - height) > LINE for left, right, height in boxes):
            boxes.append(box)
            shown[at] = side
    return shown


def finished(chart: Any, height: int = HEIGHT) -> dict[str, Any]:
    """Return a plot as a checked Vega-Lite specification: as wide as its place, without a background, in middle tones.

    Args:
        chart: The plot.
        height: Its height in pixels.
    """
    font: dict[str, Any] = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    font |= {"labelColor": GREY, "titleColor": GREY}
    line: dict[str, Any] = {"domainColor": GREY, "tickColor": GREY, "gridColor": GREY, "gridOpacity": 0.25}
    legend: dict[str, Any] = {"orient": "bottom", "columns": 2, "labelLimit": 140, "symbolSize": 90, "symbolOpacity": 1}
    specification: dict[str, Any] = (
        chart.properties(width="container", height=height)
        .configure(
            background="transparent",
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
            axis=alt.AxisConfig(**font, **line),
            view=alt.ViewConfig(stroke=None),
            legend=alt.LegendConfig(**font, **legend),
        )
        .to_dict()
    )
    del specification["$schema"]
    return specification

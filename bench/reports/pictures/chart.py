"""What all plots have in common: size, colours, and data without needless digits."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

HEIGHT = 340
BLUE, ORANGE, GREEN, GREY = "#3d85c6", "#d9822b", "#2f9e75", "#8b929b"
"""Middle tones, readable on white and on black, and told apart by people with colour-blindness."""
PALETTE = ("#3d85c6", "#d9822b", "#2f9e75", "#c2557f", "#8a6fd1", "#b08a1e", "#2b9fae", "#d1605e", "#6b8e23", "#8b929b")
GROUP_COLOURS = {
    "methods": BLUE,
    "changed settings": GREEN,
    "elsewhere": ORANGE,
    "floor and ceiling": GREY,
}
DIGITS = 4

Values = Mapping[str, Any]
"""One mark: fixed field names, so that no name from a record becomes part of an expression."""


def rounded(value: float | None) -> float | None:
    """Return a number with four significant digits; None if it is missing or not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{DIGITS}g}")


def data(values: Sequence[Values]) -> alt.InlineData:
    """Return inline data of a plot."""
    return alt.InlineData(
        values=[{key: rounded(v) if isinstance(v, float) else v for key, v in entry.items()} for entry in values]
    )


def finished(chart: Any) -> dict[str, Any]:
    """Return a plot as a checked Vega-Lite specification: as wide as its place, without a background."""
    specification: dict[str, Any] = (
        chart.properties(
            width="container", height=chart.height if isinstance(getattr(chart, "height", None), int) else HEIGHT
        )
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", grid=True, gridOpacity=0.5)
        .configure_legend(
            labelFontSize=12, titleFontSize=12, titleFontWeight="normal", symbolSize=90, orient="bottom", columns=3
        )
        .configure(background="transparent", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
        .to_dict()
    )
    specification.pop("$schema", None)
    return specification

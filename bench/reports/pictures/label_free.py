"""Figures that need no labels against a probe: could one choose without labels?"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

import altair as alt

from bench.leaderboard.tables import Row, Table
from bench.records.record import Record
from bench.reports import numbers
from bench.reports.pictures.chart import BLUE, Values, data, finished, labels_at_points, without_overlap
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.tables import FULL, identifier, measured_on, name_of
from bench.reports.row_records import by_row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOSS = "loss"
FIGURES = {
    "rankme": "RankMe",
    "alignment": "alignment",
    "uniformity": "uniformity",
    "feature_std": "feature deviation",
    LOSS: "final loss",
}
TICKS = [0, *(sign * 10**power for power in range(7) for sign in (-1, 1))]
"""Ticks of the axis of losses."""
FEWEST = 5
"""Rows that a correlation needs."""
SAMPLES = 2000
SEED = 0


def spearman(x: "NDArray[np.float64]", y: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Return Spearman's rank correlation; equal values share the mean of their ranks. NaN if one side is constant.

    Args:
        x: One side, float [..., rows].
        y: The other side, of the same shape.

    Returns:
        The correlations, float [...].
    """
    import numpy as np
    from scipy.stats import rankdata

    first, second = (rankdata(side, axis=-1) - (side.shape[-1] + 1) / 2 for side in (x, y))
    length = np.sqrt((first**2).sum(-1) * (second**2).sum(-1))
    with np.errstate(invalid="ignore"):
        correlation: NDArray[np.float64] = (first * second).sum(-1) / length
    return correlation


def interval(x: "NDArray[np.float64]", y: "NDArray[np.float64]") -> tuple[float, float]:
    """Return the 95 % percentile interval of Spearman's correlation over resampled rows (bootstrap with a fixed seed).

    Args:
        x: One side, float [rows].
        y: The other side, of the same shape.
    """
    import numpy as np

    drawn = np.random.default_rng(SEED).integers(0, len(x), (SAMPLES, len(x)))
    found = spearman(x[drawn], y[drawn])
    kept = found[~np.isnan(found)]
    low, high = np.quantile(kept, [0.025, 0.975]) if len(kept) else (math.nan, math.nan)
    return float(low), float(high)


def pictures(table: Table, records: Sequence[Record]) -> list[Picture]:
    """Return a picture per figure and probe, if at least five trained rows have both."""
    of_row = by_row(table, records)
    drawn = (_picture(table, of_row, figure, column) for figure in FIGURES for column in FULL)
    return [picture for picture in drawn if picture is not None]


def _value(row: Row, records: Sequence[Record], figure: str) -> float | None:
    """Return the mean of a figure over the seeds of a row."""
    if figure == LOSS:
        found = [losses[-1] for r in records if (losses := r.curve.get("loss"))]
        value = fmean(found) if found else None
    else:
        value = row.scores[figure].mean if figure in row.scores else None
    return value if value is not None and math.isfinite(value) else None


def _picture(table: Table, of_row: Mapping[str, Sequence[Record]], figure: str, column: str) -> Picture | None:
    import numpy as np

    values: list[Values] = []
    for row in table.rows:
        score, value = row.scores.get(column), _value(row, of_row.get(row.label, ()), figure)
        if score is not None and value is not None and row.status == "ok" and row.group == "methods":
            values.append({"n": name_of(row), "x": value, "y": score.mean})
    if len(values) < FEWEST:
        return None
    first, second = (np.array([value[side] for value in values], float) for side in ("x", "y"))
    correlation, (low, high) = float(spearman(first, second)), interval(first, second)
    if math.isnan(correlation):
        return None
    title = FIGURES[figure]
    spread: dict[str, Any] = {"type": "symlog", "nice": False} if figure == LOSS else {"zero": False}
    tip = [
        alt.Tooltip("n:N", title="row"),
        alt.Tooltip("x:Q", title=title, format=".4~g"),
        alt.Tooltip("y:Q", title=column, format=".1f"),
    ]
    axis = alt.Axis(values=TICKS, labelOverlap=True) if figure == LOSS else alt.Axis(tickCount=6, labelOverlap=True)
    x = alt.X("x:Q", title=title, scale=alt.Scale(**spread, padding=16), axis=axis)
    y = alt.Y("y:Q", title=f"{column}, top-1 in percent", scale=alt.Scale(zero=False, padding=12))
    points = alt.Chart(data(values)).mark_point(filled=True, size=70, color=BLUE, opacity=0.85)
    layers = [points.encode(x=x, y=y, tooltip=tip)]
    layers += labels_at_points(values, _labelled(first, second), x, y)
    incomparable = " Losses of different methods have different meanings; the axis is logarithmic beyond 1 and -1."
    caption = (
        f"Spearman's rank correlation over {len(values)} methods: {correlation:.2f}, 95 % interval {low:.2f} to {high:.2f} (bootstrap over "
        f"methods); {measured_on(table)}.{incomparable if figure == LOSS else ''}"
    )
    return Picture(
        identifier("label-free", table, figure, column),
        numbers.title(table),
        f"{title} against {column}",
        caption,
        finished(alt.layer(*layers)),
        ("row", title, column),
        tuple((v["n"], float(f"{v['x']:.5g}"), round(v["y"], 2)) for v in values),
    )


def _labelled(x: "NDArray[np.float64]", y: "NDArray[np.float64]") -> dict[int, str]:
    """Return which points have a label and on which side: the best, the worst, and those with the extreme figures."""
    import numpy as np

    wanted = list(dict.fromkeys(map(int, (y.argmax(), y.argmin(), x.argmax(), x.argmin()))))
    shrunk = np.sign(x) * np.log1p(np.abs(x))
    places = [[float((side[at] - side.min()) / (np.ptp(side) or 1.0)) for side in (shrunk, y)] for at in wanted]
    shown = without_overlap([(a, b) for a, b in places], [" " * 14] * len(wanted))
    return {wanted[position]: side for position, side in shown.items()}

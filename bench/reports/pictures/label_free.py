"""Figures that need no labels against a probe: could one choose without labels?"""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import altair as alt

from bench.leaderboard.tables import Table
from bench.records.record import Record
from bench.reports import numbers
from bench.reports.pictures.chart import BLUE, Values, data, finished
from bench.reports.pictures.picture import Picture
from bench.reports.pictures.tables import FULL, by_row, identifier, measured_on, name_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIGURES = {
    "rankme": "RankMe",
    "alignment": "alignment",
    "uniformity": "uniformity",
    "feature_std": "feature deviation",
    "loss": "final loss",
}
FEWEST = 5
"""Rows that a correlation needs."""
SAMPLES = 2000
SEED = 0


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Return Spearman's rank correlation; equal values share the mean of their ranks. NaN if one side is constant."""
    import numpy as np

    first, second = _ranks(np.asarray(x, float)), _ranks(np.asarray(y, float))
    first, second = first - first.mean(), second - second.mean()
    length = math.sqrt(float(first @ first) * float(second @ second))
    return float(first @ second) / length if length else math.nan


def interval(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % percentile interval of Spearman's correlation over resampled rows (bootstrap with a fixed seed)."""
    import numpy as np

    generator = np.random.default_rng(SEED)
    first, second = np.asarray(x, float), np.asarray(y, float)
    drawn = generator.integers(0, len(first), (SAMPLES, len(first)))
    found = [spearman(first[rows].tolist(), second[rows].tolist()) for rows in drawn]
    kept = [value for value in found if not math.isnan(value)]
    low, high = np.quantile(kept, [0.025, 0.975]) if kept else (math.nan, math.nan)
    return float(low), float(high)


def _ranks(values: "NDArray[np.float64]") -> "NDArray[np.float64]":
    import numpy as np

    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: NDArray[np.float64] = (ends - (counts - 1) / 2)[place]
    return ranks


def pictures(table: Table, records: Sequence[Record]) -> list[Picture]:
    """Return a picture per figure and probe, if at least five trained rows have both."""
    of_row = by_row(table, records)
    drawn = (_picture(table, of_row, figure, column) for figure in FIGURES for column in FULL)
    return [picture for picture in drawn if picture is not None]


def _value(records: Sequence[Record], figure: str) -> float | None:
    """Return the mean of a figure over the seeds of a row."""
    if figure == "loss":
        found = [r.curve["loss"][-1] for r in records if r.curve.get("loss")]
    else:
        found = [
            r.protocols[figure].metrics[figure]
            for r in records
            if figure in r.protocols and figure in r.protocols[figure].metrics
        ]
    kept = [value for value in found if math.isfinite(value)]
    return fmean(kept) if kept else None


def _picture(table: Table, of_row: dict[str, list[Record]], figure: str, column: str) -> Picture | None:
    values: list[Values] = []
    for row in table.rows:
        score, value = row.scores.get(column), _value(of_row.get(row.label, ()), figure)
        if score is not None and value is not None and row.status == "ok" and row.group == "methods":
            values.append({"n": name_of(row), "x": value, "y": score.mean})
    if len(values) < FEWEST:
        return None
    first, second = [value["x"] for value in values], [value["y"] for value in values]
    correlation, (low, high) = spearman(first, second), interval(first, second)
    title = FIGURES[figure]
    tip = [
        alt.Tooltip("n:N", title="row"),
        alt.Tooltip("x:Q", title=title, format=".4~g"),
        alt.Tooltip("y:Q", title=column, format=".1f"),
    ]
    chart = (
        alt.Chart(data(values))
        .mark_point(filled=True, size=70, color=BLUE, opacity=0.85)
        .encode(
            x=alt.X("x:Q", title=title, scale=alt.Scale(zero=False, padding=12)),
            y=alt.Y("y:Q", title=f"{column}, top-1 in percent", scale=alt.Scale(zero=False, padding=12)),
            tooltip=tip,
        )
    )
    incomparable = " Losses of different methods have different meanings." if figure == "loss" else ""
    caption = (
        f"Spearman's rank correlation over {len(values)} methods: {correlation:.2f}, 95 % interval {low:.2f} to {high:.2f} (bootstrap over methods); "
        f"{measured_on(table)}.{incomparable}"
    )
    return Picture(
        identifier("label-free", table, figure, column),
        numbers.title(table),
        f"{title} against {column}",
        caption,
        finished(chart),
        ("row", title, column),
        tuple((v["n"], float(f"{v['x']:.5g}"), round(v["y"], 2)) for v in values),
    )

"""How much a search finds with how many trials: the best-of-n curves of ``sslbench tune``."""

import re
from collections.abc import Mapping, Sequence

import altair as alt

from bench.printable import printable
from bench.reports.pictures.chart import PALETTE, Values
from bench.reports.pictures.lines import lines
from bench.reports.pictures.picture import Picture

Curve = Sequence[tuple[int, float, float, float]]
"""Number of trials, expected accuracy of the best of them in percent, and the ends of its interval."""


def picture(searched: str, curves: Mapping[str, Curve], measured_on: str) -> Picture | None:
    """Return the curves of all methods, or None if no search has two trials.

    Args:
        searched: What was searched, for the picture's title and id.
        curves: The curve of each method.
        measured_on: What the trials were measured on, in words.
    """
    named = {printable(name): curve for name, curve in curves.items() if len(curve) > 1}
    if not named:
        return None
    # A failed trial counts as a guess: whole intervals would leave no room for the curves.
    means = [mean for curve in named.values() for _, mean, _, _ in curve]
    bottom = min(means) - 0.1 * (max(means) - min(means))
    best = sorted(named, key=lambda name: -named[name][-1][1])
    values: list[Values] = [
        {
            "n": name,
            "x": [float(count) for count, _, _, _ in named[name]],
            "y": [mean for _, mean, _, _ in named[name]],
            "l": [max(low, bottom) for _, _, low, _ in named[name]],
            "h": [high for _, _, _, high in named[name]],
        }
        for name in best
    ]
    tip = [
        alt.Tooltip("n:N", title="method"),
        alt.Tooltip("x:Q", title="trials"),
        alt.Tooltip("y:Q", title="expected best", format=".2f"),
        alt.Tooltip("l:Q", title="from", format=".2f"),
        alt.Tooltip("h:Q", title="to", format=".2f"),
    ]
    x = alt.X(
        "x:Q",
        title="trials",
        scale=alt.Scale(nice=False, zero=False, padding=8),
        axis=alt.Axis(tickMinStep=1, format="d"),
    )
    y = alt.Y("y:Q", title="knn and linear on the development task, percent", scale=alt.Scale(zero=False, nice=False))
    return Picture(
        re.sub(r"[^a-z0-9]+", "-", f"best-of-{printable(searched).lower()}").strip("-"),
        None,
        f"The best of n trials: {printable(searched)}",
        f"Expected accuracy (mean of knn and linear) of the best of n trials by their score, with the interval of 95 % of all orders in which "
        f"the trials could have been made; {measured_on}. A failed trial counts as a guess; "
        "intervals are cut off at the lower edge of the plot.",
        lines(values, best[: len(PALETTE)], x, y, points=True, tip=tip),
        ("method", "trials", "expected best", "from", "to"),
        tuple((name, *map(float, entry)) for name in best for entry in named[name]),
    )

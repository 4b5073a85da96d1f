"""How every picture looks: colours that are readable on light and on dark pages, and one configuration."""

from typing import Any

from bench.leaderboard.tables import GROUPS

PALETTE = ("#1a7fc1", "#d55e00", "#0e9a71", "#b5629b", "#a67c00", "#7a6fd0", "#7f8c3a", "#8a8a8a")
"""Colours that people with a colour vision deficiency tell apart, after Okabe & Ito 2008, darkened or lightened to a contrast of at least 3 with
``LIGHT`` and ``DARK``."""
LIGHT, DARK = "#ffffff", "#15181c"
"""Backgrounds for which the colours were chosen."""
DASHES = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3), (4, 4), (10, 2))
"""Line patterns; with the colours, they tell 48 lines apart."""
TEXT = "currentColor"
"""The colour of the page's text: the SVG inherits it, so that a picture follows the page from light to dark."""
GROUP_COLOURS = dict(zip(GROUPS, (PALETTE[0], PALETTE[1], PALETTE[2], PALETTE[7]), strict=True))
GROUP_SHAPES = dict(zip(GROUPS, ("circle", "square", "triangle-up", "diamond"), strict=True))


def finished(chart: Any, height: int | dict[str, int] = 320) -> dict[str, Any]:
    """Return the specification of an Altair chart, as wide as its container, in the common configuration.

    Args:
        chart: A single or layered chart.
        height: Pixels, or ``{"step": pixels}`` per row.
    """
    faint = {"gridColor": TEXT, "gridOpacity": 0.12, "domainColor": TEXT, "tickColor": TEXT, "domainOpacity": 0.5}
    specification: dict[str, Any] = (
        chart.properties(width="container", height=height, background="transparent")
        .configure(font="system-ui, sans-serif")
        .configure_axis(labelColor=TEXT, titleColor=TEXT, titleFontWeight="normal", labelLimit=150, **faint)
        .configure_legend(
            labelColor=TEXT, titleColor=TEXT, titleFontWeight="normal", orient="bottom", columns=3, symbolLimit=0
        )
        .configure_view(stroke=None)
        .configure_text(color=TEXT)
        .to_dict()
    )
    return specification

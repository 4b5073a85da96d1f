"""The type of a picture of the page."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Picture:
    """A plot with its caption and the table behind it.

    Attributes:
        id: Unique within a page; letters, digits and hyphens.
        table: Title of the leaderboard's table that the picture belongs to; None for a picture of several tables.
        title: What the plot shows, a few words.
        caption: What was measured, on how many images, seeds and draws.
        chart: The plot as a Vega-Lite specification with its data.
        headings: Headings of the table behind the plot.
        rows: Its rows, one value per heading.
    """

    id: str
    table: str | None
    title: str
    caption: str
    chart: dict[str, Any]
    headings: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]

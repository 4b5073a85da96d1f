"""Pictures as HTML: a place for the plot, the caption, and the table behind it."""

from collections.abc import Sequence

from bench.reports import numbers
from bench.reports.page.markup import Html, joined, tag
from bench.reports.pictures.picture import Picture


def figures(pictures: Sequence[Picture], owner: str) -> Html:
    """Return the pictures with a heading; nothing if there are none.

    Args:
        pictures: The pictures.
        owner: Id of the section that shows them.
    """
    if not pictures:
        return joined([])
    return tag("div", tag("h3", "Pictures", id=f"{owner}-pictures"), *map(figure, pictures), class_="pictures")


def figure(picture: Picture) -> Html:
    """Return a picture; the script draws the plot."""
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", heading) for heading in picture.headings))),
        tag("tbody", *(tag("tr", tag("th", str(row[0])), *map(_cell, row[1:])) for row in picture.rows)),
        class_="plain",
    )
    name = f"Table behind: {picture.title}"
    return tag(
        "figure",
        tag("h4", picture.title),
        tag(
            "div",
            class_="chart",
            data_chart=picture.id,
            tabindex="0",
            role="region",
            aria_label=f"Plot: {picture.title}",
        ),
        tag("noscript", tag("p", "The plot needs JavaScript; the table below has its numbers.")),
        tag("figcaption", picture.caption),
        tag(
            "details",
            tag("summary", "The table behind it"),
            tag("div", table, class_="scroll", tabindex="0", role="region", aria_label=name),
        ),
        id=f"picture-{picture.id}",
    )


def _cell(value: str | float | None) -> Html:
    if isinstance(value, str):
        return tag("td", value, class_="text")
    return tag("td", numbers.NONE if value is None else f"{value:.5g}")
